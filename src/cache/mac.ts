import { createHmac, timingSafeEqual } from 'node:crypto';

/**
 * Vouches for bytes that lie in the store under a key: HMAC-SHA-256, cut to 128 bits, over the key, a line feed (which
 * no key contains) and the bytes. Whoever can write to the store can neither make nor change an item, nor put it in
 * the place of another one; he can still bring back an older state of the same item.
 */
export class Authenticator {
  readonly #current: Uint8Array;
  /** Ours first. */
  readonly #accepted: readonly Uint8Array[];

  /**
   * `secrets`: the one to sign with, then those that are accepted still, while the fleet changes over. At least one.
   */
  constructor(secrets: readonly (string | Uint8Array)[]) {
    this.#accepted = secrets.map((secret) => Buffer.from(secret));
    const [current] = this.#accepted;
    if (current === undefined) throw new RangeError('an authenticator needs a secret');
    this.#current = current;
  }

  /** In lower-case hex. */
  sign(key: string, pieces: readonly Uint8Array[]): string {
    return macOf(this.#current, key, pieces).toString('hex');
  }

  verify(key: string, pieces: readonly Uint8Array[], mac: string): boolean {
    if (!MAC.test(mac)) return false;
    const given = Buffer.from(mac, 'hex');
    return this.#accepted.some((secret) => timingSafeEqual(macOf(secret, key, pieces), given));
  }
}

const MAC_BYTES = 16;
const MAC = /^[0-9a-f]{32}$/;

function macOf(secret: Uint8Array, key: string, pieces: readonly Uint8Array[]): Buffer {
  const hmac = createHmac('sha256', secret).update(`${key}\n`, 'latin1');
  for (const piece of pieces) hmac.update(piece);
  return hmac.digest().subarray(0, MAC_BYTES);
}
