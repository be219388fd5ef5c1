/** First in, first out; a ring that grows by doubling and keeps nothing alive that was taken out. */
export class Queue<T> {
  #ring: (T | undefined)[] = new Array<T | undefined>(INITIAL_CAPACITY).fill(undefined);
  #head = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(entry: T): void {
    if (this.#length === this.#ring.length) this.#grow();
    this.#ring[this.#at(this.#length++)] = entry;
  }

  /** The oldest entry; `undefined` when there is none. */
  peek(): T | undefined {
    return this.#ring[this.#head];
  }

  /** Takes the oldest entry out; `undefined` when there is none. */
  shift(): T | undefined {
    const entry = this.#ring[this.#head];
    if (this.#length === 0) return undefined;
    this.#ring[this.#head] = undefined;
    this.#head = this.#at(1);
    this.#length--;
    return entry;
  }

  /** All entries, oldest first, without taking them out. */
  *[Symbol.iterator](): Iterator<T> {
    for (let i = 0; i < this.#length; i++) {
      const entry = this.#ring[this.#at(i)];
      if (entry !== undefined) yield entry;
    }
  }

  /** Capacities are powers of two, so that the mask wraps. */
  #at(offset: number): number {
    return (this.#head + offset) & (this.#ring.length - 1);
  }

  #grow(): void {
    const entries = [...this];
    this.#head = 0;
    this.#ring = [...entries, ...new Array<undefined>(entries.length).fill(undefined)];
  }
}

/** A power of two. */
const INITIAL_CAPACITY = 64;
