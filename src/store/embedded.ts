import { LRUCache } from 'lru-cache';
import { checkedCas, checkedTtl, countOf, writeOf } from './memcached/requests.js';
import {
  type BreakerState,
  DEFAULT_MAX_ITEM_BYTES,
  type DeleteOptions,
  firstName,
  type IncrementOptions,
  type Item,
  isStoreKey,
  MAX_KEY_BYTES,
  type ServerStats,
  type SetMode,
  type SetOptions,
  type SetResult,
  type Store,
  StoreError,
  type Value,
  valueBytes,
} from './store.js';

export interface EmbeddedOptions {
  /** What all items may take together, keys and {@link ENTRY_OVERHEAD_BYTES} included. Default {@link DEFAULT_MAX_BYTES}. */
  readonly maxBytes?: number;
  /** Largest value. Default {@link DEFAULT_MAX_ITEM_BYTES}, and never more than fits into `maxBytes`. */
  readonly maxItemBytes?: number;
  /** A clock in milliseconds that never goes back. Default `performance.now`. */
  readonly now?: () => number;
}

/** memcached's own default. */
export const DEFAULT_MAX_BYTES = 64 * 1024 * 1024;

/** What an item takes besides key and value: measured 450 to 560 bytes on Node 20 (map, list, objects, allocation). */
export const ENTRY_OVERHEAD_BYTES = 512;

/**
 * A store in the memory of this process, for one server without a memcached: nothing is shared, nothing outlives the
 * process. It answers as memcached does, at once, and drops the least recently used items when it is full.
 */
export class EmbeddedStore implements Store {
  readonly maxItemBytes: number;
  readonly #entries: LRUCache<string, Entry>;
  readonly #now: () => number;
  readonly #counters = { get_hits: 0, get_misses: 0, cmd_set: 0, evictions: 0 };
  #lastCas = 0;
  #closed = false;

  constructor(options: EmbeddedOptions = {}) {
    const {
      maxBytes = DEFAULT_MAX_BYTES,
      maxItemBytes = DEFAULT_MAX_ITEM_BYTES,
      now = () => performance.now(),
    } = options;
    this.maxItemBytes = Math.min(maxItemBytes, maxBytes - MAX_KEY_BYTES - ENTRY_OVERHEAD_BYTES);
    this.#now = now;
    this.#entries = new LRUCache({
      maxSize: maxBytes,
      sizeCalculation: (entry, key) => key.length + entry.value.length + ENTRY_OVERHEAD_BYTES,
      dispose: (_entry, _key, reason) => {
        if (reason === 'evict') this.#counters.evictions++;
      },
    });
  }

  async get(key: string): Promise<Item | null> {
    this.#check(key);
    return this.#read(key) ?? null;
  }

  async getMany(keys: readonly string[]): Promise<Map<string, Item>> {
    for (const key of keys) this.#check(key);
    const items = new Map<string, Item>();
    for (const key of new Set(keys)) {
      const item = this.#read(key);
      if (item !== undefined) items.set(key, item);
    }
    return items;
  }

  async set(key: string, value: Value, options: SetOptions = {}): Promise<SetResult> {
    const { mode, flags, ttlSeconds, cas, valueBytes } = writeOf(value, options);
    this.#check(key);
    this.#checkSize(valueBytes);
    const pieces = value instanceof Uint8Array ? [value] : value;
    const old = this.#live(key);
    const refusal = refusalOf(old, mode, cas);
    if (refusal !== undefined) return refusal;
    this.#counters.cmd_set++;
    if (old !== undefined && mode === 'append') this.#write(key, [old.value, ...pieces], old);
    else if (old !== undefined && mode === 'prepend') this.#write(key, [...pieces, old.value], old);
    else this.#write(key, pieces, { flags, expiresAt: this.#expiry(ttlSeconds) });
    return 'stored';
  }

  async delete(key: string, options: DeleteOptions = {}): Promise<boolean> {
    const cas = checkedCas(options.cas);
    this.#check(key);
    const old = this.#live(key);
    if (old === undefined || (cas !== undefined && cas !== old.cas)) return false;
    return this.#entries.delete(key);
  }

  async touch(key: string, ttlSeconds: number): Promise<boolean> {
    const expiresAt = this.#expiry(checkedTtl(ttlSeconds));
    this.#check(key);
    const old = this.#live(key);
    if (old === undefined) return false;
    old.expiresAt = expiresAt;
    return true;
  }

  async increment(key: string, delta: bigint, options: IncrementOptions = {}): Promise<bigint | null> {
    const { initial, ttlSeconds } = countOf(delta, options);
    this.#check(key);
    const old = this.#live(key);
    const counter = old === undefined ? initial : changed(counterOf(old.value), delta);
    if (counter === undefined) return null;
    const kept = old ?? { flags: 0, expiresAt: this.#expiry(ttlSeconds) };
    this.#write(key, [Buffer.from(String(counter))], kept);
    return counter;
  }

  near(_key: string, names: readonly string[]): string {
    return firstName(names);
  }

  serverOf(): string {
    return 'embedded';
  }

  async stats(): Promise<ServerStats[]> {
    const breaker: BreakerState = 'closed';
    if (this.#closed) return [{ server: 'embedded', breaker, report: closedError() }];
    const report = {
      ...this.#counters,
      curr_items: this.#entries.size,
      bytes: this.#entries.calculatedSize,
      limit_maxbytes: this.#entries.maxSize,
    };
    const lines = Object.entries(report).map(([name, value]) => [name, String(value)] as const);
    return [{ server: 'embedded', breaker, report: new Map(lines) }];
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#entries.clear();
  }

  #check(key: string): void {
    if (this.#closed) throw closedError();
    if (!isStoreKey(key)) throw new StoreError('bad-key', `Invalid key: '${key}'`);
  }

  #checkSize(bytes: number): void {
    if (bytes <= this.maxItemBytes) return;
    throw new StoreError('too-large', `a value of ${bytes} bytes is above the item limit of ${this.maxItemBytes}`);
  }

  #read(key: string): Item | undefined {
    const entry = this.#live(key);
    if (entry === undefined) {
      this.#counters.get_misses++;
      return undefined;
    }
    this.#counters.get_hits++;
    const { value, flags, cas, expiresAt } = entry;
    const isForever = expiresAt === Number.POSITIVE_INFINITY;
    return { value, flags, cas, ttlSeconds: isForever ? undefined : Math.ceil((expiresAt - this.#now()) / 1000) };
  }

  #live(key: string): Entry | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined || entry.expiresAt > this.#now()) return entry;
    this.#entries.delete(key);
    return undefined;
  }

  #write(key: string, pieces: readonly Uint8Array[], kept: Pick<Entry, 'flags' | 'expiresAt'>): void {
    const value = joined(pieces);
    this.#checkSize(value.length);
    this.#entries.set(key, { value, flags: kept.flags, expiresAt: kept.expiresAt, cas: String(++this.#lastCas) });
  }

  #expiry(ttlSeconds: number): number {
    return ttlSeconds === 0 ? Number.POSITIVE_INFINITY : this.#now() + ttlSeconds * 1000;
  }
}

