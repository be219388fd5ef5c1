import { Readable } from 'node:stream';
import { formatHttpDate } from '../http/date.js';
import type { Fields } from '../http/fields.js';
import type { ResponseHead } from '../http/response-head.js';
import { REQUEST_REFUSALS, type StoragePlan } from '../http/storage-rules.js';
import type { Body } from './body.js';
import type { Entries } from './entries.js';
import type { EntryWriter } from './entry-writer.js';
import { discard, type Origin, type OriginResponse } from './origin.js';
import type { CachePolicy } from './policy.js';
import type { Slot } from './slot.js';
import { decideStorage, type ReceivedResponse, strip } from './storage.js';
import type { UseCounts } from './use-counts.js';
import type { Reason } from './verdict.js';

/** What it takes to keep responses. */
export interface KeepContext {
  readonly entries: Entries;
  readonly policy: CachePolicy;
  readonly uses: UseCounts;
}

/** What a response was received for. */
export interface ReceivedFor {
  /** Of the request. Default: GET. */
  readonly method?: string;
  readonly key: string;
  readonly url: string;
  readonly fields: Fields;
  readonly origin: Origin;
  /** The entry that the response is to replace. */
  readonly stale: object | undefined;
  /** Why there was nothing to answer with. */
  readonly reason: Reason;
  readonly requestedMs: number;
  readonly receivedMs: number;
}

/** A response that may be stored, and so be given to others, or one that may not. */
export type Kept =
  | { readonly kind: 'refused'; readonly reason: Reason }
  | {
      readonly kind: 'kept';
      /** Those that others may have. */
      readonly fields: Fields;
      readonly plan: StoragePlan;
      /** `undefined` when it is not stored after all, for the reason that `storage` says. */
      readonly writer: EntryWriter | undefined;
      readonly storage: Reason;
    };

/**
 * Decides about the response to a GET, or to what the rules take for one, and begins to store it. Its `slot` is settled
 * with that, or will be by the writer. When it rejects, nobody gets the response.
 */
export async function keep(
  slot: Slot | undefined,
  response: OriginResponse,
  received: ReceivedFor,
  context: KeepContext,
): Promise<Kept> {
  try {
    return await judged(slot, response, received, context);
  } catch (error) {
    discard(response);
    if (slot !== undefined) await context.entries.release(slot);
    throw error;
  }
}

async function judged(
  slot: Slot | undefined,
  response: OriginResponse,
  received: ReceivedFor,
  { entries, policy, uses }: KeepContext,
): Promise<Kept> {
  const { fields, status } = response;
  const rule = received.origin.ruleFor(response);
  strip(fields, rule);
  const decision = response.delimited
    ? decideStorage(receivedResponse(received, { status, fields }), policy, rule)
    : ({ isStored: false, reason: 'unknown-length' } as const);
  if (!decision.isStored) {
    if (slot !== undefined)
      await (isLasting(decision.reason, received.stale !== undefined) ? entries.pass(slot) : entries.release(slot));
    return { kind: 'refused', reason: decision.reason };
  }
  // A hit must show when the response was made, not when it is sent (RFC 9110, section 6.6.1).
  if (!fields.has('date')) fields.append('Date', formatHttpDate(received.receivedMs));
  const { plan } = decision;
  const kept = { kind: 'kept', fields: shareable(response, plan), plan, writer: undefined } as const;
  if (!uses.reached(received.key, rule.minUses)) {
    if (slot !== undefined) await entries.release(slot);
    return { ...kept, storage: 'min-uses' };
  }
  if (slot === undefined) return { ...kept, storage: received.reason };
  const writer = entries.writer(slot, { status, fields: kept.fields }, received.fields, plan);
  return typeof writer === 'string' ? { ...kept, storage: writer } : { ...kept, writer, storage: 'stored' };
}

/** The fields that everybody may have. */
export function shareable({ fields }: ResponseHead, { droppedFields }: StoragePlan): Fields {
  return fields.filter((name) => !droppedFields.includes(name));
}

/**
 * Whether the next response is likely to be refused for the same reason: then nobody is to wait for it. Where one client
 * has a cookie, most have; but that is no reason to give up an entry for those who have none.
 */
export function isLasting(reason: Reason, hasStale = false): boolean {
  if (reason === 'cookie') return !hasStale;
  return reason !== 'partial' && !REQUEST_REASONS.has(reason);
}

const REQUEST_REASONS: ReadonlySet<Reason> = REQUEST_REFUSALS;

export function receivedResponse(received: ReceivedFor, { status, fields }: ResponseHead): ReceivedResponse {
  const { method = 'GET', url, fields: requestFields, requestedMs, receivedMs } = received;
  return { method, url, requestFields, status, fields, requestedMs, receivedMs };
}

/** Writes a body that is there. */
export function writeWhole(body: Uint8Array | null, writer: EntryWriter): Promise<Reason> {
  if (body !== null) writer.write(body);
  return writer.end();
}

/** Stores a body that goes to the one client it is for: a stream is listened to as it passes. */
export function writePassing(body: Body, writer: EntryWriter): void {
  if (!(body instanceof Readable)) {
    void writeWhole(body, writer);
    return;
  }
  // It may have broken off before anybody reads it; then `deliver` breaks off, too.
  if (body.destroyed) {
    writer.abandon();
    return;
  }
  body.on('error', () => {});
  body.pause();
  body.on('data', (chunk: Uint8Array | string) => writer.write(typeof chunk === 'string' ? Buffer.from(chunk) : chunk));
  body.once('end', () => void writer.end());
  // Behind an end it does nothing.
  body.once('close', () => writer.abandon());
}
