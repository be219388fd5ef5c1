import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';

const CIPHER = 'aes-256-gcm';
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** Separates these keys from others that are derived of the same secret. */
const PURPOSE = 'lookaside distcache session v1';

/** A shorter secret could be guessed offline by whoever reads memcached. */
export const MIN_SECRET_BYTES = 16;

/**
 * Authenticated encryption of what must not lie in memcached in clear: TLS sessions hold their master secret. The value
 * is bound to the key it lies under, so that nobody can swap two.
 *
 * With random nonces one secret is good for 2^32 values: change it long before.
 */
export class Seal {
  readonly #keys: readonly Buffer[];

  /** Seals with the first secret, opens with each: put a new one in front and keep the old one until its values expired. */
  constructor(secrets: readonly Uint8Array[]) {
    if (secrets.length === 0) throw new RangeError('there is no secret to seal with');
    const isShort = secrets.some((secret) => secret.length < MIN_SECRET_BYTES);
    if (isShort) throw new RangeError(`a secret has at least ${MIN_SECRET_BYTES} bytes`);
    this.#keys = secrets.map((secret) => Buffer.from(hkdfSync('sha256', secret, '', PURPOSE, KEY_BYTES)));
  }

  seal(key: string, value: readonly Uint8Array[]): Uint8Array[] {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(CIPHER, this.#keys[0] ?? '', nonce);
    cipher.setAAD(Buffer.from(key));
    const sealed = value.map((piece) => cipher.update(piece));
    cipher.final();
    return [nonce, ...sealed, cipher.getAuthTag()];
  }

  /** What was sealed under `key`; `undefined` when it was not, or not with one of the secrets. */
  open(key: string, sealed: Buffer): Buffer | undefined {
    if (sealed.length < NONCE_BYTES + TAG_BYTES) return undefined;
    for (const secretKey of this.#keys) {
      const opened = openWith(secretKey, key, sealed);
      if (opened !== undefined) return opened;
    }
    return undefined;
  }
}

function openWith(secretKey: Buffer, key: string, sealed: Buffer): Buffer | undefined {
  const decipher = createDecipheriv(CIPHER, secretKey, sealed.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES });
  decipher.setAAD(Buffer.from(key));
  decipher.setAuthTag(sealed.subarray(-TAG_BYTES));
  const value = decipher.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES));
  try {
    decipher.final();
    return value;
  } catch {
    return undefined;
  }
}

/** The secrets in the text of a file, one a line, the current one first. Empty lines do not count. */
export function secretsOf(text: string): Buffer[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .map((line) => Buffer.from(line));
}
