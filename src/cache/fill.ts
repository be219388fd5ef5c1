import { Readable } from 'node:stream';
import { formatHttpDate } from '../http/date.js';
import type { Fields } from '../http/fields.js';
import { freshened } from '../http/freshen.js';
import type { ResponseHead } from '../http/response-head.js';
import { isOriginFailure } from '../http/status.js';
import { REQUEST_REFUSALS } from '../http/storage-rules.js';
import { conditionalFields, withoutConditions } from '../http/validators.js';
import { variantDigest, varyNames } from '../http/vary.js';
import type { Body } from './body.js';
import type { BufferBudget } from './buffer-budget.js';
import { completed, type Incomplete } from './completion.js';
import type { Entries } from './entries.js';
import type { EntryWriter } from './entry-writer.js';
import { contentLength, type Origin, type OriginResponse } from './origin.js';
import type { OriginHealth } from './origin-health.js';
import type { CacheOutcome } from './outcome.js';
import type { CachePolicy, ResponseRule } from './policy.js';
import { SharedBody } from './shared-body.js';
import type { Slot } from './slot.js';
import { decideStorage, type ReceivedResponse } from './storage.js';
import type { StoredEntry } from './stored-entry.js';
import type { UseCounts } from './use-counts.js';
import type { Reason } from './verdict.js';

/** What a fill works on. */
export interface FillContext {
  readonly entries: Entries;
  readonly policy: CachePolicy;
  readonly bodies: BufferBudget;
  readonly health: OriginHealth;
  readonly uses: UseCounts;
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
 */
export async function fill(request: FillRequest, context: FillContext): Promise<Fetched> {
  const { entries, policy } = context;
  if (request.slot === undefined) return fetchInto(undefined, request, context);
  const leased = await entries.lease(request.slot);
  if (leased.kind === 'taken' && request.ifLeased !== 'fetch') {
    if (request.ifLeased === 'wait') await entries.awaitEntry(leased.slot, policy.leaseWaitMs);
    return { kind: 'again' };
  }
  const slot = leased.kind === 'failed' ? undefined : leased.slot;
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
  const response = await request.origin.fetch(fields);
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
  const response = await origin.fetch(fillFields(request));
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
    return { kind: 'entry', entry, outcome: { verdict: 'stale', reason: 'origin-failing', ttlSeconds, forwardStatus } };
  }
  const received = { ...request, requestedMs, receivedMs };
  if (response.failure !== undefined) return failed(slot, response, received, context);
  if (stale !== undefined && response.status === 304)
    return revalidated(slot, stale.entry, response, received, context);
  return fetched(slot, response, received, context);
}

/** What the origin is asked with: for all of the response, and only if it is another one than the stale one. */
function fillFields({ fields, stale }: FillRequest): Fields {
  const whole = withoutConditions(fields);
  for (const [name, value] of stale === undefined ? [] : conditionalFields(stale.entry.fields)) whole.set(name, value);
  return whole;
}

type Received = FillRequest & { readonly requestedMs: number; readonly receivedMs: number };

/** All who waited learn of the failure: each of them asking again by itself would not help the origin. */
async function failed(
  slot: Slot | undefined,
  { status, fields, failure, body }: OriginResponse,
  { reason, stale }: Received,
  { entries }: FillContext,
): Promise<Fetched> {
  if (slot !== undefined) await entries.release(slot);
  // Without its origin a cache that may not use what it has says so (RFC 9111, section 5.2.2.2).
  const told = stale === undefined ? status : 504;
  const shared = {
    fields,
    ownFields: fields,
    failure,
    body: body instanceof Uint8Array ? body : null,
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
    const { entry: fresh } = await entries.freshen(slot, entry, head, plan);
    return { kind: 'entry', entry: fresh, outcome: { ...outcome, ttlSeconds: plan.lifetimeSeconds - plan.ageSeconds } };
  }
  // It has become private, say: whoever caused the fetch may have it, and nobody after.
  if (slot !== undefined) await entries.pass(slot);
  const body = await entry.body.read(0, entry.body.bytes);
  if (body === undefined) return { kind: 'again' };
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
    ...sharedBody(response, writer, context),
    varyNames: selecting,
    variant: variantDigest(selecting, received.fields),
    outcome,
    storage: kept.storage,
  };
}

