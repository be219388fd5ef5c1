/** An amount of time that is used up while the clock runs, and calls back regularly while it does. */
export class Countdown {
  #leftMs: number;
  #since = 0;
  #timer: NodeJS.Timeout | undefined;
  readonly #tick: () => void;

  constructor(leftMs: number, tick: () => void) {
    this.#leftMs = leftMs;
    this.#tick = tick;
  }

  /** Milliseconds that are left; not above 0 when the time is used up. */
  get leftMs(): number {
    return this.#timer === undefined ? this.#leftMs : this.#leftMs - (performance.now() - this.#since);
  }

  start(): void {
    if (this.#timer !== undefined) return;
    this.#since = performance.now();
    this.#timer = setInterval(this.#tick, TICK_MS);
  }

  stop(): void {
    if (this.#timer === undefined) return;
    this.#leftMs = this.leftMs;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

const TICK_MS = 20;
