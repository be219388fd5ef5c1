import { MAX_RELATIVE_TTL_SECONDS } from '../store.js';

/**
 * A time to live as memcached takes it: seconds from now up to 30 days, a Unix time above (protocol.txt, "Expiration
 * times"), never beyond what it keeps in 32 bits. 0 stays 0, no expiry. `now` is wall-clock time in milliseconds.
 */
export function expiry(ttlSeconds: number, now = Date.now()): number {
  if (ttlSeconds <= MAX_RELATIVE_TTL_SECONDS) return ttlSeconds;
  return Math.min(Math.floor(now / 1000) + ttlSeconds, MAX_UNIX_SECONDS);
}

/** memcached reads the number into a signed 32-bit integer; a larger one comes out negative: expired at once. */
const MAX_UNIX_SECONDS = 2 ** 31 - 1;
