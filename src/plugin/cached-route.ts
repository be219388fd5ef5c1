import { finished, Readable } from 'node:stream';
import type { DoneFuncWithErrOrRes, FastifyReply, FastifyRequest, RouteOptions } from 'fastify';
import type { Exchange, ExchangeResponse } from '../actions/exchange.js';
import type { ExchangeCache } from '../actions/exchange-cache.js';
import type { RouteCacheSettings } from './cache-options.js';
import { HandlerRun, NoResponseError } from './handler-run.js';
import { bodyOf, responseOf, unwrapped } from './payload.js';
import type { Refresh, Refreshes } from './refreshes.js';
import { ReplyExchange } from './reply-exchange.js';
import { fillHead, replaceHead } from './reply-head.js';
import { restoreContentFields, type StoreHook } from './store-hook.js';
import { addTags } from './tags.js';

type RouteHandler = RouteOptions['handler'];

/** How long a request waits for what the handler answers to another one, before it has its own answer made. */
const PATIENCE_MS = 10_000;

/** What a cached route works with. */
export interface CachedRouteContext {
  readonly cache: ExchangeCache;
  readonly refreshes: Refreshes;
  readonly cacheName: string;
}

/**
 * The HTTP cache around the handler of a route. It takes the handler's place, behind all hooks that may refuse a
 * request, and a place among the `onSend` hooks: there it gets what the handler has answered, and there what it answers
 * itself comes back to life, for the hooks behind to work on as on any response.
 */
export class CachedRoute {
  readonly #settings: RouteCacheSettings;
  readonly #context: CachedRouteContext;
  readonly #visits = new WeakMap<FastifyRequest, Visit>();

  constructor(settings: RouteCacheSettings, context: CachedRouteContext) {
    this.#settings = settings;
    this.#context = context;
  }

  /** What stands in the place of `handler`. */
  handler(handler: RouteHandler): RouteHandler {
    const enter = (request: FastifyRequest, reply: FastifyReply, run: () => unknown) =>
      this.#enter(request, reply, run);
    return async function (request, reply) {
      const payload = await enter(request, reply, () => handler.call(this, request, reply));
      // A handler that returns nothing will send later; to Fastify the end of an async one means that it has.
      return payload === undefined ? reply : payload;
    };
  }

  /** What stands among the `onSend` hooks. */
  readonly onSend: StoreHook = (request, reply, payload, done) => {
    const visit = this.#visits.get(request);
    if (visit === undefined) {
      // A hook in front of the handler has answered.
      done(null, payload);
    } else if (visit.kind === 'refresh') {
      visit.refresh.end(this.#taken(request, reply, unwrapped(reply, payload)));
      done(null, null);
    } else if (visit.replay !== undefined) {
      const { replay } = visit;
      visit.replay = undefined;
      done(null, restored(request, reply, replay, payload));
    } else if (visit.run.isRunning) {
      this.#settle(visit, request, reply, unwrapped(reply, payload), done);
    } else {
      done(null, payload);
    }
  };

  /** Resolves to what a handler would return. */
  async #enter(request: FastifyRequest, reply: FastifyReply, run: () => unknown): Promise<unknown> {
    // Who wants to leave HTTP, for a WebSocket say, has no use for a response.
    if (request.headers.upgrade !== undefined) return run();
    const refresh = this.#context.refreshes.of(request);
    if (refresh !== undefined) {
      this.#visits.set(request, { kind: 'refresh', refresh });
      return run();
    }
    const exchange = ReplyExchange.of(request, reply);
    const visit = new ClientVisit(request, reply);
    this.#visits.set(request, visit);
    await this.#turn(visit, exchange, request.originalUrl);
    if (visit.run.isRunning) {
      const returned = run();
      visit.run.watch(returned);
      return returned;
    }
    const { response } = exchange;
    if (response === undefined) return run();
    visit.replay = response;
    replay(reply, response);
    return undefined;
  }

