import type { IncomingMessage, ServerResponse } from 'node:http';
import { ClientConnection } from '../actions/client-connection.js';
import { deliver } from '../actions/deliver.js';
import { type Exchange, type ExchangeRequest, receivedRequest } from '../actions/exchange.js';
import type { Arrival } from './arrival.js';
import type { Connections } from './connections.js';

/** A request that came over HTTP/1. */
export class Http1Arrival implements Arrival {
  readonly request: ExchangeRequest;
  readonly client: ClientConnection;
  readonly #incoming: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #connections: Connections;

  /** @param canUpgrade whether the connection can be handed over to what `Upgrade` asks for */
  constructor(
    incoming: IncomingMessage,
    response: ServerResponse,
    scheme: 'http' | 'https',
    connections: Connections,
    canUpgrade: boolean,
  ) {
    this.request = receivedRequest(incoming, scheme);
    this.client = new ClientConnection(incoming, response, canUpgrade);
    this.#incoming = incoming;
    this.#response = response;
    this.#connections = connections;
  }

  get sentStatus(): number | undefined {
    return this.#response.headersSent ? this.#response.statusCode : undefined;
  }

  onClose(listener: () => void): void {
    this.#response.once('close', listener);
  }

  deliver(exchange: Exchange, cacheName: string, isClosing: boolean): void {
    // the next request begins where this body ends, and nobody is going to read it that far
    const hasUnread = this.request.hasBody && !this.#incoming.complete;
    if (isClosing || hasUnread) this.#connections.endAfter(this.#incoming.socket, this.#response);
    deliver(exchange, this.#response, cacheName);
  }

  fail(): void {
    const response = this.#response;
    if (response.headersSent) response.destroy();
    else response.writeHead(500, { 'Content-Type': 'text/plain' }).end('Internal Server Error\n');
  }
}
