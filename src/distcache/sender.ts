import type { Writable } from 'node:stream';
import { isTrapSize, MAX_FRAME_BYTES, payloadBytesOf } from './wire.js';

/**
 * Short messages go together in one write up to this size, which is what the C tools read at a time: a burst that fits
 * their buffer reaches them whole.
 */
const MAX_BURST_BYTES = 4096;

/** Between the frames of a message of a trap size. A millisecond does on an idle machine. */
const FRAME_PAUSE_MS = 2;

/**
 * Writes messages to a stream: several in one system call when they come together, each frame in one piece, and a message
 * of a trap size frame by frame with pauses between, those behind it waiting (see `isTrapSize`).
 */
export class MessageSender {
  readonly #stream: Writable;
  readonly #onReady: () => void;
  #burst: Buffer[] = [];
  #burstBytes = 0;
  #flushing: NodeJS.Immediate | undefined;
  #isPacing = false;
  #held: Buffer[] = [];
  #isEnding = false;

  /** `onReady` is called whenever the stream can take more after {@link isFull}. */
  constructor(stream: Writable, onReady: () => void) {
    this.#stream = stream;
    this.#onReady = onReady;
    stream.on('drain', () => {
      if (!this.isFull) onReady();
    });
  }

  /** Whether the peer reads more slowly than this side writes: time to stop making messages. */
  get isFull(): boolean {
    return this.#isPacing || this.#stream.writableNeedDrain;
  }

  /** Puts a message, as `encodeMessage` made it, behind the others. It goes out with the next flush, or before. */
  send(message: Buffer): void {
    if (this.#isPacing) {
      this.#held.push(message);
      return;
    }
    if (isTrapSize(payloadBytesOf(message.length))) {
      this.flush();
      this.#isPacing = true;
      this.#writeFrames(message, 0);
      return;
    }
    if (this.#burstBytes + message.length > MAX_BURST_BYTES) this.flush();
    this.#burst.push(message);
    this.#burstBytes += message.length;
  }

  flush(): void {
    const [first] = this.#burst;
    if (first === undefined) return;
    const bytes = this.#burst.length === 1 ? first : Buffer.concat(this.#burst, this.#burstBytes);
    this.#burst = [];
    this.#burstBytes = 0;
    this.#write(bytes);
  }

  /** Flushes when all that this turn of the event loop has read is dealt with. */
  flushSoon(): void {
    this.#flushing ??= setImmediate(() => {
      this.#flushing = undefined;
      this.flush();
    });
  }

  /** Ends the stream behind what was sent. */
  end(): void {
    this.#isEnding = true;
    if (this.#isPacing) return;
    this.flush();
    this.#stream.end();
  }

  #writeFrames(message: Buffer, at: number): void {
    const end = at + MAX_FRAME_BYTES;
    this.#write(message.subarray(at, end));
    setTimeout(() => (end < message.length ? this.#writeFrames(message, end) : this.#release()), FRAME_PAUSE_MS);
  }

  #release(): void {
    this.#isPacing = false;
    const held = this.#held;
    this.#held = [];
    for (const message of held) this.send(message);
    this.flush();
    if (this.#isEnding) this.end();
    else if (!this.isFull) this.#onReady();
  }

  #write(bytes: Buffer): void {
    if (this.#stream.writable) this.#stream.write(bytes);
  }
}
