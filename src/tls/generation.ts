import type { Item, Store } from '../store/store.js';
import { fleetKey } from './options.js';

/** Room for a million clears in a millisecond between what two new counters begin with. */
const CLEAR_BITS = 20n;

const DECIMAL = /^\d{1,20} *$/;

/**
 * The counter whose bump makes every session of the fleet unreachable at once. A session records the value it was
 * written under and is good for that value only.
 *
 * A counter that was evicted is made anew, with a value from the clock that no session has recorded: eviction can make
 * misses, never bring back what was cleared.
 */
export class Generation {
  readonly key: string;
  readonly #store: Store;
  #value: bigint | undefined;

  constructor(store: Store, fleet: string) {
    this.key = fleetKey(fleet, 'generation');
    this.#store = store;
  }

  /**
   * The value, now that the store was asked for it together with other keys and said `item`. When it has none, the last
   * one known: that the counter's server is away must not end all resumption. `undefined` when none is known.
   */
  observed(item: Item | undefined): bigint | undefined {
    const value = item === undefined ? undefined : counterValue(item);
    if (value !== undefined) this.#value = value;
    return this.#value;
  }

  /** The last value known, or else the store's. Rejects as the store does. */
  async known(): Promise<bigint> {
    return this.#value ?? (await this.refresh());
  }

  /** The store's value; makes the counter if there is none. Rejects as the store does. */
  async refresh(): Promise<bigint> {
    return this.#bump(0n);
  }

  /** Makes all sessions of the fleet unreachable. Rejects as the store does: then they may still be there. */
  async clear(): Promise<void> {
    await this.#bump(1n);
  }

  async #bump(delta: bigint): Promise<bigint> {
    const value = await this.#store.increment(this.key, delta, { initial: BigInt(Date.now()) << CLEAR_BITS });
    if (value === null) throw new Error('a counter with an initial value was not made');
    this.#value = value;
    return value;
  }
}

function counterValue({ value }: Item): bigint | undefined {
  const text = value.toString('latin1');
  return DECIMAL.test(text) ? BigInt(text.trimEnd()) : undefined;
}
