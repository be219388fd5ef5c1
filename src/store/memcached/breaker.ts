import type { BreakerState, StoreError } from '../store.js';

export interface BreakerOptions {
  /** Failures in a row that open the breaker. Default 3: one lost connection and one refused are not an outage yet. */
  readonly failures: number;
  /** Milliseconds the breaker stays open the first time. Default 50: about what a restart of memcached takes. */
  readonly initialBackoffMs: number;
  /**
   * Milliseconds the growing back-off ends at. Default 400: a probe may take the connect deadline, and the sum must stay
   * below the second in which hits come back; some three connects a second are nothing to a server that returns.
   */
  readonly maxBackoffMs: number;
  /** Where the jitter comes from: a number from 0 to below 1. Default `Math.random`. */
  readonly random: () => number;
}

export const BREAKER_DEFAULTS: BreakerOptions = {
  failures: 3,
  initialBackoffMs: 50,
  maxBackoffMs: 400,
  random: Math.random,
};

/** What the breaker has its server do. */
export interface BreakerEvents {
  /** From now on operations are refused; those under way have failed as well. `cause` is the last failure. */
  opened(cause: StoreError): void;
  /** Try the server once, and call {@link Breaker.recovered} or {@link Breaker.failed}. */
  probe(): void;
}

/**
 * The circuit breaker of one server.
 *
 * ```
 * closed ──failures in a row──▶ open ──back-off──▶ half-open ──recovered──▶ closed
 *                                ▲                    │
 *                                └───────failed───────┘
 * ```
 *
 * While it is half-open one probe is under way, and no operation is risked. Each back-off is twice the one before, less
 * up to half of it by chance, so that the processes of a fleet do not come back all at once. It starts small again only
 * after an operation has succeeded: a server that answers probes and nothing else is asked ever less.
 */
export class Breaker {
  #state: BreakerState = 'closed';
  #failures = 0;
  #backoffMs: number;
  #timer: NodeJS.Timeout | undefined;
  readonly #options: BreakerOptions;
  readonly #events: BreakerEvents;

  constructor(options: BreakerOptions, events: BreakerEvents) {
    this.#options = options;
    this.#events = events;
    this.#backoffMs = options.initialBackoffMs;
  }

  get state(): BreakerState {
    return this.#state;
  }

  /** An operation was answered in time. */
  succeeded(): void {
    if (this.#state !== 'closed') return;
    this.#failures = 0;
    this.#backoffMs = this.#options.initialBackoffMs;
  }

  /** The server failed: as a whole, not by refusing one operation. While half-open this is the probe's outcome. */
  failed(cause: StoreError): void {
    if (this.#state === 'open') return;
    const isProbe = this.#state === 'half-open';
    if (!isProbe && ++this.#failures < this.#options.failures) return;
    this.#state = 'open';
    this.#failures = 0;
    const { random, maxBackoffMs } = this.#options;
    const wait = this.#backoffMs * (1 - random() / 2);
    this.#backoffMs = Math.min(this.#backoffMs * 2, maxBackoffMs);
    this.#timer = setTimeout(() => this.#halfOpen(), wait).unref();
    if (!isProbe) this.#events.opened(cause);
  }

  /** The probe was answered. */
  recovered(): void {
    if (this.#state === 'half-open') this.#state = 'closed';
  }

  /** Ends all probing. */
  stop(): void {
    clearTimeout(this.#timer);
  }

  #halfOpen(): void {
    this.#state = 'half-open';
    this.#events.probe();
  }
}
