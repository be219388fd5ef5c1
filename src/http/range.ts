import { parseHttpDate } from './date.js';
import type { Fields } from './fields.js';
import { entityTag, parseEntityTag } from './validators.js';

/** Which bytes of a complete representation a GET asks for: all (200), one part (206), or none there are (416). */
export type RangeSelection = WholeSelection | PartSelection | UnsatisfiableSelection;

export interface WholeSelection {
  readonly kind: 'whole';
}

export interface PartSelection {
  readonly kind: 'part';
  /** Position of the first byte. */
  readonly start: number;
  /** Position of the last byte, inclusive, as in Content-Range and `fs.createReadStream`. */
  readonly end: number;
}

export interface UnsatisfiableSelection {
  readonly kind: 'unsatisfiable';
}

const WHOLE: WholeSelection = { kind: 'whole' };

/**
 * Reads Range and If-Range of a GET against a complete response of `sizeBytes` (RFC 9110, section 14.2 and 13.1.5).
 * Everything but one well-formed range of bytes is answered with the whole, which is always allowed: other units,
 * several ranges, an If-Range that does not hold, and any range of an empty body (clients that always ask for the
 * first bytes would otherwise get a 416 for an empty file).
 */
export function selectRange(request: Fields, response: Fields, sizeBytes: number, nowMs: number): RangeSelection {
  const range = request.get('range');
  if (range === undefined || sizeBytes === 0) return WHOLE;
  const groups = SINGLE_RANGE.exec(range)?.groups;
  if (groups === undefined) return WHOLE;
  const condition = request.get('if-range');
  if (condition !== undefined && !sameRepresentation(condition, response, nowMs)) return WHOLE;
  return select(groups.first, groups.last, groups.suffix, sizeBytes);
}

/** `bytes=0-499`, `bytes=500-` or `bytes=-500`. */
const SINGLE_RANGE = /^bytes=[ \t]*(?:(?<first>\d+)-(?<last>\d*)|-(?<suffix>\d+))[ \t]*$/i;

/** The Content-Range field of a 206 or a 416 (RFC 9110, section 14.4). */
export function contentRange(selection: PartSelection | UnsatisfiableSelection, sizeBytes: number): string {
  const range = selection.kind === 'part' ? `${selection.start}-${selection.end}` : '*';
  return `bytes ${range}/${sizeBytes}`;
}

function select(first: string | undefined, last: string | undefined, suffix: string | undefined, sizeBytes: number) {
  if (suffix !== undefined) {
    const length = Math.min(Number(suffix), sizeBytes);
    return length === 0 ? UNSATISFIABLE : part(sizeBytes - length, sizeBytes - 1);
  }
  const start = Number(first);
  const end = last === undefined || last === '' ? Number.POSITIVE_INFINITY : Number(last);
  if (end < start) return WHOLE;
  return start >= sizeBytes ? UNSATISFIABLE : part(start, Math.min(end, sizeBytes - 1));
}

const UNSATISFIABLE: UnsatisfiableSelection = { kind: 'unsatisfiable' };

function part(start: number, end: number): PartSelection {
  return { kind: 'part', start, end };
}

/**
 * Whether the response is the very one the client has a part of: by strong comparison of entity tags, or by the exact
 * Last-Modified, which is a strong validator only when the response was made at least a second later (section 8.8.2.2).
 */
function sameRepresentation(condition: string, response: Fields, nowMs: number): boolean {
  const wanted = parseEntityTag(condition);
  if (wanted !== undefined) {
    const tag = entityTag(response);
    return tag !== undefined && !tag.weak && !wanted.weak && tag.opaque === wanted.opaque;
  }
  const wantedMs = parseHttpDate(condition, nowMs);
  const modifiedMs = parseHttpDate(response.get('last-modified') ?? '', nowMs);
  const dateMs = parseHttpDate(response.get('date') ?? '', nowMs);
  if (wantedMs === undefined || modifiedMs === undefined || dateMs === undefined) return false;
  return wantedMs === modifiedMs && dateMs - modifiedMs >= 1000;
}
