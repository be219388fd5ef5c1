import type { Fields } from '../http/fields.js';
import { type ReuseRules, reuse } from '../http/reuse.js';
import { answeredWith, collapsed, notCached, replayed, shared } from './answered.js';
import type { BufferBudget } from './buffer-budget.js';
import { type Decision, decide, decideWithoutBody, type Fetching, type Forwarding, type Replay } from './decision.js';
import type { Entries } from './entries.js';
import {
  type EntryToUse,
  type Fetched,
  type FillContext,
  type FillRequest,
  fill,
  type SharedResponse,
} from './fill.js';
import { Flights, type Joined } from './flight.js';
import type { LookupExplanation } from './inspection.js';
import { isLasting, keep, writePassing } from './keep.js';
import { storeKey } from './key.js';
import { contentLength, discard, type Origin, type OriginResponse } from './origin.js';
import { OriginHealth } from './origin-health.js';
import type { CacheOutcome } from './outcome.js';
import { PassMemory } from './pass-memory.js';
import type { CachePolicy } from './policy.js';
import { SharedBody } from './shared-body.js';
import type { Slot } from './slot.js';
import type { StoredEntry } from './stored-entry.js';
import { UseCounts } from './use-counts.js';
import type { Reason } from './verdict.js';

/** A GET or HEAD that may be answered from the cache. */
export interface CacheRequest {
  readonly method: string;
  /** As they came from the client. */
  readonly fields: Fields;
  readonly key: string;
  /** `scheme://authority/path?query`: what purges by prefix go by. */
  readonly url: string;
}

/**
 * What becomes of a request: an answer; or it goes forward by itself, for the caller to send, who then hands the response
 * to {@link HttpCache.received}.
 */
export type CacheResult = Answered | Forward;

export interface Answered {
  readonly kind: 'answer';
  readonly response: OriginResponse;
  readonly outcome: CacheOutcome;
  /** `stored` when the response goes into the store, or why it does not; `undefined` when it came out of it. */
  readonly storage: Reason | undefined;
}

export interface Forward {
  readonly kind: 'forward';
  readonly outcome: CacheOutcome;
  /** Where the response can be kept; `undefined`: nowhere. */
  readonly slot: Slot | undefined;
}

/** How often a request looks again because others stored meanwhile, before it goes forward by itself. */
const MAX_LOOKS = 3;

/**
 * The shared cache of RFC 9111 over a store: looks up, decides, fetches once for all who want the same, stores,
 * revalidates, and lets a stale response stand in where that is allowed.
 */
export class HttpCache {
  readonly #entries: Entries;
  readonly #context: FillContext;
  readonly #reuseRules: ReuseRules;
  readonly #health: OriginHealth;
  readonly #passes: PassMemory;
  readonly #flights = new Flights<Fetched>((fetched) => (fetched.kind === 'shared' ? fetched.over : undefined));

