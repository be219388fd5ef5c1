/** A purge that can be tried again. */
export interface RepeatablePurge {
  /** `pending`: a server still does not answer. */
  run(): Promise<'purged' | 'absent' | 'pending'>;
}

export interface PendingPurgesOptions {
  readonly maxPending?: number | undefined;
  readonly maxPendingMs?: number | undefined;
}

const DEFAULT_MAX_PENDING = 1024;
const DEFAULT_MAX_PENDING_MS = 24 * 60 * 60 * 1000;

/**
 * Between two attempts. A server that is away costs an attempt nothing; one that is back must not serve for long what
 * is gone.
 */
const FIRST_RETRY_MS = 100;
const MAX_RETRY_MS = 1000;

/**
 * Purges that did not reach a server, tried again until they do. Their number is bounded, and so is the time, after
 * which entries are hardly of any use. The timer keeps no process alive.
 */
export class PendingPurges {
  readonly #everything: () => RepeatablePurge;
  readonly #maxPending: number;
  readonly #maxPendingMs: number;
  readonly #purges = new Map<string, { readonly purge: RepeatablePurge; readonly untilMs: number }>();
  #timer: NodeJS.Timeout | undefined;
  #retryMs = FIRST_RETRY_MS;
  #isClosed = false;

  /** `everything` makes the purge that takes the place of too many. */
  constructor(everything: () => RepeatablePurge, options: PendingPurgesOptions = {}) {
    this.#everything = everything;
    this.#maxPending = options.maxPending ?? DEFAULT_MAX_PENDING;
    this.#maxPendingMs = options.maxPendingMs ?? DEFAULT_MAX_PENDING_MS;
  }

  get size(): number {
    return this.#purges.size;
  }

  /** Purges of one name are one. */
  add(name: string, purge: RepeatablePurge): void {
    if (this.#isClosed) return;
    if (this.#purges.size >= this.#maxPending && !this.#purges.has(name)) {
      this.#purges.clear();
      this.#purges.set('everything', { purge: this.#everything(), untilMs: performance.now() + this.#maxPendingMs });
    } else {
      this.#purges.set(name, { purge, untilMs: performance.now() + this.#maxPendingMs });
    }
    this.#retryMs = FIRST_RETRY_MS;
    this.#schedule();
  }

  close(): void {
    this.#isClosed = true;
    this.#purges.clear();
    clearTimeout(this.#timer);
  }

  #schedule(): void {
    if (this.#timer !== undefined || this.#purges.size === 0 || this.#isClosed) return;
    this.#timer = setTimeout(() => void this.#retry(), this.#retryMs).unref();
    this.#retryMs = Math.min(2 * this.#retryMs, MAX_RETRY_MS);
  }

  async #retry(): Promise<void> {
    for (const [name, pending] of [...this.#purges]) {
      const { purge, untilMs } = pending;
      const isOver = performance.now() > untilMs || (await purge.run()) !== 'pending';
      // Another one of this name may have been added meanwhile.
      if (isOver && this.#purges.get(name) === pending) this.#purges.delete(name);
    }
    this.#timer = undefined;
    this.#schedule();
  }
}
