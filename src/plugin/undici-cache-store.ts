import { BufferBudget } from '../cache/buffer-budget.js';
import { openStore } from '../store/open.js';
import type { Store } from '../store/store.js';
import { UndiciCacheStore } from '../undici/cache-store.js';
import { isStore, type PluginOptions, pluginSettings } from './options.js';

/**
 * A store for `interceptors.cache` of undici 7, so that all processes on one memcached share what their HTTP clients
 * have fetched.
 *
 * @param options a store, which is not closed, or options of the plugin: `servers`, `embedded`, `secret`, `bodyMemory` …
 * @throws InvalidOptionsError
 *
 * @example
 * const store = undiciCacheStore({ servers: ['10.0.0.1:11211'] });
 * setGlobalDispatcher(new Agent().compose(interceptors.cache({ store })));
 */
export function undiciCacheStore(options: Store | PluginOptions = {}): UndiciCacheStore {
  const settings = pluginSettings(isStore(options) ? { store: options } : options);
  return new UndiciCacheStore(settings.store ?? openStore(settings), {
    budget: new BufferBudget(settings.bodyMemoryBytes),
    secrets: settings.memcached?.secrets,
    closesStore: settings.store === undefined,
  });
}