/** A response that may be stored, and so be given to others, or one that may not. */
export type Kept =
  | { readonly kind: 'refused'; readonly reason: Reason }
  | {
      readonly kind: 'kept';
      /** Those that others may have. */
      readonly fields: Fields;
      /** `undefined` when it is not stored after all, for the reason that `storage` says. */
      readonly writer: EntryWriter | undefined;
      readonly storage: Reason;
    };

/**
 * Decides about the response to a GET, or to what the rules take for one, and begins to store it. Its `slot` is settled
 * with that, or will be by the writer.
 */
export async function keep(
  slot: Slot | undefined,
  response: OriginResponse,
  received: Received & { readonly method?: string },
  { entries, policy, uses }: FillContext,
): Promise<Kept> {
  const { fields, status } = response;
  const rule = received.origin.ruleFor(response);
  strip(fields, rule);
  const decision = response.delimited
    ? decideStorage(receivedResponse(received, { status, fields }), policy, rule)
    : ({ isStored: false, reason: 'unknown-length' } as const);
  if (!decision.isStored) {
    if (slot !== undefined) await (isLasting(decision.reason) ? entries.pass(slot) : entries.release(slot));
    return { kind: 'refused', reason: decision.reason };
  }
  if (!uses.reached(received.key, rule.minUses)) {
    if (slot !== undefined) await entries.release(slot);
    return { kind: 'refused', reason: 'min-uses' };
  }
  // A hit must show when the response was made, not when it is sent (RFC 9110, section 6.6.1).
  if (!fields.has('date')) fields.append('Date', formatHttpDate(received.receivedMs));
  const { plan } = decision;
  const shareable = fields.filter((name) => !plan.droppedFields.includes(name));
  if (slot === undefined) return { kind: 'kept', fields: shareable, writer: undefined, storage: received.reason };
  const writer = entries.writer(slot, { status, fields: shareable }, received.fields, plan);
  if (typeof writer === 'string') return { kind: 'kept', fields: shareable, writer: undefined, storage: writer };
  return { kind: 'kept', fields: shareable, writer, storage: 'stored' };
}

/** Whether the next response is likely to be refused for the same reason: then nobody is to wait for it. */
function isLasting(reason: Reason): boolean {
  return !REQUEST_REASONS.has(reason);
}

const REQUEST_REASONS: ReadonlySet<Reason> = REQUEST_REFUSALS;

function receivedResponse(
  received: Received & { readonly method?: string },
  { status, fields }: ResponseHead,
): ReceivedResponse {
  const { method = 'GET', url, fields: requestFields, requestedMs, receivedMs } = received;
  return { method, url, requestFields, status, fields, requestedMs, receivedMs };
}

function strip(fields: Fields, { strip: names = [] }: ResponseRule): void {
  for (const name of names) fields.delete(name);
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

/** Writes a body that is there. */
function writeWhole(body: Uint8Array | null, writer: EntryWriter): Promise<Reason> {
  if (body !== null) writer.write(body);
  return writer.end();
}

/** Stores a body that goes to the one client it is for: a stream is listened to as it passes. */
export function writePassing(body: Body, writer: EntryWriter): void {
  if (!(body instanceof Readable)) {
    void writeWhole(body, writer);
    return;
  }
  body.pause();
  body.on('data', (chunk: Uint8Array | string) => writer.write(typeof chunk === 'string' ? Buffer.from(chunk) : chunk));
  body.once('end', () => void writer.end());
  // Behind an end it does nothing.
  body.once('close', () => writer.abandon());
}

/** A response that nobody gets. */
export function discard({ body }: OriginResponse): void {
  if (body instanceof Readable) body.destroy();
}
