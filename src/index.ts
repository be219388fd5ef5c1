/** The public face of the package. */
export { defineConfig } from './config/define.js';
export type { Config } from './config/schema.js';
export type { PluginOptions } from './plugin/options.js';
export { lookaside, lookaside as default } from './plugin/plugin.js';
export type { RouteCacheOptions } from './plugin/route.js';
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
