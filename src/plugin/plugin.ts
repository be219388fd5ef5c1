import type { FastifyInstance } from 'fastify';
import fp from 'fastify-plugin';
import { Cache } from './cache.js';
import type { RouteCacheOptions } from './cache-options.js';
import { PluginContext } from './context.js';
import { AlreadyRegisteredError } from './errors.js';
import { Memcached } from './memcached.js';
import { type PluginOptions, pluginSettings } from './options.js';
import { Refreshes } from './refreshes.js';
import type { ReplyExchange } from './reply-exchange.js';
import { equipRoute, type RouteMemcachedOptions, warnOfEarlyRoute } from './route.js';
import { cacheTags } from './tags.js';

/**
 * Lookaside in a Fastify app: the route option `config.cache` with `reply.cacheTags` and `app.cache`, which is the HTTP
 * cache; and the route option `config.memcached` with `app.memcached`, which do what they are told.
 *
 * It works on the routes that are added when it has been loaded, in the context it is registered in and those within:
 * `await app.register(lookaside, …)`, or add the routes in plugins of their own, as with every plugin that looks at routes.
 *
 * @example
 * await app.register(lookaside, { servers: ['127.0.0.1:11211'] });
 * app.get('/news', { config: { cache: { ttl: '1m' } } }, async () => renderNews());
 */
export const lookaside = fp<PluginOptions>(register, { name: 'lookaside', fastify: '5.x' });

async function register(app: FastifyInstance, options: PluginOptions): Promise<void> {
  if (app.hasDecorator('memcached')) throw new AlreadyRegisteredError();
  const settings = pluginSettings(options);
  const { name } = settings;
  const context = new PluginContext(settings, app.log.child({ cache: name }));
  const cache = new Cache(context);
  app.decorate('memcached', new Memcached(context, name));
  app.decorate('cache', cache);
  app.decorateRequest('memcached', null);
  app.decorateReply('cacheTags', cacheTags);
  const route = { context, cache, refreshes: new Refreshes(app), cacheName: name };
  app.addHook('onRoute', (options) => equipRoute(options, route));
  app.addHook('onSend', (request, _reply, _payload, done) => {
    if (request.memcached !== null) request.memcached.announce(name);
    else warnOfEarlyRoute(request);
    done();
  });
  app.addHook('onClose', () => context.close());
}

declare module 'fastify' {
  interface FastifyInstance {
    /** The store and the caching actions. */
    readonly memcached: Memcached;
    /** What the routes with `config.cache` have stored. */
    readonly cache: Cache;
  }

  interface FastifyRequest {
    /** What became of the request in the cache; `null` until a lookup or a store has seen it. */
    memcached: ReplyExchange | null;
  }

  interface FastifyReply {
    /**
     * Tags the response, to be purged by them (`app.cache.purge`), on routes with `config.cache`. A tag has no spaces, and
     * at most 1024 bytes. Throws an `InvalidTagError`.
     */
    cacheTags(...tags: readonly string[]): this;
  }

  interface FastifyContextConfig {
    /** Puts the HTTP cache around the route's handler. */
    cache?: RouteCacheOptions;
    /** Answers the route from the store, and stores its responses, as it says. */
    memcached?: RouteMemcachedOptions;
  }
}
