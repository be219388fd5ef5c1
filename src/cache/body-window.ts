import type { BufferBudget } from './buffer-budget.js';

interface WindowChunk {
  readonly bytes: Uint8Array;
  /** Position of its end in the body. */
  readonly end: number;
}

/** What a chunk takes besides its bytes: a body in chunks of one byte must not fill the memory unseen. */
const CHUNK_OVERHEAD_BYTES = 192;

/**
 * The last bytes of a body that is coming in, in the chunks they came in, not copied. Positions are those of the body.
 */
export class BodyWindow {
  readonly #budget: BufferBudget;
  #chunks: WindowChunk[] = [];
  #end = 0;
  /** What the chunks take in memory, and how much of that is out of the budget. */
  #cost = 0;
  #taken = 0;

  constructor(budget: BufferBudget) {
    this.#budget = budget;
  }

  /** Position of the first byte that is held; {@link end} when there is none. */
  get start(): number {
    const first = this.#chunks[0];
    return first === undefined ? this.#end : first.end - first.bytes.length;
  }

  /** How many bytes the body has had so far. */
  get end(): number {
    return this.#end;
  }

  /** Takes in a chunk, whatever the limits: see {@link shrink}. */
  add(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#end += bytes.length;
    this.#chunks.push({ bytes, end: this.#end });
    this.#cost += cost(bytes);
  }

  /** What is held from `position` on, up to the end of the chunk; `undefined` when the position is not in the window. */
  from(position: number): Uint8Array | undefined {
    const chunk = this.#chunks[this.#indexOf(position)];
    const start = chunk === undefined ? position + 1 : chunk.end - chunk.bytes.length;
    return position < start ? undefined : chunk?.bytes.subarray(position - start);
  }

  /** Whether the window is within `limitBytes` and within the budget, from which it takes what it needs. */
  fits(limitBytes: number): boolean {
    if (this.#cost > limitBytes) return false;
    if (this.#cost > this.#taken && this.#budget.take(this.#cost - this.#taken)) this.#taken = this.#cost;
    return this.#cost <= this.#taken;
  }

  /** Drops the oldest chunks until the window {@link fits}, but none with a byte from `position` on. Tells whether it fits. */
  shrink(limitBytes: number, position: number): boolean {
    while (!this.fits(limitBytes)) {
      if (!this.#dropFirst(position)) return false;
    }
    return true;
  }

  /** Drops everything before `position`. */
  dropUntil(position: number): void {
    while (this.#dropFirst(position));
  }

  #dropFirst(position: number): boolean {
    const first = this.#chunks[0];
    if (first === undefined || first.end > position) return false;
    this.#chunks.shift();
    this.#cost -= cost(first.bytes);
    const unused = Math.max(0, this.#taken - this.#cost);
    this.#taken -= unused;
    this.#budget.release(unused);
    return true;
  }

  /** Index of the first chunk that ends behind `position`. */
  #indexOf(position: number): number {
    let low = 0;
    let high = this.#chunks.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const chunk = this.#chunks[middle];
      if (chunk !== undefined && chunk.end > position) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

function cost(chunk: Uint8Array): number {
  return chunk.length + CHUNK_OVERHEAD_BYTES;
}