  constructor(entries: Entries, policy: CachePolicy, bodies: BufferBudget) {
    this.#entries = entries;
    this.#health = new OriginHealth(policy.failureBackoffMs);
    this.#passes = new PassMemory(policy.passSeconds);
    this.#context = { entries, policy, bodies, health: this.#health, uses: new UseCounts() };
    this.#reuseRules = {
      honorRequestCacheControl: policy.honorRequestCacheControl,
      graceSeconds: policy.staleWhileRevalidateSeconds,
      errorGraceSeconds: policy.staleIfErrorSeconds,
    };
  }

  /** Decides about a request, and answers it unless it has to go forward by itself. */
  async answer(request: CacheRequest, origin: Origin): Promise<CacheResult> {
    for (let look = 1; look <= MAX_LOOKS; look++) {
      const lookedAt = performance.now();
      const found = await this.#entries.find(request.key, request.url, request.fields);
      const ifLeased = look === 1 ? 'wait' : 'fetch';
      const wanted = { ...request, origin, slot: found.slot, ifLeased, lookedAt } as const;
      const decision = decide(request, found, this.#reuseRules, Date.now());
      const result = await this.#act(decision, request, wanted);
      if (result !== undefined) return result;
    }
    return { kind: 'forward', outcome: { verdict: 'miss', reason: 'leased' }, slot: undefined };
  }

  /** What {@link answer} would do about a request at this moment, and why. Nothing is fetched, and nothing stored. */
  async explain(request: CacheRequest): Promise<LookupExplanation> {
    const found = await this.#entries.find(request.key, request.url, request.fields);
    const nowMs = Date.now();
    const entry = found.kind === 'entry' ? found.entry : undefined;
    const decision = decide(request, found, this.#reuseRules, nowMs);
    const fromStore = decision.kind === 'replay' || decision.kind === 'replay-part' ? decision : undefined;
    const answered = await (fromStore && answeredWith(fromStore, request));
    if (answered !== undefined) discard(answered.response);
    const { base, place } = found.slot ?? { base: storeKey(request.key), place: storeKey(request.key) };
    return {
      items: await this.#entries.inspect([base, place]),
      entry,
      reuse: entry && reuse(entry.freshness, request.fields, this.#reuseRules, nowMs),
      decision: fromStore && answered === undefined ? decideWithoutBody(request, fromStore) : decision,
      status: answered?.response.status,
    };
  }

  /**
   * Takes in the response to a request that went forward by itself: it is stored as it passes, if it may be. To be called
   * before anybody reads the body, and for every request that went forward, whatever came of it.
   *
   * @param response `undefined`: there is none
   * @returns `stored`, or why it is not
   */
  async received(
    request: CacheRequest,
    forward: Forward,
    response: OriginResponse | undefined,
    trip: Trip,
  ): Promise<Reason> {
    const { slot, outcome } = forward;
    if (slot === undefined) return 'no-lease';
    if (response === undefined || response.failure !== undefined) {
      await this.#entries.release(slot);
      return 'no-response';
    }
    if (ANSWERS_TO_ONE.has(response.status) || !this.#isKeepablePart(slot, response)) {
      await this.#entries.release(slot);
      return response.status === 206 ? 'partial' : 'status';
    }
    const wanted = { ...request, ...trip, slot, stale: undefined, reason: outcome.reason, ifLeased: 'fetch' } as const;
    const kept = await keep(slot, response, wanted, this.#context);
    if (kept.kind === 'refused') return kept.reason;
    if (kept.writer !== undefined) writePassing(response.body, kept.writer);
    return kept.storage;
  }

  /** The same for a response that nothing was looked up for: the one to a POST that says it is what a GET would get. */
  async receivedUnasked(request: CacheRequest, response: OriginResponse, trip: Trip): Promise<Reason> {
    const { slot } = await this.#entries.find(request.key, request.url, request.fields);
    const forward = await this.#forward({ verdict: 'bypass', reason: 'method' }, slot);
    return this.received(request, forward, response, trip);
  }

  /** A part is kept only where there is nothing better, and only if it fits one item: it is of use to few. */
  #isKeepablePart({ under }: Slot, { status, fields }: OriginResponse): boolean {
    if (status !== 206) return true;
    const isFree = under.kind === 'nothing' || under.kind === 'lease' || under.kind === 'unusable';
    return isFree && (contentLength(fields) ?? Number.POSITIVE_INFINITY) <= this.#entries.maxItemBytes;
  }

  /** With the lease, if nobody has it, or a purge that comes in between would go unnoticed. Nobody waits for it. */
  async #forward(outcome: CacheOutcome, slot: Slot | undefined): Promise<Forward> {
    if (slot === undefined) return { kind: 'forward', outcome, slot };
    const leased = await this.#entries.lease(slot);
    return { kind: 'forward', outcome, slot: leased.kind === 'failed' ? undefined : leased.slot };
  }

  async #act(decision: Decision, request: CacheRequest, wanted: Wanted): Promise<CacheResult | undefined> {
    const { outcome } = decision;
    switch (decision.kind) {
      case 'replay':
      case 'replay-part': {
        if (decision.kind === 'replay' && decision.isRefreshed && this.#health.mayAsk(request.key)) {
          // The answer is the client's to change. No failure of the origin is a reason to give the entry up.
          const entry = { ...decision.entry, fields: decision.entry.fields.clone() };
          const stale = { entry, ttlSeconds: outcome.ttlSeconds ?? 0, ifUnreachable: true, ifError: true };
          this.#refresh({ ...wanted, stale, reason: outcome.reason, ifLeased: 'leave' });
        }
        const answered = await answeredWith(decision, request);
        return answered ?? this.#act(decideWithoutBody(request, decision), request, wanted);
      }
      case 'refuse':
        return notCached(decision);
      case 'forward': {
        if (this.#isLeftAlone(decision, request)) return this.#act(decision.standIn, request, wanted);
        if (decision.keeps === 'unleased') return { kind: 'forward', outcome, slot: wanted.slot };
        return this.#forward(outcome, decision.keeps === 'leased' ? wanted.slot : undefined);
      }
      case 'fetch': {
        if (this.#isLeftAlone(decision, request)) return this.#act(decision.standIn, request, wanted);
        if (wanted.slot === undefined && this.#passes.has(request.key)) return this.#forward(outcome, undefined);
        const { stale, incomplete, isOnlyJoined } = decision;
        if (isOnlyJoined && !this.#flights.has(flightName(wanted), boardedAt(wanted)))
          return this.#forward(outcome, wanted.slot);
        return this.#fetch(request, { ...wanted, stale, incomplete, reason: outcome.reason });
      }
    }
  }

  /** Whether the origin has failed just now, and there is something that may be used in the meantime. */
  #isLeftAlone<D extends Forwarding | Fetching>(decision: D, { key }: CacheRequest): decision is D & StandIn {
    return decision.standIn !== undefined && !this.#health.mayAsk(key);
  }

  #join(wanted: Wanted & FillRequest): Joined<Fetched> {
    const start = (close: () => void) => fill(wanted, this.#context, close);
    return this.#flights.join(flightName(wanted), start, boardedAt(wanted));
  }

  async #fetch(request: CacheRequest, wanted: Wanted & FillRequest): Promise<CacheResult | undefined> {
    const joinedAt = performance.now();
    const { result, isCollapsed } = this.#join(wanted);
    const fetched = await result;
    switch (fetched.kind) {
      case 'again':
        return undefined;
      case 'entry': {
        if (isCollapsed && !suits(fetched, wanted)) return undefined;
        const fields = (isCollapsed ? fetched.entry.fields : fetched.ownFields).clone();
        const entry = { ...fetched.entry, fields };
        const answered = await replayed(request, entry, collapsed(fetched.outcome, isCollapsed), currentAge(entry));
        return answered ?? { kind: 'forward', outcome: { verdict: 'miss', reason: 'lost-segment' }, slot: undefined };
      }
      case 'shared': {
        const isLate = isCollapsed && joinedAt > fetched.receivedAt;
        const ageSeconds = isLate ? this.#usableAge(request, fetched) : undefined;
        if (isLate && ageSeconds === undefined) return undefined;
        const answered = shared(request, fetched, isCollapsed);
        if (ageSeconds !== undefined) answered?.response.fields.set('Age', String(ageSeconds));
        return answered;
      }
      case 'own': {
        const { response, outcome, storage } = fetched;
        if (wanted.slot === undefined && isLasting(storage)) this.#passes.add(request.key);
        if (!isCollapsed) return { kind: 'answer', response, outcome, storage };
        return { kind: 'forward', outcome: { verdict: 'miss', reason: 'hit-for-miss' }, slot: undefined };
      }
    }
  }

  /** The age of a response that is still coming in, for a request that came after its head; `undefined`: it is no longer fresh. */
  #usableAge({ fields }: CacheRequest, { plan, receivedMs }: SharedResponse): number | undefined {
    if (plan === undefined) return undefined;
    const freshness = { ...plan, storedAtMs: receivedMs, isSoftPurged: false };
    const { use, ageSeconds } = reuse(freshness, fields, this.#reuseRules, Date.now());
    return use === 'fresh' ? ageSeconds : undefined;
  }

  /** Refreshes an entry in the background, unless somebody is at it. */
  #refresh(wanted: Wanted & FillRequest): void {
    const { result, isCollapsed } = this.#join(wanted);
    if (isCollapsed) return;
    const finish = (fetched: Fetched) => {
      if (fetched.kind === 'own') discard(fetched.response);
      if (fetched.kind === 'shared' && fetched.body instanceof SharedBody) fetched.body.fill();
    };
    result.then(finish, () => this.#health.failed(wanted.key));
  }
}

/** Statuses that answer what one request knew or wanted, and say nothing of the next one for the same key. */
const ANSWERS_TO_ONE: ReadonlySet<number> = new Set([304, 412, 416]);

interface StandIn {
  readonly standIn: Replay;
}

/** A fetch that may become necessary. */
type Wanted = Omit<FillRequest, 'stale' | 'reason'> & {
  /** When the look at the store began (`performance.now`). */
  readonly lookedAt: number;
};

/** When a request went to the origin, and when the head of its response came. In ms since 1970. */
export interface Trip {
  readonly origin: Origin;
  readonly requestedMs: number;
  readonly receivedMs: number;
}

/**
 * What requests share that can be answered by the same response: they have seen the same in the store. Whoever comes after
 * a purge has not: neither the epoch is the same then, nor what lies there.
 */
function flightName({ slot, key }: Wanted): string {
  if (slot === undefined) return ` ${key}`;
  const { place, under, moment } = slot;
  const seen =
    under.kind === 'entry' ? under.cas : under.kind === 'index' ? `${under.index.mark}.${under.seen.get(place)}` : '';
  return `${place} ${moment.epoch} ${seen}`;
}

/**
 * When a request must have begun to look to join a fetch that holds its lease under the base key: one that began later and
 * found no lease there comes after a purge, and is not to get what was fetched before.
 */
function boardedAt({ slot, lookedAt }: Wanted): number {
  return slot?.under.kind === 'nothing' ? lookedAt : Number.NEGATIVE_INFINITY;
}

/** Whether the entry that a fetch has ended in is for one who only joined it. */
function suits({ isForAll, outcome }: EntryToUse, { stale }: FillRequest): boolean {
  if (outcome.verdict !== 'stale') return isForAll;
  return (outcome.forwardStatus === undefined ? stale?.ifUnreachable : stale?.ifError) === true;
}

function currentAge({ freshness }: StoredEntry): number {
  return freshness.ageSeconds + Math.max(0, Math.floor((Date.now() - freshness.storedAtMs) / 1000));
}
