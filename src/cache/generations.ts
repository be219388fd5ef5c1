import { randomBytes } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { type Item, nearest, type Store } from '../store/store.js';
import { type Failure, failureOf } from './failure.js';
import { counterKeys, type GenerationRecord, type Labels, UNKNOWN } from './generation-record.js';
import { EPOCH_KEYS } from './key.js';

/**
 * Purges by tag, by prefix and of everything, without touching an entry: counters in the store, which each entry that
 * they concern has recorded.
 *
 * A counter is a decimal number of 64 bits, the upper 44 of them random in the beginning, the others 0. An entry is
 * good as long as it recorded the value that the counter has. `incr … 1` makes it stale (soft purge), `incr … 1048576`
 * and `delete` make it unusable (hard purge). A counter that is not there is created by whoever needs it, with a value
 * that no entry has recorded: when the store drops one, entries are lost, and never brought back.
 *
 * So that a hit does not have to read them, every purge also raises the *epochs*, before the counter and after it. An
 * entry that recorded the epoch that holds is good: nothing was purged since. What else is known of the counters holds
 * as long as the epoch does:
 *
 * - A counter that was read after an epoch was seen is not behind any purge that this epoch has counted.
 * - What an entry records must not be newer than its fetch, or it would outlive a purge that came in between. A value
 *   read before the fetch began is safe, however old. A later one is when the epoch was still the same afterwards (no
 *   purge had begun, as each raises the epochs first), or when it is the same as one from before.
 */
export class Generations {
  readonly #store: Store;
  readonly #counters: LRUCache<string, Reading>;
  /** By epoch key: the epoch seen last, and since when it is that. */
  readonly #epochs = new Map<string, { readonly value: string; readonly sinceMs: number }>();

  constructor(store: Store, options: { readonly maxCounters?: number } = {}) {
    this.#store = store;
    this.#counters = new LRUCache({ max: options.maxCounters ?? DEFAULT_MAX_COUNTERS });
  }

