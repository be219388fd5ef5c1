import type { Readable } from 'node:stream';
import { type Store, type StoreErrorCode, storeFailure } from '../store/store.js';
import { Pieces } from './body.js';
import type { BufferBudget } from './buffer-budget.js';
import type { Authenticator } from './mac.js';
import { MAX_LINE_BYTES, MAX_SEGMENTS, newSegmentId, type SegmentLayout, segmentKey, segmentValue } from './segment.js';
import { forEachSegment, readSegments } from './segments.js';

export interface SegmentWriterOptions {
  /** The largest body that is handed back whole, because it fits into one item together with what else is in there. */
  readonly inlineBytes: number;
  /** Whole seconds the body is to be had, counted from its end; 0 = no expiry. */
  readonly ttlSeconds: number;
  readonly budget: BufferBudget;
  /** Length of the body as announced, when it was. */
  readonly expectedBytes?: number | undefined;
  /** The largest body that is kept. Default {@link DEFAULT_MAX_BODY_BYTES}. */
  readonly maxBytes?: number | undefined;
  /** Bytes of the body in a segment. Default: what fits into an item of the store. */
  readonly segmentBytes?: number | undefined;
  /** Segments that may be on their way at a time. Default {@link DEFAULT_SEGMENTS_IN_FLIGHT}. */
  readonly maxInFlight?: number | undefined;
  /** Default: segments carry no MAC. */
  readonly authenticator?: Authenticator | undefined;
}

/** The largest body that is stored unless configured. */
export const DEFAULT_MAX_BODY_BYTES = 64 * 1024 * 1024;

/** While one is being received by the store, the next one is there already. More would only shorten the deadline of each. */
const DEFAULT_SEGMENTS_IN_FLIGHT = 2;

/** How far the store may fall behind: with segments of 1 MiB, a quarter of the default budget of all bodies. */
const MAX_BACKLOG_SEGMENTS = 16;

/** Segments are written before the entry that names them, and must not expire before it. */
const TTL_MARGIN_SECONDS = 60;

/** Why a body is not kept. */
export type WriteRefusal = 'above-maxsize' | 'memory' | 'incomplete' | Exclude<StoreErrorCode, 'bad-key'>;

/** What has become of a body: its bytes, to be put into an item by the caller, or where they are in the store. */
export type WrittenBody =
  | { readonly kind: 'inline'; readonly pieces: readonly Uint8Array[]; readonly bytes: number }
  | { readonly kind: 'segments'; readonly layout: SegmentLayout };

interface Segment {
  readonly index: number;
  readonly pieces: readonly Uint8Array[];
  readonly bytes: number;
}

/**
 * Brings a body into the store while it streams past. What fits into one item is only collected; a larger body is cut into
 * segments, and each is written as soon as it is full.
 *
 * The writer never delays whoever writes to it. When memory runs out, or the store fails or falls behind, it gives up: it
 * takes no more, and {@link finish} says why. What it has stored by then can be read until `finish` or {@link abandon}
 * was called and the last reader is gone; then it is deleted, as far as the store lets it.
 */
export class SegmentWriter {
  readonly #store: Store;
  readonly #options: SegmentWriterOptions;
  readonly #segmentBytes: number;
  readonly #maxBytes: number;
  readonly #maxInFlight: number;
  readonly #maxWaitingBytes: number;
  /** Made when the first segment is. */
  #id = '';
  #refusal: WriteRefusal | undefined;
  #isFinished = false;
  #isDeleted = false;
  /** All that was written to us. */
  #bytes = 0;
  /** Of that, what counts in the budget, and what of it is on its way. */
  #heldBytes = 0;
  #inFlightBytes = 0;
  /** The segment that is being filled. */
  #open = new Pieces();
  /** Full segments that wait for their turn, oldest first. */
  #full: Segment[] = [];
  #inFlight = 0;
  #cutSegments = 0;
  #sentSegments = 0;
  /** What can be read: segments are there from the first one on, without a gap. */
  #storedSegments = 0;
  #storedBytes = 0;
  /** Bytes of the segments that are in the store behind a gap. */
  readonly #behindGap = new Map<number, number>();
  #readers = 0;
  #progress: (() => void)[] = [];

