import { type IncomingMessage, METHODS } from 'node:http';
import { Readable } from 'node:stream';
import { isDeepStrictEqual } from 'node:util';
import replyFrom from '@fastify/reply-from';
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest, LogController } from 'fastify';
import type { Logger } from 'pino';
import { deliver } from '../actions/deliver.js';
import { Exchange } from '../actions/exchange.js';
import { REPLY_FROM_OPTIONS } from '../actions/proxy.js';
import { openLoggedStore } from '../config/logged-store.js';
import type { Settings } from '../config/schema.js';
import { ActiveConfig } from './active-config.js';
import { Connections } from './connections.js';
import { Listener, type ListenerContext } from './listener.js';
import { SharedStores } from './shared-stores.js';

export interface ProxyOptions {
  readonly log: Logger;
}

/** A configuration that listens and answers. */
export interface ProxyServer {
  /** Where it listens, in the order of the configuration: `http://host:port` with the real port, or `unix:/path`. */
  readonly urls: readonly string[];
  /**
   * Goes on with another configuration: requests from now on run its chain, those in flight finish with the old one.
   * `listen`, `server` and `workers` stay as they were at the start. Throws when it can not be put to work; then the old
   * one stays.
   */
  reload(settings: Settings): void;
  /**
   * Takes no more connections, finishes what is in flight within the configured `drainTimeout`, breaks off the rest, and
   * closes the stores. Idempotent.
   */
  close(): Promise<void>;
}

/** Starts the standalone server. Rejects with a `ListenError`. */
export async function createProxy(settings: Settings, options: ProxyOptions): Promise<ProxyServer> {
  const server = new RunningProxy(settings, options);
  await server.start();
  return server;
}

/** What a reload does not change. */
const FIXED_AT_START = ['listen', 'server', 'workers'] as const;

class RunningProxy implements ProxyServer {
  readonly #log: Logger;
  readonly #stores: SharedStores;
  readonly #connections = new Connections();
  readonly #listeners: Listener[] = [];
  readonly #app: FastifyInstance;
  #active: ActiveConfig;
  #draining: Promise<void> | undefined;

  constructor(settings: Settings, { log }: ProxyOptions) {
    this.#log = log;
    this.#stores = new SharedStores((options) => openLoggedStore(options, log));
    this.#active = new ActiveConfig(settings, this.#stores, log);
    this.#app = application(log, (request, reply) => this.#handle(request, reply));
  }

  get urls(): readonly string[] {
    return this.#listeners.map(({ url }) => url);
  }

  async start(): Promise<void> {
    await this.#app.ready();
    const { listen, server: limits } = this.#active.settings;
    const context: ListenerContext = {
      limits,
      connections: this.#connections,
      log: this.#log,
      handle: (request, response) => this.#app.routing(toOnlyRoute(request), response),
    };
    try {
      for (const address of listen) this.#listeners.push(await Listener.open(address, context));
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  reload(settings: Settings): void {
    const old = this.#active;
    this.#active = new ActiveConfig(settings, this.#stores, this.#log);
    for (const name of FIXED_AT_START) {
      if (isDeepStrictEqual(settings[name], old.settings[name])) continue;
      this.#log.warn(`"${name}" has changed: that takes effect at the next start`);
    }
    old.retire().catch((err: unknown) => this.#log.error({ err }, 'a store did not close'));
  }

  close(): Promise<void> {
    this.#draining ??= this.#drain();
    return this.#draining;
  }

  async #drain(): Promise<void> {
    const closed = Promise.all(this.#listeners.map((listener) => listener.close()));
    const { drainTimeoutMs } = this.#active.settings.server;
    const timeout = setTimeout(() => {
      for (const listener of this.#listeners) listener.destroy();
    }, drainTimeoutMs);
    await closed;
    clearTimeout(timeout);
    await this.#active.retire();
    await this.#app.close();
  }

  #handle(request: FastifyRequest, reply: FastifyReply): void {
    request.raw.url = request.originalUrl;
    const active = this.#active;
    active.enter();
    const exchange = new Exchange(request, reply);
    reply.raw.once('close', () => active.leave());
    if (this.#log.isLevelEnabled(ACCESS_LEVEL)) this.#logAccess(exchange);
    try {
      const pending = active.run(exchange);
      if (pending === undefined) this.#respond(exchange, active);
      else pending.then(() => this.#respond(exchange, active)).catch((error) => this.#fail(exchange, error));
    } catch (error) {
      this.#fail(exchange, error);
    }
  }

  #respond(exchange: Exchange, { settings }: ActiveConfig): void {
    const { request, reply } = exchange;
    const { raw } = reply.request;
    // the next request begins where this body ends, and nobody is going to read it that far
    const hasUnread = request.hasBody && !raw.complete;
    if (this.#draining !== undefined || hasUnread) this.#connections.endAfter(raw.socket, reply.raw);
    deliver(exchange, settings.name);
  }

  #logAccess(exchange: Exchange): void {
    const { request, reply } = exchange;
    const begun = performance.now();
    const { method, host, target, remote } = request;
    const { raw } = reply;
    raw.once('close', () => {
      const status = raw.headersSent ? raw.statusCode : CLIENT_CLOSED_REQUEST;
      const ms = Math.round(performance.now() - begun);
      this.#log.debug(
        { remote: remote.address, method, host, target, status, cache: exchange.outcome?.verdict, ms },
        'request',
      );
    });
  }

  /** A bug, or a file system that fails: the client learns no more than that. */
  #fail({ request, response, reply }: Exchange, err: unknown): void {
    this.#log.error({ err, method: request.method, target: request.target }, 'request failed');
    if (response?.body instanceof Readable) response.body.destroy();
    reply.hijack();
    if (reply.raw.headersSent) reply.raw.destroy();
    else reply.raw.writeHead(500, { 'Content-Type': 'text/plain' }).end('Internal Server Error\n');
  }
}

/** Where the access log is: a line for every request costs more than a hit does. */
const ACCESS_LEVEL = 'debug';

/** nginx's status for a client that did not wait for its response. */
const CLIENT_CLOSED_REQUEST = 499;

/**
 * Fastify with one route for everything. Bodies are not parsed: those of all methods pass through as they are. It does
 * not listen itself.
 */
function application(log: Logger, handle: (request: FastifyRequest, reply: FastifyReply) => void): FastifyInstance {
  const app = Fastify({
    exposeHeadRoutes: false,
    return503OnClosing: false,
    childLoggerFactory: () => log,
    logController: new LogController({ disableRequestLogging: true }),
  });
  for (const method of METHODS) {
    if (method !== 'CONNECT') app.addHttpMethod(method, { hasBody: false, overrideExisting: true });
  }
  app.register(replyFrom, REPLY_FROM_OPTIONS);
  app.route({ method: app.supportedMethods, url: '/', handler: handle });
  return app;
}

/** The router gets to see one path only, so that no byte of the client's is decoded or judged by it. */
function toOnlyRoute(request: IncomingMessage): IncomingMessage {
  return Object.assign(request, { originalUrl: request.url, url: '/' });
}
