import type { FastifyBaseLogger } from 'fastify';
import type { BufferBudget } from '../cache/buffer-budget.js';
import type { PurgeOptions, PurgeResult, PurgeTarget } from '../cache/purger.js';
import type { Address } from '../store/memcached/address.js';
import type { Store } from '../store/store.js';
import type { AskedAbout, CacheExplanation } from './cache-explanation.js';
import type { Exchange, ExchangeView } from './exchange.js';

/** One action at work. A step that has nothing to wait for returns nothing, so that a hit costs no extra turn. */
export type Step = (exchange: Exchange) => void | Promise<void>;

/** A chain whose options are checked and which waits for what it runs on. */
export type BoundChain = (context: ChainContext) => Step;

/** What actions run on: made once for every loaded configuration, and let go with it. */
export interface ChainContext {
  /** The store an action works on: the configured one, or one for the action's own `server` option. */
  store(server?: Address): Store;
  /** The memory that bodies on their way to the store may take together. */
  readonly bodies: BufferBudget;
  /** What this cache calls itself in `Cache-Status`, `Via` and `Proxy-Status`. */
  readonly cacheName: string;
  /** What entries are signed with, then what is accepted besides; empty: they are not signed. */
  readonly secrets: readonly string[];
  /** Every cache of the chain puts itself in here, to be purged, and closed with the configuration. */
  readonly caches: Set<RunningCache>;
  readonly log: FastifyBaseLogger;
}

/** A cache at work, for whoever has to do with it from outside the chain. */
export interface RunningCache {
  /**
   * Purges for the whole fleet. A `url` is absolute, as a client would send it, and stands for all that is stored for it,
   * whatever else the keys are made of. Never rejects because of the store, but with a RangeError for a URL or a prefix
   * that is none.
   */
  purge(target: PurgeTarget, options?: PurgeOptions): Promise<PurgeResult>;
  /** Where the response to a GET is kept. */
  key(view: ExchangeView): { readonly key: string; readonly url: string };
  /** What becomes of a request, and why. Nothing is asked of the origin, nor stored. Never rejects because of the store. */
  explain(asked: AskedAbout): Promise<CacheExplanation>;
  close(): void;
}

/** Runs `steps` in order, each when the one before is done. */
export function chain(steps: readonly Step[]): Step {
  const [only] = steps;
  if (only !== undefined && steps.length === 1) return only;
  return (exchange) => run(steps, exchange, 0);
}

function run(steps: readonly Step[], exchange: Exchange, from: number): void | Promise<void> {
  for (let i = from; i < steps.length; i++) {
    const pending = steps[i]?.(exchange);
    if (pending !== undefined) return pending.then(() => run(steps, exchange, i + 1));
  }
}
