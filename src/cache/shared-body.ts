import type { Readable } from 'node:stream';
import { BrokenBodyError } from './body.js';
import { BodyReader, type BodySupply } from './body-reader.js';
import { BodyWindow } from './body-window.js';
import type { BufferBudget } from './buffer-budget.js';
import { Countdown } from './countdown.js';

/** The beginning of a body, as far as it can be read elsewhere already: from the store it is being written to. */
export interface StoredBeginning {
  /** How many bytes, from the first one on. */
  readonly storedBytes: number;
  /** Whether more is being stored. */
  readonly isGrowing: boolean;
  /** Those from `start` up to, and without, `end`. They stay where they are while they are being read. */
  read(start: number, end: number): Readable;
}

export interface SharedBodyOptions {
  /** What the window may be taken from. */
  readonly budget: BufferBudget;
  /** Length of the body as announced, when it was. */
  readonly expectedBytes?: number | undefined;
  /** Bytes to be kept for readers that are slower, or come later. Default {@link DEFAULT_WINDOW_BYTES}. */
  readonly windowBytes?: number | undefined;
  /** Sees every chunk once, before the readers do. It must not change the chunk, and must copy what it keeps. */
  readonly tap?: ((chunk: Uint8Array) => void) | undefined;
  /** Where a reader can go on that has lost the window. */
  readonly beginning?: StoredBeginning | undefined;
  /**
   * Called once: when the body has ended, or with what it broke off for. Until the promise it returns is settled, readers can
   * join a body that has ended.
   */
  readonly onEnd?: ((failure: Error | undefined) => Promise<unknown> | undefined) | undefined;
  /**
   * Whether a body that nobody reads is read on for the sake of the tap. Asked when the last reader leaves, and with every
   * chunk from then on. Default: it is not.
   */
  readonly keepFilling?: ((receivedBytes: number) => boolean) | undefined;
  /** How long it is read on at most, in milliseconds. Default {@link DEFAULT_MAX_FILL_MS}. */
  readonly maxFillMs?: number | undefined;
  /** While nobody reads: a promise for the time when the tap is ready for more; `undefined` when it is. */
  readonly backlog?: (() => Promise<void> | undefined) | undefined;
  /** How long slow readers may hold the others back, all in all, in milliseconds. Default {@link DEFAULT_MAX_HOLD_MS}. */
  readonly maxHoldMs?: number | undefined;
}

/** Most bodies are smaller: then nothing is ever dropped, and whoever comes while the body does can have it. */
export const DEFAULT_WINDOW_BYTES = 2 * 1024 * 1024;

/** How long a body waits for its first reader before it is treated as if the last one had left. */
const CLAIM_MS = 1000;

/** What a fetch that nobody waits for may take up of an origin. */
export const DEFAULT_MAX_FILL_MS = 30_000;

/** Less than clients and proxies wait for the next byte. */
export const DEFAULT_MAX_HOLD_MS = 10_000;

/**
 * What came in and is not stored yet is kept beyond the window, so that whoever joins late finds the body without a gap: by
 * this factor, when the store is slower than the source.
 */
const LAG_FACTOR = 4;

/**
 * A body that comes in once and is read by many.
 *
 * The source is read at the pace of the fastest reader. The last bytes that came in are kept in a window. A reader that falls
 * behind the window goes on from the stored beginning, where that reaches far enough. Where it does not, the source is
 * held for the reader's sake, but not longer than `maxHoldMs` over the whole life of the body; then the reader is broken off.
 * So for every reader this holds at all times: the next byte it needs is still to come, in the window, or in the stored beginning.
 *
 * A source that fails, or ends before or behind its announced length, breaks every reader off: none of them ends well. Readers
 * may leave at any time, by being destroyed; when the last one has, the source is destroyed, or read on without them.
 */
export class SharedBody implements BodySupply {
  /** Fulfilled when nobody can join any more: the body has failed, or ended and been dealt with (see `onEnd`). */
  readonly over: Promise<void>;
  readonly #source: Readable;
  readonly #options: SharedBodyOptions;
  readonly #window: BodyWindow;
  readonly #windowBytes: number;
  readonly #readers = new Set<BodyReader>();
  /** Readers that have got everything so far and have room for more. */
  readonly #waiting = new Set<BodyReader>();
  #state: 'coming' | 'ended' | 'over' = 'coming';
  #setOver: () => void = () => {};
  /** Whether the source is read for the tap alone. */
  #isFilling = false;
  /** Limits the time without readers. */
  #unreadTimer: NodeJS.Timeout | undefined;
  #isTapBehind = false;
  /** Whether the window is full of what slow readers need. */
  #isFull = false;
  /** Runs while that keeps others waiting. */
  readonly #hold: Countdown;

