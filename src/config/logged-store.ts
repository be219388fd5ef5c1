import type { FastifyBaseLogger } from 'fastify';
import type { StateChange } from '../store/memcached/server.js';
import { openStore, type StoreOptions } from '../store/open.js';
import type { Store } from '../store/store.js';

/**
 * The store that `options` describe, with a line in the log for each time one of its servers fails or comes back. It
 * connects at once, so that the first request does not have to wait for that.
 */
export function openLoggedStore({ memcached, embedded }: StoreOptions, log: FastifyBaseLogger): Store {
  if (memcached === undefined) return openStore({ embedded });
  const onStateChange = ({ server, state, cause }: StateChange) => {
    if (state === 'closed') log.info({ server, breaker: state }, 'memcached is back');
    else log.warn({ server, breaker: state, reason: cause?.message }, 'memcached fails: it is left alone for a while');
  };
  const store = openStore({ memcached: { ...memcached, onStateChange } });
  void store.stats();
  return store;
}
