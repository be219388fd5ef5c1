import { Fields } from '../http/fields.js';
import { contentRange, selectRange } from '../http/range.js';
import { evaluateConditions, notModifiedFields } from '../http/validators.js';
import type { ExchangeRequest, ExchangeResponse } from './exchange.js';

/** A stored response, complete. */
export interface Stored {
  readonly status: number;
  readonly fields: Fields;
  readonly body: Buffer;
}

/**
 * What a client gets of a stored response: all of it, the part its Range asks for (206, 416), or the news that its own
 * copy is still good (304). Conditions come before ranges, and both only matter for a 200 (RFC 9110, section 13.2.2).
 * `If-Match` and `If-Unmodified-Since` never get here: they are for the origin.
 */
export function answer(request: ExchangeRequest, { status, fields, body }: Stored): ExchangeResponse {
  const whole = { status, fields, body, delimited: true };
  if (status !== 200) return whole;
  const nowMs = Date.now();
  if (evaluateConditions(request.fields, fields, nowMs) === 'not-modified') {
    return { status: 304, fields: notModifiedFields(fields), body: null, delimited: true };
  }
  if (request.method !== 'GET') return whole;
  const range = selectRange(request.fields, fields, body.length, nowMs);
  if (range.kind === 'whole') return whole;
  if (range.kind === 'unsatisfiable') {
    const only = new Fields(['Content-Range', contentRange(range, body.length)]);
    return { status: 416, fields: only, body: null, delimited: true };
  }
  fields.set('Content-Range', contentRange(range, body.length));
  return { status: 206, fields, body: body.subarray(range.start, range.end + 1), delimited: true };
}