  /** The epoch that concerns what lies under `storeKey`: it is on the same server, where the store can tell. */
  epochKey(storeKey: string): string {
    return nearest(this.#store, storeKey, EPOCH_KEYS);
  }

  /** The epoch that a lookup found as `item`, created when there is none. Rejects with a StoreError. */
  async epoch(epochKey: string, item: Item | null | undefined): Promise<string> {
    const value = counterIn(item) ?? (await this.#create(epochKey, item));
    if (this.#epochs.get(epochKey)?.value !== value) this.#epochs.set(epochKey, { value, sinceMs: performance.now() });
    return value;
  }

  /** Whether an entry may still be used that recorded this, in the epoch that its lookup found. */
  async check(record: GenerationRecord, moment: Moment): Promise<Validity | Failure> {
    const keys = counterKeys(record.labels);
    const current = await this.#current(keys, moment);
    if (typeof current === 'string') return current;
    let validity: Validity = 'valid';
    for (const [i, key] of keys.entries()) {
      const [recorded = UNKNOWN, value = UNKNOWN] = [record.counters[i], current.get(key)];
      if (recorded === UNKNOWN || value === UNKNOWN) return 'purged';
      if (recorded === value) continue;
      if (BigInt(recorded) >> SOFT_BITS !== BigInt(value) >> SOFT_BITS) return 'purged';
      validity = 'soft-purged';
    }
    return validity;
  }

  /** Reads what a fetch that is about to begin will need. Whatever fails can be made up for by {@link record}. */
  async warm(labels: Labels, moment: Moment): Promise<void> {
    await this.#current(counterKeys(labels), moment);
  }

  /**
   * What an entry is to record whose fetch began at `begunMs` (`performance.now`), after its lookup had found `moment`.
   * `purged`: it may be out of date by now. A counter whose server fails is recorded as {@link UNKNOWN}.
   */
  async record(labels: Labels, moment: Moment, begunMs: number): Promise<GenerationRecord | 'purged' | Failure> {
    const keys = counterKeys(labels);
    const before = new Map<string, string>();
    const open = new Set<string>();
    for (const key of keys) {
      const reading = this.#counters.get(key);
      if (reading !== undefined && reading.answeredMs <= begunMs) before.set(key, reading.value);
      if (!before.has(key) || !this.#isCurrent(reading, moment)) open.add(key);
    }
    if (open.size === 0) return { labels, counters: keys.map((key) => before.get(key) ?? UNKNOWN) };
    const after = await this.#read([...open]);
    const epoch = await this.#store.get(moment.epochKey).catch(failureOf);
    if (typeof epoch === 'string') return epoch;
    const isSameEpoch = counterIn(epoch) === moment.epoch;
    const counters: string[] = [];
    for (const key of keys) {
      const value = open.has(key) ? after.values.get(key) : before.get(key);
      if (!isSameEpoch && (value === undefined || value !== before.get(key))) return 'purged';
      counters.push(value ?? UNKNOWN);
    }
    return { labels, counters };
  }

  /** The counters, out of memory where they are known for this epoch. Those that could not be read are left out. */
  async #current(keys: readonly string[], moment: Moment): Promise<ReadonlyMap<string, string> | Failure> {
    const values = new Map<string, string>();
    const missing: string[] = [];
    for (const key of keys) {
      const reading = this.#counters.get(key);
      if (reading !== undefined && this.#isCurrent(reading, moment)) values.set(key, reading.value);
      else missing.push(key);
    }
    if (missing.length === 0) return values;
    const read = await this.#read(missing);
    if (read.failure !== undefined) return read.failure;
    for (const [key, value] of read.values) values.set(key, value);
    return values;
  }

  #isCurrent(reading: Reading | undefined, { epochKey, epoch }: Moment): boolean {
    const seen = this.#epochs.get(epochKey);
    return reading !== undefined && seen?.value === epoch && reading.askedMs >= seen.sinceMs;
  }

  /** Reads counters, and creates those that are not there. `failure`: why some of them are unknown. */
  async #read(keys: readonly string[]): Promise<{ values: ReadonlyMap<string, string>; failure: Failure | undefined }> {
    const askedMs = performance.now();
    const values = new Map<string, string>();
    let failure: Failure | undefined;
    const found = await this.#store.getMany(keys).catch(failureOf);
    if (typeof found === 'string') return { values, failure: found };
    await Promise.all(
      keys.map(async (key) => {
        const item = found.get(key);
        try {
          const value = counterIn(item) ?? (await this.#create(key, item));
          values.set(key, value);
          this.#counters.set(key, { value, askedMs, answeredMs: performance.now() });
        } catch (error) {
          failure = failureOf(error);
        }
      }),
    );
    return { values, failure };
  }

  /** Several may do so at once: all get the value of the first. What is no number is removed, which is a hard purge. */
  async #create(key: string, item: Item | null | undefined): Promise<string> {
    const initial = (randomBytes(8).readBigUInt64BE() >> SOFT_BITS) << SOFT_BITS;
    if (item !== undefined && item !== null) await this.#store.delete(key);
    return String(await this.#store.increment(key, 0n, { initial }));
  }
}

/** An epoch that holds, as a lookup found it. */
export interface Moment {
  readonly epochKey: string;
  readonly epoch: string;
}

export type Validity = 'valid' | 'soft-purged' | 'purged';

interface Reading {
  readonly value: string;
  readonly askedMs: number;
  readonly answeredMs: number;
}

/** Some 8 MB: the tags of as many pages as a process has to do with between two purges. */
const DEFAULT_MAX_COUNTERS = 16_384;

/** A soft purge changes the lower 20 bits of a counter, a hard one what is above them. */
const SOFT_BITS = 20n;

/** What a hard purge adds to a counter. */
export const HARD_PURGE = 1n << SOFT_BITS;

/** What a soft purge adds. */
export const SOFT_PURGE = 1n;

/** A counter as memcached keeps it: with spaces behind it when it has become shorter. */
function counterIn(item: Item | null | undefined): string | undefined {
  if (item === undefined || item === null || item.value.length > MAX_COUNTER_BYTES) return undefined;
  return /^([0-9]{1,20}) *$/.exec(item.value.toString('latin1'))?.[1];
}

const MAX_COUNTER_BYTES = 24;
