import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyBaseLogger } from 'fastify';
import type { ChainContext } from '../actions/chain.js';
import { BufferBudget } from '../cache/buffer-budget.js';
import { memcachedSchema } from '../config/memcached.js';
import type { StateChange } from '../store/memcached/server.js';
import { openStore } from '../store/open.js';
import type { Store } from '../store/store.js';
import type { PluginSettings } from './options.js';

/** How long bodies on their way to the store may still take when the app closes. */
const FLUSH_MS = 1000;

/** What the lookups and stores of one registration run on. */
export class PluginContext implements ChainContext {
  readonly log: FastifyBaseLogger;
  readonly bodies: BufferBudget;
  readonly #store: Store;
  /** The stores that are ours to close. */
  readonly #opened: Store[] = [];
  /** The stores of `server` options, by address. */
  readonly #servers = new Map<string, Store>();

  constructor(settings: PluginSettings, log: FastifyBaseLogger) {
    this.log = log;
    this.bodies = new BufferBudget(settings.bodyMemoryBytes);
    this.#store = settings.store ?? this.#open(settings);
  }

  store(server?: string): Store {
    if (server === undefined) return this.#store;
    const known = this.#servers.get(server);
    if (known !== undefined) return known;
    const store = this.#open({ memcached: memcachedSchema.parse({ servers: [server] }) });
    this.#servers.set(server, store);
    return store;
  }

  /** Lets what is on its way to the stores arrive, and closes those that were opened here. */
  async close(): Promise<void> {
    await Promise.race([this.bodies.idle(), delay(FLUSH_MS, undefined, { ref: false })]);
    await Promise.all(this.#opened.map((store) => store.close()));
  }

  #open(settings: Partial<Pick<PluginSettings, 'memcached' | 'embedded'>>): Store {
    const { memcached, embedded } = settings;
    const onStateChange = (change: StateChange) => this.#report(change);
    const store = openStore({ memcached: memcached && { ...memcached, onStateChange }, embedded });
    this.#opened.push(store);
    return store;
  }

  #report({ server, state, cause }: StateChange): void {
    if (state === 'open') this.log.warn({ server, code: cause?.code }, 'memcached fails and is left alone for a while');
    else this.log.info({ server }, 'memcached is back');
  }
}
