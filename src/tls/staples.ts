import type { SetResult } from '../store/store.js';
import { MAX_RESPONSE_BYTES } from './ocsp.js';
import { type Fleet, fleetKey } from './options.js';
import { BACK_OFF_SECONDS } from './staple-times.js';

/**
 * Of all staples of a fleet: the number that is in the names of its items. It is made of the time at which the counter was
 * created, how often the staples were cleared since, and how often all of them were to be refreshed: so a counter that
 * memcached lost comes back with a number no item has.
 */
export type Generation = bigint;

/** The lowest bits of a generation count refreshes, the next ones clears, and the rest are a time in ms. */
const REFRESH = 1n;
const CLEAR = 1n << 10n;
const CREATION = 1n << 20n;

/** A staple as it lies in the store: anybody may have put it there. */
export interface SharedStaple {
  readonly response: Buffer;
  /** Whether it was fetched after the last order to refresh. */
  readonly isRefreshed: boolean;
}

/** What one process of the fleet does, or did lately, about a certificate, and how long the others leave it to that. */
export interface Lock {
  /** Anything but `fetching` is what became of the fetch: `fetched`, or why it failed. */
  readonly state: string;
  readonly seconds: number;
}

/** The state, and when the lock ends, in Unix seconds: not every memcached tells what it knows about that. */
const LOCK = /^([a-z-]{1,32}) (\d{10})$/;

/** By how much the clocks of a fleet may differ, in seconds. */
const SKEW_SECONDS = 300;

/**
 * The staples of a fleet in its store. A staple's item is the OCSP response as it came: it is public, and it proves itself
 * to whoever reads it, as everybody does; `openssl ocsp -respin` reads it as well. Only what is there may be told from the
 * store, never that something is true.
 *
 * Every method rejects with a `StoreError` when the store gives no answer.
 */
export class Staples {
  readonly #fleet: Pick<Fleet, 'name' | 'store'>;

  constructor(fleet: Pick<Fleet, 'name' | 'store'>) {
    this.#fleet = fleet;
  }

  async generation(): Promise<Generation> {
    return this.#count(0n);
  }

  /** Makes every staple in the store unreachable, and every process of the fleet get new ones. */
  async clear(): Promise<Generation> {
    return this.#count(CLEAR);
  }

  /** Makes every process of the fleet look for newer staples, which one of them fetches. */
  async refresh(): Promise<Generation> {
    return this.#count(REFRESH);
  }

  async read(fingerprint: string, generation: Generation): Promise<SharedStaple | undefined> {
    const item = await this.#fleet.store.get(this.#stapleKey(fingerprint, generation));
    if (item === null || item.value.length > MAX_RESPONSE_BYTES) return undefined;
    // a copy, as it is kept for days
    return { response: Buffer.from(item.value), isRefreshed: item.flags === refreshesIn(generation) };
  }

  /** Keeps a response that was verified. */
  async write(fingerprint: string, generation: Generation, response: Buffer, ttlSeconds: number): Promise<void> {
    const flags = refreshesIn(generation);
    await this.#fleet.store.set(this.#stapleKey(fingerprint, generation), response, { ttlSeconds, flags });
  }

  /**
   * Takes the right to fetch, for so many seconds in case that this process dies; `false` when another process has it, or
   * has used it within the back-off.
   */
  async lock(fingerprint: string, generation: Generation, seconds: number): Promise<boolean> {
    return (await this.#setLock(fingerprint, generation, 'fetching', seconds, 'add')) === 'stored';
  }

  /** Says what became of the fetch, and makes the fleet leave the responder alone for a while. */
  async leave(fingerprint: string, generation: Generation, outcome: string): Promise<void> {
    await this.#setLock(fingerprint, generation, outcome, BACK_OFF_SECONDS, 'set');
  }

  async lockOn(fingerprint: string, generation: Generation): Promise<Lock | undefined> {
    const item = await this.#fleet.store.get(this.#lockKey(fingerprint, generation));
    return item === null ? undefined : lockIn(item.value.toString('latin1'), unixSeconds());
  }

  async #count(delta: bigint): Promise<Generation> {
    const initial = BigInt(Date.now()) * CREATION + delta;
    return (await this.#fleet.store.increment(this.#key('generation'), delta, { initial })) ?? initial;
  }

  #setLock(
    fingerprint: string,
    generation: Generation,
    state: string,
    ttlSeconds: number,
    mode: 'add' | 'set',
  ): Promise<SetResult> {
    const value = Buffer.from(`${state} ${unixSeconds() + ttlSeconds}`);
    return this.#fleet.store.set(this.#lockKey(fingerprint, generation), value, { mode, ttlSeconds });
  }

  #stapleKey(fingerprint: string, generation: Generation): string {
    return this.#key(`${generation / CLEAR}:${fingerprint}`);
  }

  /** Another one after an order to refresh: that is not held up by a back-off. */
  #lockKey(fingerprint: string, generation: Generation): string {
    return this.#key(`${generation}:${fingerprint}:lock`);
  }

  #key(item: string): string {
    return fleetKey(this.#fleet.name, `staples:${item}`);
  }
}

function refreshesIn(generation: Generation): number {
  return Number(generation % CLEAR);
}

/** A lock of ours ends after the back-off; one that would hold the fleet up for longer was planted. */
function lockIn(text: string, nowSeconds: number): Lock | undefined {
  const [, state = '', end] = LOCK.exec(text) ?? [];
  const seconds = Number(end) - nowSeconds;
  return seconds > 0 && seconds <= BACK_OFF_SECONDS + SKEW_SECONDS ? { state, seconds } : undefined;
}

function unixSeconds(): number {
  return Math.floor(Date.now() / 1000);
}
