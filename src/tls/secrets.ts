/** A shorter secret could be guessed offline by whoever reads memcached. */
export const MIN_SECRET_BYTES = 32;

/** One current secret and the one before it: more would only be forgotten there. */
const MAX_SECRETS = 2;

/**
 * The secrets of a fleet, equal on all its servers: `[current, previous]`. Everything is sealed with the current one and
 * opened with either. Text counts as UTF-8.
 *
 * To change them without losing a session: roll out `[old, new]`, then `[new, old]`, then, a day later, `[new]`.
 */
export type Secrets = readonly (string | Uint8Array)[];

/** The bytes of `secrets`, current first. A RangeError tells what is wrong with them, and never what they are. */
export function checkedSecrets(secrets: Secrets): Buffer[] {
  if (secrets.length === 0) throw new RangeError('a fleet needs a secret');
  if (secrets.length > MAX_SECRETS) throw new RangeError('there are two secrets at most: the current and the previous');
  const all = secrets.map((secret) => (typeof secret === 'string' ? Buffer.from(secret) : Buffer.from(secret)));
  const isShort = all.some((secret) => secret.length < MIN_SECRET_BYTES);
  if (isShort) throw new RangeError(`a secret has at least ${MIN_SECRET_BYTES} bytes`);
  return all;
}

/** The secrets in the text of a file, one a line, the current one first. Empty lines do not count. */
export function secretsOf(text: string): Buffer[] {
  const lines = text.split('\n').map((line) => line.trim());
  return checkedSecrets(lines.filter((line) => line !== ''));
}
