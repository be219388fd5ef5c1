import { createServer, type IncomingMessage, type Server, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Arrival } from './arrival.js';
import { Http1Arrival } from './http1-arrival.js';
import type { ListenerContext } from './listener.js';
import { originForm, type Refusal, refusalOf } from './request-guard.js';
import { headWithoutUpgrade, mayLeaveHttp } from './upgrade.js';

/** How often node:http looks for connections that exceed their time: it bounds by how much. */
const TIMEOUT_CHECK_MS = 1000;

/** HTTP/1 as the proxy speaks it, over connections of its own or over those that others took. */
export class Http1 {
  /** Takes connections when it listens, and by {@link take}. */
  readonly server: Server;
  readonly #context: ListenerContext;
  readonly #scheme: Arrival['request']['scheme'];

  constructor(context: ListenerContext, scheme: Arrival['request']['scheme']) {
    const { limits, connections } = context;
    this.#context = context;
    this.#scheme = scheme;
    this.server = createServer({
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
    this.server.maxHeadersCount = 0;
    this.server.maxConnections = limits.maxConnections;
    this.server.setTimeout(limits.idleTimeoutMs);
    this.server.on('connection', (socket) => connections.opened(socket));
    this.server.on('request', (request, response) => this.#receive(request, response, this.#refusalOf(request)));
    this.server.on('upgrade', (request, _socket, head) => void this.#detached(request, head));
    this.server.on('checkExpectation', (request, response) => this.#receive(request, response, UNKNOWN_EXPECTATION));
  }

  /** Has it speak over connections that it is given. To be called before the first of them. */
  beginWithoutListening(): void {
    // with this event node:http begins to watch over the time that connections take
    this.server.emit('listening');
  }

  /** Speaks over a connection that somebody else took. */
  take(connection: Duplex): void {
    this.server.emit('connection', connection);
  }

  /** Ends the connections that carry no request. */
  endIdle(): void {
    this.server.closeIdleConnections();
  }

  #refusalOf(request: IncomingMessage): Refusal | undefined {
    return refusalOf(request, this.#scheme);
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
      this.take(socket);
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
    this.#receive(request, response, this.#refusalOf(request), true);
  }

  #receive(request: IncomingMessage, response: ServerResponse, refusal: Refusal | undefined, canUpgrade = false): void {
    const { connections, log, handle } = this.#context;
    if (!connections.takes(request.socket, response)) return;
    if (refusal === undefined) {
      request.url = originForm(request.url ?? '/');
      handle(new Http1Arrival(request, response, this.#scheme, connections, canUpgrade));
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
