import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from 'node:crypto';
import { checkedSecrets, type Secrets } from './secrets.js';

/** What is sealed. Each kind has keys of its own: a value of one kind never opens as another. */
export type SealKind = 'session' | 'session-1.3' | 'ticket-key' | 'staple';

const CIPHER = 'aes-256-gcm';
const VERSION = 1;
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** The version and the epoch, in front of the nonce. */
const HEADER_BYTES = 5;

/** By how much a sealed value is longer than what is in it. */
export const SEAL_OVERHEAD_BYTES = HEADER_BYTES + NONCE_BYTES + TAG_BYTES;

/**
 * For how long one key seals. Random nonces are safe for 2^32 values under one key, which is 49,000 a second for a day;
 * and it bounds what a single key that leaks can open.
 */
const EPOCH_SECONDS = 24 * 60 * 60;

/** What is older is not opened: no staple lives longer than a year, and everything else far shorter. */
const MAX_AGE_EPOCHS = 366;

/** Clocks of a fleet differ: one may be in tomorrow already. */
const MAX_AHEAD_EPOCHS = 1;

/** In use are a few kinds in two epochs with two secrets; the rest are strangers' values, which must not fill memory. */
const MAX_CACHED_KEYS = 64;

/**
 * Authenticated encryption of what must not lie in memcached in clear, AES-256-GCM with a key for each kind and day
 * (HKDF-SHA256 of the fleet's secret).
 *
 * ```
 * version 1 | epoch 4 (days since 1970) | nonce 12 | ciphertext | tag 16
 * ```
 *
 * The tag covers kind, fleet and name as well: a value that somebody moved under another name, or brought from another
 * fleet with the same secret, does not open. Old values under their own name do: put an expiry into what is sealed.
 */
export class Seal {
  readonly fleet: string;
  readonly #secrets: readonly Buffer[];
  readonly #nameKeys: readonly Buffer[];
  readonly #now: () => number;
  readonly #keys = new Map<string, Buffer>();
  /** What values of a kind are bound to besides their name. */
  readonly #scopes = new Map<SealKind, Buffer>();

  /** Seals with the first secret, opens with each. Throws a RangeError when the secrets can not be used. */
  constructor(secrets: Secrets, fleet: string, now: () => number = Date.now) {
    this.fleet = fleet;
    this.#secrets = checkedSecrets(secrets);
    this.#nameKeys = this.#secrets.map((secret) => derived(secret, 'lookaside tls name v1'));
    this.#now = now;
  }

  /** `value`, to be opened under the same kind and name only. */
  seal(kind: SealKind, name: Uint8Array, value: Uint8Array): Buffer {
    const header = Buffer.allocUnsafe(HEADER_BYTES);
    const epoch = this.#epoch();
    header.writeUInt8(VERSION, 0);
    header.writeUInt32BE(epoch, 1);
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(CIPHER, this.#key(0, kind, epoch), nonce);
    cipher.setAAD(this.#additionalData(header, kind, name));
    const sealed = cipher.update(value);
    cipher.final();
    return Buffer.concat([header, nonce, sealed, cipher.getAuthTag()]);
  }

  /** What was sealed; `undefined` when it was not sealed by this fleet under this kind and name, or is damaged. */
  open(kind: SealKind, name: Uint8Array, sealed: Buffer): Buffer | undefined {
    if (sealed.length < SEAL_OVERHEAD_BYTES || sealed.readUInt8(0) !== VERSION) return undefined;
    const epoch = sealed.readUInt32BE(1);
    const age = this.#epoch() - epoch;
    if (age > MAX_AGE_EPOCHS || age < -MAX_AHEAD_EPOCHS) return undefined;
    const additionalData = this.#additionalData(sealed.subarray(0, HEADER_BYTES), kind, name);
    for (const index of this.#secrets.keys()) {
      const value = openWith(this.#key(index, kind, epoch), additionalData, sealed.subarray(HEADER_BYTES));
      if (value !== undefined) return value;
    }
    return undefined;
  }

  /**
   * Where in the store the value is kept: one key for each secret, the current one's first. They tell nothing about the
   * name to whoever has no secret.
   */
  storeKeys(kind: SealKind, name: Uint8Array): string[] {
    return this.#nameKeys.map((key) => {
      const digest = createHmac('sha256', key).update(this.#scope(kind)).update(name).digest('base64url');
      return `lookaside:tls:${kind}:${digest}`;
    });
  }

  /** The first of {@link storeKeys}: where values are written. */
  storeKey(kind: SealKind, name: Uint8Array): string {
    const [current = ''] = this.storeKeys(kind, name);
    return current;
  }

  /** `bytes` bytes that only holders of the secret can derive, other ones for each purpose; the current secret's first. */
  derive(purpose: string, bytes: number): Buffer[] {
    const info = Buffer.concat([Buffer.from('lookaside tls derive v1'), framed(purpose, this.fleet)]);
    return this.#secrets.map((secret) => derived(secret, info, bytes));
  }

  #epoch(): number {
    return Math.floor(this.#now() / 1000 / EPOCH_SECONDS);
  }

  #additionalData(header: Uint8Array, kind: SealKind, name: Uint8Array): Buffer {
    return Buffer.concat([header, this.#scope(kind), name]);
  }

  #scope(kind: SealKind): Buffer {
    const known = this.#scopes.get(kind);
    if (known !== undefined) return known;
    const scope = framed(kind, this.fleet);
    this.#scopes.set(kind, scope);
    return scope;
  }

  #key(index: number, kind: SealKind, epoch: number): Buffer {
    const label = `${kind} ${epoch} ${index}`;
    const cached = this.#keys.get(label);
    if (cached !== undefined) return cached;
    if (this.#keys.size >= MAX_CACHED_KEYS) this.#keys.clear();
    const key = derived(this.#secret(index), `lookaside tls seal v1 ${kind} ${epoch}`);
    this.#keys.set(label, key);
    return key;
  }

  #secret(index: number): Buffer {
    const secret = this.#secrets[index];
    if (secret === undefined) throw new RangeError(`there is no secret ${index}`);
    return secret;
  }
}

function derived(secret: Buffer, purpose: string | Uint8Array, bytes = KEY_BYTES): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, '', purpose, bytes));
}

/** The texts one behind the other with their lengths, so that no two lists make the same bytes. */
function framed(...texts: readonly string[]): Buffer {
  return Buffer.concat(
    texts.flatMap((text) => {
      const bytes = Buffer.from(text);
      return [Buffer.of(bytes.length), bytes];
    }),
  );
}

function openWith(key: Buffer, additionalData: Buffer, sealed: Buffer): Buffer | undefined {
  const decipher = createDecipheriv(CIPHER, key, sealed.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES });
  decipher.setAAD(additionalData);
  decipher.setAuthTag(sealed.subarray(-TAG_BYTES));
  const value = decipher.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES));
  try {
    decipher.final();
    return value;
  } catch {
    return undefined;
  }
}
