import type { FastifyBaseLogger } from 'fastify';
import type { BufferBudget } from '../cache/buffer-budget.js';
import type { Address } from '../store/memcached/address.js';
import type { Store } from '../store/store.js';
import type { Exchange } from './exchange.js';

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
  readonly log: FastifyBaseLogger;
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
