import { Readable } from 'node:stream';
import type { Store } from '../store/store.js';
import { BrokenBodyError } from './body.js';
import { failureOf } from './failure.js';
import type { Authenticator } from './mac.js';
import { type SegmentLayout, segmentBody, segmentKey } from './segment.js';

/** A segment is not in the store, or something else lies where it was. */
export class LostSegmentError extends BrokenBodyError {
  constructor(key: string, isForeign: boolean) {
    super(isForeign ? `what lies under ${key} is not the segment` : `the segment ${key} is lost`);
  }
}

/**
 * The bytes of a stored body from `start` up to, and without, `end`. Only the segments that hold them are fetched, each when
 * the reader has taken the one before the last: at most one lies ready while another is being taken.
 *
 * A segment that is lost or foreign ends the stream with a {@link LostSegmentError}, a store that fails with its
 * StoreError, before a byte of that segment: what was read until then is right.
 */
export function readSegments(
  store: Store,
  layout: SegmentLayout,
  start: number,
  end: number,
  authenticator?: Authenticator,
): Readable {
  if (!(start >= 0 && start <= end && end <= layout.bytes)) throw new RangeError(`bytes ${start} to ${end} of a body`);
  return new SegmentReader(
    (index) => fetchSegment(store, layout, index, authenticator),
    layout.segmentBytes,
    start,
    end,
  );
}

class SegmentReader extends Readable {
  readonly #fetch: (index: number) => Promise<Buffer>;
  readonly #segmentBytes: number;
  readonly #end: number;
  #position: number;

  constructor(fetch: (index: number) => Promise<Buffer>, segmentBytes: number, start: number, end: number) {
    // a segment is fetched whenever none lies ready, however small they are
    super({ highWaterMark: 1 });
    this.#fetch = fetch;
    this.#segmentBytes = segmentBytes;
    this.#position = start;
    this.#end = end;
  }

  override _read(): void {
    if (this.#position === this.#end) this.push(null);
    else this.#next().catch((error: Error) => this.destroy(error));
  }

  async #next(): Promise<void> {
    const index = Math.floor(this.#position / this.#segmentBytes);
    const first = index * this.#segmentBytes;
    const body = await this.#fetch(index);
    if (this.destroyed) return;
    const wanted = body.subarray(this.#position - first, this.#end - first);
    this.#position += wanted.length;
    this.push(wanted);
  }
}

async function fetchSegment(
  store: Store,
  layout: SegmentLayout,
  index: number,
  authenticator: Authenticator | undefined,
): Promise<Buffer> {
  const key = segmentKey(layout.id, index);
  const item = await store.get(key);
  if (item === null) throw new LostSegmentError(key, false);
  const body = segmentBody(item.value, layout, index, authenticator);
  if (body !== undefined) return body;
  // Whoever reads next is to find it missing before the first byte, instead of being broken off here, too.
  await store.delete(key, { cas: item.cas }).catch(failureOf);
  throw new LostSegmentError(key, true);
}

/**
 * Whether every segment with a byte from `start` up to, and without, `end` is there. Fetches none of them, so that it can not
 * tell a foreign one. Those that are there get a new time to live. Rejects with a StoreError when the store gives no answer.
 */
export async function segmentsPresent(
  store: Store,
  layout: SegmentLayout,
  start: number,
  end: number,
  ttlSeconds: number,
): Promise<boolean> {
  const first = Math.floor(start / layout.segmentBytes);
  const last = Math.ceil(end / layout.segmentBytes);
  let isComplete = true;
  await forEachSegment(first, last, async (index) => {
    if (isComplete && !(await store.touch(segmentKey(layout.id, index), ttlSeconds))) isComplete = false;
  });
  return isComplete;
}

/** Calls `visit` for the segments from `first` up to, and without, `last`, a bounded number at a time. */
export async function forEachSegment(
  first: number,
  last: number,
  visit: (index: number) => Promise<void>,
): Promise<void> {
  let next = first;
  const visitor = async () => {
    while (next < last) await visit(next++);
  };
  await Promise.all(Array.from({ length: Math.min(CONCURRENT_VISITS, last - first) }, visitor));
}

/** Commands without a value: enough for one write to the store, and far from its limit of operations in flight. */
const CONCURRENT_VISITS = 16;
