import { MAX_DELTA_SECONDS, parseCacheControl } from './cache-control.js';
import { parseHttpDate } from './date.js';
import type { Fields } from './fields.js';
import type { ResponseHead } from './response-head.js';
import { isHeuristicallyCacheable } from './status.js';
import type { GoverningControl } from './targeted-cache-control.js';

/** How long a response may be used without asking the origin, counted from the moment the origin made it. */
export interface Lifetime {
  /** Whole seconds, 0 when it was stale from the beginning. */
  readonly seconds: number;
  /** What says so. Everything but `heuristic` is the origin's own word. */
  readonly source: 's-maxage' | 'max-age' | 'expires' | 'heuristic';
}

/**
 * The lifetime a response gives itself: s-maxage before max-age before Expires, whatever the later ones say (RFC 9111,
 * section 4.2.1), else a guess (section 4.2.2). `undefined` when nothing is known and nothing may be guessed.
 */
export function lifetime(head: ResponseHead, governing: GoverningControl, receivedMs: number): Lifetime | undefined {
  return explicitLifetime(head.fields, governing, receivedMs) ?? heuristicLifetime(head, governing, receivedMs);
}

function explicitLifetime(
  response: Fields,
  { control, isTargeted }: Pick<GoverningControl, 'control' | 'isTargeted'>,
  receivedMs: number,
): Lifetime | undefined {
  for (const source of ['s-maxage', 'max-age'] as const) {
    const seconds = control.seconds(source);
    if (seconds !== undefined) return { seconds, source };
  }
  const expires = isTargeted ? [] : response.all('expires');
  if (expires.length === 0) return undefined;
  // An invalid or repeated Expires means "already expired" (section 5.3).
  const expiresMs = expires.length === 1 ? parseHttpDate(expires[0] ?? '', receivedMs) : undefined;
  const lifetimeMs = expiresMs === undefined ? 0 : expiresMs - madeMs(response, receivedMs);
  return { seconds: wholeSeconds(lifetimeMs), source: 'expires' };
}

/** A response that has not changed for long is not likely to change soon: section 4.2.2 names a tenth as typical. */
const HEURISTIC_FRACTION = 0.1;
/** However old the response is, a guess holds for one day: above it, heuristics used to call for a warning (RFC 7234). */
const MAX_HEURISTIC_MS = 24 * 60 * 60 * 1000;

function heuristicLifetime(
  { status, fields }: ResponseHead,
  { control }: GoverningControl,
  receivedMs: number,
): Lifetime | undefined {
  if (!isHeuristicallyCacheable(status) && !control.has('public')) return undefined;
  const modifiedMs = parseHttpDate(fields.get('last-modified') ?? '', receivedMs);
  if (modifiedMs === undefined) return undefined;
  const unchangedMs = madeMs(fields, receivedMs) - modifiedMs;
  return { seconds: wholeSeconds(Math.min(unchangedMs * HEURISTIC_FRACTION, MAX_HEURISTIC_MS)), source: 'heuristic' };
}

/**
 * Age of a response when it was received, in whole seconds (corrected_initial_age of RFC 9111, section 4.2.3): the larger
 * of what its Date implies and of its Age field with the time the request took.
 */
export function initialAge(response: Fields, requestedMs: number, receivedMs: number): number {
  const apparentMs = receivedMs - madeMs(response, receivedMs);
  const correctedMs = ageField(response) * 1000 + Math.max(0, receivedMs - requestedMs);
  return wholeSeconds(Math.max(apparentMs, correctedMs));
}

/** The seconds of {@link lifetime} as far as Cache-Control and Expires say them; `undefined` when they say nothing. */
export function freshnessLifetime(response: Fields, nowMs: number): number | undefined {
  const control = parseCacheControl(response.get('cache-control'));
  return explicitLifetime(response, { control, isTargeted: false }, nowMs)?.seconds;
}

/** {@link initialAge} of a response to a request that took no time. */
export function ageOnReceipt(response: Fields, nowMs: number): number {
  return initialAge(response, nowMs, nowMs);
}

/** When the response was made: its Date, or the time it came when that can not be read. */
function madeMs(response: Fields, receivedMs: number): number {
  return parseHttpDate(response.get('date') ?? '', receivedMs) ?? receivedMs;
}

/** The first member of the first Age line; anything but digits counts for nothing (RFC 9111, section 5.1). */
function ageField(response: Fields): number {
  const text = (response.all('age')[0] ?? '').split(',', 1)[0]?.trim() ?? '';
  return /^[0-9]+$/.test(text) ? Math.min(Number(text), MAX_DELTA_SECONDS) : 0;
}

function wholeSeconds(ms: number): number {
  return Math.max(0, Math.floor(ms / 1000));
}