interface Entry {
  readonly value: Buffer;
  readonly flags: number;
  readonly cas: string;
  /** On the store's clock; infinite when the item never expires. */
  expiresAt: number;
}

/** What keeps a `set` from writing, or `undefined`. */
function refusalOf(old: Entry | undefined, mode: SetMode, cas: string | undefined): SetResult | undefined {
  if (cas !== undefined) {
    if (old === undefined) return 'not-found';
    return old.cas === cas ? undefined : 'exists';
  }
  if (mode === 'set') return undefined;
  const wantsItem = mode !== 'add';
  return wantsItem === (old !== undefined) ? undefined : 'not-stored';
}

/** A copy of its own, and not out of Buffer's shared slab: a small item must not keep 8 KiB of others' bytes alive. */
function joined(pieces: readonly Uint8Array[]): Buffer {
  const value = Buffer.allocUnsafeSlow(valueBytes(pieces));
  let at = 0;
  for (const piece of pieces) {
    value.set(piece, at);
    at += piece.length;
  }
  return value;
}

const MAX_COUNTER = 2n ** 64n - 1n;

/** memcached's INCR_MAX_STORAGE_LEN: a longer item is not looked at as a number. */
const MAX_COUNTER_BYTES = 24;

/** The number in `value`: digits, and the spaces memcached leaves behind when a counter gets shorter. */
function counterOf(value: Buffer): bigint {
  const digits = value.length > MAX_COUNTER_BYTES ? undefined : /^(\d{1,20}) *$/.exec(value.toString('latin1'))?.[1];
  const counter = digits === undefined ? undefined : BigInt(digits);
  if (counter !== undefined && counter <= MAX_COUNTER) return counter;
  throw new StoreError('server-error', 'cannot increment or decrement non-numeric value');
}

function changed(counter: bigint, delta: bigint): bigint {
  if (delta >= 0n) return BigInt.asUintN(64, counter + delta);
  return counter + delta > 0n ? counter + delta : 0n;
}

function closedError(): StoreError {
  return new StoreError('closed', 'the store was closed');
}