  /**
   * `source` is to be read by nobody else. It is not read before the first reader is, or {@link fill} is called. When neither
   * happens for a second, `fill` is called all the same, so that no source is left hanging.
   */
  constructor(source: Readable, options: SharedBodyOptions) {
    this.#source = source;
    this.#options = options;
    this.#window = new BodyWindow(options.budget);
    this.#windowBytes = options.windowBytes ?? DEFAULT_WINDOW_BYTES;
    this.#hold = new Countdown(options.maxHoldMs ?? DEFAULT_MAX_HOLD_MS, () => this.#makeRoom());
    this.over = new Promise((resolve) => {
      this.#setOver = () => {
        this.#state = 'over';
        this.#tidy();
        resolve();
      };
    });
    this.#unreadTimer = setTimeout(() => this.fill(), CLAIM_MS).unref();
    source.pause();
    source.on('data', (chunk: Uint8Array | string) =>
      this.#take(typeof chunk === 'string' ? Buffer.from(chunk) : chunk),
    );
    source.once('end', () => this.#end());
    source.on('error', (error) => this.#fail(error));
    source.once('close', () => this.#closed());
    if (source.destroyed) this.#closed();
  }

  /** How many bytes have come in. */
  get receivedBytes(): number {
    return this.#window.end;
  }

  /**
   * The body from `start` up to, and without, `end`, as it comes in. `undefined` when it can not be had any more: its
   * beginning is gone, or it has failed, or is over.
   *
   * The stream fails with a {@link BrokenBodyError}, or with the error of the source or the store, when the body breaks off.
   */
  join(start = 0, end = Number.POSITIVE_INFINITY): Readable | undefined {
    const isInWindow = start >= this.#window.start;
    if (this.#state === 'over' || !(isInWindow || this.#storedBytes() >= this.#window.start)) return undefined;
    const reader = new BodyReader(this, start, end);
    this.#stopFilling();
    this.#readers.add(reader);
    if (start >= end) reader.finish();
    else if (!isInWindow) this.#detour(reader);
    return reader;
  }

  /** Reads the body for the tap alone for as long as nobody joins, within the bounds of `keepFilling` and `maxFillMs`. */
  fill(): void {
    if (this.#state !== 'coming' || this.#readers.size > 0 || this.#isFilling || !this.#isWorthFilling()) return;
    const { maxFillMs = DEFAULT_MAX_FILL_MS } = this.#options;
    const error = () => new BrokenBodyError(`nobody reads the body, which took more than ${maxFillMs} ms`);
    this.#isFilling = true;
    clearTimeout(this.#unreadTimer);
    this.#unreadTimer = setTimeout(() => this.#fail(error()), maxFillMs).unref();
    this.#pace();
  }

  pull(reader: BodyReader): void {
    for (let hasRoom = true; hasRoom; ) {
      if (reader.position >= this.#window.end) {
        if (this.#state === 'coming') this.#waiting.add(reader);
        else reader.finish();
        break;
      }
      const bytes = this.#window.from(reader.position);
      if (bytes === undefined) {
        this.#detour(reader)?.resume();
        return;
      }
      hasRoom = reader.give(bytes);
    }
    this.#tidy();
  }

  leave(reader: BodyReader): void {
    this.#waiting.delete(reader);
    if (!this.#readers.delete(reader)) return;
    if (this.#readers.size === 0) this.fill();
    this.#tidy();
  }

  #take(chunk: Uint8Array): void {
    if (this.#state !== 'coming') return;
    const { tap, expectedBytes = Number.POSITIVE_INFINITY } = this.#options;
    const start = this.#window.end;
    if (start + chunk.length > expectedBytes) {
      this.#fail(new BrokenBodyError(`the body has more than the ${expectedBytes} bytes that were announced`));
      return;
    }
    this.#window.add(chunk);
    tap?.(chunk);
    for (const reader of this.#waiting) {
      if (reader.position >= this.#window.end) continue;
      const wanted = reader.position === start ? chunk : chunk.subarray(reader.position - start);
      if (!reader.give(wanted)) this.#waiting.delete(reader);
    }
    if (this.#readers.size === 0 && this.#isWorthFilling()) this.#spareTap();
    if (this.#window.fits(this.#windowBytes)) this.#pace();
    else this.#makeRoom();
  }

  /** Whether the source is to be read on although nobody reads. It is given up when not. */
  #isWorthFilling(): boolean {
    const isWorth = this.#options.keepFilling?.(this.receivedBytes) === true;
    if (!isWorth) this.#fail(new BrokenBodyError('nobody reads the body'));
    return isWorth;
  }

  #spareTap(): void {
    const caughtUp = this.#options.backlog?.();
    if (caughtUp === undefined) return;
    this.#isTapBehind = true;
    void caughtUp.finally(() => {
      this.#isTapBehind = false;
      this.#pace();
    });
  }

  #isWanted(): boolean {
    return this.#readers.size > 0 ? this.#waiting.size > 0 : this.#isFilling && !this.#isTapBehind;
  }

  /** Lets the source flow while there is anybody to take what comes, unless the window is full of what others need. */
  #pace(): void {
    if (this.#state !== 'coming') return;
    const isWanted = this.#isWanted();
    if (isWanted && !this.#isFull) this.#source.resume();
    else this.#source.pause();
    if (isWanted && this.#isFull) this.#hold.start();
    else this.#hold.stop();
  }

  /**
   * Lets go of the oldest bytes until the window fits: what is stored first, then what no reader of today needs. When that is
   * not enough, the window is full, and the source is held.
   */
  #makeRoom(): void {
    const { start } = this.#window;
    const isGrowing = this.#options.beginning?.isGrowing === true;
    const limitBytes = isGrowing ? this.#windowBytes * LAG_FACTOR : this.#windowBytes;
    const fits = this.#window.shrink(this.#windowBytes, this.#storedBytes()) || this.#window.fits(limitBytes);
    this.#isFull = !fits && !this.#window.shrink(limitBytes, Math.max(this.#storedBytes(), this.#slowest()));
    if (this.#window.start > start) this.#detourTheLost();
    if (this.#isFull && this.#hold.leftMs <= 0 && this.#isWanted()) this.#breakOffSlow();
    else this.#pace();
  }

  #storedBytes(): number {
    return this.#options.beginning?.storedBytes ?? 0;
  }

  /** Position up to which every reader has got its bytes. */
  #slowest(): number {
    let slowest = this.#window.end;
    for (const reader of this.#readers) slowest = Math.min(slowest, reader.position);
    return slowest;
  }

  #detourTheLost(): void {
    for (const reader of this.#readers) {
      if (reader.position < this.#window.start && !reader.isOnDetour) this.#detour(reader);
    }
  }

  /** Sends a reader to the stored beginning, for as much as there is of it by now. */
  #detour(reader: BodyReader): Readable | undefined {
    const end = Math.min(reader.end, this.#storedBytes());
    const stream = end > reader.position ? this.#options.beginning?.read(reader.position, end) : undefined;
    if (stream === undefined) reader.destroy(new BrokenBodyError('what comes next of the body is gone from the store'));
    else reader.follow(stream, end);
    return stream;
  }

  /** Parts with the readers for whose sake the window is full. Those who wait are not among them, so that some remain. */
  #breakOffSlow(): void {
    const slowest = this.#slowest();
    const slow = [...this.#readers].filter((reader) => reader.position === slowest);
    for (const reader of slow) this.#readers.delete(reader);
    for (const reader of slow) reader.destroy(new BrokenBodyError('the reader was too slow for the others'));
    this.#makeRoom();
  }

  /** After a reader has moved on, or has left. */
  #tidy(): void {
    if (this.#state === 'over') this.#window.dropUntil(this.#slowest());
    else if (this.#isFull) this.#makeRoom();
    else this.#pace();
  }

  #stopFilling(): void {
    clearTimeout(this.#unreadTimer);
    this.#isFilling = false;
  }

  #end(): void {
    if (this.#state !== 'coming') return;
    const { expectedBytes = this.receivedBytes, onEnd } = this.#options;
    if (this.receivedBytes !== expectedBytes) {
      const came = `${this.receivedBytes} of the ${expectedBytes} bytes that were announced`;
      this.#fail(new BrokenBodyError(`the body has ${came}`));
      return;
    }
    this.#stop('ended');
    for (const reader of this.#waiting) reader.finish();
    const dealtWith = onEnd?.(undefined);
    if (dealtWith === undefined) this.#setOver();
    else void dealtWith.finally(() => this.#setOver());
  }

  #closed(): void {
    // an error takes longer to make than all the rest of a small body
    if (this.#state === 'coming') this.#fail(new BrokenBodyError('the body broke off'));
  }

  #fail(error: Error): void {
    if (this.#state !== 'coming') return;
    this.#stop('over');
    this.#source.destroy();
    for (const reader of this.#readers) reader.destroy(error);
    void this.#options.onEnd?.(error);
    this.#setOver();
  }

  #stop(state: 'ended' | 'over'): void {
    this.#state = state;
    this.#isFull = false;
    this.#hold.stop();
    this.#stopFilling();
  }
}
