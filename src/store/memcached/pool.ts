import {
  type DeleteOptions,
  firstName,
  type IncrementOptions,
  type Item,
  isStoreKey,
  type ServerStats,
  type SetOptions,
  type SetResult,
  type Store,
  StoreError,
  type StoreErrorCode,
  storeFailure,
  type Value,
} from '../store.js';
import { type Address, formatAddress } from './address.js';
import { buildRing, type Ring, type RingKind, ringName } from './ring.js';

/**
 * What becomes of the keys of a server that is away.
 *
 * `miss`: their operations fail until it is back. Every key has one place, whatever happens.
 *
 * `next`: they go to the next server on the ring. The load stays off the origin, and consistency is the price: which
 * server is away is each client's own observation, so that for a while two clients may keep one key in two places; and
 * a server that comes back (after a lost connection, not a restart) still has what it had, deleted and overwritten
 * items included, until they expire. A write that fails over may have taken effect on the first server as well. Choose
 * it for what may be stale for as long as its time to live.
 */
export const FAILOVERS = ['miss', 'next'] as const;
export type Failover = (typeof FAILOVERS)[number];

export interface PoolServer {
  readonly address: Address;
  /** Share of the keys in relation to the other servers: a positive integer, only with the ring `ketama`. Default 1. */
  readonly weight?: number;
  /** The server at that address. The pool closes it. */
  readonly store: Store;
}

export interface PoolOptions {
  /** Default `ketama`. */
  readonly ring?: RingKind;
  /** Default `miss`. */
  readonly failover?: Failover;
  /** Until when an operation that failed on one server may go on to another: the deadline of the servers themselves. */
  readonly timeoutMs: number;
}

/** Several memcached servers as one store, each keeping the keys that the ring gives it. */
export class MemcachedPool implements Store {
  readonly maxItemBytes: number;
  readonly #stores: readonly Store[];
  readonly #names: readonly string[];
  readonly #ring: Ring;
  readonly #failover: Failover;
  readonly #timeoutMs: number;
  /** For lists that `near` was given: the first name that each server keeps. Finding it takes a hash a name. */
  readonly #firstNames = new WeakMap<readonly string[], ReadonlyMap<number, string>>();

