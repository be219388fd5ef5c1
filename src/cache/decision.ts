import { parseCacheControl } from '../http/cache-control.js';
import type { Fields } from '../http/fields.js';
import { missingRange, type StoredPart, selectWithinPart, storedPart } from '../http/partial.js';
import type { PartSelection } from '../http/range.js';
import { onlyIfCached, type ReuseRules, reuse } from '../http/reuse.js';
import { isConditional } from '../http/validators.js';
import type { Incomplete } from './completion.js';
import type { StaleEntry } from './fill.js';
import type { Found } from './finder.js';
import type { CacheOutcome } from './outcome.js';
import type { StoredEntry } from './stored-entry.js';
import type { Reason } from './verdict.js';

/** What is to be done about a GET or HEAD. `HttpCache` does it, `lookaside explain` shows it. */
export type Decision = Replay | ReplayPart | Refusal | Forwarding | Fetching;

/** The entry is the answer. */
export interface Replay {
  readonly kind: 'replay';
  readonly outcome: CacheOutcome;
  readonly entry: StoredEntry;
  /** For the Age field. */
  readonly ageSeconds: number;
  /** Whether it is to be refreshed in the background, unless the origin has just failed (`OriginHealth`). */
  readonly isRefreshed: boolean;
}

/** What is asked for lies within the part of the response that is stored (RFC 9111, section 3.3). */
export interface ReplayPart {
  readonly kind: 'replay-part';
  readonly outcome: CacheOutcome;
  readonly entry: StoredEntry;
  readonly ageSeconds: number;
  readonly part: StoredPart;
  readonly selected: PartSelection;
}

/** The client wants what is stored or nothing, and there is nothing that can be used: 504. */
export interface Refusal {
  readonly kind: 'refuse';
  readonly outcome: CacheOutcome;
  /** Why nothing can be used. */
  readonly because: Reason;
}

/** The request goes to the origin by itself, as it came. */
export interface Forwarding {
  readonly kind: 'forward';
  readonly outcome: CacheOutcome;
  /** Whether the response can be kept: with the lease, if that is to be had; without asking for it; or not at all. */
  readonly keeps: 'leased' | 'unleased' | 'nothing';
  /** What to do instead while the origin, having failed, is left alone. */
  readonly standIn?: Replay | undefined;
}

/** The origin is asked for the whole response, once for all who want it. */
export interface Fetching {
  readonly kind: 'fetch';
  /** As long as nothing is known of the response. */
  readonly outcome: CacheOutcome;
  /** What the origin is asked about. */
  readonly stale: StaleEntry | undefined;
  /** The part that is there: the origin is asked for the rest. */
  readonly incomplete: Incomplete | undefined;
  /** Whether only a fetch that is under way is joined. When none is, the request is forwarded to be kept with the lease. */
  readonly isOnlyJoined: boolean;
  /** As with {@link Forwarding}. */
  readonly standIn?: Replay | undefined;
}

/** A request, as far as it matters here. */
export interface DecisionRequest {
  readonly method: string;
  readonly fields: Fields;
}

/** Decides about a request with what was found for it. */
export function decide(request: DecisionRequest, found: Found, rules: ReuseRules, nowMs: number): Decision {
  if (found.kind !== 'entry') return withNothing(request, found);
  const { entry } = found;
  return entry.status === 206 ? withPart(request, entry, rules, nowMs) : withEntry(request, entry, rules, nowMs);
}

/** The decision instead of one whose body turned out to be lost. */
export function decideWithoutBody(request: DecisionRequest, lost: Replay | ReplayPart): Decision {
  if (lost.kind === 'replay-part') return withNothing(request, NO_USABLE_PART);
  return { kind: 'forward', outcome: { verdict: 'miss', reason: 'lost-segment' }, keeps: 'unleased' };
}

