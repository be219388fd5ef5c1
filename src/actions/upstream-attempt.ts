import type { Duplex } from 'node:stream';
import type { Dispatcher } from 'undici';
import { Fields, withoutConnectionFields } from '../http/fields.js';
import { protocolsIn } from './tunnel.js';
import { UpstreamBody } from './upstream-body.js';
import type { UpstreamCall } from './upstream-call.js';

/** What the attempts of a call report, besides what it is settled with. */
export interface AttemptObserver {
  /** The call has a response. */
  answered(): void;
  /** The attempt ended without one; the observer settles the call. */
  failed(error: Error, responseStarted: boolean): void;
}

/**
 * Interim responses that an upstream may send before the response. Each of them gives it headersTimeout anew: without
 * a bound a call could last for ever.
 */
const MAX_INTERIM_RESPONSES = 100;

/** The upstream broke the rules of HTTP. llhttp's code for what is found by others than itself. */
class ProtocolError extends Error {
  readonly code = 'HPE_USER';
}

/** One attempt of a call, as undici sees it. Keeps the head in the bytes that came. */
export class UpstreamAttempt implements Dispatcher.DispatchHandler {
  readonly #call: UpstreamCall;
  readonly #observer: AttemptObserver;
  #abort: (error?: Error) => void = () => {};
  #resume: () => void = () => {};
  #started = false;
  #interims = 0;
  #head: ResponseHead | undefined;
  /** What came of the body before the call was settled. */
  readonly #pieces: Buffer[] = [];
  /** Whether all of the response has come. */
  #isWhole = false;
  #isSettled = false;
  #body: UpstreamBody | undefined;

  constructor(call: UpstreamCall, observer: AttemptObserver) {
    this.#call = call;
    this.#observer = observer;
  }

  onConnect(abort: (error?: Error) => void): void {
    this.#abort = abort;
    this.#call.abort = abort;
  }

  onResponseStarted(): void {
    this.#started = true;
  }

  onHeaders(status: number, rawFields: Buffer[], resume: () => void): boolean {
    if (status < 200) {
      this.#interim(status, rawFields);
      return true;
    }
    this.#head = responseHead(this.#call.request.method, status, receivedFields(rawFields));
    this.#resume = resume;
    // what came in the same read is parsed before the microtask: a short body then needs no stream
    if (this.#head.bodyless) this.#settle();
    else queueMicrotask(() => this.#settle());
    return true;
  }

  onUpgrade(status: number, rawFields: Buffer[], connection: Duplex): void {
    connection.on('error', () => {});
    const { upgrade, tunnelTimeoutMs } = this.#call.request;
    const received = receivedFields(rawFields);
    const protocol = received.get('upgrade') ?? '';
    if (this.#call.isAbandoned || !protocolsIn(protocol).every((name) => upgrade.includes(name))) {
      connection.destroy();
      this.#fail(new ProtocolError('switched to a protocol that was not offered'));
      return;
    }
    this.#isSettled = true;
    this.#observer.answered();
    const tunnel = { connection, protocol, idleTimeoutMs: tunnelTimeoutMs };
    this.#call.settle({ status, fields: withoutConnectionFields(received), body: null, delimited: true, tunnel });
  }

  onData(piece: Buffer): boolean {
    if (this.#body !== undefined) return this.#body.add(piece);
    this.#pieces.push(piece);
    return true;
  }

  onComplete(): void {
    this.#isWhole = true;
    this.#body?.end();
  }

  onError(error: Error): void {
    if (this.#isSettled) this.#body?.destroy(error);
    else this.#fail(error);
  }

  #fail(error: Error): void {
    this.#isSettled = true;
    this.#observer.failed(error, this.#started);
  }

  #interim(status: number, rawFields: Buffer[]): void {
    this.#interims++;
    if (status === 101) this.#abort(new ProtocolError('101 without a protocol'));
    else if (this.#interims > MAX_INTERIM_RESPONSES) this.#abort(new ProtocolError('too many interim responses'));
    else this.#call.request.onInterim(status, withoutConnectionFields(receivedFields(rawFields)));
  }

  #settle(): void {
    if (this.#head === undefined || this.#isSettled) return;
    this.#isSettled = true;
    this.#observer.answered();
    const { bodyless, ...head } = this.#head;
    this.#call.settle({ ...head, body: bodyless ? null : this.#takeBody() });
  }

  #takeBody(): Uint8Array | UpstreamBody {
    const [first, ...more] = this.#pieces;
    if (this.#isWhole) return first === undefined || more.length > 0 ? Buffer.concat(this.#pieces) : first;
    this.#body = new UpstreamBody({ resume: this.#resume, abort: this.#abort });
    for (const piece of this.#pieces.splice(0)) this.#body.add(piece);
    return this.#body;
  }
}

interface ResponseHead {
  readonly status: number;
  readonly fields: Fields;
  /**
   * Whether the response has no body, whatever its fields say: to HEAD, 204 and 304. How the attempt goes on is then
   * without interest: undici takes the Content-Length of a 304 for a body that never came, and ends it with an error.
   */
  readonly bodyless: boolean;
  readonly delimited: boolean;
}

/** The head as the chain is to have it of one that came over the wire. */
export function responseHead(method: string, status: number, received: Fields): ResponseHead {
  const bodyless = method === 'HEAD' || status === 204 || status === 304;
  return {
    status,
    fields: withoutConnectionFields(received),
    bodyless,
    delimited: bodyless || isFramed(received),
  };
}

/**
 * Whether the origin said how the body ends: by its length, by chunks, or, where the last transfer coding is another one,
 * by the end of the connection (RFC 9112, section 6.3, item 4). One that is coded for the transfer in another way, too,
 * would be something else without its Transfer-Encoding, chunks within chunks (section 7.1) are anybody's guess, and a body
 * without any framing may have ended by accident.
 */
function isFramed(received: Fields): boolean {
  const codings = received.get('transfer-encoding')?.toLowerCase();
  if (codings === undefined) return received.has('content-length');
  return codings === 'chunked' || !/\b(?:chunked|gzip|deflate|compress)\b/.test(codings);
}

function receivedFields(rawFields: readonly Buffer[]): Fields {
  return new Fields(rawFields.map((bytes) => bytes.toString('latin1')));
}
