import { constants, type OutgoingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import { PassThrough } from 'node:stream';
import type { Logger } from 'pino';
import { finished, framedBody, pass } from '../actions/deliver.js';
import type { Exchange, ExchangeClient, ExchangeRequest, RequestBody } from '../actions/exchange.js';
import type { Fields } from '../http/fields.js';
import type { Arrival } from './arrival.js';
import { isContinue } from './http2-request.js';

/** A request that came over HTTP/2. */
export class Http2Arrival implements Arrival {
  readonly request: ExchangeRequest;
  readonly client: ExchangeClient;
  readonly #stream: ServerHttp2Stream;
  readonly #log: Logger;

  constructor(request: ExchangeRequest, stream: ServerHttp2Stream, log: Logger) {
    this.request = request;
    this.client = new Http2Client(request, stream);
    this.#stream = stream;
    this.#log = log;
    stream.once('finish', () => {
      // nobody is going to read what is still to come (RFC 9113, section 8.1)
      if (!stream.readableEnded) stream.close(constants.NGHTTP2_NO_ERROR);
    });
  }

  get sentStatus(): number | undefined {
    return this.#stream.headersSent ? Number(this.#stream.sentHeaders[':status']) : undefined;
  }

  onClose(listener: () => void): void {
    this.#stream.once('close', listener);
  }

  /** The connection has been told that it takes no further request. */
  deliver(exchange: Exchange, cacheName: string): void {
    const stream = this.#stream;
    const response = finished(exchange, cacheName);
    const body = framedBody(this.request.method, response);
    if (!canSend(stream)) {
      if (body !== null && !(body instanceof Uint8Array)) body.destroy();
      return;
    }
    stream.respond(headersOf(response.status, response.fields), { endStream: body === null });
    if (body === null) return;
    if (body instanceof Uint8Array) {
      stream.end(body);
      return;
    }
    pass(body, stream, (error) => {
      this.#log.debug({ err: error }, 'response broken off');
      breakOff(stream);
    });
  }

  fail(): void {
    const stream = this.#stream;
    if (stream.headersSent) breakOff(stream);
    else sendText(stream, 500, 'Internal Server Error');
  }
}

/** Answers with one line of text, if there is still somebody to answer. */
export function sendText(stream: ServerHttp2Stream, status: number, line: string): void {
  if (!canSend(stream)) return;
  stream.respond({ ':status': status, 'content-type': 'text/plain', 'cache-control': 'no-store' });
  stream.end(`${line}\n`);
}

/** Ends the stream in a way from which both sides can tell. Not by `close`, which ends the body as if it were complete. */
export function breakOff(stream: ServerHttp2Stream): void {
  stream.destroy(new Error('broken off'));
}

class Http2Client implements ExchangeClient {
  readonly httpVersion = '2.0';
  /** HTTP/2 has no such thing. */
  readonly upgrade = undefined;
  readonly #request: ExchangeRequest;
  readonly #stream: ServerHttp2Stream;

  constructor(request: ExchangeRequest, stream: ServerHttp2Stream) {
    this.#request = request;
    this.#stream = stream;
  }

  get isGone(): boolean {
    const { aborted, destroyed, writableFinished } = this.#stream;
    return aborted || (destroyed && !writableFinished);
  }

  onGone(listener: () => void): void {
    if (this.isGone) listener();
    else {
      this.#stream.once('close', () => {
        if (this.isGone) listener();
      });
    }
  }

  takeBody(): RequestBody | undefined {
    const { fields, hasBody } = this.#request;
    if (!hasBody) return undefined;
    if (isContinue(fields.get('expect') ?? '') && canSend(this.#stream)) this.#stream.additionalHeaders(CONTINUE);
    // who takes the body may destroy it before its end; the response still goes over the client's stream
    const stream = this.#stream.pipe(new PassThrough());
    stream.on('error', () => {});
    const length = fields.get('content-length');
    return { stream, bytes: length === undefined ? undefined : Number(length) };
  }

  interim(status: number, fields: Fields): void {
    if (canSend(this.#stream)) this.#stream.additionalHeaders(headersOf(status, fields));
  }
}

const CONTINUE = { ':status': 100 } as const;

/** Whether a head can be sent over the stream. */
function canSend(stream: ServerHttp2Stream): boolean {
  return !stream.destroyed && !stream.closed && !stream.headersSent;
}

/** Fields in the form that node:http2 has for them, without those that HTTP/2 forbids (RFC 9113, section 8.2.2). */
function headersOf(status: number, fields: Fields): OutgoingHttpHeaders {
  const lines = new Map<string, string[]>();
  for (const [name, value] of fields) {
    const lower = name.toLowerCase();
    const known = lines.get(lower);
    if (known === undefined) lines.set(lower, [value]);
    else known.push(value);
  }
  const headers: OutgoingHttpHeaders = Object.create(null);
  headers[':status'] = status;
  for (const [name, values] of lines) {
    if (!FORBIDDEN.has(name)) headers[name] = SEPARATE.has(name) ? values : values.join(', ');
  }
  return headers;
}

const FORBIDDEN: ReadonlySet<string> = new Set([
  'connection',
  'http2-settings',
  'keep-alive',
  'proxy-connection',
  'te',
  'transfer-encoding',
  'upgrade',
]);

/** Of the others node:http2 takes some in one line only, and in one line they mean the same (RFC 9110, section 5.3). */
const SEPARATE: ReadonlySet<string> = new Set(['set-cookie', 'www-authenticate', 'proxy-authenticate']);
