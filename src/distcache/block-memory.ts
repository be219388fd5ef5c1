/** A session without certificates takes one or two, the largest 129. On average half of the last one is of no use. */
export const BLOCK_BYTES = 256;

/** Memory is taken from the system so many blocks at a time: 256 KiB. */
const PAGE_BLOCKS = 1024;

const NONE = -1;

/**
 * A bounded number of bytes, in blocks, of which each piece takes as many as it needs, wherever they lie: one that is free
 * is as good as another, and nothing is moved. However many pieces there are, garbage collection has nothing to look at.
 * What was taken from the system is kept for later pieces.
 */
export class BlockMemory {
  readonly #pages: Buffer[] = [];
  /** The block behind a block, of a piece or of the free ones. */
  readonly #next: Int32Array;
  /** The first of the blocks that were in use and are no more. */
  #firstFree = NONE;
  /** Blocks from here on were never in use. */
  #untouched = 0;
  #free: number;

  constructor(maxBytes: number) {
    this.#free = Math.floor(maxBytes / BLOCK_BYTES);
    this.#next = new Int32Array(this.#free);
  }

  /** Whether there is room for a piece of so many bytes. */
  fits(bytes: number): boolean {
    return blocksOf(bytes) <= this.#free;
  }

  /** Keeps `head` and `rest` as one piece, which {@link fits}. Gives its first block, by which it is known. */
  write(head: Uint8Array, rest: Uint8Array): number {
    const first = this.#take();
    let block = first;
    let at = 0;
    for (const part of [head, rest]) {
      for (let from = 0; from < part.length; ) {
        if (at === BLOCK_BYTES) {
          const next = this.#take();
          this.#next[block] = next;
          block = next;
          at = 0;
        }
        const bytes = Math.min(part.length - from, BLOCK_BYTES - at);
        this.#pageOf(block).set(part.subarray(from, from + bytes), offsetOf(block) + at);
        from += bytes;
        at += bytes;
      }
    }
    this.#next[block] = NONE;
    return first;
  }

  /** Whether the piece begins with `head`, which is no longer than a block. */
  beginsWith(first: number, head: Uint8Array): boolean {
    const page = this.#pageOf(first);
    const start = offsetOf(first);
    for (let at = 0; at < head.length; at++) if (page[start + at] !== head[at]) return false;
    return true;
  }

  /** A copy of the `length` bytes of the piece from `from` on, which lies in its first block. */
  read(first: number, from: number, length: number): Buffer {
    const copy = Buffer.allocUnsafe(length);
    let block = first;
    let at = from;
    for (let done = 0; done < length; ) {
      if (at === BLOCK_BYTES) {
        block = this.#nextOf(block);
        at = 0;
      }
      const start = offsetOf(block) + at;
      const bytes = Math.min(length - done, BLOCK_BYTES - at);
      this.#pageOf(block).copy(copy, done, start, start + bytes);
      done += bytes;
      at += bytes;
    }
    return copy;
  }

  /** Forgets a piece. */
  release(first: number): void {
    let last = first;
    for (let next = this.#nextOf(first); next !== NONE; next = this.#nextOf(next)) {
      last = next;
      this.#free++;
    }
    this.#free++;
    this.#next[last] = this.#firstFree;
    this.#firstFree = first;
  }

  #take(): number {
    this.#free--;
    if (this.#firstFree === NONE) {
      if (this.#untouched % PAGE_BLOCKS === 0) this.#pages.push(Buffer.allocUnsafeSlow(PAGE_BLOCKS * BLOCK_BYTES));
      return this.#untouched++;
    }
    const block = this.#firstFree;
    this.#firstFree = this.#nextOf(block);
    return block;
  }

  #nextOf(block: number): number {
    return this.#next[block] ?? NONE;
  }

  #pageOf(block: number): Buffer {
    const page = this.#pages[Math.floor(block / PAGE_BLOCKS)];
    if (page === undefined) throw new RangeError(`there is no block ${block}`);
    return page;
  }
}

function offsetOf(block: number): number {
  return (block % PAGE_BLOCKS) * BLOCK_BYTES;
}

function blocksOf(bytes: number): number {
  return Math.max(1, Math.ceil(bytes / BLOCK_BYTES));
}
