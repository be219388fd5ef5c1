/**
 * The memory that bodies on their way to the store may take together, in bytes. Who can not get a share goes on without
 * storing: a budget never makes a request wait.
 */
export class BufferBudget {
  readonly limitBytes: number;
  #usedBytes = 0;
  #waiting: (() => void)[] = [];

  constructor(limitBytes: number = DEFAULT_BODY_MEMORY_BYTES) {
    this.limitBytes = limitBytes;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** Takes `bytes` out of the budget; false, and nothing taken, when they are not there. */
  take(bytes: number): boolean {
    if (this.#usedBytes + bytes > this.limitBytes) return false;
    this.#usedBytes += bytes;
    return true;
  }

  release(bytes: number): void {
    this.#usedBytes -= bytes;
    if (this.#usedBytes > 0) return;
    for (const wake of this.#waiting.splice(0)) wake();
  }

  /** Resolves when everything taken has been released: when no body is on its way to the store any more. */
  idle(): Promise<void> {
    if (this.#usedBytes === 0) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}

/** Default of the `bodyMemory` option: room for 64 bodies of memcached's default item limit. */
export const DEFAULT_BODY_MEMORY_BYTES = 64 * 1024 * 1024;
