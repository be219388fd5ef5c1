import { MAX_DELTA_SECONDS, parseCacheControl } from './cache-control.js';
import { parseHttpDate } from './date.js';
import type { Fields } from './fields.js';

/**
 * Seconds a response may be used from the moment it was made, as its own fields say: s-maxage before max-age before
 * Expires (RFC 9111, section 4.2.1). `undefined` when they say nothing.
 */
export function freshnessLifetime(response: Fields, nowMs: number): number | undefined {
  const cacheControl = parseCacheControl(response.get('cache-control'));
  const seconds = cacheControl.seconds('s-maxage') ?? cacheControl.seconds('max-age');
  if (seconds !== undefined) return seconds;
  const expires = response.all('expires');
  if (expires.length === 0) return undefined;
  // An invalid or repeated Expires means "already expired" (section 5.3).
  const expiresMs = expires.length === 1 ? parseHttpDate(expires[0] ?? '', nowMs) : undefined;
  const dateMs = parseHttpDate(response.get('date') ?? '', nowMs) ?? nowMs;
  return expiresMs === undefined ? 0 : Math.max(0, Math.floor((expiresMs - dateMs) / 1000));
}

/**
 * Age of a response that has just been received, in seconds: the larger of what its Age field says and of what its
 * Date implies (RFC 9111, section 4.2.3).
 */
export function ageOnReceipt(response: Fields, nowMs: number): number {
  const dateMs = parseHttpDate(response.get('date') ?? '', nowMs) ?? nowMs;
  const apparentSeconds = Math.max(0, Math.floor((nowMs - dateMs) / 1000));
  return Math.max(apparentSeconds, ageField(response));
}

/** The first member of the first Age line; anything but digits counts for nothing (RFC 9111, section 5.1). */
function ageField(response: Fields): number {
  const text = (response.all('age')[0] ?? '').split(',', 1)[0]?.trim() ?? '';
  return /^[0-9]+$/.test(text) ? Math.min(Number(text), MAX_DELTA_SECONDS) : 0;
}
