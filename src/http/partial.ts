import type { Fields } from './fields.js';
import { type PartSelection, selectRange } from './range.js';
import type { ResponseHead } from './response-head.js';
import { entityTag } from './validators.js';

/** Which bytes of a representation a 206 holds, both positions inclusive. */
export interface StoredPart {
  readonly start: number;
  readonly end: number;
  /** Size of the complete representation. */
  readonly sizeBytes: number;
}

/**
 * The part a 206 says it holds; `undefined` when it says so wrongly, not at all, or without telling the complete size
 * (RFC 9110, section 15.3.7). The length of its body is still to be compared once all of it is there.
 */
export function storedPart({ status, fields }: ResponseHead): StoredPart | undefined {
  const groups = status === 206 ? CONTENT_RANGE.exec(fields.get('content-range') ?? '')?.groups : undefined;
  if (groups === undefined) return undefined;
  const [start, end, sizeBytes] = [groups.start, groups.end, groups.size].map(Number);
  if (start === undefined || end === undefined || sizeBytes === undefined) return undefined;
  if (start > end || end >= sizeBytes || !Number.isSafeInteger(sizeBytes)) return undefined;
  const length = fields.get('content-length');
  if (length !== undefined && length !== String(end - start + 1)) return undefined;
  return { start, end, sizeBytes };
}

const CONTENT_RANGE = /^bytes (?<start>\d{1,16})-(?<end>\d{1,16})\/(?<size>\d{1,16})$/i;

/**
 * The bytes a GET asks for, when they lie within the stored part; positions count from the beginning of the complete
 * representation. `undefined` when the part is not enough.
 */
export function selectWithinPart(
  request: Fields,
  response: Fields,
  part: StoredPart,
  nowMs: number,
): PartSelection | undefined {
  const selection = selectRange(request, response, part.sizeBytes, nowMs);
  if (selection.kind !== 'part') return undefined;
  return selection.start >= part.start && selection.end <= part.end ? selection : undefined;
}

/**
 * The Range field that asks for what the stored part lacks; `undefined` when that is not one range. What comes back may be
 * put together with the part only where {@link areOfOneRepresentation} holds.
 */
export function missingRange({ start, end, sizeBytes }: StoredPart): string | undefined {
  if (start === 0 && end < sizeBytes - 1) return `bytes=${end + 1}-`;
  return start > 0 && end === sizeBytes - 1 ? `bytes=0-${start - 1}` : undefined;
}

/** Whether two parts are of the same representation for certain: they share a strong validator (RFC 9111, section 3.4). */
export function areOfOneRepresentation(stored: Fields, received: Fields): boolean {
  const [a, b] = [entityTag(stored), entityTag(received)];
  return a !== undefined && b !== undefined && !a.weak && !b.weak && a.opaque === b.opaque;
}
