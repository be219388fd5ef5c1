import { Readable } from 'node:stream';
import { formatHttpDate } from '../http/date.js';
import type { Fields } from '../http/fields.js';
import { freshened } from '../http/freshen.js';
import { isOriginFailure } from '../http/status.js';
import type { StoragePlan } from '../http/storage-rules.js';
import { conditionalFields, withoutConditions } from '../http/validators.js';
import { variantDigest, varyNames } from '../http/vary.js';
import type { BufferBudget } from './buffer-budget.js';
import { completed, type Incomplete } from './completion.js';
import type { EntryWriter } from './entry-writer.js';
import {
  isLasting,
  type KeepContext,
  keep,
  type ReceivedFor,
  receivedResponse,
  shareable,
  writeWhole,
} from './keep.js';
import { contentLength, discard, type Origin, type OriginResponse } from './origin.js';
import type { OriginHealth } from './origin-health.js';
import type { CacheOutcome } from './outcome.js';
import { SharedBody } from './shared-body.js';
import type { Slot } from './slot.js';
import { decideStorage, strip } from './storage.js';
import type { StoredEntry } from './stored-entry.js';
import type { Reason } from './verdict.js';

/** What a fill works on. */
export interface FillContext extends KeepContext {
  readonly bodies: BufferBudget;
  readonly health: OriginHealth;
}

/** One fetch to be made, and what the cache had when it was found necessary. */
export interface FillRequest {
  readonly key: string;
  readonly url: string;
  /** The fields of the request that caused it. */
  readonly fields: Fields;
  readonly origin: Origin;
  /** Where the response goes; `undefined`: the store has failed. */
  readonly slot: Slot | undefined;
  /** The entry that can not be used as it is. */
  readonly stale: StaleEntry | undefined;
  /** The part of the response that is there. */
  readonly incomplete?: Incomplete | undefined;
  /** Why there is nothing to answer with. */
  readonly reason: Reason;
  /** What to do when another process is fetching the same: wait for it, let it, or fetch all the same. */
  readonly ifLeased: 'wait' | 'leave' | 'fetch';
}

export interface StaleEntry {
  readonly entry: StoredEntry;
  /** Whether it may be used when the origin can not be reached, and when it answers with a 5xx. */
  readonly ifUnreachable: boolean;
  readonly ifError: boolean;
  /** Negative: how long it has been stale. */
  readonly ttlSeconds: number;
}

/** What a fill ends in, for all who wait for it. */
export type Fetched = LookAgain | EntryToUse | SharedResponse | OwnResponse;

/** Another process had the lease: what it stored is in the store by now, or never will be. */
export interface LookAgain {
  readonly kind: 'again';
}

export interface EntryToUse {
  readonly kind: 'entry';
  readonly entry: StoredEntry;
  /** All the fields, for the one who caused the fill. The entry has those that everybody may have. */
  readonly ownFields: Fields;
  /** Whether it still fits all who came with the same stale entry: a 304 can make it vary on more. */
  readonly isForAll: boolean;
  readonly outcome: CacheOutcome;
}

/** A response that everybody who asks for the same variant may have, while it is still coming in. */
export interface SharedResponse {
  readonly kind: 'shared';
  readonly status: number;
  /** Those that everybody may have, and all of them, for the one who caused the fill. */
  readonly fields: Fields;
  readonly ownFields: Fields;
  readonly body: SharedBody | Uint8Array | null;
  readonly failure: OriginResponse['failure'];
  /** When it came (ms since 1970, and by `performance.now`), and how long it may be used by those who come later. */
  readonly receivedMs: number;
  readonly receivedAt: number;
  readonly plan: StoragePlan | undefined;
  /** Names of the selecting request fields, and their digest in the request that caused the fill. */
  readonly varyNames: readonly string[];
  readonly variant: string;
  readonly outcome: CacheOutcome;
  readonly storage: Reason;
  /** Settled when the body is complete and has been stored; until then others can join. */
  readonly over: Promise<unknown> | undefined;
}

/** A response for the one who caused the fill, and nobody else. */
export interface OwnResponse {
  readonly kind: 'own';
  readonly response: OriginResponse;
  readonly outcome: CacheOutcome;
  readonly storage: Reason;
}

