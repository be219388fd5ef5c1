import cluster from 'node:cluster';
import { once } from 'node:events';
import { lstat, unlink } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, ServerResponse } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import type { Logger } from 'pino';
import type { ListenAddress } from '../config/listen.js';
import type { Settings } from '../config/schema.js';
import type { Connections } from './connections.js';
import { originForm, type Refusal, refusalOf } from './request-guard.js';
import { headWithoutUpgrade, mayLeaveHttp } from './upgrade.js';

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
  /** Gets the requests that were not refused; with `canUpgrade` those whose connection may leave HTTP. */
  handle(request: IncomingMessage, response: ServerResponse, canUpgrade: boolean): void;
}

/** How often node:http looks for connections that exceed their time: it bounds by how much. */
const TIMEOUT_CHECK_MS = 1000;

/** How often connections that have become idle are ended while the listener closes. */
const IDLE_SWEEP_MS = 50;

/** A place that is listened on, and the connections that were made to it. */
export class Listener {
  readonly #server: Server;
  readonly #context: ListenerContext;
  #url = '';

  private constructor(context: ListenerContext) {
    const { limits, connections } = context;
    this.#context = context;
    this.#server = createServer({
      maxHeaderSize: limits.maxHeaderBytes,
      headersTimeout: Math.min(limits.headersTimeoutMs, limits.requestTimeoutMs),
      requestTimeout: limits.requestTimeoutMs,
      keepAliveTimeout: limits.keepAliveTimeoutMs,
      connectionsCheckingInterval: TIMEOUT_CHECK_MS,
      insecureHTTPParser: false,
      // the guard asks for it, and takes nothing more from the connection
      requireHostHeader: false,
    });
    // node:http drops the fields beyond a number without a word; what bounds them is the size of the head
    this.#server.maxHeadersCount = 0;
    this.#server.maxConnections = limits.maxConnections;
    this.#server.setTimeout(limits.idleTimeoutMs);
    this.#server.on('connection', (socket) => connections.opened(socket));
    this.#server.on('request', (request, response) => this.#receive(request, response, refusalOf(request)));
    this.#server.on('upgrade', (request, _socket, head) => void this.#detached(request, head));
    this.#server.on('checkExpectation', (request, response) => this.#receive(request, response, UNKNOWN_EXPECTATION));
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
      throw new ListenError(`can not listen on ${describe(address)}: ${reasonOf(error)}`, { cause: error });
    }
    // such as no file descriptor left for one more connection
    server.on('error', (err) => context.log.error({ err }, 'a connection could not be taken'));
    listener.#url = urlOf(server.address());
    return listener;
  }

  /** `http://host:port` with the port it really is, or `unix:/path`. */
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
    this.#server.closeIdleConnections();
    this.#context.connections.destroyUnused();
  }

  /**
   * node:http has let go of the connection, as the request asks for another protocol on it. A request that could not
   * have one is read again as an ordinary request: a server may always pay no heed to Upgrade.
   */
  async #detached(request: IncomingMessage, head: Buffer): Promise<void> {
    const { socket } = request;
    socket.on('error', () => {});
    await this.#context.connections.answered(socket);
    if (socket.destroyed) return;
    if (!mayLeaveHttp(request)) {
      socket.unshift(Buffer.concat([headWithoutUpgrade(request), head]));
      this.#server.emit('connection', socket);
      return;
    }
    socket.unshift(head);
    const response = new ServerResponse(request);
    response.shouldKeepAlive = false;
    response.assignSocket(socket);
    response.once('finish', () => {
      if (response.statusCode !== 101) socket.destroySoon();
    });
    // what node:http does for the connections that it holds
    socket.once('end', () => {
      if (!response.headersSent) socket.destroy();
    });
    socket.setTimeout(this.#context.limits.idleTimeoutMs, () => socket.destroy());
    this.#receive(request, response, refusalOf(request), true);
  }

  #receive(request: IncomingMessage, response: ServerResponse, refusal: Refusal | undefined, canUpgrade = false): void {
    const { connections, log, handle } = this.#context;
    if (!connections.takes(request.socket, response)) return;
    if (refusal === undefined) {
      request.url = originForm(request.url ?? '/');
      handle(request, response, canUpgrade);
      return;
    }
    log.debug({ remote: request.socket.remoteAddress, ...refusal }, 'request refused');
    connections.endAfter(request.socket, response);
    const body = `${refusal.reason}\n`;
    const length = ['Content-Length', String(body.length)];
    response.writeHead(refusal.status, ['Content-Type', 'text/plain', 'Cache-Control', 'no-store', ...length]);
    response.end(body);
  }
}

/** Of what may stand in Expect, node:http answers `100-continue` itself. */
const UNKNOWN_EXPECTATION: Refusal = { status: 417, reason: 'unknown expectation' };

function urlOf(address: AddressInfo | string | null): string {
  if (address === null || typeof address === 'string') return `unix:${address ?? ''}`;
  return `http://${address.family === 'IPv6' ? `[${address.address}]` : address.address}:${address.port}`;
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

/** Removes the socket file that a process left behind when it was killed; one that lives answers on its own. */
export async function removeStaleSocket(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found?.isSocket() && !(await answers(path))) await unlink(path);
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', (error: NodeJS.ErrnoException) => resolve(error.code !== 'ECONNREFUSED'));
  });
}
