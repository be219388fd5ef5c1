import type { RunningCache } from '../actions/chain.js';
import { keyOptions } from '../actions/key-options.js';
import type { Pattern } from '../actions/pattern.js';
import { cachingProxy } from '../config/caching-proxy.js';
import { keyUsesOf } from '../config/key-uses.js';
import { configValue, loadConfig, settingsOf } from '../config/load.js';
import { type Address, formatAddress, parseAddress } from '../store/memcached/address.js';
import type { Store } from '../store/store.js';
import { configuredCaches } from './configured-caches.js';
import { UsageError } from './exit.js';
import { type MemcachedOptions, namedMemcached, openConfigured, openServer } from './memcached.js';

/** Where a configuration keeps responses: what there is to purge from. */
export interface PurgePlaces {
  readonly caches: readonly RunningCache[];
  /** Where `memcached.lookup` and `memcached.store` keep theirs, and under what keys. */
  readonly patterns: readonly { readonly store: Store; readonly pattern: Pattern }[];
  /** Every store of them, once. */
  readonly stores: readonly Store[];
  readonly secrets: readonly string[];
  close(): Promise<void>;
}

/** Those of the configuration that the options name; without one, those of `lookaside serve --upstream`. */
export async function purgePlaces(
  options: MemcachedOptions & { readonly key?: Pattern | undefined },
): Promise<PurgePlaces> {
  const { config, key } = options;
  if (config !== undefined && key !== undefined) throw new UsageError('--key and --config exclude each other');
  const settings =
    config === undefined
      ? settingsOf(cachingProxy('http://127.0.0.1', { key: key?.source }), 'command line')
      : await loadConfig(config);
  const uses = config === undefined ? [] : keyUsesOf(await configValue(config));
  const memcached = await namedMemcached(options);
  const opened = new Map<string | undefined, Store>();
  const open = (server?: Address): Store => {
    const name = server && formatAddress(server);
    const store = opened.get(name) ?? (server === undefined ? openConfigured(memcached, options) : openServer(server));
    opened.set(name, store);
    return store;
  };
  const patterns = uses.map(({ pattern, server }) => ({
    store: open(server === undefined ? undefined : parseAddress(server)),
    pattern: keyOptions.key.parse(pattern),
  }));
  const caches = configuredCaches(settings, open);
  if (opened.size === 0) open();
  const stores = [...opened.values()];
  return {
    caches,
    patterns,
    stores,
    secrets: memcached?.secrets ?? [],
    async close() {
      for (const cache of caches) cache.close();
      await Promise.all(stores.map((store) => store.close()));
    },
  };
}
