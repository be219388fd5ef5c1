import type { Store } from '../store/store.js';
import { decodeCachedEntry, encodeCachedEntry, recordOf } from './cached-entry.js';
import { failureOf } from './failure.js';
import { prefixesOf, prefixKey, tagKey, urlKey } from './generation-record.js';
import { HARD_PURGE, SOFT_PURGE } from './generations.js';
import { openItem } from './item.js';
import { ALL_KEY, EPOCH_KEYS, storeKey } from './key.js';
import { Authenticator } from './mac.js';
import { PendingPurges } from './pending-purges.js';
import { decodeIndex, encodeIndex } from './variants.js';

/**
 * What is purged: what is stored under a key, with all variants; what is stored for a URL, under whatever key; what bears
 * a tag; what has a URL that begins so; all.
 */
export type PurgeTarget =
  | { readonly kind: 'key'; readonly key: string }
  | { readonly kind: 'url'; readonly url: string }
  | { readonly kind: 'tag'; readonly tag: string }
  | { readonly kind: 'prefix'; readonly prefix: string }
  | { readonly kind: 'all' };

export interface PurgeOptions {
  /** Mark stale only: it may be revalidated, and used where stale responses may be. Default: remove. */
  readonly soft?: boolean | undefined;
  /** Change nothing, and say what would become of it. `pending`: the store does not answer. */
  readonly dryRun?: boolean | undefined;
}

/**
 * `purged`: from now on, no process of the fleet uses what was stored before. `absent`: there was nothing (of a
 * counter: nothing that anybody recorded lately). `pending`: a server did not answer; it is tried again in the
 * background, and until then, what lies on that server may be used by those who reach it.
 */
export type PurgeResult = 'purged' | 'absent' | 'pending';

/** The result of purges that are one for whoever asked for them. */
export function combinedResult(results: readonly PurgeResult[]): PurgeResult {
  if (results.includes('pending')) return 'pending';
  return results.includes('purged') ? 'purged' : 'absent';
}

export interface PurgerOptions {
  /** As for `Entries`. */
  readonly secrets?: readonly (string | Uint8Array)[] | undefined;
  /** Purges that may be waiting for a server. Default 1024; above, one purge of everything takes their place. */
  readonly maxPending?: number | undefined;
  /** How long a purge is tried again, in ms. Default one day: then, entries are rarely still of use. */
  readonly maxPendingMs?: number | undefined;
}

/** How often an entry is marked again that others keep changing. What was changed that often needs no mark. */
const MAX_ATTEMPTS = 5;

/** Purges what `Entries` has stored, for the whole fleet. Nothing rejects because of the store. */
export class Purger {
  readonly #store: Store;
  readonly #authenticator: Authenticator | undefined;
  readonly #pending: PendingPurges;

  constructor(store: Store, options: PurgerOptions = {}) {
    const { secrets = [] } = options;
    this.#store = store;
    this.#authenticator = secrets.length === 0 ? undefined : new Authenticator(secrets);
    const everything = () => new CounterPurge(store, ALL_KEY, HARD_PURGE);
    this.#pending = new PendingPurges(everything, options);
  }

  /** How many purges wait for a server. */
  get pending(): number {
    return this.#pending.size;
  }

