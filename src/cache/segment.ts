import { randomBytes } from 'node:crypto';
import { valueBytes } from '../store/store.js';
import { itemValue } from './item.js';
import type { Authenticator } from './mac.js';

/**
 * A body that does not fit into one item lies in segments, each an item of its own:
 *
 *     lookaside:s:<id>:<n>   →   lookaside-segment: 1 mac=<32 hex or -> id=<id> n=<n> bytes=<length>\r\n<bytes of the body>
 *
 * Every stored body has an id of its own, which only its entry names. Since each segment says which one of which body it
 * is, and how long, one that is lost, swapped, cut short or left over from another body is always noticed.
 */
export interface SegmentLayout {
  /** 128 random bits, in lower-case hex. */
  readonly id: string;
  /** Length of the whole body. */
  readonly bytes: number;
  /** Bytes of the body in every segment but the last one, which has what remains. */
  readonly segmentBytes: number;
}

/** More than what stands in front of the bytes: 25 characters, the MAC of 32, and at most 36 + 19 + 23. */
export const MAX_LINE_BYTES = 160;

/** A layout comes out of an entry that others can write. It must not keep us busy: 4 GiB in segments of 1 MiB. */
export const MAX_SEGMENTS = 4096;

export function newSegmentId(): string {
  return randomBytes(16).toString('hex');
}

export function segmentKey(id: string, index: number): string {
  return `lookaside:s:${id}:${index}`;
}

/** The layout as one word, for the metadata of an entry. */
export function formatLayout({ id, bytes, segmentBytes }: SegmentLayout): string {
  return `${id}/${bytes}/${segmentBytes}`;
}

/** The layout in `word`, or `undefined` when that is none, or one that no writer makes. */
export function parseLayout(word: string): SegmentLayout | undefined {
  const match = LAYOUT.exec(word);
  if (match === null) return undefined;
  const [, id = '', bytes, segmentBytes] = match;
  const layout = { id, bytes: Number(bytes), segmentBytes: Number(segmentBytes) };
  return layout.bytes <= layout.segmentBytes * MAX_SEGMENTS ? layout : undefined;
}

const LAYOUT = /^([0-9a-f]{32})\/([1-9][0-9]{0,14})\/([1-9][0-9]{0,9})$/;

/** The value of a segment. */
export function segmentValue(
  id: string,
  index: number,
  pieces: readonly Uint8Array[],
  authenticator: Authenticator | undefined,
): Uint8Array[] {
  const line = Buffer.from(restOfLine(id, index, valueBytes(pieces)), 'latin1');
  return itemValue(segmentKey(id, index), OPENING, [line, ...pieces], authenticator);
}

/**
 * The bytes of the body in `value`, or `undefined` when that is not this segment of this body, all of it and nothing else.
 * With an authenticator, it must have a valid MAC as well.
 */
export function segmentBody(
  value: Buffer,
  layout: SegmentLayout,
  index: number,
  authenticator: Authenticator | undefined,
): Buffer | undefined {
  const { id, bytes, segmentBytes } = layout;
  const length = Math.min(segmentBytes, bytes - index * segmentBytes);
  const rest = restOfLine(id, index, length);
  const macAt = OPENING.length;
  const restAt = value.indexOf(' ', macAt);
  const bodyAt = restAt + rest.length;
  if (restAt < 0 || value.length !== bodyAt + length) return undefined;
  const mac = value.toString('latin1', macAt, restAt);
  if (value.toString('latin1', 0, macAt) !== OPENING || value.toString('latin1', restAt, bodyAt) !== rest)
    return undefined;
  if (authenticator === undefined) return mac === '-' || MAC.test(mac) ? value.subarray(bodyAt) : undefined;
  const signed = [value.subarray(0, macAt), value.subarray(restAt)];
  return authenticator.verify(segmentKey(id, index), signed, mac) ? value.subarray(bodyAt) : undefined;
}

const OPENING = 'lookaside-segment: 1 mac=';
const MAC = /^[0-9a-f]{32}$/;

function restOfLine(id: string, index: number, bytes: number): string {
  return ` id=${id} n=${index} bytes=${bytes}\r\n`;
}
