import { defineAction } from './action.js';
import { cacheOptions } from './cache-options.js';
import { ExchangeCache } from './exchange-cache.js';

export const cacheAction = defineAction({
  name: 'memcached.cache',
  help: 'the shared cache of RFC 9111 around a chain: answers from the store, or fetches once for all who ask',
  schema: cacheOptions,
  compile: ({ chain, ...options }, context) => {
    const cache = new ExchangeCache(options, context);
    context.caches.add(cache);
    const inner = chain(context);
    return (exchange) => (exchange.response === undefined ? cache.handle(exchange, inner) : undefined);
  },
});
