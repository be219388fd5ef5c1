import type { z } from 'zod';
import type { ChainContext } from '../actions/chain.js';
import { lookupOptions } from '../actions/lookup.js';
import { storeOptions } from '../actions/store.js';
import { storeKey } from '../cache/key.js';
import { utf8ToBytes } from '../http/byte-string.js';
import type { Item, SetOptions, SetResult, Store } from '../store/store.js';
import { checked } from './check.js';
import { type LookupBranch, type LookupHandler, lookupAnswer, lookupHandler } from './lookup-handler.js';
import { type StoreHook, storeHook } from './store-hook.js';

/** Options of `app.memcached.lookup`: the words and the defaults of the action `memcached.lookup`. */
export type LookupSettings = z.input<typeof lookupOptions>;

/** Options of `app.memcached.store`: the words and the defaults of the action `memcached.store`. */
export type StoreSettings = z.input<typeof storeOptions>;

/** Items that scripts set live for five minutes, as in lighttpd2, unless they say otherwise. */
const DEFAULT_TTL_SECONDS = 300;

/**
 * `app.memcached`: the store, for handlers that use it themselves, and the two caching actions.
 *
 * `get`, `set`, `add`, `delete` and `purge` reject with a `StoreError` when the store does not answer within its deadline
 * (see `Store` for what each code means); what to do without the store is the caller's decision. `setq`, and the handlers
 * and hooks that {@link lookup} and {@link store} make, never fail because of the store.
 *
 * Keys are taken as they are, 1 to 250 characters of 0x21–0x7e; others reject with `bad-key`. Only `purge` applies the
 * rule that turns any key of a response into one that memcached takes.
 */
export class Memcached {
  readonly #context: ChainContext;
  readonly #store: Store;
  readonly #cacheName: string;

  constructor(context: ChainContext, cacheName: string) {
    this.#context = context;
    this.#store = context.store();
    this.#cacheName = cacheName;
  }

  /** The item under `key`, its bytes in `value`, or `null`. */
  get(key: string): Promise<Item | null> {
    return this.#store.get(key);
  }

  /** Keeps `value` under `key`; text as UTF-8. `ttlSeconds` is {@link DEFAULT_TTL_SECONDS} unless given, 0 = no expiry. */
  set(key: string, value: string | Uint8Array, options?: SetOptions): Promise<SetResult> {
    const bytes = typeof value === 'string' ? Buffer.from(value) : value;
    return this.#store.set(key, bytes, { ...options, ttlSeconds: options?.ttlSeconds ?? DEFAULT_TTL_SECONDS });
  }

  /** A `set` whose outcome nobody wants to know: it throws nothing and resolves nothing; a failure is logged at `debug`. */
  setq(key: string, value: string | Uint8Array, options?: SetOptions): void {
    this.set(key, value, options).catch((error: unknown) => {
      this.#context.log.debug({ err: error }, 'item not set');
    });
  }

  /** Keeps `value` under `key` when nothing is there; whether it did. */
  async add(key: string, value: string | Uint8Array, options?: Omit<SetOptions, 'mode' | 'cas'>): Promise<boolean> {
    return (await this.set(key, value, { ...options, mode: 'add' })) === 'stored';
  }

  /** Removes the item under `key`; `false` when there was none. */
  delete(key: string): Promise<boolean> {
    return this.#store.delete(key);
  }

  /**
   * Removes stored responses by what their key patterns gave, of any length and with any characters; resolves to how many
   * there were. Every key is tried; the first failure rejects, as the response may then still be there.
   */
  async purge(...keys: readonly string[]): Promise<number> {
    const outcomes = await Promise.allSettled(keys.map((key) => this.#store.delete(storeKey(utf8ToBytes(key)))));
    let removed = 0;
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') throw outcome.reason;
      if (outcome.value) removed++;
    }
    return removed;
  }

  /**
   * lighttpd2's `memcached.lookup`, as a route handler or as a hook. On a hit the stored response is sent, after `hit` had
   * its way with the reply. On a miss `miss` runs, then what comes next: the handler, or 404 when this is the handler.
   *
   * As a hook it answers before all hooks behind it: put it behind those that decide who may have the response.
   */
  lookup(options: LookupSettings = {}, hit?: LookupBranch, miss?: LookupBranch): LookupHandler {
    const settings = checked(lookupOptions, options, 'app.memcached.lookup');
    return lookupHandler(lookupAnswer(settings, this.#context, hit, miss));
  }

  /** lighttpd2's `memcached.store`, as an `onSend` hook: see {@link storeHook} for what its place among them means. */
  store(options: StoreSettings = {}): StoreHook {
    return storeHook(checked(storeOptions, options, 'app.memcached.store'), this.#context, this.#cacheName);
  }
}