/**
 * Fetches the response of a key and stores it, once for all who want it: in this process, and by the lease in the fleet.
 * With a stale entry at hand the fetch is conditional, and the entry may stand in for an origin that fails.
 *
 * @param leased called when there is a lease under the base key: who looks it up later and finds none comes after a purge
 */
export async function fill(request: FillRequest, context: FillContext, leased: () => void): Promise<Fetched> {
  const { entries, policy } = context;
  if (request.slot === undefined) return fetchInto(undefined, request, context);
  const lease = await entries.lease(request.slot);
  if (lease.kind === 'taken' && request.ifLeased !== 'fetch') {
    if (request.ifLeased === 'wait') await entries.awaitEntry(lease.slot, policy.leaseWaitMs);
    return { kind: 'again' };
  }
  const slot = lease.kind === 'failed' ? undefined : lease.slot;
  if (slot?.under.kind === 'lease') leased();
  try {
    return await fetchInto(slot, request, context);
  } catch (error) {
    if (slot !== undefined) await entries.release(slot);
    throw error;
  }
}

async function fetchInto(slot: Slot | undefined, request: FillRequest, context: FillContext): Promise<Fetched> {
  const { incomplete } = request;
  if (incomplete === undefined) return fetchWhole(slot, request, context);
  const requestedMs = Date.now();
  const fields = fillFields(request);
  fields.set('Range', incomplete.missing);
  const response = await request.origin.fetch(fields, isRefresh(request));
  // An origin may answer with the whole at once.
  const isWhole = response.failure === undefined && response.status === 200;
  const whole = isWhole ? response : await completed(incomplete, response);
  if (whole === undefined) return fetchWhole(slot, request, context);
  return fetched(slot, whole, { ...request, requestedMs, receivedMs: Date.now() }, context);
}

async function fetchWhole(slot: Slot | undefined, request: FillRequest, context: FillContext): Promise<Fetched> {
  const { entries, health } = context;
  const { stale, origin } = request;
  const requestedMs = Date.now();
  const response = await origin.fetch(fillFields(request), isRefresh(request));
  const receivedMs = Date.now();
  const isError = isOriginFailure(response.status);
  if (response.failure !== undefined || isError) health.failed(request.key);
  else health.answered(request.key);

  const standsIn = response.failure === undefined ? isError && stale?.ifError : stale?.ifUnreachable;
  if (stale !== undefined && standsIn === true) {
    discard(response);
    if (slot !== undefined) await entries.release(slot);
    const { entry, ttlSeconds } = stale;
    const forwardStatus = response.failure === undefined ? response.status : undefined;
    const outcome = { verdict: 'stale', reason: 'origin-failing', ttlSeconds, forwardStatus } as const;
    return { kind: 'entry', entry, ownFields: entry.fields, isForAll: true, outcome };
  }
  const received = { ...request, requestedMs, receivedMs };
  if (response.failure !== undefined) return failed(slot, response, received, context);
  if (stale !== undefined && response.status === 304)
    return revalidated(slot, stale.entry, response, received, context);
  return fetched(slot, response, received, context);
}

/** Only who has answered already leaves the fetch to others. */
function isRefresh({ ifLeased }: FillRequest): boolean {
  return ifLeased === 'leave';
}

/** What the origin is asked with: for all of the response, and only if it is another one than the stale one. */
function fillFields({ fields, stale }: FillRequest): Fields {
  const whole = withoutConditions(fields);
  for (const [name, value] of stale === undefined ? [] : conditionalFields(stale.entry.fields)) whole.set(name, value);
  return whole;
}

type Received = FillRequest & ReceivedFor;

