import type { Duplex } from 'node:stream';
import type { SessionCache } from './cache.js';
import { LimitedLog, type Log } from './limited-log.js';
import type { Counts, SERVER_METRICS, ServerCounter } from './metrics.js';
import { ServerClient, type ServerContext } from './server-client.js';

export interface ServerOptions {
  /** The server closes it. */
  readonly cache: SessionCache;
  /**
   * ADDs with a smaller timeout get this one. Default 0. Apache's mod_socache_dc sends the time in ms modulo 1000: its
   * sessions live less than a second unless this is set.
   */
  readonly minTimeoutMs?: number;
  /** Default: nothing is said. */
  readonly log?: Log;
  /** Called with each operation. */
  readonly onOperation?: () => void;
  /** Milliseconds that never go back. Default `performance.now`. */
  readonly now?: () => number;
}

/** A distcache server: answers the requests of the connections that it is given, each connection's in order. */
export class DistcacheServer {
  readonly #context: ServerContext;
  readonly #clients = new Set<ServerClient>();
  #onLastClosed: (() => void) | undefined;

  constructor(options: ServerOptions) {
    this.#context = {
      cache: options.cache,
      minTimeoutMs: options.minTimeoutMs ?? 0,
      now: options.now ?? (() => performance.now()),
      log: new LimitedLog(options.log ?? (() => {})),
      onOperation: options.onOperation ?? (() => {}),
      counters: {
        connections_total: 0,
        operations_total: 0,
        added_total: 0,
        refused_total: 0,
        hits_total: 0,
        misses_total: 0,
        removed_total: 0,
        failures_total: 0,
        faults_total: 0,
      },
    };
  }

  /** Serves a connected stream until it closes. The stream must let this side write after the peer's end. */
  serve(stream: Duplex): void {
    this.#context.counters.connections_total++;
    this.#clients.add(new ServerClient(stream, this.#context, (client) => this.#closed(client)));
  }

  get counters(): Readonly<Counts<ServerCounter>> {
    return this.#context.counters;
  }

  /** How many sessions the cache holds. */
  async sessions(): Promise<number> {
    return this.#context.cache.count(this.#context.now());
  }

  async metrics(): Promise<Counts<keyof typeof SERVER_METRICS>> {
    return { ...this.counters, connections: this.#clients.size, sessions: await this.sessions() };
  }

  /** Answers what is open, disconnects everybody within a second, and lets go of the cache. */
  async close(): Promise<void> {
    for (const client of this.#clients) client.finish();
    if (this.#clients.size > 0) {
      await new Promise<void>((resolve) => {
        this.#onLastClosed = resolve;
      });
    }
    await this.#context.cache.close();
  }

  #closed(client: ServerClient): void {
    this.#clients.delete(client);
    if (this.#clients.size === 0) this.#onLastClosed?.();
  }
}
