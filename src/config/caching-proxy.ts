import type { Config } from './schema.js';

/** How long responses are used that do not say it themselves: long enough for a rush, and short enough to see changes. */
export const CACHING_PROXY_TTL = '30s';

export interface CachingProxyOptions {
  /** Addresses of the memcached servers. Default: none, the embedded store. */
  readonly servers?: string[] | undefined;
  /** Pattern of the keys. Default: that of `memcached.cache`, the URL. */
  readonly key?: string | undefined;
  /**
   * How long responses with one of {@link LASTING_STATUSES} are used that do not say it themselves. Default
   * {@link CACHING_PROXY_TTL}; with the profile `rfc`: none, the RFC's heuristics decide.
   */
  readonly ttl?: string | undefined;
  /** Default `safe`. */
  readonly profile?: 'safe' | 'rfc' | undefined;
}

/** What nginx takes for worth keeping when told a time and nothing else (proxy_cache_valid): no errors. */
const LASTING_STATUSES = [200, 301, 302];

/** The configuration that `lookaside serve --upstream` stands for: the shared cache in front of all of `upstream`. */
export function cachingProxy(upstream: string, options: CachingProxyOptions = {}): Config {
  const { servers, key, profile = 'safe' } = options;
  const { ttl = profile === 'safe' ? CACHING_PROXY_TTL : undefined } = options;
  const rules = ttl === undefined ? [] : [{ status: LASTING_STATUSES, defaultTtl: ttl }];
  return {
    memcached: servers && { servers },
    actions: {
      'memcached.cache': { profile, ...(key === undefined ? {} : { key }), rules, chain: { proxy: upstream } },
    },
  };
}
