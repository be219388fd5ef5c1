import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyBaseLogger } from 'fastify';
import type { ChainContext, RunningCache } from '../actions/chain.js';
import { BufferBudget } from '../cache/buffer-budget.js';
import { openLoggedStore } from '../config/logged-store.js';
import { type Address, formatAddress } from '../store/memcached/address.js';
import type { StoreOptions } from '../store/open.js';
import type { Store } from '../store/store.js';
import type { PluginSettings } from './options.js';

/** How long bodies on their way to the store may still take when the app closes. */
const FLUSH_MS = 1000;

/** What the lookups and stores of one registration run on. */
export class PluginContext implements ChainContext {
  readonly log: FastifyBaseLogger;
  readonly bodies: BufferBudget;
  readonly secrets: readonly string[];
  readonly caches = new Set<RunningCache>();
  readonly cacheName: string;
  readonly #store: Store;
  /** The stores that are ours to close. */
  readonly #opened: Store[] = [];
  /** The stores of `server` options, by address. */
  readonly #servers = new Map<string, Store>();

  constructor(settings: PluginSettings, log: FastifyBaseLogger) {
    this.log = log;
    this.cacheName = settings.name;
    this.bodies = new BufferBudget(settings.bodyMemoryBytes);
    this.secrets = settings.memcached?.secrets ?? [];
    this.#store = settings.store ?? this.#open(settings);
  }

  store(server?: Address): Store {
    if (server === undefined) return this.#store;
    const name = formatAddress(server);
    const store = this.#servers.get(name) ?? this.#open({ memcached: { servers: [{ address: server }] } });
    this.#servers.set(name, store);
    return store;
  }

  /** Lets what is on its way to the stores arrive, and closes those that were opened here. */
  async close(): Promise<void> {
    await Promise.race([this.bodies.idle(), delay(FLUSH_MS, undefined, { ref: false })]);
    for (const cache of this.caches) cache.close();
    await Promise.all(this.#opened.map((store) => store.close()));
  }

  #open(options: StoreOptions): Store {
    const store = openLoggedStore(options, this.log);
    this.#opened.push(store);
    return store;
  }
}