function withEntry(request: DecisionRequest, entry: StoredEntry, rules: ReuseRules, nowMs: number): Decision {
  const reused = reuse(entry.freshness, request.fields, rules, nowMs);
  const { reason, ttlSeconds, ageSeconds } = reused;
  const replay = (outcome: CacheOutcome, isRefreshed: boolean): Replay => {
    return { kind: 'replay', outcome, entry, ageSeconds, isRefreshed };
  };
  if (reused.use === 'fresh') return replay({ verdict: 'hit', reason, ttlSeconds }, false);
  if (reused.use !== 'revalidate') return replay({ verdict: 'stale', reason, ttlSeconds }, true);
  if (onlyIfCached(request.fields)) return refusal(reason);
  const { ifUnreachable, ifError } = reused;
  const failing = { verdict: 'stale', reason: 'origin-failing', ttlSeconds } as const;
  const standIn = ifUnreachable ? replay(failing, false) : undefined;
  const outcome = { verdict: 'miss', reason } as const;
  if (request.method !== 'GET') return { kind: 'forward', outcome, keeps: 'nothing', standIn };
  if (!isCollapsible(request.fields)) return { kind: 'forward', outcome, keeps: 'leased', standIn };
  const stale = { entry, ttlSeconds, ifUnreachable, ifError };
  return { kind: 'fetch', outcome, stale, incomplete: undefined, isOnlyJoined: false, standIn };
}

/** A fresh part of the response serves for its own bytes, and to be completed. */
function withPart(request: DecisionRequest, entry: StoredEntry, rules: ReuseRules, nowMs: number): Decision {
  const { use, reason, ttlSeconds, ageSeconds } = reuse(entry.freshness, request.fields, rules, nowMs);
  const part = storedPart(entry);
  if (use !== 'fresh' || part === undefined) return withNothing(request, NO_USABLE_PART);
  const isForPart = request.method === 'GET' && !isConditional(request.fields);
  const selected = isForPart ? selectWithinPart(request.fields, entry.fields, part, nowMs) : undefined;
  if (selected !== undefined) {
    const outcome = { verdict: 'hit', reason, ttlSeconds } as const;
    return { kind: 'replay-part', outcome, entry, ageSeconds, part, selected };
  }
  const missing = missingRange(part);
  return withNothing(request, NO_USABLE_PART, missing === undefined ? undefined : { entry, part, missing });
}

type Nothing = { readonly kind: 'none'; readonly reason: Reason } | { readonly kind: 'leased' | 'pass' };

const NO_USABLE_PART: Nothing = { kind: 'none', reason: 'partial' };

function withNothing(request: DecisionRequest, found: Nothing, incomplete?: Incomplete): Decision {
  const reason = reasonOf(found);
  if (onlyIfCached(request.fields)) return refusal(reason);
  const outcome = { verdict: 'miss', reason } as const;
  if (request.method !== 'GET') return { kind: 'forward', outcome, keeps: 'nothing' };
  if (found.kind === 'pass') return { kind: 'forward', outcome, keeps: 'unleased' };
  if (!isCollapsible(request.fields)) return { kind: 'forward', outcome, keeps: 'leased' };
  // A request for a part, or under a condition, joins a fetch of the whole, but does not start one.
  return { kind: 'fetch', outcome, stale: undefined, incomplete, isOnlyJoined: !asksForWhole(request.fields) };
}

function reasonOf(found: Nothing): Reason {
  if (found.kind === 'none') return found.reason;
  return found.kind === 'pass' ? 'hit-for-miss' : 'absent';
}

function refusal(because: Reason): Refusal {
  return { kind: 'refuse', outcome: { verdict: 'miss', reason: 'only-if-cached' }, because };
}

/** Whether others may have the response to a request with these fields: it can be fetched for them, too. */
function isCollapsible(fields: Fields): boolean {
  return !fields.has('authorization') && !parseCacheControl(fields.get('cache-control')).has('no-store');
}

/** Whether the answer will be the whole response, `bytes=0-` being the way of players to ask for it. */
function asksForWhole(fields: Fields): boolean {
  return !isConditional(fields) && (!fields.has('range') || fields.get('range') === 'bytes=0-');
}
