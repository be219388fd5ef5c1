import { Readable } from 'node:stream';
import { BrokenBodyError } from './body.js';

/** Where a reader gets its bytes from. */
export interface BodySupply {
  /** The reader has room for more. */
  pull(reader: BodyReader): void;
  /** The reader needs nothing more: it has been given all it wanted, or it has left. May be said twice. */
  leave(reader: BodyReader): void;
}

/**
 * One reader of a body that several read: a stream of the bytes from `start` up to, and without, `end`. It keeps count, so
 * that whatever it is given, it passes on neither a byte twice nor one too many.
 */
export class BodyReader extends Readable {
  /** Up to where the reader wants the body; infinite when that is its end, wherever that is. */
  readonly end: number;
  readonly #supply: BodySupply;
  #position: number;
  #detour: Readable | undefined;
  #isEnded = false;

  constructor(supply: BodySupply, start: number, end: number) {
    super({ highWaterMark: HIGH_WATER_MARK_BYTES });
    this.#supply = supply;
    this.#position = start;
    this.end = end;
    // Whoever sends the body listens too; should it break off before that, it must not take the process with it.
    this.on('error', () => {});
  }

  /** Position in the body of the next byte to be given. */
  get position(): number {
    return this.#position;
  }

  /** Whether the reader is getting its bytes from elsewhere: see {@link follow}. */
  get isOnDetour(): boolean {
    return this.#detour !== undefined;
  }

  /** Hands over the bytes at {@link position}. Tells whether there is room for more. */
  give(bytes: Uint8Array): boolean {
    if (this.#isEnded) return false;
    const wanted = this.#position + bytes.length <= this.end ? bytes : bytes.subarray(0, this.end - this.#position);
    this.#position += wanted.length;
    const hasRoom = this.push(wanted);
    if (this.#position < this.end) return hasRoom;
    this.finish();
    return false;
  }

  /** The body has ended, or all that is wanted of it has been given. */
  finish(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.push(null);
    this.#supply.leave(this);
  }

  /**
   * Gets the bytes from {@link position} up to `end` from `stream`, and what comes after them from the supply again. The
   * stream stays paused until the reader has room.
   */
  follow(stream: Readable, end: number): void {
    this.#detour = stream;
    stream.pause();
    stream.on('data', (chunk: Uint8Array) => {
      if (!this.give(chunk)) stream.pause();
    });
    stream.once('error', (error) => this.destroy(error));
    stream.once('end', () => {
      this.#detour = undefined;
      if (this.#isEnded) return;
      if (this.#position === end) this.#supply.pull(this);
      else this.destroy(new BrokenBodyError(`the body came to byte ${this.#position} of ${end} only`));
    });
    stream.once('close', () => {
      if (this.#detour === stream) this.destroy(new BrokenBodyError('the body broke off'));
    });
  }

  override _read(): void {
    if (this.#detour === undefined) this.#supply.pull(this);
    else this.#detour.resume();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#isEnded = true;
    const detour = this.#detour;
    this.#detour = undefined;
    detour?.destroy();
    this.#supply.leave(this);
    callback(error);
  }
}

/** One read of a socket: a reader holds that much, and what is beyond it lies once for all of them in the window. */
const HIGH_WATER_MARK_BYTES = 64 * 1024;
