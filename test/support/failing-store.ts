import {
  type DeleteOptions,
  type IncrementOptions,
  type Item,
  nearest,
  type ServerStats,
  type SetOptions,
  type SetResult,
  type Store,
  StoreError,
  type StoreErrorCode,
  type Value,
} from '../../src/store/store.js';

/** An operation of a store, as it is about to begin. */
export interface Operation {
  readonly name: 'get' | 'getMany' | 'set' | 'delete' | 'touch' | 'increment';
  readonly keys: readonly string[];
  /** Counted from 1. */
  readonly count: number;
}

/**
 * A store whose operations can be made to fail, before they reach the store behind it, and between which something can be
 * done. It counts and names them all.
 */
export class FailingStore implements Store {
  readonly maxItemBytes: number;
  readonly operations: Operation[] = [];
  /** The failure of an operation; `undefined` lets it through. */
  fails: (operation: Operation) => StoreErrorCode | undefined = () => undefined;
  /** Runs before an operation that is let through. */
  before: (operation: Operation) => Promise<unknown> | undefined = () => undefined;
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
    this.maxItemBytes = store.maxItemBytes;
  }

  async get(key: string): Promise<Item | null> {
    await this.#admit('get', [key]);
    return this.#store.get(key);
  }

  async getMany(keys: readonly string[]): Promise<Map<string, Item>> {
    await this.#admit('getMany', keys);
    return this.#store.getMany(keys);
  }

  async set(key: string, value: Value, options?: SetOptions): Promise<SetResult> {
    await this.#admit('set', [key]);
    return this.#store.set(key, value, options);
  }

  async delete(key: string, options?: DeleteOptions): Promise<boolean> {
    await this.#admit('delete', [key]);
    return this.#store.delete(key, options);
  }

  async touch(key: string, ttlSeconds: number): Promise<boolean> {
    await this.#admit('touch', [key]);
    return this.#store.touch(key, ttlSeconds);
  }

  async increment(key: string, delta: bigint, options?: IncrementOptions): Promise<bigint | null> {
    await this.#admit('increment', [key]);
    return this.#store.increment(key, delta, options);
  }

  near(key: string, names: readonly string[]): string {
    return nearest(this.#store, key, names);
  }

  stats(): Promise<ServerStats[]> {
    return this.#store.stats();
  }

  async close(): Promise<void> {}

  async #admit(name: Operation['name'], keys: readonly string[]): Promise<void> {
    const operation = { name, keys, count: this.operations.length + 1 };
    this.operations.push(operation);
    const code = this.fails(operation);
    if (code !== undefined) throw new StoreError(code, 'as the test wants it');
    await this.before(operation);
  }
}