  constructor(store: Store, options: SegmentWriterOptions) {
    const { segmentBytes = store.maxItemBytes - MAX_LINE_BYTES, maxInFlight = DEFAULT_SEGMENTS_IN_FLIGHT } = options;
    const { maxBytes = DEFAULT_MAX_BODY_BYTES, expectedBytes = 0, inlineBytes } = options;
    this.#store = store;
    this.#options = options;
    this.#segmentBytes = Math.max(1, segmentBytes);
    this.#maxInFlight = maxInFlight;
    this.#maxWaitingBytes = inlineBytes + MAX_BACKLOG_SEGMENTS * this.#segmentBytes;
    this.#maxBytes = Math.min(maxBytes, Math.max(inlineBytes, this.#segmentBytes * MAX_SEGMENTS));
    if (expectedBytes > this.#maxBytes) this.#refusal = 'above-maxsize';
  }

  /** Whether it has not given up. */
  get isGrowing(): boolean {
    return this.#refusal === undefined;
  }

  /** How many bytes, from the first one on, can be {@link read} by now. Grows, until everything is deleted. */
  get storedBytes(): number {
    return this.#isDeleted ? 0 : this.#storedBytes;
  }

  /** What is stored already, from `start` up to, and without, `end`. It stays there while it is being read. */
  read(start: number, end: number): Readable {
    const layout = { id: this.#id, bytes: this.#storedBytes, segmentBytes: this.#segmentBytes };
    const stream = readSegments(this.#store, layout, start, end, this.#options.authenticator);
    this.#readers++;
    stream.once('close', () => {
      this.#readers--;
      this.#deleteUnwanted();
    });
    return stream;
  }

  /** Copies a chunk of the body, unless the writer has given up. */
  write(chunk: Uint8Array): void {
    if (this.#refusal !== undefined) return;
    if (this.#bytes + chunk.length > this.#maxBytes) {
      this.#giveUp('above-maxsize');
    } else if (this.#waitingBytes() > this.#maxWaitingBytes) {
      this.#giveUp('busy');
    } else if (!this.#options.budget.take(chunk.length)) {
      this.#giveUp('memory');
    } else {
      this.#bytes += chunk.length;
      this.#heldBytes += chunk.length;
      this.#cut(chunk);
      if (this.#bytes > this.#options.inlineBytes) this.#send();
    }
  }

  /** While the store is well behind: a promise for the time when it no longer is, for whoever has time to wait. */
  backlog(): Promise<void> | undefined {
    return this.#isBehind() ? this.#caughtUp() : undefined;
  }

  /**
   * The body has ended. Resolves when all of it is in the store, or will be brought there by the caller, who says
   * {@link release} afterwards. A body that is not as long as was announced is `incomplete`.
   */
  async finish(): Promise<WrittenBody | WriteRefusal> {
    const { expectedBytes = this.#bytes, inlineBytes } = this.#options;
    this.#isFinished = true;
    if (expectedBytes !== this.#bytes) this.#giveUp('incomplete');
    if (this.#refusal === undefined && this.#bytes <= inlineBytes) {
      const pieces = [...this.#full.flatMap((segment) => segment.pieces), ...this.#open.take()];
      return { kind: 'inline', pieces, bytes: this.#bytes };
    }
    if (this.#refusal === undefined) {
      this.#closeSegment();
      this.#send();
      while (this.#inFlight > 0) await this.#nextProgress();
    }
    this.#deleteUnwanted();
    if (this.#refusal !== undefined) return this.#refusal;
    return { kind: 'segments', layout: { id: this.#id, bytes: this.#bytes, segmentBytes: this.#segmentBytes } };
  }

  /** Gives the memory of a body that was handed back whole to the budget. */
  release(): void {
    this.#open = new Pieces();
    this.#full = [];
    this.#options.budget.release(this.#waitingBytes());
    this.#heldBytes = this.#inFlightBytes;
  }

  /** The body is not wanted in the store, whatever has been stored of it, now or after {@link finish}. Idempotent. */
  abandon(): void {
    this.#isFinished = true;
    this.#giveUp('incomplete');
    this.#deleteUnwanted();
  }

  #cut(chunk: Uint8Array): void {
    for (let rest = chunk; rest.length > 0; ) {
      const taken = rest.subarray(0, this.#segmentBytes - this.#open.bytes);
      this.#open.add(taken);
      if (this.#open.bytes === this.#segmentBytes) this.#closeSegment();
      rest = rest.subarray(taken.length);
    }
  }

  #closeSegment(): void {
    const { bytes } = this.#open;
    if (bytes > 0) this.#full.push({ index: this.#cutSegments++, pieces: this.#open.take(), bytes });
  }

  #send(): void {
    while (this.#inFlight < this.#maxInFlight) {
      const segment = this.#full.shift();
      if (segment === undefined) return;
      void this.#sendOne(segment);
    }
  }

  async #sendOne({ index, pieces, bytes }: Segment): Promise<void> {
    const { ttlSeconds, authenticator, budget } = this.#options;
    if (this.#id === '') this.#id = newSegmentId();
    this.#inFlight++;
    this.#inFlightBytes += bytes;
    this.#sentSegments++;
    try {
      const value = segmentValue(this.#id, index, pieces, authenticator);
      const keptSeconds = ttlSeconds === 0 ? 0 : ttlSeconds + TTL_MARGIN_SECONDS;
      await this.#store.set(segmentKey(this.#id, index), value, { ttlSeconds: keptSeconds });
      this.#behindGap.set(index, bytes);
      this.#closeGap();
    } catch (error) {
      const { code } = storeFailure(error);
      if (code === 'bad-key') throw error;
      this.#giveUp(code);
    } finally {
      this.#inFlight--;
      this.#inFlightBytes -= bytes;
      this.#heldBytes -= bytes;
      budget.release(bytes);
    }
    this.#send();
    this.#deleteUnwanted();
    for (const wake of this.#progress.splice(0)) wake();
  }

  #closeGap(): void {
    for (;;) {
      const bytes = this.#behindGap.get(this.#storedSegments);
      if (bytes === undefined) return;
      this.#behindGap.delete(this.#storedSegments++);
      this.#storedBytes += bytes;
    }
  }

  #giveUp(reason: WriteRefusal): void {
    if (this.#refusal !== undefined) return;
    this.#refusal = reason;
    this.release();
  }

  #deleteUnwanted(): void {
    const isUnwanted = this.#isFinished && this.#refusal !== undefined && this.#readers === 0;
    if (!isUnwanted || this.#inFlight > 0 || this.#isDeleted) return;
    this.#isDeleted = true;
    void forEachSegment(0, this.#sentSegments, async (index) => {
      await this.#store.delete(segmentKey(this.#id, index)).catch(storeFailure);
    });
  }

  #isBehind(): boolean {
    return this.#inFlight > 0 && this.#waitingBytes() > this.#maxWaitingBytes / 2;
  }

  /** What is held and not on its way. */
  #waitingBytes(): number {
    return this.#heldBytes - this.#inFlightBytes;
  }

  async #caughtUp(): Promise<void> {
    while (this.#isBehind()) await this.#nextProgress();
  }

  #nextProgress(): Promise<void> {
    return new Promise((resolve) => this.#progress.push(resolve));
  }
}
