import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import type { Fields } from '../http/fields.js';
import type { ExchangeClient, RequestBody } from './exchange.js';

/**
 * An interim response is dropped when the client has left this many bytes unread: nothing else holds back an upstream
 * that keeps sending them.
 */
const MAX_UNREAD_BYTES = 64 * 1024;

/** The client of an exchange that came in through node:http, directly or by way of Fastify. */
export class ClientConnection implements ExchangeClient {
  readonly httpVersion: string;
  readonly upgrade: string | undefined;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;

  /** @param canUpgrade whether the connection can be handed over to what `Upgrade` asks for */
  constructor(request: IncomingMessage, response: ServerResponse, canUpgrade = false) {
    this.httpVersion = request.httpVersion;
    this.upgrade = canUpgrade ? request.headers.upgrade : undefined;
    this.#request = request;
    this.#response = response;
  }

  get isGone(): boolean {
    return this.#response.destroyed && !this.#response.writableFinished;
  }

  onGone(listener: () => void): void {
    if (this.isGone) listener();
    else {
      this.#response.once('close', () => {
        if (this.isGone) listener();
      });
    }
  }

  takeBody(): RequestBody | undefined {
    const { 'content-length': length, 'transfer-encoding': coding } = this.#request.headers;
    if (coding === undefined && Number(length ?? 0) === 0) return undefined;
    // who takes the body may destroy it before its end; the client's connection has to survive that
    const stream = this.#request.pipe(new PassThrough());
    stream.on('error', () => {});
    return { stream, bytes: length === undefined ? undefined : Number(length) };
  }

  /**
   * Past node:http, whose `writeEarlyHints` judges and folds the fields. To HTTP/1.1 only: earlier clients would take it
   * for the response itself (RFC 9110, section 15.2).
   */
  interim(status: number, fields: Fields): void {
    const response = this.#response;
    if (this.httpVersion !== '1.1' || response.destroyed) return;
    const write = (socket: Socket) => {
      if (socket.writableLength < MAX_UNREAD_BYTES) socket.write(interimHead(status, fields), 'latin1');
    };
    // with requests in a pipeline, the response itself waits for the connection as well, and gets it afterwards
    if (response.socket === null) response.once('socket', write);
    else if (!response.headersSent) write(response.socket);
  }
}

function interimHead(status: number, fields: Fields): string {
  let head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Interim'}\r\n`;
  for (const [name, value] of fields) head += `${name}: ${value}\r\n`;
  return `${head}\r\n`;
}
