import type { Authenticator } from './mac.js';

/**
 * The items of the cache. Each begins with what it is, in words, and a MAC, which is `-` without a secret:
 *
 *     HTTP/1.1 200 \r\nlookaside: 2 mac=<32 hex or -> …      an entry
 *     lookaside-variants: 1 mac=<32 hex or -> …              the index of the variants of a key
 *     lookaside-lease: 1 mac=<32 hex or -> …                 somebody is fetching
 *     lookaside-pass: 1 mac=<32 hex or -> …                  responses are not stored at present
 *
 * The MAC covers everything in front of it and behind it.
 */
export type ItemKind = 'entry' | 'variants' | 'lease' | 'pass';

/**
 * The value of an item that begins with `opening`, up to the MAC, and goes on with `rest`, which starts with a space.
 */
export function itemValue(
  key: string,
  opening: string,
  rest: readonly Uint8Array[],
  authenticator: Authenticator | undefined,
): Uint8Array[] {
  const start = Buffer.from(opening, 'latin1');
  const mac = authenticator?.sign(key, [start, ...rest]) ?? '-';
  return [start, Buffer.from(mac, 'latin1'), ...rest];
}

export interface OpenedItem {
  /** `foreign`: an HTTP message that is no entry of ours, or of an earlier version. */
  readonly kind: ItemKind | 'foreign';
  /** Where the bytes behind the MAC begin. */
  readonly restAt: number;
}

/**
 * What lies in `value`, as far as the first line tells. With an authenticator, nothing without a valid MAC is opened.
 */
export function openItem(
  key: string,
  value: Buffer,
  authenticator: Authenticator | undefined,
): OpenedItem | 'malformed' | 'unauthenticated' {
  const start = value.toString('latin1', 0, MAX_OPENING_BYTES);
  const match = OPENING.exec(start);
  if (match === null) {
    if (authenticator !== undefined) return 'unauthenticated';
    return start.startsWith('HTTP/1.') ? { kind: 'foreign', restAt: 0 } : 'malformed';
  }
  const [{ length: restAt }, kind = 'entry', mac = ''] = match;
  const macAt = restAt - mac.length;
  const pieces = [value.subarray(0, macAt), value.subarray(restAt)];
  if (authenticator?.verify(key, pieces, mac) === false) return 'unauthenticated';
  return { kind: isMarker(kind) ? kind : 'entry', restAt };
}

const OPENING =
  /^(?:HTTP\/1\.1 [2-5][0-9]{2} \r\nlookaside: 2|lookaside-(variants|lease|pass): 1) mac=([0-9a-f]{32}|-)(?= )/;

/** Longer than anything that {@link OPENING} matches. */
const MAX_OPENING_BYTES = 96;

function isMarker(kind: string): kind is Exclude<ItemKind, 'entry'> {
  return kind === 'variants' || kind === 'lease' || kind === 'pass';
}
