import type { Fields } from '../http/fields.js';
import { storedPart } from '../http/partial.js';
import type { ResponseHead } from '../http/response-head.js';
import { type Store, valueBytes } from '../store/store.js';
import type { BufferBudget } from './buffer-budget.js';
import { type CachedMetadata, encodeCachedEntry } from './cached-entry.js';
import { EntryWriter } from './entry-writer.js';
import { failureOf } from './failure.js';
import { Finder, type Found } from './finder.js';
import { counterKeys, type GenerationRecord, labelsOf } from './generation-record.js';
import { Generations } from './generations.js';
import { type InspectedItem, inspect } from './inspection.js';
import { type Leased, Leases } from './lease.js';
import { Authenticator } from './mac.js';
import { encodeMarker } from './marker.js';
import { isLasting, type Placement, type PutContext, placementOf, put } from './placement.js';
import type { SegmentLayout } from './segment.js';
import { SegmentWriter } from './segment-writer.js';
import type { Slot } from './slot.js';
import type { EntryPlan } from './storage.js';
import { inlineBody, keepSegments, type StoredEntry, segmentedBody } from './stored-entry.js';
import { DEFAULT_MAX_VARIANTS, MAX_VARIANTS } from './variants.js';
import type { Reason } from './verdict.js';

export interface EntriesOptions {
  /** What bodies on their way to the store are taken from. */
  readonly budget: BufferBudget;
  /** What is signed with, then what is accepted besides. None: nothing is signed, and everything accepted. */
  readonly secrets?: readonly (string | Uint8Array)[] | undefined;
  /** Variants of a key, 1 to 1024. Default {@link DEFAULT_MAX_VARIANTS}. */
  readonly maxVariants?: number | undefined;
  /** How long a process may hold a lease without a sign of life. Default 30. */
  readonly leaseSeconds?: number | undefined;
  /** How long it is remembered that the responses of a key are not stored. Default {@link DEFAULT_PASS_SECONDS}. */
  readonly passSeconds?: number | undefined;
  /** The largest body that is stored. Default 64 MiB. */
  readonly maxBodyBytes?: number | undefined;
  /** Whether responses with status 206 are stored and found, as what they are. Default: they are not. */
  readonly partials?: boolean | undefined;
}

/** As long as one does not want to queue for an origin that does not let its responses be stored. */
export const DEFAULT_PASS_SECONDS = 10;

/** An entry with a new head. */
export interface Freshened {
  readonly entry: StoredEntry;
  /** `stored`, or why the store still has the old one, or none. */
  readonly storage: Reason;
}

/**
 * Everything that is stored of responses, over a store that others can purge, write to and empty at any time.
 *
 * No method rejects because of the store: what fails is a reason. The order of calls for a fetch is `find`, `lease`,
 * and then one of `writer`, `freshen`, `pass` and `release` for the slot that the lease gave; that one gives the lease
 * back.
 */
export class Entries {
  readonly #store: Store;
  readonly #options: EntriesOptions;
  readonly #passSeconds: number;
  readonly #generations: Generations;
  readonly #finder: Finder;
  readonly #leases: Leases;
  readonly #context: PutContext;

  /** Throws a RangeError when the options can not be met. */
  constructor(store: Store, options: EntriesOptions) {
    const { secrets = [], maxVariants = DEFAULT_MAX_VARIANTS, passSeconds = DEFAULT_PASS_SECONDS } = options;
    if (!(maxVariants >= 1 && maxVariants <= MAX_VARIANTS)) throw new RangeError(`maxVariants: ${maxVariants}`);
    const authenticator = secrets.length === 0 ? undefined : new Authenticator(secrets);
    const generations = new Generations(store);
    this.#store = store;
    this.#options = options;
    this.#passSeconds = passSeconds;
    this.#generations = generations;
    this.#finder = new Finder(store, { generations, authenticator, maxVariants, partials: options.partials ?? false });
    this.#leases = new Leases(store, { generations, authenticator, leaseSeconds: options.leaseSeconds });
    this.#context = { store, authenticator, maxVariants };
  }

  /** The most that one item holds, head and all. */
  get maxItemBytes(): number {
    return this.#store.maxItemBytes;
  }

  /**
   * Looks for the response to a GET with these fields. `url`: `scheme://authority/path?query`, for purges by prefix.
   */
  find(key: string, url: string, request: Fields): Promise<Found> {
    return this.#finder.find(key, url, request);
  }

