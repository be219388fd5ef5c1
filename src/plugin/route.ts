import type { FastifyRequest, RouteOptions } from 'fastify';
import type { z } from 'zod';
import type { ChainContext } from '../actions/chain.js';
import { type StoreOptions, storeOptions } from '../actions/store.js';
import { checked } from './check.js';
import { type Answer, answerOf, lookupAnswer } from './lookup-handler.js';
import { storeHook } from './store-hook.js';

/**
 * The route option `config.memcached`: the options of `memcached.store`, those of the lookup among them. Other than there
 * `headers` is `true` unless given, and the key is {@link ROUTE_KEY}.
 */
export type RouteCacheOptions = z.input<typeof storeOptions>;

/** The whole URL with its query. A key that leaves something out must be asked for. */
const ROUTE_KEY = '%{req.scheme}://%{req.authority}%{req.raw_path}';

type RouteHandler = RouteOptions['handler'];

/**
 * Puts a lookup in front of a route's handler, and a store behind it, when its `config` says so.
 *
 * The lookup takes the handler's place, so that every hook in front of the handler has run, whichever plugin brought it
 * and when: who may not have the response does not get it from the store either. The store comes first among the
 * route's own `onSend` hooks; those of the instance (`addHook`) run before it.
 */
export function cacheRoute(route: RouteOptions, context: ChainContext, cacheName: string): void {
  const alone = answerOf(route.handler);
  if (alone !== undefined) route.handler = orNotFound(alone);
  if (route.config?.memcached === undefined) return;
  const options = routeOptions(route.config.memcached, `config.memcached of ${[route.method].flat()} ${route.url}`);
  effective.add(route.config.memcached);
  route.handler = behindLookup(lookupAnswer(options, context), route.handler);
  route.onSend = [storeHook(options, context, cacheName), route.onSend ?? []].flat();
}

/** The option objects that had their effect. */
const effective = new WeakSet<object>();

/** Warns, once, of a route that was added before the plugin had been loaded: its option can not have any effect. */
export function warnOfEarlyRoute({ routeOptions: { config, method, url }, log }: FastifyRequest): void {
  const options = config?.memcached;
  if (!(options instanceof Object) || effective.has(options)) return;
  effective.add(options);
  log.warn({ method, url }, 'config.memcached has no effect on a route added before "await app.register(lookaside)"');
}

function routeOptions(given: unknown, where: string): StoreOptions {
  if (typeof given !== 'object' || given === null) return checked(storeOptions, given, where);
  const { key = ROUTE_KEY, headers = true, ...others }: Partial<Record<string, unknown>> = { ...given };
  return checked(storeOptions, { ...others, key, headers }, where);
}

/** The handler of a route that has nothing but a lookup. */
function orNotFound(answer: Answer): RouteHandler {
  return async (request, reply) => {
    if (!(await answer(request, reply))) reply.callNotFound();
    return reply;
  };
}

function behindLookup(answer: Answer, handler: RouteHandler): RouteHandler {
  return async function (request, reply) {
    // Who wants to leave HTTP, for a WebSocket say, has no use for a response.
    if (request.headers.upgrade === undefined && (await answer(request, reply))) return reply;
    const payload = handler.call(this, request, reply);
    // A handler that returns nothing will send later; to Fastify the end of an async one means that it has.
    return payload === undefined ? reply : payload;
  };
}