/** All who waited learn of the failure: each of them asking again by itself would not help the origin. */
async function failed(
  slot: Slot | undefined,
  response: OriginResponse,
  { reason, stale, receivedMs, ifLeased }: Received,
  { entries }: FillContext,
): Promise<Fetched> {
  const { status, fields, failure, body } = response;
  discard(response);
  if (slot !== undefined) await entries.release(slot);
  // Who was waited for in vain has either failed as well by now, or is dead.
  if (slot !== undefined && ifLeased === 'fetch') await entries.breakLease(slot);
  // Without its origin a cache that may not use what it has says so (RFC 9111, section 5.2.2.2).
  const told = stale === undefined ? status : 504;
  const shared = {
    fields,
    ownFields: fields,
    failure,
    // what there is says the other status
    body: body instanceof Uint8Array && told === status ? body : null,
    receivedMs,
    receivedAt: performance.now(),
    plan: undefined,
    varyNames: [],
    variant: '',
  };
  return {
    kind: 'shared',
    status: told,
    ...shared,
    outcome: { verdict: 'miss', reason },
    storage: 'no-response',
    over: undefined,
  };
}

/** The origin says that the entry is still good: it is, with the fields that came along (RFC 9111, section 4.3.4). */
async function revalidated(
  slot: Slot | undefined,
  entry: StoredEntry,
  response: OriginResponse,
  received: Received,
  { entries, policy }: FillContext,
): Promise<Fetched> {
  discard(response);
  const head = { status: entry.status, fields: freshened(entry.fields, response.fields) };
  if (!head.fields.has('date')) head.fields.append('Date', formatHttpDate(received.receivedMs));
  const rule = received.origin.ruleFor(head);
  strip(head.fields, rule);
  const decision = decideStorage(receivedResponse(received, head), policy, rule);
  const outcome = { verdict: 'revalidated', reason: received.reason, forwardStatus: 304 } as const;
  if (decision.isStored) {
    const { plan } = decision;
    const { entry: fresh } = await entries.freshen(slot, entry, { ...head, fields: shareable(head, plan) }, plan);
    const isForAll = String(varyNames(head.fields)) === String(varyNames(entry.fields));
    const ttlSeconds = plan.lifetimeSeconds - plan.ageSeconds;
    return { kind: 'entry', entry: fresh, ownFields: head.fields, isForAll, outcome: { ...outcome, ttlSeconds } };
  }
  // It has become private, say: whoever caused the fetch may have it, and nobody after.
  if (slot !== undefined) await (isLasting(decision.reason, true) ? entries.pass(slot) : entries.release(slot));
  const body = await entry.body.read(0, entry.body.bytes);
  if (body === undefined) return { kind: 'again' };
  head.fields.set('Content-Length', String(entry.body.bytes));
  return { kind: 'own', response: { ...head, body, delimited: true }, outcome, storage: decision.reason };
}

async function fetched(
  slot: Slot | undefined,
  response: OriginResponse,
  received: Received,
  context: FillContext,
): Promise<Fetched> {
  const outcome = { verdict: 'miss', reason: received.reason, forwardStatus: response.status } as const;
  const kept = await keep(slot, response, received, context);
  if (kept.kind === 'refused') return { kind: 'own', response, outcome, storage: kept.reason };
  const { fields, writer } = kept;
  const names = varyNames(fields);
  const selecting = names === '*' ? [] : names;
  return {
    kind: 'shared',
    status: response.status,
    fields,
    ownFields: response.fields,
    failure: undefined,
    receivedMs: received.receivedMs,
    receivedAt: performance.now(),
    plan: kept.plan,
    ...sharedBody(response, writer, context),
    varyNames: selecting,
    variant: variantDigest(selecting, received.fields),
    outcome,
    storage: kept.storage,
  };
}

/** The body for all who want it, which passes the writer on its way. */
function sharedBody(
  { body, fields }: OriginResponse,
  writer: EntryWriter | undefined,
  { bodies }: FillContext,
): Pick<SharedResponse, 'body' | 'over'> {
  if (!(body instanceof Readable)) return { body, over: writer && writeWhole(body, writer) };
  const shared = new SharedBody(body, {
    budget: bodies,
    expectedBytes: contentLength(fields),
    tap: writer && ((chunk) => writer.write(chunk)),
    beginning: writer,
    backlog: writer && (() => writer.backlog()),
    keepFilling: () => writer?.isGrowing === true,
    onEnd: (failure) => {
      if (failure === undefined) return writer?.end();
      writer?.abandon();
    },
  });
  return { body: shared, over: shared.over };
}
