import { type CacheControl, parseCacheControl } from './cache-control.js';
import type { Fields } from './fields.js';

/** What an entry knows of its freshness: a `StoragePlan`, when it was made, and what has happened to it since. */
export interface StoredFreshness {
  /** Wall-clock time the response was received, in ms since 1970. */
  readonly storedAtMs: number;
  /** The age it had then. All times are whole seconds, as in `StoragePlan`. */
  readonly ageSeconds: number;
  readonly lifetimeSeconds: number;
  readonly staleWhileRevalidateSeconds: number;
  readonly staleIfErrorSeconds: number | undefined;
  readonly revalidation: 'may' | 'must' | 'always';
  /** Somebody has marked it stale, nobody knows when. */
  readonly isSoftPurged: boolean;
  readonly immutable: boolean;
}

export interface ReuseRules {
  /** Whether clients may ask for less, or more, than what is stored (Cache-Control and Pragma of the request). */
  readonly honorRequestCacheControl: boolean;
  /** Operator's stale-while-revalidate, in seconds; holds where the response's own is shorter. */
  readonly graceSeconds: number;
  /** Operator's stale-if-error, in seconds; holds where the response has none of its own. */
  readonly errorGraceSeconds: number;
}

/** What may be done with an entry. */
export type Reuse = ServableReuse | RevalidationReuse;

interface CommonReuse {
  /** Current age, for the Age field. */
  readonly ageSeconds: number;
  /** Seconds it stays fresh; not positive when it is stale. */
  readonly ttlSeconds: number;
  readonly reason: ReuseReason;
}

export interface ServableReuse extends CommonReuse {
  /** `fresh`: answer with it. `stale-while-revalidate`: answer with it, and refresh it in the background. */
  readonly use: 'fresh' | 'stale-while-revalidate';
}

/** The origin must be asked. */
export interface RevalidationReuse extends CommonReuse {
  readonly use: 'revalidate';
  /** Whether it may be used when the origin can not be reached. */
  readonly ifUnreachable: boolean;
  /** Whether it may be used when the origin answers with 500, 502, 503 or 504. */
  readonly ifError: boolean;
}

export type ReuseReason =
  | 'fresh'
  | 'stale-while-revalidate'
  | 'expired'
  | 'soft-purged'
  | 'clock-skew'
  | 'no-cache'
  | 'request-no-cache'
  | 'request-no-store'
  | 'request-max-age'
  | 'request-min-fresh'
  | 'request-max-stale';

/** Clocks of a fleet differ; an entry from further in the future than this has an age that nobody knows. */
const MAX_CLOCK_SKEW_MS = 5000;

/** Decides about an entry that matches the request (RFC 9111, sections 4 and 4.2; RFC 5861; RFC 8246). */
export function reuse(stored: StoredFreshness, request: Fields, rules: ReuseRules, nowMs: number): Reuse {
  const residentMs = nowMs - stored.storedAtMs;
  const ageMs = stored.ageSeconds * 1000 + Math.max(0, residentMs);
  const ageSeconds = Math.floor(ageMs / 1000);
  const ownTtlMs = stored.lifetimeSeconds * 1000 - ageMs;
  // A soft purge ends freshness, but does not use up the windows that begin with its end.
  const ttlMs = stored.isSoftPurged ? Math.min(0, ownTtlMs) : ownTtlMs;
  const age = { ageMs, ttlMs };
  const common = { ageSeconds, ttlSeconds: Math.floor(ttlMs / 1000) };

  const forced = (reason: ReuseReason): RevalidationReuse => ({ use: 'revalidate', ...common, reason, ...NEVER_STALE });
  if (stored.revalidation === 'always') return forced('no-cache');
  if (residentMs < -MAX_CLOCK_SKEW_MS) return forced('clock-skew');

  const wish = rules.honorRequestCacheControl ? clientWish(stored, request, age) : undefined;
  if (wish?.serve === true) return { use: 'fresh', ...common, reason: wish.reason };
  if (wish === undefined && ttlMs > 0) return { use: 'fresh', ...common, reason: 'fresh' };

  const graceSeconds = Math.max(stored.staleWhileRevalidateSeconds, rules.graceSeconds);
  if (wish === undefined && isWithin(graceSeconds, stored, ttlMs)) {
    return { use: 'stale-while-revalidate', ...common, reason: 'stale-while-revalidate' };
  }
  const ifError = isWithin(stored.staleIfErrorSeconds ?? rules.errorGraceSeconds, stored, ttlMs);
  const reason = wish?.reason ?? (ownTtlMs > 0 ? 'soft-purged' : 'expired');
  return { use: 'revalidate', ...common, reason, ifUnreachable: ttlMs > 0 || ifError, ifError };
}

const NEVER_STALE = { ifUnreachable: false, ifError: false } as const;

/** Whether the entry may be used this long after its freshness ended. */
function isWithin(windowSeconds: number, stored: StoredFreshness, ttlMs: number): boolean {
  return stored.revalidation === 'may' && Math.max(0, -ttlMs) < windowSeconds * 1000;
}

interface ClientWish {
  /** Whether the client takes the entry though it is stale, or wants the origin to be asked though it is fresh. */
  readonly serve: boolean;
  readonly reason: ReuseReason;
}

/** What the request's directives change (RFC 9111, section 5.2.1); `undefined` when nothing. */
function clientWish(
  stored: StoredFreshness,
  request: Fields,
  { ageMs, ttlMs }: { ageMs: number; ttlMs: number },
): ClientWish | undefined {
  const control = requestControl(request);
  if (control.has('no-store')) return { serve: false, reason: 'request-no-store' };
  const isUnchanging = stored.immutable && ttlMs > 0;
  if (control.has('no-cache') && !isUnchanging) return { serve: false, reason: 'request-no-cache' };
  const maxAge = control.seconds('max-age');
  // With 0 a reload is meant, even of what has just come.
  const isTooOld = maxAge !== undefined && (maxAge === 0 || ageMs > maxAge * 1000);
  if (isTooOld && !isUnchanging) return { serve: false, reason: 'request-max-age' };
  const minFresh = control.seconds('min-fresh');
  if (minFresh !== undefined && ttlMs < minFresh * 1000) return { serve: false, reason: 'request-min-fresh' };
  if (ttlMs > 0 || stored.revalidation !== 'may' || !control.has('max-stale')) return undefined;
  return -ttlMs <= maxStaleSeconds(control) * 1000 ? { serve: true, reason: 'request-max-stale' } : undefined;
}

/** Pragma counts only where there is no Cache-Control (RFC 9111, section 5.4). */
function requestControl(request: Fields): CacheControl {
  const value = request.get('cache-control');
  if (value !== undefined) return parseCacheControl(value);
  const hasPragma = parseCacheControl(request.get('pragma')).has('no-cache');
  return parseCacheControl(hasPragma ? 'no-cache' : undefined);
}

/** Without an argument max-stale takes a response of any age (section 5.2.1.2). */
function maxStaleSeconds(control: CacheControl): number {
  return control.hasBare('max-stale') ? Number.POSITIVE_INFINITY : (control.seconds('max-stale') ?? 0);
}

/**
 * Whether the client wants a stored response or none (RFC 9111, section 5.2.1.7): what can not be answered from the store
 * is answered with 504. Harmless, and so always honoured.
 */
export function onlyIfCached(request: Fields): boolean {
  return parseCacheControl(request.get('cache-control')).has('only-if-cached');
}