  /** What lies under store keys of the cache, for people to know. */
  inspect(storeKeys: readonly string[]): Promise<InspectedItem[]> {
    const inspected = async (storeKey: string): Promise<InspectedItem> => {
      const item = await this.#store.get(storeKey).catch(failureOf);
      const found = typeof item === 'string' ? item : inspect(storeKey, item, this.#context.authenticator);
      return { storeKey, server: this.#store.serverOf?.(storeKey), found };
    };
    return Promise.all([...new Set(storeKeys)].map(inspected));
  }

  /** Takes the right to fetch. */
  lease(slot: Slot): Promise<Leased> {
    return this.#leases.take(slot);
  }

  /** Waits for whoever has taken the lease of `slot`, at most `waitMs`; then it is time to look again. */
  awaitEntry(slot: Slot, waitMs: number): Promise<void> {
    return this.#leases.awaitEnd(slot, waitMs);
  }

  /** The lease that another process holds is not waited for any longer: it has been waited for, and in vain. */
  breakLease(slot: Slot): Promise<void> {
    return this.#leases.break(slot);
  }

  /** The fetch has failed: others may go on at once. */
  release(slot: Slot): Promise<void> {
    return this.#leases.release(slot);
  }

  /**
   * The response is not for the store, and the next one is not likely to be: for a while, nobody waits for another's.
   */
  async pass(slot: Slot): Promise<void> {
    const { under, base, place, key } = slot;
    const storeKey = under.kind === 'index' ? place : base;
    const cas = under.kind === 'nothing' ? undefined : under.kind === 'index' ? under.seen.get(place) : under.cas;
    const value = encodeMarker(storeKey, { kind: 'pass', key }, this.#context.authenticator);
    const condition = cas === undefined ? ({ mode: 'add' } as const) : { cas };
    await this.#store.set(storeKey, value, { ...condition, ttlSeconds: this.#passSeconds }).catch(failureOf);
    if (slot.lease !== undefined && slot.lease.storeKey !== storeKey) await this.#leases.release(slot);
  }

  /** Begins to store a response, whose head has just come; or says why it is not stored. */
  writer(slot: Slot, head: ResponseHead, request: Fields, plan: EntryPlan): EntryWriter | Reason {
    const entry = this.#planned(slot, head, request, plan);
    if (typeof entry === 'string') {
      void this.#settle(slot, entry);
      return entry;
    }
    const { budget, maxBodyBytes } = this.#options;
    const body = new SegmentWriter(this.#store, {
      inlineBytes: Math.max(0, this.#store.maxItemBytes - entry.headBytes),
      ttlSeconds: entry.ttlSeconds,
      budget,
      expectedBytes: contentLength(head.fields),
      maxBytes: maxBodyBytes,
      authenticator: this.#context.authenticator,
    });
    // Begun with the head: the body is often there before it is done.
    const recording = this.#record(slot, plan);
    const target = {
      commit: async (pieces: readonly Uint8Array[], bytes: number, layout: SegmentLayout | undefined) =>
        this.#commit(entry, await recording, pieces, bytes, layout),
      settle: (reason: Reason) => this.#settle(slot, reason),
      renew: () => this.#leases.renew(slot),
    };
    return new EntryWriter(body, target, (this.#leases.leaseSeconds * 1000) / 3);
  }

  /**
   * The same body under a new head, after a 304. Without a slot, or in vain, only the entry that is returned has it.
   */
  async freshen(
    slot: Slot | undefined,
    { body }: StoredEntry,
    head: ResponseHead,
    plan: EntryPlan,
  ): Promise<Freshened> {
    const freshness = { ...freshnessOf(plan), isSoftPurged: false };
    const { content } = body;
    const isInline = content instanceof Uint8Array;
    const { authenticator } = this.#context;
    const kept = isInline
      ? inlineBody(content)
      : segmentedBody(this.#store, content.layout, storeTtl(plan), authenticator);
    const entry = { status: head.status, fields: head.fields, freshness, body: kept };
    if (slot === undefined) return { entry, storage: 'no-lease' };
    const storage = await this.#freshen(slot, head, plan, content);
    await this.#settle(slot, storage);
    return { entry, storage };
  }

  async #freshen(
    slot: Slot,
    head: ResponseHead,
    plan: EntryPlan,
    content: StoredEntry['body']['content'],
  ): Promise<Reason> {
    const entry = this.#planned(slot, head, slot.request, plan);
    if (typeof entry === 'string') return entry;
    if (content instanceof Uint8Array) {
      return this.#commit(entry, await this.#record(slot, plan), [content], content.length, undefined);
    }
    const { layout } = content;
    const [record, isThere] = await Promise.all([
      this.#record(slot, plan),
      keepSegments(this.#store, layout, 0, layout.bytes, entry.ttlSeconds),
    ]);
    if (isThere !== true) return isThere === false ? 'lost-segment' : isThere;
    return this.#commit(entry, record, [], layout.bytes, layout);
  }

  /** What can be said of an entry before its body is known, or why there will be none. */
  #planned(slot: Slot, head: ResponseHead, request: Fields, plan: EntryPlan): PlannedEntry | Reason {
    if (head.status === 206 && (this.#options.partials !== true || storedPart(head) === undefined)) return 'partial';
    const { maxVariants, authenticator } = this.#context;
    const placement = placementOf(slot, head.fields, request, maxVariants, Math.floor(Date.now() / 1000));
    if (typeof placement === 'string') return placement;
    const { variant, mark, storeKey } = placement;
    const metadata = { freshness: freshnessOf(plan), mark, variant, epoch: slot.moment.epoch, key: slot.key };
    const labels = labelsOf(slot, plan.tags);
    const counters = counterKeys(labels).map(() => LONGEST_COUNTER);
    const largest = { ...metadata, bodyBytes: Number.MAX_SAFE_INTEGER, layout: undefined };
    const encoded = encodeCachedEntry(storeKey, head, largest, { labels, counters }, [], authenticator);
    if (encoded === undefined) return 'head-too-large';
    return { placement, head, metadata, ttlSeconds: storeTtl(plan), headBytes: valueBytes(encoded) };
  }

  #record(slot: Slot, plan: EntryPlan): Promise<GenerationRecord | Reason> {
    return this.#generations.record(labelsOf(slot, plan.tags), slot.moment, slot.begunMs);
  }

  async #commit(
    { placement, head, metadata, ttlSeconds }: PlannedEntry,
    record: GenerationRecord | Reason,
    body: readonly Uint8Array[],
    bodyBytes: number,
    layout: SegmentLayout | undefined,
  ): Promise<Reason> {
    if (typeof record === 'string') return record;
    const whole = { ...metadata, bodyBytes, layout };
    const value = encodeCachedEntry(placement.storeKey, head, whole, record, body, this.#context.authenticator);
    return value === undefined ? 'head-too-large' : put(placement, value, ttlSeconds, this.#context);
  }

  /** Gives the lease back, unless the entry has taken its place; where the next fetch would fare the same, passes. */
  async #settle(slot: Slot, reason: Reason): Promise<void> {
    if (isLasting(reason)) await this.pass(slot);
    else if (reason !== 'stored' || slot.lease?.storeKey !== slot.base) await this.#leases.release(slot);
  }
}

/** An entry but for its body and what its purges go by. */
interface PlannedEntry {
  readonly placement: Placement;
  readonly head: ResponseHead;
  readonly metadata: Omit<CachedMetadata, 'bodyBytes' | 'layout'>;
  readonly ttlSeconds: number;
  /** How large its head can become. */
  readonly headBytes: number;
}

/** 64 bits. */
const LONGEST_COUNTER = '18446744073709551615';

function freshnessOf(plan: EntryPlan): CachedMetadata['freshness'] {
  const { ageSeconds, lifetimeSeconds, staleWhileRevalidateSeconds, staleIfErrorSeconds, revalidation, immutable } =
    plan;
  const stale = { staleWhileRevalidateSeconds, staleIfErrorSeconds };
  return { storedAtMs: Date.now(), ageSeconds, lifetimeSeconds, ...stale, revalidation, immutable };
}

/** Whole seconds; a store takes 0 for ever. */
function storeTtl({ ttlSeconds }: EntryPlan): number {
  return Math.max(1, Math.ceil(ttlSeconds));
}

function contentLength(fields: Fields): number | undefined {
  const text = fields.get('content-length');
  return text !== undefined && /^[0-9]{1,15}$/.test(text) ? Number(text) : undefined;
}
