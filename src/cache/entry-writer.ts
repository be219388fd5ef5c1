import type { Readable } from 'node:stream';
import type { SegmentLayout } from './segment.js';
import type { SegmentWriter } from './segment-writer.js';
import type { Reason } from './verdict.js';

/** What an {@link EntryWriter} does with a body that is complete, and with its lease. */
export interface EntryCommit {
  /** Writes the entry, around the body or around the layout of its segments. */
  commit(body: readonly Uint8Array[], bytes: number, layout: SegmentLayout | undefined): Promise<Reason>;
  /** The fetch is over: its lease is given back, or it is remembered that there is no point in one. */
  settle(reason: Reason): Promise<void>;
  /** The fetch takes long. */
  renew(): Promise<void>;
}

/**
 * Stores a response while it streams past. It never delays or fails whoever feeds it: when it can not go on, it takes
 * no more, and {@link end} says why. Whatever it comes to, the lease of its slot is settled with it.
 */
export class EntryWriter {
  readonly #body: SegmentWriter;
  readonly #target: EntryCommit;
  readonly #renewMs: number;
  #renewedMs = performance.now();
  #isOver = false;

  /** `renewMs`: how often to give a sign of life. */
  constructor(body: SegmentWriter, target: EntryCommit, renewMs: number) {
    this.#body = body;
    this.#target = target;
    this.#renewMs = renewMs;
  }

  /** How much of the body, from its first byte on, can be {@link read} in the store by now. */
  get storedBytes(): number {
    return this.#body.storedBytes;
  }

  get isGrowing(): boolean {
    return this.#body.isGrowing;
  }

  read(start: number, end: number): Readable {
    return this.#body.read(start, end);
  }

  /** Takes a chunk of the body, of which nothing is kept. */
  write(chunk: Uint8Array): void {
    this.#body.write(chunk);
    const nowMs = performance.now();
    if (nowMs - this.#renewedMs < this.#renewMs) return;
    this.#renewedMs = nowMs;
    void this.#target.renew();
  }

  /** While the store is behind: a promise that is fulfilled when it no longer is. For whoever has time to wait. */
  backlog(): Promise<void> | undefined {
    return this.#body.backlog();
  }

  /** The body is complete. Resolves when the entry is in the store, or to why it is not. */
  async end(): Promise<Reason> {
    if (this.#isOver) return 'incomplete';
    this.#isOver = true;
    const reason = await this.#finish();
    await this.#target.settle(reason);
    return reason;
  }

  /** The body has broken off, or is not wanted any more. */
  abandon(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#body.abandon();
    void this.#target.settle('incomplete');
  }

  async #finish(): Promise<Reason> {
    const written = await this.#body.finish();
    if (typeof written === 'string') return written;
    if (written.kind === 'segments') {
      const { layout } = written;
      const result = await this.#target.commit([], layout.bytes, layout);
      if (result !== 'stored') this.#body.abandon();
      return result;
    }
    try {
      return await this.#target.commit(written.pieces, written.bytes, undefined);
    } finally {
      this.#body.release();
    }
  }
}
