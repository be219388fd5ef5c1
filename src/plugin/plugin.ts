import type { FastifyInstance } from 'fastify';
import fp from 'fastify-plugin';
import { PluginContext } from './context.js';
import { AlreadyRegisteredError } from './errors.js';
import { Memcached } from './memcached.js';
import { type PluginOptions, pluginSettings } from './options.js';
import type { ReplyExchange } from './reply-exchange.js';
import { cacheRoute, type RouteCacheOptions, warnOfEarlyRoute } from './route.js';

/**
 * Lookaside in a Fastify app: `app.memcached`, and the route option `config.memcached`.
 *
 * It works on the routes that are added when it has been loaded, in the context it is registered in and those within:
 * `await app.register(lookaside, …)`, or add the routes in plugins of their own, as with every plugin that looks at routes.
 *
 * @example
 * await app.register(lookaside, { servers: ['127.0.0.1:11211'] });
 * app.get('/news', { config: { memcached: { ttl: '1m' } } }, async () => renderNews());
 */
export const lookaside = fp<PluginOptions>(register, { name: 'lookaside', fastify: '5.x' });

async function register(app: FastifyInstance, options: PluginOptions): Promise<void> {
  if (app.hasDecorator('memcached')) throw new AlreadyRegisteredError();
  const settings = pluginSettings(options);
  const { name } = settings;
  const context = new PluginContext(settings, app.log.child({ cache: name }));
  app.decorate('memcached', new Memcached(context, name));
  app.decorateRequest('memcached', null);
  app.addHook('onRoute', (route) => cacheRoute(route, context, name));
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
  }

  interface FastifyRequest {
    /** What became of the request in the cache; `null` until a lookup or a store has seen it. */
    memcached: ReplyExchange | null;
  }

  interface FastifyContextConfig {
    /** Answers the route from the store, and stores its responses. */
    memcached?: RouteCacheOptions;
  }
}
