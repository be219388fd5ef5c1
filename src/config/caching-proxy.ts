import type { Config } from './schema.js';

/** One entry for every target, under every name that clients call this server by: scheme, host, port, path and query. */
export const CACHING_PROXY_KEY = '%{req.scheme}://%{req.authority}%{req.raw_path}';
export const CACHING_PROXY_TTL = '30s';

export interface CachingProxyOptions {
  /** Addresses of the memcached servers. Default: none, the embedded store. */
  readonly servers?: string[] | undefined;
  /** Pattern of the keys. Default {@link CACHING_PROXY_KEY}. */
  readonly key?: string | undefined;
  /** How long responses are used, at most. Default {@link CACHING_PROXY_TTL}. */
  readonly ttl?: string | undefined;
}

/** The configuration that `lookaside serve --upstream` stands for: all that `upstream` answers, cached whole. */
export function cachingProxy(upstream: string, options: CachingProxyOptions = {}): Config {
  const { servers, key = CACHING_PROXY_KEY, ttl = CACHING_PROXY_TTL } = options;
  const store = { key, headers: true, ttl, maxsize: '1MiB' };
  return {
    memcached: servers && { servers },
    actions: {
      'memcached.lookup': { key, headers: true, miss: [{ proxy: upstream }, { 'memcached.store': store }] },
    },
  };
}
