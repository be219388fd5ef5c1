/** The public face of the package. */
export { defineConfig } from './config/define.js';
export type { Config } from './config/schema.js';
export type { SessionCache } from './distcache/cache.js';
export { type ClientOptions as DistcacheClientOptions, DistcacheClient } from './distcache/client.js';
export { MemoryCache } from './distcache/memory-cache.js';
export { Plug, type PlugOptions } from './distcache/plug.js';
export { DistcacheServer, type ServerOptions as DistcacheServerOptions } from './distcache/server.js';
export { StoreCache } from './distcache/store-cache.js';
export type { PurgeRequest } from './plugin/cache.js';
export type { RouteCacheOptions } from './plugin/cache-options.js';
export type { PluginOptions } from './plugin/options.js';
export { lookaside, lookaside as default } from './plugin/plugin.js';
export type { RouteMemcachedOptions } from './plugin/route.js';
export { undiciCacheStore } from './plugin/undici-cache-store.js';
export { type ServeOptions, serve } from './proxy/serve.js';
export type { ProxyServer } from './proxy/server.js';
export { connect } from './store/memcached/connect.js';
export { openStore } from './store/open.js';
export {
  type Item,
  type SetOptions,
  type SetResult,
  type Store,
  StoreError,
  type StoreErrorCode,
  storeFailure,
  type Value,
} from './store/store.js';
export type { UndiciCacheStore } from './undici/cache-store.js';
