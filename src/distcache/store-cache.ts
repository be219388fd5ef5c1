import type { Item, Store, Value } from '../store/store.js';
import type { SessionCache } from './cache.js';
import { MAX_DATA_BYTES } from './payload.js';
import type { Seal } from './seal.js';

export interface StoreCacheOptions {
  /** In front of the hexadecimal id. 1 to 122 visible ASCII characters. Default {@link DEFAULT_PREFIX}. */
  readonly prefix?: string;
  /** Default: sessions lie in the store in clear. All servers of a store must agree. */
  readonly seal?: Seal;
  /** Wall clock in ms since 1970, which the servers of a store share. Default `Date.now`. */
  readonly now?: () => number;
}

export const DEFAULT_PREFIX = 'distcache:';

/**
 * Sessions in a store that several servers share: what one adds, the others find. An item is the session's expiry (8
 * bytes, ms since 1970) and its data. The store's time to live, which is in whole seconds and a little longer, removes
 * it; the expiry decides to the millisecond. What the store throws out when it is full, it chooses itself.
 *
 * What the store does not answer rejects within its deadline, and is a negative answer of the server.
 */
export class StoreCache implements SessionCache {
  readonly #store: Store;
  readonly #prefix: string;
  readonly #seal: Seal | undefined;
  readonly #now: () => number;
  #lastCount = 0;
  #hasChanged = true;

  /** The cache closes `store`. */
  constructor(store: Store, options: StoreCacheOptions = {}) {
    this.#store = store;
    this.#prefix = options.prefix ?? DEFAULT_PREFIX;
    this.#seal = options.seal;
    this.#now = options.now ?? Date.now;
  }

  async add(id: Buffer, data: Buffer, timeoutMs: number): Promise<boolean> {
    this.#hasChanged = true;
    const key = this.#keyOf(id);
    // to a store a time of 0 is for ever; here the session is gone at once, and only the id has to be free
    if (timeoutMs === 0) return (await this.#find(key)) === undefined;
    const value = this.#valueOf(key, data, timeoutMs);
    const ttlSeconds = ttlOf(timeoutMs);
    for (let attempt = 1; attempt <= ADD_ATTEMPTS; attempt++) {
      if ((await this.#store.set(key, value, { mode: 'add', ttlSeconds })) === 'stored') return true;
      const item = await this.#store.get(key);
      if (item === null) continue;
      if (this.#sessionIn(key, item) !== undefined) return false;
      const result = await this.#store.set(key, value, { cas: item.cas, ttlSeconds });
      if (result !== 'not-found') return result === 'stored';
    }
    return false;
  }

  async get(id: Buffer): Promise<Buffer | undefined> {
    return (await this.#find(this.#keyOf(id)))?.data;
  }

  async remove(id: Buffer): Promise<boolean> {
    this.#hasChanged = true;
    const key = this.#keyOf(id);
    const session = await this.#find(key);
    // an item that has changed since was removed by somebody else first
    return session !== undefined && this.#store.delete(key, { cas: session.cas });
  }

  async have(id: Buffer): Promise<boolean> {
    return (await this.#find(this.#keyOf(id))) !== undefined;
  }

  /**
   * Everything that the store's servers hold, whoever put it there; looked up only after a change through this cache, so
   * that an idle server has nothing to report.
   */
  async count(): Promise<number> {
    if (!this.#hasChanged) return this.#lastCount;
    this.#hasChanged = false;
    const counts = [];
    for (const { report } of await this.#store.stats()) {
      if (!(report instanceof Error)) counts.push(Number(report.get('curr_items') ?? 0));
    }
    if (counts.length > 0) this.#lastCount = counts.reduce((sum, count) => sum + count, 0);
    return this.#lastCount;
  }

  async close(): Promise<void> {
    await this.#store.close();
  }

  async #find(key: string): Promise<Session | undefined> {
    const item = await this.#store.get(key);
    return item === null ? undefined : this.#sessionIn(key, item);
  }

  #valueOf(key: string, data: Buffer, timeoutMs: number): Value {
    const expiry = Buffer.allocUnsafe(EXPIRY_BYTES);
    expiry.writeBigUInt64BE(BigInt(Math.floor(this.#now()) + timeoutMs));
    return this.#seal?.seal(key, [expiry, data]) ?? [expiry, data];
  }

  /** The live session in an item. The store is a shared service: anything may lie there, and that is no session. */
  #sessionIn(key: string, { value, ttlSeconds, cas }: Item): Session | undefined {
    const opened = this.#seal === undefined ? value : this.#seal.open(key, value);
    if (opened === undefined || opened.length <= EXPIRY_BYTES) return undefined;
    const data = opened.subarray(EXPIRY_BYTES);
    const leftMs = Number(opened.readBigUInt64BE()) - this.#now();
    return data.length <= MAX_DATA_BYTES && isLive(leftMs, ttlSeconds) ? { data, cas } : undefined;
  }

  #keyOf(id: Buffer): string {
    return this.#prefix + id.toString('hex');
  }
}

interface Session {
  readonly data: Buffer;
  readonly cas: string;
}

const EXPIRY_BYTES = 8;

/** An item can vanish between `add` and `get` once; one that does it again and again is left to the next request. */
const ADD_ATTEMPTS = 2;

/** So that the store never removes a session before its time, though it counts in seconds. */
const TTL_MARGIN_SECONDS = 1;

function ttlOf(timeoutMs: number): number {
  return Math.ceil(timeoutMs / 1000) + TTL_MARGIN_SECONDS;
}

/** What the rounding of {@link ttlOf} and the store's own seconds explain, in ms; more is a clock that is wrong. */
const CLOCK_TOLERANCE_MS = 4000;

/**
 * Whether a session is live by its expiry, `leftMs` from now. When that and the store's own time to live (`undefined`:
 * the store can not tell) contradict each other, the writer's clock and this one differ, and the store decides.
 */
function isLive(leftMs: number, ttlSeconds: number | undefined): boolean {
  if (ttlSeconds === undefined) return leftMs >= 0;
  const disagreementMs = Math.abs((ttlSeconds - TTL_MARGIN_SECONDS) * 1000 - leftMs);
  return disagreementMs <= CLOCK_TOLERANCE_MS ? leftMs >= 0 : ttlSeconds > TTL_MARGIN_SECONDS;
}
