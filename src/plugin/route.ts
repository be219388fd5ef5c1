import type { FastifyRequest, RouteOptions } from 'fastify';
import type { z } from 'zod';
import type { ChainContext } from '../actions/chain.js';
import { type StoreOptions, storeOptions } from '../actions/store.js';
import type { Cache } from './cache.js';
import { routeCacheSettings } from './cache-options.js';
import { CachedRoute } from './cached-route.js';
import { checked } from './check.js';
import { InvalidOptionsError } from './errors.js';
import { type Answer, answerOf, lookupAnswer } from './lookup-handler.js';
import type { Refreshes } from './refreshes.js';
import { type StoreHook, storeHook } from './store-hook.js';

/**
 * The route option `config.memcached`: the options of `memcached.store`, those of the lookup among them. Other than there
 * `headers` is `true` unless given, and the key is {@link ROUTE_KEY}.
 */
export type RouteMemcachedOptions = z.input<typeof storeOptions>;

/** The whole URL with its query. A key that leaves something out must be asked for. */
const ROUTE_KEY = '%{req.scheme}://%{req.authority}%{req.raw_path}';

type RouteHandler = RouteOptions['handler'];

/** What routes are given by their `config`. */
export interface RouteContext {
  readonly context: ChainContext;
  readonly cache: Cache;
  readonly refreshes: Refreshes;
  readonly cacheName: string;
}

/**
 * Puts what the route's `config` asks for in the place of its handler, so that every hook in front of the handler has run,
 * whichever plugin brought it and when: who may not have the response does not get it from the store either. Responses
 * are taken first among the route's own `onSend` hooks; those of the instance (`addHook`) run before.
 */
export function equipRoute(route: RouteOptions, { context, cache, refreshes, cacheName }: RouteContext): void {
  const alone = answerOf(route.handler);
  if (alone !== undefined) route.handler = orNotFound(alone);
  const { memcached, cache: cached = false } = route.config ?? {};
  const name = `${[route.method].flat()} ${route.url}`;
  if (memcached !== undefined && cached !== false) {
    throw new InvalidOptionsError(`config of ${name}`, 'give either memcached or cache');
  }
  if (memcached !== undefined) {
    const options = routeOptions(memcached, `config.memcached of ${name}`);
    effective.add(memcached);
    route.handler = behindLookup(lookupAnswer(options, context), route.handler);
    takeResponses(route, storeHook(options, context, cacheName));
  } else if (cached !== false) {
    const options = cached === true ? {} : cached;
    const settings = routeCacheSettings(options, `config.cache of ${name}`);
    route.config = { ...route.config, cache: options };
    effective.add(options);
    const cachedRoute = new CachedRoute(settings, { cache: cache.ofRoute(settings), refreshes, cacheName });
    route.handler = cachedRoute.handler(route.handler);
    takeResponses(route, cachedRoute.onSend);
  }
}

function takeResponses(route: RouteOptions, hook: StoreHook): void {
  route.onSend = [hook, route.onSend ?? []].flat();
}

/** The option objects that had their effect. */
const effective = new WeakSet<object>();

/** Warns, once, of a route that was added before the plugin had been loaded: its option can not have any effect. */
export function warnOfEarlyRoute({ routeOptions: { config, method, url }, log }: FastifyRequest): void {
  if (config === undefined || warned.has(config)) return;
  for (const name of ['memcached', 'cache'] as const) {
    const options = config[name] ?? false;
    if (options === false || (options !== true && effective.has(options))) continue;
    warned.add(config);
    log.warn({ method, url }, `config.${name} has no effect on a route added before "await app.register(lookaside)"`);
  }
}

/** The configs of routes that were warned of. */
const warned = new WeakSet<object>();

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
