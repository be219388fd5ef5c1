import { parseCacheControl } from '../http/cache-control.js';
import { Fields } from '../http/fields.js';
import { missingRange, selectWithinPart, storedPart } from '../http/partial.js';
import { contentRange } from '../http/range.js';
import { onlyIfCached, type ReuseRules, reuse } from '../http/reuse.js';
import { isConditional } from '../http/validators.js';
import { variantDigest } from '../http/vary.js';
import { planAnswer } from './answer.js';
import type { Body } from './body.js';
import type { BufferBudget } from './buffer-budget.js';
import type { Entries } from './entries.js';
import {
  discard,
  type Fetched,
  type FillContext,
  type FillRequest,
  fill,
  keep,
  type SharedResponse,
  type StaleEntry,
  writePassing,
} from './fill.js';
import type { FoundEntry, FoundNothing } from './finder.js';
import { Flights } from './flight.js';
import { contentLength, type Origin, type OriginResponse } from './origin.js';
import { OriginHealth } from './origin-health.js';
import type { CacheOutcome } from './outcome.js';
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
  readonly #flights = new Flights<Fetched>((fetched) => (fetched.kind === 'shared' ? fetched.over : undefined));

  constructor(entries: Entries, policy: CachePolicy, bodies: BufferBudget) {
    this.#entries = entries;
    this.#health = new OriginHealth(policy.failureBackoffMs);
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
      const found = await this.#entries.find(request.key, request.url, request.fields);
      const ifLeased = look === 1 ? 'wait' : 'fetch';
      const wanted = { ...request, origin, slot: found.slot, ifLeased } as const;
      const result = await (found.kind === 'entry'
        ? this.#withEntry(request, found, wanted)
        : this.#withoutEntry(request, found, wanted));
      if (result !== undefined) return result;
    }
    return { kind: 'forward', outcome: { verdict: 'miss', reason: 'leased' }, slot: undefined };
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

  async #withEntry(request: CacheRequest, found: FoundEntry, wanted: Wanted): Promise<CacheResult | undefined> {
    const { entry } = found;
    if (entry.status === 206) return this.#withPart(request, found, wanted);
    const decision = reuse(entry.freshness, request.fields, this.#reuseRules, Date.now());
    const { reason, ttlSeconds, ageSeconds } = decision;
    const replay = (outcome: CacheOutcome) => this.#replay(request, found, outcome, ageSeconds);
    if (decision.use === 'fresh') return replay({ verdict: 'hit', reason, ttlSeconds });
    if (decision.use !== 'revalidate') {
      const stale: StaleEntry = { entry, ttlSeconds, ifUnreachable: false, ifError: false };
      if (this.#health.mayAsk(request.key)) this.#refresh({ ...wanted, stale, reason, ifLeased: 'leave' });
      return replay({ verdict: 'stale', reason, ttlSeconds });
    }
    const { ifUnreachable, ifError } = decision;
    if (onlyIfCached(request.fields)) return notCached(reason);
    if (ifUnreachable && !this.#health.mayAsk(request.key))
      return replay({ verdict: 'stale', reason: 'origin-failing', ttlSeconds });
    const outcome = { verdict: 'miss', reason } as const;
    if (request.method !== 'GET') return this.#forward(outcome, undefined);
    if (!isCollapsible(request.fields)) return this.#forward(outcome, found.slot);
    return this.#fetch(request, { ...wanted, stale: { entry, ttlSeconds, ifUnreachable, ifError }, reason });
  }

  /** With a part of the response (RFC 9111, section 3.3): for a fresh one's own bytes, and to be completed. */
  async #withPart(request: CacheRequest, found: FoundEntry, wanted: Wanted): Promise<CacheResult | undefined> {
    const { entry, slot } = found;
    const nothing = { kind: 'none', reason: 'partial', slot } as const;
    const { use, reason, ttlSeconds, ageSeconds } = reuse(
      entry.freshness,
      request.fields,
      this.#reuseRules,
      Date.now(),
    );
    const part = storedPart(entry);
    if (use !== 'fresh' || part === undefined) return this.#withoutEntry(request, nothing, wanted);
    const isForPart = request.method === 'GET' && !isConditional(request.fields);
    const selected = isForPart ? selectWithinPart(request.fields, entry.fields, part, Date.now()) : undefined;
    if (selected === undefined) {
      const missing = missingRange(part);
      const incomplete = missing === undefined ? undefined : { entry, part, missing };
      return this.#withoutEntry(request, nothing, { ...wanted, incomplete });
    }
    const body = await entry.body.read(selected.start - part.start, selected.end + 1 - part.start);
    if (body === undefined) return this.#withoutEntry(request, nothing, wanted);
    const { fields } = entry;
    fields.set('Content-Range', contentRange(selected, part.sizeBytes));
    fields.set('Content-Length', String(selected.end + 1 - selected.start));
    fields.set('Age', String(ageSeconds));
    const response = { status: 206, fields, body, delimited: true };
    return { kind: 'answer', response, outcome: { verdict: 'hit', reason, ttlSeconds }, storage: undefined };
  }

  async #withoutEntry(request: CacheRequest, found: FoundNothing, wanted: Wanted): Promise<CacheResult | undefined> {
    const { slot } = found;
    const reason = reasonOf(found);
    if (onlyIfCached(request.fields)) return notCached(reason);
    const outcome = { verdict: 'miss', reason } as const;
    if (request.method !== 'GET') return this.#forward(outcome, undefined);
    if (found.kind === 'pass') return { kind: 'forward', outcome, slot };
    if (!isCollapsible(request.fields)) return this.#forward(outcome, slot);
    // A request for a part, or under a condition, joins a fetch of the whole, but does not start one.
    if (!asksForWhole(request.fields) && !this.#flights.has(flightName(wanted))) return this.#forward(outcome, slot);
    return this.#fetch(request, { ...wanted, stale: undefined, reason });
  }

  async #fetch(request: CacheRequest, wanted: FillRequest): Promise<CacheResult | undefined> {
    const { result, isCollapsed } = this.#flights.join(flightName(wanted), () => fill(wanted, this.#context));
    const fetched = await result;
    switch (fetched.kind) {
      case 'again':
        return undefined;
      case 'entry': {
        const ageSeconds = currentAge(fetched.entry);
        return this.#replay(request, fetched, collapsed(fetched.outcome, isCollapsed), ageSeconds);
      }
      case 'shared':
        return shared(request, fetched, isCollapsed);
      case 'own': {
        const { response, outcome, storage } = fetched;
        if (!isCollapsed) return { kind: 'answer', response, outcome, storage };
        return { kind: 'forward', outcome: { verdict: 'miss', reason: 'hit-for-miss' }, slot: undefined };
      }
    }
  }

  /** Refreshes an entry in the background, unless somebody is at it. */
  #refresh(wanted: FillRequest): void {
    const { result, isCollapsed } = this.#flights.join(flightName(wanted), () => fill(wanted, this.#context));
    if (isCollapsed) return;
    const finish = (fetched: Fetched) => {
      if (fetched.kind === 'own') discard(fetched.response);
      if (fetched.kind === 'shared' && fetched.body instanceof SharedBody) fetched.body.fill();
    };
    result.then(finish, () => this.#health.failed(wanted.key));
  }

  /** Answers with an entry. When its body turns out to be lost, the request goes forward. */
  async #replay(
    request: CacheRequest,
    { entry, slot }: { readonly entry: StoredEntry; readonly slot?: Slot | undefined },
    outcome: CacheOutcome,
    ageSeconds: number,
  ): Promise<CacheResult> {
    const { bytes } = entry.body;
    const { status, fields, part } = planAnswer(request, entry, bytes, Date.now());
    fields.set('Age', String(ageSeconds));
    const answered = (body: Body): Answered => {
      return { kind: 'answer', response: { status, fields, body, delimited: true }, outcome, storage: undefined };
    };
    if (part === null) return answered(null);
    const { start, end } = part ?? { start: 0, end: bytes };
    fields.set('Content-Length', String(end - start));
    if (request.method === 'HEAD') return answered(null);
    const body = await entry.body.read(start, end);
    if (body !== undefined) return answered(body);
    return { kind: 'forward', outcome: { verdict: 'miss', reason: 'lost-segment' }, slot };
  }
}

