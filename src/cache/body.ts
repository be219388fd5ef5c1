import type { Readable } from 'node:stream';

/** All of a body, the stream that will deliver it, or none at all. */
export type Body = Uint8Array | Readable | null;

/** A body ends before its end: whoever was given the beginning must be able to tell. */
export class BrokenBodyError extends Error {
  override readonly name = 'BrokenBodyError';
}

/**
 * Copies of chunks, one behind the other.
 *
 * Chunks are copied, not kept: they are slices of larger read buffers, which a kept slice would hold in memory whole. A
 * chunk gets a block of its own size, and as many bytes as are there already when that is more, so that a body in
 * a million chunks of one byte does not become a million objects.
 */
export class Pieces {
  #pieces: Uint8Array[] = [];
  #bytes = 0;
  /** The last block, which is not in `#pieces` before it is full. */
  #block: Uint8Array = NOTHING;
  #blockBytes = 0;

  /** How many bytes were added. */
  get bytes(): number {
    return this.#bytes;
  }

  add(chunk: Uint8Array): void {
    const room = this.#block.length - this.#blockBytes;
    const fitting = chunk.length <= room ? chunk : chunk.subarray(0, room);
    this.#block.set(fitting, this.#blockBytes);
    this.#blockBytes += fitting.length;
    if (fitting.length < chunk.length) {
      const rest = chunk.subarray(room);
      if (this.#blockBytes > 0) this.#pieces.push(this.#block);
      const blockBytes = Math.min(this.#bytes, MAX_BLOCK_BYTES);
      this.#block = blockBytes <= rest.length ? new Uint8Array(rest) : blockOf(rest, blockBytes);
      this.#blockBytes = rest.length;
    }
    this.#bytes += chunk.length;
  }

  /** All that was added; the collection is empty afterwards. */
  take(): Uint8Array[] {
    const pieces = this.#pieces;
    if (this.#blockBytes > 0) pieces.push(this.#block.subarray(0, this.#blockBytes));
    this.#pieces = [];
    this.#bytes = 0;
    this.#block = NOTHING;
    this.#blockBytes = 0;
    return pieces;
  }
}

/** A block of `bytes` that begins with `chunk`. */
function blockOf(chunk: Uint8Array, bytes: number): Uint8Array {
  const block = Buffer.allocUnsafeSlow(bytes);
  block.set(chunk);
  return block;
}

const NOTHING = new Uint8Array(0);

/** The size of a socket's reads: larger blocks would not make fewer of the pieces that a chunk is copied into. */
const MAX_BLOCK_BYTES = 64 * 1024;
