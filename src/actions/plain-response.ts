import { STATUS_CODES } from 'node:http';
import { Fields } from '../http/fields.js';
import type { ExchangeResponse } from './exchange.js';

/** A response of our own making: the status in words, and `more` fields (name, value, name, value …). */
export function plainResponse(status: number, more: readonly string[] = []): ExchangeResponse {
  const fields = new Fields(['Content-Type', 'text/plain; charset=utf-8', ...more]);
  return { status, fields, body: Buffer.from(`${STATUS_CODES[status] ?? status}\n`), delimited: true };
}
