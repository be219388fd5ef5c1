import type { BufferBudget } from './buffer-budget.js';

/**
 * The copy of a body that streams past, bounded in its own size and by the budget of all of them.
 *
 * Chunks are copied, not kept: they are slices of larger read buffers, which a kept slice would hold in memory whole.
 */
export class BodyCopy {
  readonly #maxBytes: number;
  readonly #budget: BufferBudget;
  readonly #expectedBytes: number | undefined;
  #pieces: Uint8Array[] = [];
  #bytes = 0;
  #refusal: 'above-maxsize' | 'memory' | undefined;

  /** `expectedBytes`: what Content-Length announced, if anything. */
  constructor(maxBytes: number, budget: BufferBudget, expectedBytes: number | undefined) {
    this.#maxBytes = maxBytes;
    this.#budget = budget;
    this.#expectedBytes = expectedBytes;
  }

  /** Copies a chunk, unless the copy was given up; gives it up when the chunk does not fit. */
  add(chunk: Uint8Array): void {
    if (this.#refusal !== undefined) return;
    if (this.#bytes + chunk.length > this.#maxBytes) {
      this.#giveUp('above-maxsize');
    } else if (!this.#budget.take(chunk.length)) {
      this.#giveUp('memory');
    } else {
      this.#bytes += chunk.length;
      this.#pieces.push(new Uint8Array(chunk));
    }
  }

  /** Ends a body that arrived completely: its pieces, or why there is no copy. What is returned is to be released. */
  finish(): CopiedBody | 'above-maxsize' | 'memory' | 'incomplete' {
    if (this.#refusal !== undefined) return this.#refusal;
    if (this.#expectedBytes !== undefined && this.#expectedBytes !== this.#bytes) {
      this.release();
      return 'incomplete';
    }
    return { pieces: this.#pieces, bytes: this.#bytes };
  }

  /** Gives the memory back. */
  release(): void {
    this.#pieces = [];
    this.#budget.release(this.#bytes);
    this.#bytes = 0;
  }

  #giveUp(reason: 'above-maxsize' | 'memory'): void {
    this.release();
    this.#refusal = reason;
  }
}

export interface CopiedBody {
  readonly pieces: readonly Uint8Array[];
  readonly bytes: number;
}
