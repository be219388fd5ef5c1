import { Fields } from '../http/fields.js';
import { contentRange, selectRange } from '../http/range.js';
import { evaluateConditions, notModifiedFields } from '../http/validators.js';

/** The head a client gets of a stored response, and which bytes of the body with it. */
export interface AnswerPlan {
  readonly status: number;
  readonly fields: Fields;
  /** Positions of the first byte and behind the last one; `undefined`: all of the body. `null`: none of it. */
  readonly part: { readonly start: number; readonly end: number } | undefined | null;
}

/**
 * What a client gets of a stored response: all of it, the part its Range asks for (206, 416), or the news that its own
 * copy is still good (304). Conditions come before ranges, and both only matter for a 200 (RFC 9110, section 13.2.2).
 * `If-Match` and `If-Unmodified-Since` never get here: they are for the origin.
 *
 * @param bytes length of the body; `undefined` when it is not known yet, and then there are no ranges
 */
export function planAnswer(
  request: { readonly method: string; readonly fields: Fields },
  stored: { readonly status: number; readonly fields: Fields },
  bytes: number | undefined,
  nowMs: number,
): AnswerPlan {
  const { status, fields } = stored;
  if (status !== 200) return { status, fields, part: undefined };
  if (evaluateConditions(request.fields, fields, nowMs) === 'not-modified') {
    return { status: 304, fields: notModifiedFields(fields), part: null };
  }
  if (request.method !== 'GET' || bytes === undefined) return { status, fields, part: undefined };
  const range = selectRange(request.fields, fields, bytes, nowMs);
  if (range.kind === 'whole') return { status, fields, part: undefined };
  if (range.kind === 'unsatisfiable') {
    return { status: 416, fields: new Fields(['Content-Range', contentRange(range, bytes)]), part: null };
  }
  const partial = fields.clone();
  partial.set('Content-Range', contentRange(range, bytes));
  return { status: 206, fields: partial, part: { start: range.start, end: range.end + 1 } };
}