  /** Resolves when the cache has answered, wants the handler to, or has let the request wait for too long. */
  async #turn(visit: ClientVisit, exchange: ReplyExchange, url: string): Promise<void> {
    const { cache, refreshes } = this.#context;
    const { target } = exchange.request;
    const refresh = (fill: Exchange) =>
      refreshes.fetch(fill, fill.request.target === target ? url : fill.request.target);
    visit.answered = cache.handle(exchange, (inner) => visit.respond(inner, exchange, refresh), refresh);
    const patienceMs = this.#settings.rules.policy.leaseWaitMs + PATIENCE_MS;
    await new Promise<void>((resolve, reject) => {
      const alone = () => {
        visit.leave(exchange);
        resolve();
      };
      const timer = setTimeout(alone, patienceMs);
      const over = () => {
        clearTimeout(timer);
        resolve();
      };
      void visit.run.begun.then(over);
      visit.answered.then(over, (error: unknown) => {
        clearTimeout(timer);
        if (error instanceof NoResponseError) alone();
        else reject(error);
      });
    });
  }

  /** Gives the cache what the handler has answered, and the client what the cache makes of it. */
  #settle(
    { run, answered }: ClientVisit,
    request: FastifyRequest,
    reply: FastifyReply,
    content: unknown,
    done: DoneFuncWithErrOrRes,
  ): void {
    const taken = this.#taken(request, reply, content);
    run.end(taken);
    if (taken === undefined) {
      done(null, content);
      return;
    }
    const send = () => {
      const exchange = ReplyExchange.of(request, reply);
      const { response } = exchange;
      if (response === undefined) return done(null, content);
      replaceHead(reply, response);
      exchange.announce(this.#context.cacheName);
      const isSame = response.body === taken.body && !(taken.body instanceof Readable);
      done(null, isSame ? content : payloadOf(request, reply, response.body));
    };
    answered.catch(ignoreNoResponse).then(send).catch(failed(reply));
  }

  /** What a reply with this payload will be; `undefined` when Fastify will refuse to send it. */
  #taken(request: FastifyRequest, reply: FastifyReply, content: unknown): ExchangeResponse | undefined {
    const body = bodyOf(content);
    if (body === undefined) return undefined;
    // The cache may have no use for it, and undici's bodies complain of being destroyed.
    if (body instanceof Readable) body.on('error', () => {});
    const response = responseOf(reply, ReplyExchange.of(request, reply).responseFields(), body);
    const { vary, tags } = this.#settings;
    const varied = new Set((response.fields.get('vary') ?? '').split(',').map((name) => name.trim().toLowerCase()));
    for (const name of vary) if (!varied.has(name)) response.fields.append('Vary', name);
    addTags(reply, tags, response.fields);
    return response;
  }
}

/** A request that has come to the handler's place. */
type Visit = ClientVisit | { readonly kind: 'refresh'; readonly refresh: Refresh };

/** A client's request between the cache and the handler. */
class ClientVisit {
  readonly kind = 'client';
  readonly run: HandlerRun;
  /** Settled when the cache is done with the exchange. */
  answered: Promise<void> = Promise.resolve();
  /** The answer of the cache, on its way through the hooks, until it comes to its place among them. */
  replay: ExchangeResponse | undefined;
  #hasLeft = false;

  constructor(request: FastifyRequest, reply: FastifyReply) {
    this.run = new HandlerRun(request, reply);
  }

  /** The chain within the cache: the handler, which answers once. What is wanted beyond that is made as a refresh is. */
  async respond(inner: Exchange, own: Exchange, refresh: (fill: Exchange) => Promise<void>): Promise<void> {
    if (!this.run.isIdle && !this.#hasLeft && inner !== own) return refresh(inner);
    const response = await this.run.response(inner.request);
    if (response !== undefined) inner.respond(response);
    else if (inner !== own) throw new NoResponseError();
  }

  /** The request has its own response made, and the cache's, should there still be one, is not wanted. */
  leave(exchange: ReplyExchange): void {
    this.#hasLeft = true;
    this.run.end(undefined);
    exchange.outcome = { verdict: 'miss', reason: 'hit-for-miss' };
    const discard = () => {
      const body = exchange.response?.body;
      if (body instanceof Readable) body.destroy();
    };
    this.answered.then(discard, () => {});
  }
}

/**
 * The reply can not be sent as it is: a handler has written to the connection itself, say. Nobody is left to be told, so
 * it is broken off.
 */
function failed(reply: FastifyReply): (error: unknown) => void {
  return (err) => {
    reply.log.error({ err }, 'response not sent');
    if (!reply.raw.writableEnded) reply.raw.destroy();
  };
}

function ignoreNoResponse(error: unknown): void {
  if (!(error instanceof NoResponseError)) throw error;
}

/** Sends the answer of the cache. The hooks get to see its head, and its body when that is in memory. */
function replay(reply: FastifyReply, response: ExchangeResponse): void {
  const { body } = response;
  fillHead(reply, response);
  if (body === null) reply.send();
  // Fastify makes up a Content-Type for bytes that have none.
  else if (body instanceof Uint8Array && reply.hasHeader('content-type')) reply.send(bufferOf(body));
  else reply.send(Readable.from([]));
}

/** The answer of the cache, in the place of what the hooks in front have made of it. */
function restored(request: FastifyRequest, reply: FastifyReply, replayed: ExchangeResponse, payload: unknown): unknown {
  const { status, fields, body } = replayed;
  if (reply.statusCode !== status) {
    if (body instanceof Readable) body.destroy();
    return payload;
  }
  if (payload instanceof Readable) payload.destroy();
  restoreContentFields(reply, fields);
  return payloadOf(request, reply, body);
}

/** What goes on to the hooks behind, and ends with the reply, whatever they put in its place. */
function payloadOf(request: FastifyRequest, reply: FastifyReply, body: ExchangeResponse['body']): unknown {
  // Fastify's routes for HEAD can take anything but `null`, and count the bytes of what is none.
  if (body === null) return request.method === 'HEAD' ? Readable.from([]) : null;
  if (body instanceof Uint8Array) return bufferOf(body);
  finished(reply.raw, () => body.destroy());
  return body;
}

/** Fastify sends no other bytes. */
function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
