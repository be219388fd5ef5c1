import cluster from 'node:cluster';
import { once } from 'node:events';
import type { AddressInfo, Server } from 'node:net';
import type { Logger } from 'pino';
import type { ListenAddress } from '../config/listen.js';
import type { Settings } from '../config/schema.js';
import { removeStaleSocket } from '../distcache/stale-socket.js';
import type { Arrival } from './arrival.js';
import type { Connections } from './connections.js';
import { Http1 } from './http1.js';
import { Http2 } from './http2.js';
import type { TlsEndpoint } from './tls-endpoint.js';

export { removeStaleSocket };

/** It can not be listened on an address. The message is a sentence for the person who configured it. */
export class ListenError extends Error {
  override readonly name = 'ListenError';
}

/** What a listener works with. */
export interface ListenerContext {
  readonly limits: Settings['server'];
  /** Of all listeners of the proxy. */
  readonly connections: Connections;
  readonly log: Logger;
  /** Speaks TLS on every connection; left out, it is plain HTTP. */
  readonly tls?: TlsEndpoint | undefined;
  /** Gets the requests that were not refused. */
  handle(arrival: Arrival): void;
}

/** How often connections that have become idle are ended while the listener closes. */
const IDLE_SWEEP_MS = 50;

/** A place that is listened on, and the connections that were made to it. */
export class Listener {
  readonly #server: Server;
  readonly #http1: Http1;
  readonly #http2: Http2 | undefined;
  readonly #context: ListenerContext;
  #url = '';

  private constructor(context: ListenerContext) {
    const { tls } = context;
    this.#context = context;
    this.#http1 = new Http1(context, tls === undefined ? 'http' : 'https');
    if (tls === undefined) {
      this.#server = this.#http1.server;
      return;
    }
    const http2 = new Http2(context);
    this.#http2 = http2;
    this.#http1.beginWithoutListening();
    this.#server = tls.createServer(context, (socket) => {
      if (socket.alpnProtocol === 'h2') http2.take(socket);
      else this.#http1.take(socket);
    });
  }

  /** Listens on `address`. Rejects with a {@link ListenError}. */
  static async open(address: ListenAddress, context: ListenerContext): Promise<Listener> {
    const listener = new Listener(context);
    const server = listener.#server;
    try {
      // the workers of a cluster share one socket, which their primary looks after
      if (address.kind === 'unix' && cluster.isPrimary) await removeStaleSocket(address.path);
      server.listen(address.kind === 'unix' ? { path: address.path } : { host: address.host, port: address.port });
      await once(server, 'listening');
    } catch (error) {
      throw listenError(address, error);
    }
    // such as no file descriptor left for one more connection
    server.on('error', (err) => context.log.error({ err }, 'a connection could not be taken'));
    listener.#url = urlOf(server.address(), context.tls === undefined ? 'http' : 'https');
    return listener;
  }

  /** `http://host:port`, or `https:`, with the port it really is, or `unix:/path`. */
  get url(): string {
    return this.#url;
  }

  /** Takes no more connections; resolves when all there are have ended, each after the responses it waits for. */
  async close(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#endIdle();
    const sweep = setInterval(() => this.#endIdle(), IDLE_SWEEP_MS);
    await closed;
    clearInterval(sweep);
  }

  #endIdle(): void {
    this.#http1.endIdle();
    this.#http2?.endIdle();
    this.#context.connections.destroyUnused();
  }
}

function urlOf(address: AddressInfo | string | null, scheme: 'http' | 'https'): string {
  if (address === null || typeof address === 'string') return `unix:${address ?? ''}`;
  return `${scheme}://${address.family === 'IPv6' ? `[${address.address}]` : address.address}:${address.port}`;
}

/** The {@link ListenError} for an error of the system. */
export function listenError(address: ListenAddress, error: unknown): ListenError {
  return new ListenError(`can not listen on ${describe(address)}: ${reasonOf(error)}`, { cause: error });
}

function describe(address: ListenAddress): string {
  return address.kind === 'unix' ? `unix:${address.path}` : `${address.host}:${address.port}`;
}

function reasonOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'EADDRINUSE') return 'it is in use';
  if (code === 'EACCES') return 'permission denied';
  if (code === 'EADDRNOTAVAIL') return 'this machine has no such address';
  if (code === 'ENOTFOUND') return 'there is no such host';
  return error instanceof Error ? error.message : String(error);
}
