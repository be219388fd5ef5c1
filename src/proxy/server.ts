import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import { ClientConnection } from '../actions/client-connection.js';
import { deliver } from '../actions/deliver.js';
import { Exchange, receivedRequest } from '../actions/exchange.js';
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
  #active: ActiveConfig;
  #draining: Promise<void> | undefined;

  constructor(settings: Settings, { log }: ProxyOptions) {
    this.#log = log;
    this.#stores = new SharedStores((options) => openLoggedStore(options, log));
    this.#active = new ActiveConfig(settings, this.#stores, log);
  }

  get urls(): readonly string[] {
    return this.#listeners.map(({ url }) => url);
  }

  async start(): Promise<void> {
    const { listen, server: limits } = this.#active.settings;
    const context: ListenerContext = {
      limits,
      connections: this.#connections,
      log: this.#log,
      handle: (request, response, canUpgrade) => this.#handle(request, response, canUpgrade),
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
    const timeout = setTimeout(() => this.#connections.destroyAll(), drainTimeoutMs);
    await closed;
    clearTimeout(timeout);
    await this.#active.retire();
  }

  #handle(request: IncomingMessage, response: ServerResponse, canUpgrade: boolean): void {
    const active = this.#active;
    active.enter();
    const exchange = new Exchange(
      receivedRequest(request, 'http'),
      new ClientConnection(request, response, canUpgrade),
      this.#log,
    );
    response.once('close', () => active.leave());
    if (this.#log.isLevelEnabled(ACCESS_LEVEL)) this.#logAccess(exchange, response);
    const respond = () => this.#respond(exchange, active, request, response);
    try {
      const pending = active.run(exchange);
      if (pending === undefined) respond();
      else pending.then(respond).catch((error) => this.#fail(exchange, response, error));
    } catch (error) {
      this.#fail(exchange, response, error);
    }
  }

  #respond(exchange: Exchange, active: ActiveConfig, request: IncomingMessage, response: ServerResponse): void {
    // the next request begins where this body ends, and nobody is going to read it that far
    const hasUnread = exchange.request.hasBody && !request.complete;
    if (this.#draining !== undefined || hasUnread) this.#connections.endAfter(request.socket, response);
    deliver(exchange, response, active.settings.name);
  }

  #logAccess(exchange: Exchange, response: ServerResponse): void {
    const begun = performance.now();
    const { method, host, target, remote } = exchange.request;
    response.once('close', () => {
      const status = response.headersSent ? response.statusCode : CLIENT_CLOSED_REQUEST;
      const ms = Math.round(performance.now() - begun);
      this.#log.debug(
        { remote: remote.address, method, host, target, status, cache: exchange.outcome?.verdict, ms },
        'request',
      );
    });
  }

  /** A bug, or a file system that fails: the client learns no more than that. */
  #fail({ request, response }: Exchange, raw: ServerResponse, err: unknown): void {
    this.#log.error({ err, method: request.method, target: request.target }, 'request failed');
    if (response?.body instanceof Readable) response.body.destroy();
    response?.tunnel?.connection.destroy();
    if (raw.headersSent) raw.destroy();
    else raw.writeHead(500, { 'Content-Type': 'text/plain' }).end('Internal Server Error\n');
  }
}

/** Where the access log is: a line for every request costs more than a hit does. */
const ACCESS_LEVEL = 'debug';

/** nginx's status for a client that did not wait for its response. */
const CLIENT_CLOSED_REQUEST = 499;
