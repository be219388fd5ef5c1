import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyBaseLogger } from 'fastify';
import type { RunningCache, Step } from '../actions/chain.js';
import type { Exchange } from '../actions/exchange.js';
import { BufferBudget } from '../cache/buffer-budget.js';
import type { Settings } from '../config/schema.js';
import type { Address } from '../store/memcached/address.js';
import type { Store } from '../store/store.js';
import type { SharedStores } from './shared-stores.js';

/** How long bodies that are on their way to the store may still take when their configuration is let go. */
const FLUSH_MS = 1000;

/** A configuration at work: its chain, what that runs on, and the exchanges that are not done with it yet. */
export class ActiveConfig {
  readonly settings: Settings;
  readonly caches = new Set<RunningCache>();
  readonly #step: Step;
  readonly #bodies: BufferBudget;
  readonly #releases: (() => Promise<void>)[] = [];
  #exchanges = 0;
  #whenUnused: (() => void) | undefined;

  constructor(settings: Settings, stores: SharedStores, log: FastifyBaseLogger) {
    this.settings = settings;
    this.#bodies = new BufferBudget(settings.bodyMemoryBytes);
    const store = (server?: Address): Store => {
      const options = server === undefined ? settings : { memcached: { servers: [{ address: server }] } };
      const { store, release } = stores.take(options);
      this.#releases.push(release);
      return store;
    };
    const secrets = settings.memcached?.secrets ?? [];
    const { caches } = this;
    this.#step = settings.actions({ store, bodies: this.#bodies, cacheName: settings.name, secrets, caches, log });
  }

  /** Runs the chain. */
  run(exchange: Exchange): void | Promise<void> {
    return this.#step(exchange);
  }

  /** To be called when an exchange begins; what it returns, when its response has been sent or has broken off. */
  enter(): void {
    this.#exchanges++;
  }

  leave(): void {
    this.#exchanges--;
    if (this.#exchanges === 0) this.#whenUnused?.();
  }

  /** Lets go of the stores as soon as the last exchange is done and what it stores has been sent. */
  async retire(): Promise<void> {
    if (this.#exchanges > 0) {
      await new Promise<void>((resolve) => {
        this.#whenUnused = resolve;
      });
    }
    await Promise.race([this.#bodies.idle(), delay(FLUSH_MS, undefined, { ref: false })]);
    for (const cache of this.caches) cache.close();
    await Promise.all(this.#releases.map((release) => release()));
  }
}