  /** @throws RangeError for a prefix that is not `scheme://authority/` and whole directories. */
  async purge(target: PurgeTarget, options: PurgeOptions = {}): Promise<PurgeResult> {
    if (target.kind !== 'url') return this.#purge(target, options);
    // The URL is the key of what is stored for it, unless there is more to that than the URL.
    const underItself = await this.#purge({ kind: 'key', key: target.url }, options);
    return combinedResult([underItself, await this.#purge(target, options)]);
  }

  async #purge(target: PurgeTarget, { soft = false, dryRun = false }: PurgeOptions): Promise<PurgeResult> {
    const name = storeKeyOf(target);
    if (dryRun) {
      const item = await this.#store.get(name).catch(failureOf);
      return typeof item === 'string' ? 'pending' : item === null ? 'absent' : 'purged';
    }
    const purge =
      target.kind === 'key'
        ? { run: () => (soft ? this.#mark(target.key, name) : this.#remove(name)) }
        : new CounterPurge(this.#store, name, soft ? SOFT_PURGE : HARD_PURGE);
    const result = await purge.run();
    if (result === 'pending') this.#pending.add(`${soft ? 'soft' : 'hard'} ${name}`, purge);
    return result;
  }

  /** Gives up what is pending, and lets go of the timer. The store is not closed. */
  close(): void {
    this.#pending.close();
  }

  async #remove(base: string): Promise<PurgeResult> {
    const isRemoved = await this.#store.delete(base).catch(failureOf);
    return typeof isRemoved === 'string' ? 'pending' : isRemoved ? 'purged' : 'absent';
  }

  /**
   * Writes the mark into what lies there. What has no place for it is removed: entries that others wrote, and the lease
   * of a fetch that may have begun too early.
   */
  async #mark(key: string, base: string): Promise<PurgeResult> {
    try {
      for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
        const item = await this.#store.get(base);
        if (item === null) return 'absent';
        const marked = this.#marked(key, base, item.value);
        if (marked === undefined) return this.#remove(base);
        const result = await this.#store.set(base, marked, {
          cas: item.cas,
          ttlSeconds: item.ttlSeconds,
          flags: item.flags,
        });
        if (result === 'stored') return 'purged';
      }
      return this.#remove(base);
    } catch (error) {
      failureOf(error);
      return 'pending';
    }
  }

  #marked(key: string, base: string, value: Buffer): readonly Uint8Array[] | undefined {
    const opened = openItem(base, value, this.#authenticator);
    const kind = typeof opened === 'string' ? undefined : opened.kind;
    if (typeof opened !== 'string' && kind === 'variants') {
      const index = decodeIndex(value.toString('latin1', opened.restAt));
      if (index?.key !== key) return undefined;
      return encodeIndex(base, { ...index, mark: index.mark + 1 }, this.#authenticator);
    }
    const entry = kind === 'entry' ? decodeCachedEntry(value, { partials: true }) : undefined;
    const record = entry === undefined ? undefined : recordOf(entry);
    if (entry === undefined || record === undefined || entry.metadata.key !== key) return undefined;
    const metadata = { ...entry.metadata, mark: entry.metadata.mark + 1 };
    return encodeCachedEntry(base, entry, metadata, record, [entry.body], this.#authenticator);
  }
}

function storeKeyOf(target: PurgeTarget): string {
  switch (target.kind) {
    case 'key':
      return storeKey(target.key);
    case 'url':
      return urlKey(target.url);
    case 'tag':
      return tagKey(target.tag);
    case 'prefix':
      if (!target.prefix.endsWith('/') || target.prefix.includes('?') || prefixesOf(target.prefix).length === 0)
        throw new RangeError(`a prefix is scheme://authority/ or a directory below it: ${target.prefix}`);
      return prefixKey(target.prefix);
    case 'all':
      return ALL_KEY;
  }
}

/**
 * A purge by a counter: the epochs, the counter, the epochs. The first round is for those who store at this moment:
 * whoever reads the raised counter after a fetch that began before sees that the epoch has moved. The second one is for
 * those who look up: they do not read a counter as long as the epoch is what their entry recorded.
 */
class CounterPurge {
  readonly #store: Store;
  readonly #counter: string;
  readonly #delta: bigint;
  /** The counters whose servers did not answer. */
  #failed: readonly string[] = [];

  constructor(store: Store, counter: string, delta: bigint) {
    this.#store = store;
    this.#counter = counter;
    this.#delta = delta;
  }

  /**
   * When run again, first raises what failed before, and nothing else: others must not lose what they store meanwhile.
   * Once that succeeds, the purge is repeated as a whole, as it was not one before.
   */
  async run(): Promise<PurgeResult> {
    this.#failed = await this.#failing(this.#failed);
    if (this.#failed.length > 0) return 'pending';
    const before = await this.#failing(EPOCH_KEYS);
    const value = await this.#raise(this.#counter);
    const after = await this.#failing(EPOCH_KEYS);
    this.#failed = [...new Set([...before, ...(value === 'failed' ? [this.#counter] : []), ...after])];
    if (this.#failed.length > 0) return 'pending';
    return value === null ? 'absent' : 'purged';
  }

  /** Raises all of `keys`; those whose server did not answer. */
  async #failing(keys: readonly string[]): Promise<string[]> {
    const results = await Promise.all(keys.map((key) => this.#raise(key)));
    return keys.filter((_, i) => results[i] === 'failed');
  }

  /** A counter that is not there needs no raising: whoever creates it gives it a value that nobody has recorded. */
  async #raise(key: string): Promise<bigint | null | 'failed'> {
    const delta = key === this.#counter ? this.#delta : SOFT_PURGE;
    const value = await this.#store.increment(key, delta).catch(failureOf);
    if (typeof value !== 'string') return value;
    if (value !== 'server-error') return 'failed';
    // What is no number was written by somebody else. Without it, the next reader creates the counter.
    const isRemoved = await this.#store.delete(key).catch(failureOf);
    return typeof isRemoved === 'string' ? 'failed' : null;
  }
}
