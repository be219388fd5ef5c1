import { hash } from 'node:crypto';
import { isStoreKey } from '../store/store.js';

/**
 * The store key for `key`, a byte string: itself when it is 1 to 250 bytes of 0x21–0x7e, else the lower-case hex SHA-1
 * of its bytes. This is lighttpd2's rule, so that both servers find each other's values. A key in the name of the
 * cache's own items is hashed as well: no client may name one of them.
 *
 * @throws RangeError when a character is not a byte: it would share its key with another one.
 */
export function storeKey(key: string): string {
  return isStoreKey(key) && !key.startsWith(INTERNAL) ? key : sha1(key);
}

/** What the keys of the cache's own items begin with. */
const INTERNAL = 'lookaside:';

/**
 * Items of the cache's own: variants (`v`), segments (`s`), leases, and the counters that purges go by. They are what
 * other programs purge with, so the names are part of what is promised to them.
 */
export type InternalKind = 'v' | 'lease' | 'tag' | 'prefix' | 'url';

/** The store key of an item of the cache's own: `part`, a byte string, as it is or as its SHA-1, as for `storeKey`. */
export function internalKey(kind: InternalKind, part: string): string {
  const prefix = `${INTERNAL}${kind}:`;
  const key = prefix + part;
  return part !== '' && isStoreKey(key) ? key : prefix + sha1(part);
}

/** The counter of everything. */
export const ALL_KEY = `${INTERNAL}all`;

/**
 * Sixteen, so that each of a good many servers keeps one of them (see `Store.near`), and not more to raise by a purge.
 */
const EPOCHS = 16;

/** The counters that every purge raises. */
export const EPOCH_KEYS: readonly string[] = Array.from({ length: EPOCHS }, (_, i) => `${INTERNAL}epoch:${i}`);

function sha1(text: string): string {
  if (BEYOND_BYTES.test(text)) throw new RangeError('a key is a byte string: see utf8ToBytes');
  return hash('sha1', Buffer.from(text, 'latin1'), 'hex');
}

const BEYOND_BYTES = /[\u0100-\uffff]/;

/** A key as visible ASCII: `%` and every byte outside 0x21–0x7e as `%XX`. */
export function escapeKey(key: string): string {
  return key.replace(/[^\x21-\x24\x26-\x7e]/g, percentEncoded);
}

/** The same for a member of a list: `,` is escaped as well. */
export function escapeMember(text: string): string {
  return text.replace(/[^\x21-\x24\x26-\x2b\x2d-\x7e]/g, percentEncoded);
}

export function unescapeKey(text: string): string {
  return text.replace(/%([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

function percentEncoded(byte: string): string {
  return `%${byte.charCodeAt(0).toString(16).padStart(2, '0')}`;
}
