import { randomBytes } from 'node:crypto';
import { itemValue } from './item.js';
import { escapeKey, unescapeKey } from './key.js';
import type { Authenticator } from './mac.js';

/**
 * What lies under a key in place of an entry. A *lease* says that somebody is fetching; its token tells whose it is. A
 * *pass* says that the responses are not stored at present, so that nobody needs to wait for another's.
 */
export type Marker =
  | { readonly kind: 'lease'; readonly token: string; readonly key: string }
  | { readonly kind: 'pass'; readonly key: string };

export function newToken(): string {
  return randomBytes(16).toString('hex');
}

/**
 * The value of a marker under `storeKey`: `lookaside-lease: 1 mac=- token=… key=…` or `lookaside-pass: 1 mac=- key=…`.
 */
export function encodeMarker(
  storeKey: string,
  marker: Marker,
  authenticator: Authenticator | undefined,
): readonly Uint8Array[] {
  const token = marker.kind === 'lease' ? ` token=${marker.token}` : '';
  const rest = Buffer.from(`${token} key=${escapeKey(marker.key)}\r\n`, 'latin1');
  return itemValue(storeKey, `lookaside-${marker.kind}: 1 mac=`, [rest], authenticator);
}

/** The marker in what stands behind the MAC of an item, or `undefined` when there is none. */
export function decodeMarker(kind: Marker['kind'], rest: string): Marker | undefined {
  const match = (kind === 'lease' ? LEASE : PASS).exec(rest);
  if (match === null) return undefined;
  const [, first = '', second = ''] = match;
  return kind === 'lease' ? { kind, token: first, key: unescapeKey(second) } : { kind, key: unescapeKey(first) };
}

const LEASE = /^ token=([0-9a-f]{32}) key=([\x21-\x7e]*)\r\n$/;
const PASS = /^ key=([\x21-\x7e]*)\r\n$/;