  /** Throws when an address comes twice, and when the servers make no ring. */
  constructor(servers: readonly PoolServer[], options: PoolOptions) {
    const { ring = 'ketama', failover = 'miss', timeoutMs } = options;
    this.#names = servers.map(({ address }) => formatAddress(address));
    refuseDuplicates(this.#names);
    const named = servers.map(({ address, weight = 1 }) => ({ name: ringName(address), weight }));
    this.#ring = buildRing(named, ring);
    this.#stores = servers.map(({ store }) => store);
    this.#failover = failover;
    this.#timeoutMs = timeoutMs;
    this.maxItemBytes = Math.min(...this.#stores.map(({ maxItemBytes }) => maxItemBytes));
  }

  get(key: string): Promise<Item | null> {
    return this.#at(key, (store) => store.get(key));
  }

  async getMany(keys: readonly string[]): Promise<Map<string, Item>> {
    for (const key of keys) if (!isStoreKey(key)) throw new StoreError('bad-key', `Invalid key: '${key}'`);
    const deadline = performance.now() + this.#timeoutMs;
    const items = new Map<string, Item>();
    const away = new Map<number, StoreError>();
    let isAnswered = false;
    let wanted = [...new Set(keys)];
    while (wanted.length > 0) {
      const limit = away.size === 0 ? undefined : deadline;
      const groups = [...this.#byServer(wanted, away)];
      const answers = await Promise.all(groups.map(([index, group]) => this.#ask(index, group, limit)));
      wanted = [];
      for (const { index, group, found } of answers) {
        if (found instanceof StoreError) {
          away.set(index, found);
          if (this.#goesOn(found)) wanted = wanted.concat(group);
        } else {
          isAnswered = true;
          for (const [key, item] of found) items.set(key, item);
        }
      }
    }
    const [failure] = away.values();
    if (failure !== undefined && !isAnswered) throw failure;
    return items;
  }

  set(key: string, value: Value, options?: SetOptions): Promise<SetResult> {
    return this.#at(key, (store) => store.set(key, value, options));
  }

  delete(key: string, options?: DeleteOptions): Promise<boolean> {
    return this.#at(key, (store) => store.delete(key, options));
  }

  touch(key: string, ttlSeconds: number): Promise<boolean> {
    return this.#at(key, (store) => store.touch(key, ttlSeconds));
  }

  increment(key: string, delta: bigint, options?: IncrementOptions): Promise<bigint | null> {
    return this.#at(key, (store) => store.increment(key, delta, options));
  }

  /** Where the keys belong, whichever servers are away. */
  near(key: string, names: readonly string[]): string {
    let byServer = this.#firstNames.get(names);
    if (byServer === undefined) {
      byServer = new Map(names.map((name) => [this.#ring.at(name), name] as const).reverse());
      this.#firstNames.set(names, byServer);
    }
    return byServer.get(this.#ring.at(key)) ?? firstName(names);
  }

  serverOf(key: string): string {
    return this.#names[this.#ring.at(key)] ?? '';
  }

  async stats(): Promise<ServerStats[]> {
    return (await Promise.all(this.#stores.map((store) => store.stats()))).flat();
  }

  async close(): Promise<void> {
    await Promise.all(this.#stores.map((store) => store.close()));
  }

  #at<Answer>(key: string, operation: (store: Store) => Promise<Answer>): Promise<Answer> {
    const answer = operation(this.#store(this.#ring.at(key)));
    if (this.#failover === 'miss') return answer;
    const deadline = performance.now() + this.#timeoutMs;
    return answer.catch((error: unknown) => this.#atNext(key, operation, storeFailure(error), deadline));
  }

  async #atNext<Answer>(
    key: string,
    operation: (store: Store) => Promise<Answer>,
    first: StoreError,
    deadline: number,
  ): Promise<Answer> {
    let failure = first;
    const [, ...others] = this.#ring.from(key);
    for (const index of others) {
      if (!this.#goesOn(failure)) break;
      try {
        return await until(deadline, operation(this.#store(index)));
      } catch (error) {
        failure = storeFailure(error);
      }
    }
    throw failure;
  }

  #goesOn(failure: StoreError): boolean {
    return this.#failover === 'next' && AWAY.has(failure.code);
  }

  async #ask(index: number, group: readonly string[], deadline: number | undefined) {
    const answer = this.#store(index).getMany(group);
    const found = await (deadline === undefined ? answer : until(deadline, answer)).catch(storeFailure);
    return { index, group, found };
  }

  /** The keys by the first of their servers that is not away. Keys with none are left out. */
  #byServer(keys: readonly string[], away: ReadonlyMap<number, StoreError>): Map<number, string[]> {
    const groups = new Map<number, string[]>();
    for (const key of keys) {
      const index = away.size === 0 ? this.#ring.at(key) : firstOf(this.#ring.from(key), (server) => !away.has(server));
      if (index === undefined) continue;
      const group = groups.get(index);
      if (group === undefined) groups.set(index, [key]);
      else group.push(key);
    }
    return groups;
  }

  #store(index: number): Store {
    const store = this.#stores[index];
    if (store === undefined) throw new RangeError(`the ring names server ${index}, which the pool does not have`);
    return store;
  }
}

/** Failures of a server that is not there. After a timeout there is no time left, and a busy server is not away. */
const AWAY: ReadonlySet<StoreErrorCode> = new Set<StoreErrorCode>(['connection', 'breaker-open', 'protocol']);

function refuseDuplicates(addresses: readonly string[]): void {
  const duplicate = addresses.find((address, index) => addresses.indexOf(address) !== index);
  if (duplicate !== undefined) throw new Error(`the memcached server ${duplicate} is named twice`);
}

function firstOf<T>(items: Iterable<T>, isWanted: (item: T) => boolean): T | undefined {
  for (const item of items) if (isWanted(item)) return item;
  return undefined;
}

/** `answer`, or `timeout` when it does not come before `deadline` (by `performance.now`). */
async function until<Answer>(deadline: number, answer: Promise<Answer>): Promise<Answer> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const fail = () => reject(new StoreError('timeout', 'no server answered within the deadline'));
    timer = setTimeout(fail, deadline - performance.now());
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}
