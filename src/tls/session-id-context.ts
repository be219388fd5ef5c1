import { createHash } from 'node:crypto';

/** What decides which client certificates a server takes: these of the options it is made with. */
export interface ClientPolicy {
  readonly requestCert?: unknown;
  readonly rejectUnauthorized?: unknown;
  readonly ca?: unknown;
  readonly crl?: unknown;
  readonly pfx?: unknown;
}

/** OpenSSL takes 32 bytes at most. */
const CONTEXT_CHARACTERS = 32;

/**
 * The session id context of a server: OpenSSL resumes a session only where the context is the one it began under.
 *
 * It is made of the fleet's name and of all that decides which client certificates are taken, so that a session can not
 * bring a client past the policy of another server. (In TLS 1.3 Node takes a client without a certificate for authorized
 * when the session is resumed.) The secret has no part in it: without the secret nothing can be resumed anyway, and with
 * it a change of secrets would end all sessions.
 */
export function sessionIdContext(fleet: string, policy: ClientPolicy): string {
  const hash = createHash('sha256');
  add(hash, 'lookaside tls context v1', fleet);
  if (policy.requestCert === true) {
    add(hash, 'client certificates', policy.rejectUnauthorized === false ? 'optional' : 'required');
    for (const digest of digests(policy.ca)) add(hash, 'ca', digest);
    for (const digest of digests(policy.crl)) add(hash, 'crl', digest);
    // it may contain authorities as well
    for (const digest of digests(policy.pfx)) add(hash, 'pfx', digest);
  }
  return hash.digest('base64url').slice(0, CONTEXT_CHARACTERS);
}

function add(hash: ReturnType<typeof createHash>, ...texts: readonly string[]): void {
  for (const text of texts) hash.update(`${Buffer.byteLength(text)} ${text}`);
}

/** One for each piece, in an order that does not depend on the one they were given in. */
function digests(pieces: unknown): string[] {
  if (pieces === undefined || pieces === null) return [];
  const list: readonly unknown[] = Array.isArray(pieces) ? pieces : [pieces];
  return list.map((piece) => createHash('sha256').update(bytesOf(piece)).digest('base64')).sort();
}

/** Text, bytes, or, of `pfx`, `{ buf, passphrase }`. */
function bytesOf(piece: unknown): Uint8Array {
  if (piece instanceof Uint8Array) return piece;
  if (typeof piece === 'string') return Buffer.from(piece);
  const inner: unknown = typeof piece === 'object' && piece !== null ? Reflect.get(piece, 'buf') : undefined;
  if (typeof inner === 'string' || inner instanceof Uint8Array) return bytesOf(inner);
  throw new TypeError('ca, crl and pfx are text or bytes');
}
