import {
  performServerHandshake,
  type ServerHttp2Session,
  type ServerHttp2Stream,
  type ServerOptions,
} from 'node:http2';
import type { Socket } from 'node:net';
import type { Endpoint } from '../actions/exchange.js';
import { breakOff, Http2Arrival, sendText } from './http2-arrival.js';
import { requestOf } from './http2-request.js';
import type { ListenerContext } from './listener.js';
import type { Refusal } from './request-guard.js';

/** What a client has, after the last thing that it was sent, to end the connection itself. */
const LINGER_MS = 500;

/** As long as the shortest field counts in the size of a head (RFC 9113, section 6.5.2). */
const LEAST_FIELD_BYTES = 33;

/** HTTP/2 as the proxy speaks it, over connections that others took. */
export class Http2 {
  readonly #context: ListenerContext;
  readonly #options: ServerOptions;
  readonly #connections = new Set<Http2Connection>();

  constructor(context: ListenerContext) {
    const { maxHeaderBytes, maxConcurrentStreams } = context.limits;
    this.#context = context;
    this.#options = {
      // the size of the head is what bounds the fields
      maxHeaderListPairs: Math.ceil(maxHeaderBytes / LEAST_FIELD_BYTES),
      settings: { maxHeaderListSize: maxHeaderBytes, maxConcurrentStreams, enablePush: false },
    };
  }

  /** Speaks over a connection that somebody else took. */
  take(socket: Socket): void {
    const connection = new Http2Connection(socket, this.#options, this.#context);
    this.#connections.add(connection);
    socket.once('close', () => this.#connections.delete(connection));
  }

  /** Has every connection take no further request, and ends those that carry none. */
  endIdle(): void {
    for (const connection of this.#connections) connection.end();
  }
}

class Http2Connection {
  readonly #socket: Socket;
  readonly #session: ServerHttp2Session;
  readonly #context: ListenerContext;
  readonly #remote: Endpoint;
  readonly #local: Endpoint;
  #streams = 0;
  /** Runs while there is no stream. */
  #idle: NodeJS.Timeout | undefined;
  #linger: NodeJS.Timeout | undefined;

  constructor(socket: Socket, options: ServerOptions, context: ListenerContext) {
    this.#socket = socket;
    this.#context = context;
    this.#remote = { address: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 };
    this.#local = { address: socket.localAddress ?? '', port: socket.localPort ?? 0 };
    this.#session = performServerHandshake(socket, options);
    this.#session.on('error', (err) => context.log.debug({ err, remote: this.#remote.address }, 'HTTP/2 connection'));
    this.#session.on('stream', (stream: ServerHttp2Stream, _headers: object, _flags: number, raw: readonly string[]) =>
      this.#receive(stream, raw),
    );
    socket.once('close', () => {
      clearTimeout(this.#idle);
      clearTimeout(this.#linger);
    });
    this.#awaitRequest(context.limits.headersTimeoutMs);
  }

  /** Takes no further request; the connection ends with the last response. */
  end(): void {
    clearTimeout(this.#idle);
    // GOAWAY tells the client which of its requests were taken
    if (!this.#session.closed) this.#session.close();
    if (this.#streams === 0) this.#linger ??= setTimeout(() => this.#socket.destroy(), LINGER_MS);
  }

  #awaitRequest(timeoutMs: number): void {
    this.#idle = setTimeout(() => this.end(), timeoutMs);
  }

  #receive(stream: ServerHttp2Stream, rawHeaders: readonly string[]): void {
    const { limits, log, handle } = this.#context;
    this.#opened(stream);
    const hasBody = !stream.endAfterHeaders;
    if (hasBody) this.#boundRequest(stream);
    const request =
      sizeOf(rawHeaders) > limits.maxHeaderBytes
        ? TOO_LARGE
        : requestOf(rawHeaders, { hasBody, remote: this.#remote, local: this.#local });
    if ('reason' in request) {
      log.debug({ remote: this.#remote.address, ...request }, 'request refused');
      sendText(stream, request.status, request.reason);
      return;
    }
    handle(new Http2Arrival(request, stream, log));
  }

  #opened(stream: ServerHttp2Stream): void {
    const { limits, log } = this.#context;
    clearTimeout(this.#idle);
    this.#streams++;
    stream.on('error', (err) => log.debug({ err, remote: this.#remote.address }, 'HTTP/2 stream'));
    stream.setTimeout(limits.idleTimeoutMs, () => breakOff(stream));
    stream.once('close', () => {
      this.#streams--;
      if (this.#streams > 0 || this.#socket.destroyed) return;
      if (this.#session.closed) this.end();
      else this.#awaitRequest(limits.keepAliveTimeoutMs);
    });
  }

  #boundRequest(stream: ServerHttp2Stream): void {
    const timeout = setTimeout(() => breakOff(stream), this.#context.limits.requestTimeoutMs);
    stream.once('end', () => clearTimeout(timeout));
    stream.once('close', () => clearTimeout(timeout));
  }
}

/** The client is bound by what it was told about this once it has said that it knows. */
const TOO_LARGE: Refusal = { status: 431, reason: 'the head of the request is too large' };

function sizeOf(rawHeaders: readonly string[]): number {
  let bytes = 0;
  for (const text of rawHeaders) bytes += text.length;
  return bytes;
}
