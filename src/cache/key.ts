import { hash } from 'node:crypto';
import { isStoreKey } from '../store/store.js';

/**
 * The store key for `key`, a byte string: itself when it is 1 to 250 bytes of 0x21–0x7e, else the lower-case hex SHA-1
 * of its bytes. This is lighttpd2's rule, so that both servers find each other's values.
 *
 * @throws RangeError when a character is not a byte: it would share its key with another one.
 */
export function storeKey(key: string): string {
  if (isStoreKey(key)) return key;
  if (BEYOND_BYTES.test(key)) throw new RangeError('a key is a byte string: see utf8ToBytes');
  return hash('sha1', Buffer.from(key, 'latin1'), 'hex');
}

const BEYOND_BYTES = /[\u0100-\uffff]/;
