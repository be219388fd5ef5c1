import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/**
 * What there is to know of the clients' connections to end them between two responses.
 *
 * node:http emits every request that came in one read, also those behind the request whose answer closes the
 * connection. Nobody can tell any more whether such a request is one, or a piece of the body of the one before.
 */
export class Connections {
  /** With the responses that each is still to carry. */
  readonly #open = new Map<Socket, Set<ServerResponse>>();
  /** The response to the last request that was taken from each connection. */
  readonly #last = new WeakMap<Socket, ServerResponse>();
  readonly #ended = new WeakSet<Socket>();

  /** A connection may be announced again, when its reading begins anew. */
  opened(socket: Socket): void {
    if (this.#open.has(socket)) return;
    const pending = new Set<ServerResponse>();
    this.#open.set(socket, pending);
    socket.once('close', () => {
      this.#open.delete(socket);
      for (const response of pending) endUnsent(response);
    });
  }

  /** Whether a request on this connection may be answered: none is behind the connection's last one. */
  takes(socket: Socket, response: ServerResponse): boolean {
    if (this.#ended.has(socket)) return false;
    this.#last.set(socket, response);
    const pending = this.#open.get(socket);
    pending?.add(response);
    response.once('close', () => pending?.delete(response));
    if (!response.shouldKeepAlive) this.#ended.add(socket);
    return true;
  }

  /** Makes `response` the last one of its connection, unless further requests were taken already. */
  endAfter(socket: Socket, response: ServerResponse): void {
    if (this.#last.get(socket) !== response || response.headersSent) return;
    response.shouldKeepAlive = false;
    this.#ended.add(socket);
  }

  /** Resolves when all requests that were taken from the connection so far have been answered. */
  async answered(socket: Socket): Promise<void> {
    await Promise.all([...(this.#open.get(socket) ?? [])].map((response) => once(response, 'close')));
  }

  /** Whatever they are busy with. */
  destroyAll(): void {
    for (const socket of this.#open.keys()) socket.destroy();
  }

  /** Ends connections over which nothing ever came; node:http takes those for busy ones. */
  destroyUnused(): void {
    for (const socket of this.#open.keys()) if (socket.bytesRead === 0) socket.destroy();
  }
}

/** node:http tells a response that its connection has ended only when it was its turn to be sent. */
function endUnsent(response: ServerResponse): void {
  response.destroy();
  response.emit('close');
}
