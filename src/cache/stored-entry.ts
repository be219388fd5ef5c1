import type { Readable } from 'node:stream';
import { MAX_DELTA_SECONDS, parseCacheControl } from '../http/cache-control.js';
import type { Fields } from '../http/fields.js';
import { ageOnReceipt, freshnessLifetime } from '../http/freshness.js';
import type { StoredFreshness } from '../http/reuse.js';
import { responseRefusal } from '../http/storage-rules.js';
import { variantDigest, varyNames } from '../http/vary.js';
import type { Item, Store } from '../store/store.js';
import { decodeEntry, type EntryMetadata } from './entry.js';
import { type Failure, failureOf } from './failure.js';
import type { Authenticator } from './mac.js';
import type { SegmentLayout } from './segment.js';
import { readSegments, segmentsPresent } from './segments.js';
import type { Reason } from './verdict.js';

/** A response out of the store. */
export interface StoredEntry {
  readonly status: number;
  readonly fields: Fields;
  readonly freshness: StoredFreshness;
  readonly body: StoredBody;
}

/** The body of a stored response: in memory, or in segments in the store. */
export interface StoredBody {
  readonly bytes: number;
  /** Where the body is. `keptSeconds` is how long its segments are to be had from now on, 0 = for ever. */
  readonly content: Buffer | { readonly layout: SegmentLayout; readonly keptSeconds: number };
  /**
   * The bytes from `start` up to, and without, `end`; `undefined` when they are lost, or the store fails. A segment
   * that gets lost while it is being read breaks the stream off.
   */
  read(start: number, end: number): Promise<Buffer | Readable | undefined>;
}

/** A body that lies in memory. */
export function inlineBody(bytes: Buffer): StoredBody {
  return { bytes: bytes.length, content: bytes, read: async (start, end) => bytes.subarray(start, end) };
}

/** A body that lies in the segments of `layout`. */
export function segmentedBody(
  store: Store,
  layout: SegmentLayout,
  keptSeconds: number,
  authenticator: Authenticator | undefined,
): StoredBody {
  return {
    bytes: layout.bytes,
    content: { layout, keptSeconds },
    read: async (start, end) => {
      const isThere = (await keepSegments(store, layout, start, end, keptSeconds)) === true;
      return isThere ? readSegments(store, layout, start, end, authenticator) : undefined;
    },
  };
}

/** Gives segments time to live, a little more than the entry has. Whether they are all there. */
export async function keepSegments(
  store: Store,
  layout: SegmentLayout,
  start: number,
  end: number,
  seconds: number,
): Promise<boolean | Failure> {
  const ttlSeconds = seconds === 0 ? 0 : seconds + SEGMENT_MARGIN_SECONDS;
  return segmentsPresent(store, layout, start, end, ttlSeconds).catch(failureOf);
}

/** An entry must not outlive its segments, and stores count time in seconds of their own. */
const SEGMENT_MARGIN_SECONDS = 60;

/**
 * The entry that somebody else wrote, or that `memcached.store` did; or why it is of no use. It can be purged by its
 * key only: it has recorded nothing of tags and prefixes.
 */
export function foreignEntry(item: Item, key: string, request: Fields, nowMs: number): StoredEntry | Reason {
  const entry = decodeEntry(item.value);
  if (entry === undefined) return 'malformed';
  const { status, fields, body, metadata } = entry;
  const names = varyNames(fields);
  if (metadata !== undefined) {
    if (metadata.key !== key) return 'wrong-key';
    if (names === '*' || variantDigest(names, request) !== metadata.variant) return 'vary';
  } else {
    const refusal = names.length > 0 ? 'vary' : responseRefusal(fields);
    if (refusal !== undefined) return refusal;
  }
  const times = metadata === undefined ? ownTimes(fields, item.ttlSeconds, nowMs) : storedTimes(metadata);
  const control = parseCacheControl(fields.get('cache-control'));
  const mustRevalidate = ['must-revalidate', 'proxy-revalidate', 's-maxage'].some((name) => control.has(name));
  const freshness: StoredFreshness = {
    ...times,
    staleWhileRevalidateSeconds: control.seconds('stale-while-revalidate') ?? 0,
    staleIfErrorSeconds: control.seconds('stale-if-error'),
    revalidation: mustRevalidate ? 'must' : 'may',
    immutable: control.has('immutable'),
    isSoftPurged: false,
  };
  return { status, fields, freshness, body: inlineBody(body) };
}

type Times = Pick<StoredFreshness, 'storedAtMs' | 'ageSeconds' | 'lifetimeSeconds'>;

/** What `memcached.store` says: the lifetime counts from the moment of storing. */
function storedTimes({ storedAtMs, ageSeconds, lifetimeSeconds }: EntryMetadata): Times {
  const isForever = lifetimeSeconds === 0;
  return { storedAtMs, ageSeconds, lifetimeSeconds: isForever ? MAX_DELTA_SECONDS : ageSeconds + lifetimeSeconds };
}

/** What follows from the response's fields and from the time the item still has in the store, whichever ends sooner. */
function ownTimes(fields: Fields, ttlSeconds: number | undefined, nowMs: number): Times {
  const ageSeconds = ageOnReceipt(fields, nowMs);
  const kept = ttlSeconds === undefined ? MAX_DELTA_SECONDS : ageSeconds + ttlSeconds;
  const lifetimeSeconds = Math.min(kept, freshnessLifetime(fields, nowMs) ?? kept);
  return { storedAtMs: nowMs, ageSeconds, lifetimeSeconds };
}
