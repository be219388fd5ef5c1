import Fastify from 'fastify';
import type { ActionDefinition } from '../../src/actions/action.js';
import { chainSchema } from '../../src/actions/actions.js';
import type { Step } from '../../src/actions/chain.js';
import { BufferBudget } from '../../src/cache/buffer-budget.js';
import { EmbeddedStore } from '../../src/store/embedded.js';

/** The step that `action` makes of `options`. Throws the issues when those are wrong. */
export function stepOf(action: ActionDefinition, options?: unknown): Step {
  const bound = action.bind(options, chainSchema);
  if (!bound.success) throw bound.error;
  const store = new EmbeddedStore();
  return bound.data({
    store: () => store,
    bodies: new BufferBudget(),
    cacheName: 'lookaside',
    secrets: [],
    caches: new Set(),
    log: Fastify().log,
  });
}
