import { planAnswer } from '../cache/answer.js';
import type { Fields } from '../http/fields.js';
import type { ExchangeRequest, ExchangeResponse } from './exchange.js';

/** A stored response, complete. */
export interface Stored {
  readonly status: number;
  readonly fields: Fields;
  readonly body: Buffer;
}

/** The response a client gets of a stored one: see {@link planAnswer}. */
export function answer(request: ExchangeRequest, stored: Stored): ExchangeResponse {
  const { status, fields, part } = planAnswer(request, stored, stored.body.length, Date.now());
  if (part === null) return { status, fields, body: null, delimited: true };
  const body = part === undefined ? stored.body : stored.body.subarray(part.start, part.end);
  return { status, fields, body, delimited: true };
}
