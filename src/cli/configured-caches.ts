import { pino } from 'pino';
import type { RunningCache } from '../actions/chain.js';
import { BufferBudget } from '../cache/buffer-budget.js';
import type { Settings } from '../config/schema.js';
import type { Address } from '../store/memcached/address.js';
import type { Store } from '../store/store.js';

/**
 * Every `memcached.cache` of a configuration, as a server would run it, but to be asked and purged only. They are to be
 * closed, and the stores that `open` gives are the caller's.
 */
export function configuredCaches(settings: Settings, open: (server?: Address) => Store): RunningCache[] {
  const caches = new Set<RunningCache>();
  settings.actions({
    store: open,
    bodies: new BufferBudget(settings.bodyMemoryBytes),
    cacheName: settings.name,
    secrets: settings.memcached?.secrets ?? [],
    caches,
    log: pino({ level: 'silent' }),
  });
  return [...caches];
}