/** Statuses that answer what one request knew or wanted, and say nothing of the next one for the same key. */
const ANSWERS_TO_ONE: ReadonlySet<number> = new Set([304, 416]);

/** A fetch that may become necessary. */
type Wanted = Omit<FillRequest, 'stale' | 'reason'>;

/** When a request went to the origin, and when the head of its response came. In ms since 1970. */
export interface Trip {
  readonly origin: Origin;
  readonly requestedMs: number;
  readonly receivedMs: number;
}

/** What requests share that can be answered by the same response. */
function flightName({ slot, key }: Pick<FillRequest, 'slot' | 'key'>): string {
  return slot === undefined ? key : slot.place;
}

function currentAge({ freshness }: StoredEntry): number {
  return freshness.ageSeconds + Math.max(0, Math.floor((Date.now() - freshness.storedAtMs) / 1000));
}

function reasonOf(found: FoundNothing): Reason {
  if (found.kind === 'none') return found.reason;
  return found.kind === 'pass' ? 'hit-for-miss' : 'absent';
}

/** Whether others may have the response to a request with these fields: it can be fetched for them, too. */
function isCollapsible(fields: Fields): boolean {
  return !fields.has('authorization') && !parseCacheControl(fields.get('cache-control')).has('no-store');
}

/** Whether the answer will be the whole response, `bytes=0-` being the way of players to ask for it. */
function asksForWhole(fields: Fields): boolean {
  return !isConditional(fields) && (!fields.has('range') || fields.get('range') === 'bytes=0-');
}

/** 504, as RFC 9111 says (section 5.2.1.7). */
function notCached(reason: Reason): Answered {
  const fields = new Fields(['Cache-Control', 'no-store']);
  const response = { status: 504, fields, body: null, delimited: true };
  return { kind: 'answer', response, outcome: { verdict: 'miss', reason: 'only-if-cached' }, storage: reason };
}

function collapsed(outcome: CacheOutcome, isCollapsed: boolean): CacheOutcome {
  return isCollapsed ? { ...outcome, verdict: 'collapsed' } : outcome;
}

/** The part of a shared response that the request asks for; `undefined` when it is another variant, or too late to join. */
function shared(request: CacheRequest, fetched: SharedResponse, isCollapsed: boolean): Answered | undefined {
  const { status, body, failure, storage } = fetched;
  if (variantDigest(fetched.varyNames, request.fields) !== fetched.variant) return undefined;
  const fields = (isCollapsed ? fetched.fields : fetched.ownFields).clone();
  const bytes = body instanceof SharedBody ? contentLength(fields) : (body?.length ?? 0);
  const { part, ...head } = planAnswer(request, { status, fields }, bytes, Date.now());
  const { start, end } = part ?? { start: 0, end: bytes };
  const joined =
    part === null || body === null
      ? null
      : body instanceof SharedBody
        ? body.join(start, end)
        : body.subarray(start, end);
  if (joined === undefined) return undefined;
  if (part !== undefined && part !== null) head.fields.set('Content-Length', String(part.end - part.start));
  const response = { ...head, body: joined, delimited: true, failure };
  return { kind: 'answer', response, outcome: collapsed(fetched.outcome, isCollapsed), storage };
}
