import { type EmbeddedOptions, EmbeddedStore } from './embedded.js';
import type { Address } from './memcached/address.js';
import { type Failover, MemcachedPool } from './memcached/pool.js';
import type { RingKind } from './memcached/ring.js';
import { DEFAULT_TIMEOUT_MS, Server, type ServerOptions } from './memcached/server.js';
import type { Store } from './store.js';

export interface StoreOptions {
  /** The memcached servers. Default: none, the store is the embedded one. */
  readonly memcached?: MemcachedOptions | undefined;
  /** What the embedded store may take; not looked at when there is a memcached. */
  readonly embedded?: EmbeddedOptions | undefined;
}

/** How the servers are spoken to, one and all, and how keys are spread over them. */
export interface MemcachedOptions extends Partial<ServerOptions> {
  /** At least one, none twice. */
  readonly servers: readonly { readonly address: Address; readonly weight?: number }[];
  /** Default `ketama`. */
  readonly ring?: RingKind;
  /** Default `miss`. */
  readonly failover?: Failover;
}

/** The store that `options` describe. No connection is made before the first operation. */
export function openStore(options: StoreOptions = {}): Store {
  const { memcached, embedded } = options;
  return memcached === undefined ? new EmbeddedStore(embedded) : openMemcached(memcached);
}

function openMemcached(options: MemcachedOptions): Store {
  const { servers, ring, failover, timeoutMs = DEFAULT_TIMEOUT_MS, ...rest } = options;
  const opened = servers.map((server) => ({ ...server, store: new Server(server.address, { ...rest, timeoutMs }) }));
  const [only] = opened;
  if (only !== undefined && opened.length === 1) return only.store;
  return new MemcachedPool(opened, { ring, failover, timeoutMs });
}
