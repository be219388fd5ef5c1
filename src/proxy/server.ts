import cluster from 'node:cluster';
import { Readable } from 'node:stream';
import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import { Exchange } from '../actions/exchange.js';
import type { Management } from '../admin/management.js';
import type { ListenAddress } from '../config/listen.js';
import { openLoggedStore } from '../config/logged-store.js';
import type { Settings } from '../config/schema.js';
import type { TlsSettings } from '../config/tls.js';
import { ActiveConfig } from './active-config.js';
import type { Arrival } from './arrival.js';
import { Connections } from './connections.js';
import { Listener, type ListenerContext, listenError, removeStaleSocket } from './listener.js';
import { SharedStores } from './shared-stores.js';
import { TlsEndpoint } from './tls-endpoint.js';

export interface ProxyOptions {
  readonly log: Logger;
}

/** A configuration that listens and answers. */
export interface ProxyServer {
  /** Where it listens, in the order of the configuration: `http://host:port` with the real port, or `unix:/path`. */
  readonly urls: readonly string[];
  /** Where the management endpoint listens, in the same form; `undefined` without one. */
  readonly managementUrl: string | undefined;
  /**
   * Goes on with another configuration: requests from now on run its chain, those in flight finish with the old one.
   * `listen`, `management.listen`, `server`, `workers` and, of `tls`, all but the certificates stay as they were at the start. Throws when it can not be put to
   * work; then the old one stays.
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
const FIXED_AT_START: readonly (readonly [name: string, read: (settings: Settings) => unknown])[] = [
  ['listen', ({ listen }) => listen],
  ['management.listen', ({ management }) => management?.listen],
  ['server', ({ server }) => server],
  ['tls', ({ tls }) => tls && fixedIn(tls)],
  ['memcached (for TLS)', ({ tls, memcached }) => tls && memcached],
  ['workers', ({ workers }) => workers],
];

/** All but the certificates. */
function fixedIn({ cert, key, clientCa, contexts, minVersion, ...fixed }: TlsSettings): object {
  return { ...fixed, hasClientCa: clientCa !== undefined };
}

class RunningProxy implements ProxyServer {
  readonly #log: Logger;
  readonly #stores: SharedStores;
  readonly #connections = new Connections();
  readonly #listeners: Listener[] = [];
  #management: Management | undefined;
  #tls: { readonly endpoint: TlsEndpoint; readonly release: () => Promise<void> } | undefined;
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

  get managementUrl(): string | undefined {
    return this.#management?.url;
  }

  async start(): Promise<void> {
    const { listen, management, server: limits, tls } = this.#active.settings;
    try {
      if (tls !== undefined) await this.#openTls(tls);
      const context: ListenerContext = {
        limits,
        connections: this.#connections,
        log: this.#log,
        tls: this.#tls?.endpoint,
        handle: (arrival) => this.#handle(arrival),
      };
      for (const address of listen) this.#listeners.push(await Listener.open(address, context));
      if (management !== undefined) this.#management = await this.#manage(management.listen);
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  async #openTls(tls: TlsSettings): Promise<void> {
    const { settings } = this.#active;
    const { store, release } = this.#stores.take(settings);
    this.#tls = { endpoint: await TlsEndpoint.open(tls, settings, store, this.#log), release };
  }

  async #manage(address: ListenAddress): Promise<Management> {
    // loaded when it is asked for: nobody else is to wait for Fastify
    const { Management } = await import('../admin/management.js');
    if (address.kind === 'unix' && cluster.isPrimary) await removeStaleSocket(address.path);
    const managed = () => ({ settings: this.#active.settings.management, caches: this.#active.caches });
    try {
      const management = await Management.start(address, managed, this.#log);
      this.#log.info({ url: management.url }, 'management endpoint listening');
      return management;
    } catch (error) {
      throw listenError(address, error);
    }
  }

  reload(settings: Settings): void {
    const old = this.#active;
    const next = new ActiveConfig(settings, this.#stores, this.#log);
    if (settings.tls !== undefined) this.#tls?.endpoint.reload(settings.tls);
    this.#active = next;
    for (const [name, read] of FIXED_AT_START) {
      if (isDeepStrictEqual(read(settings), read(old.settings))) continue;
      this.#log.warn(`"${name}" has changed: that takes effect at the next start`);
    }
    old.retire().catch((err: unknown) => this.#log.error({ err }, 'a store did not close'));
  }

  close(): Promise<void> {
    this.#draining ??= this.#drain();
    return this.#draining;
  }

  async #drain(): Promise<void> {
    const closed = Promise.all([...this.#listeners.map((listener) => listener.close()), this.#management?.close()]);
    const { drainTimeoutMs } = this.#active.settings.server;
    const timeout = setTimeout(() => this.#connections.destroyAll(), drainTimeoutMs);
    await closed;
    clearTimeout(timeout);
    await this.#tls?.endpoint.close();
    await this.#tls?.release();
    await this.#active.retire();
  }

  #handle(arrival: Arrival): void {
    const active = this.#active;
    active.enter();
    const exchange = new Exchange(arrival.request, arrival.client, this.#log);
    arrival.onClose(() => active.leave());
    if (this.#log.isLevelEnabled(ACCESS_LEVEL)) this.#logAccess(exchange, arrival);
    const respond = () => arrival.deliver(exchange, active.settings.name, this.#draining !== undefined);
    try {
      const pending = active.run(exchange);
      if (pending === undefined) respond();
      else pending.then(respond).catch((error) => this.#fail(exchange, arrival, error));
    } catch (error) {
      this.#fail(exchange, arrival, error);
    }
  }

  #logAccess(exchange: Exchange, arrival: Arrival): void {
    const begun = performance.now();
    const { method, host, target, remote } = exchange.request;
    arrival.onClose(() => {
      const status = arrival.sentStatus ?? CLIENT_CLOSED_REQUEST;
      const ms = Math.round(performance.now() - begun);
      this.#log.debug(
        { remote: remote.address, method, host, target, status, cache: exchange.outcome?.verdict, ms },
        'request',
      );
    });
  }

  /** A bug, or a file system that fails: the client learns no more than that. */
  #fail({ request, response }: Exchange, arrival: Arrival, err: unknown): void {
    this.#log.error({ err, method: request.method, target: request.target }, 'request failed');
    if (response?.body instanceof Readable) response.body.destroy();
    response?.tunnel?.connection.destroy();
    arrival.fail();
  }
}

/** Where the access log is: a line for every request costs more than a hit does. */
const ACCESS_LEVEL = 'debug';

/** nginx's status for a client that did not wait for its response. */
const CLIENT_CLOSED_REQUEST = 499;
