import type { Readable } from 'node:stream';
import type { Dispatcher } from 'undici';
import { Fields, withoutConnectionFields } from '../http/fields.js';

/** What is asked of an upstream. */
export interface UpstreamRequest {
  readonly method: string;
  /** Origin-form target; begins with a slash. It is sent byte for byte behind the upstream's base path. */
  readonly target: string;
  /** With Host, without anything that frames the body or concerns the connection. */
  readonly fields: Fields;
  /** `undefined`: there is none. */
  readonly body: UpstreamBody | undefined;
}

export interface UpstreamBody {
  readonly stream: Readable;
  /** `undefined` sends it chunked. */
  readonly bytes: number | undefined;
}

/** The head of an upstream's response. */
export interface UpstreamHead {
  readonly status: number;
  /** As they came, in byte strings, without those of the connection. */
  readonly fields: Fields;
  /**
   * Whether the response has no body, whatever its fields say: to HEAD, 204 and 304. Its stream is not to be read: undici
   * takes the Content-Length of a 304 for a body that never came, and lets it end with an error.
   */
  readonly bodyless: boolean;
  /** See `ExchangeResponse.delimited`. */
  readonly delimited: boolean;
}

/** What makes a call: its upstream. */
export interface CallSender {
  send(call: UpstreamCall, reader: Dispatcher.DispatchHandler): void;
}

/**
 * One request to an upstream from the moment it is asked for until its response has been read, over as many attempts as
 * that takes.
 */
export class UpstreamCall {
  readonly request: UpstreamRequest;
  readonly #sender: CallSender;
  /** There once the response's head is. */
  head: UpstreamHead | undefined;
  /** Nobody waits for the response any more. */
  abandoned = false;
  #abort: (() => void) | undefined;

  constructor(request: UpstreamRequest, sender: CallSender) {
    this.request = request;
    this.#sender = sender;
  }

  /** Makes the call; `reader` gets the response or the error. Of an abandoned call it hears no more. */
  send(reader: Dispatcher.DispatchHandler): void {
    this.#sender.send(this, reader);
  }

  /** Ends the call; its connection is closed unless the response had been read. */
  abandon(): void {
    this.abandoned = true;
    this.#abort?.();
  }

  /** How the attempt under way can be ended. */
  set abort(abort: () => void) {
    this.#abort = abort;
    if (this.abandoned) abort();
  }
}

/** What the attempts of a call report, besides what the response's reader learns. */
export interface AttemptObserver {
  /** The call has its head, or will never have one. */
  settled(): void;
  /** The attempt failed before its head was there; the observer answers the reader. */
  failed(error: Error, responseStarted: boolean): void;
}

/** One attempt of a call, between undici and the reader of the response. Keeps the head in the bytes that came. */
export class UpstreamAttempt implements Dispatcher.DispatchHandler {
  readonly #call: UpstreamCall;
  readonly #reader: Dispatcher.DispatchHandler;
  readonly #observer: AttemptObserver;
  #started = false;

  constructor(call: UpstreamCall, reader: Dispatcher.DispatchHandler, observer: AttemptObserver) {
    this.#call = call;
    this.#reader = reader;
    this.#observer = observer;
  }

  onConnect(abort: (error?: Error) => void): void {
    this.#reader.onConnect?.(abort);
    this.#call.abort = abort;
  }

  onResponseStarted(): void {
    this.#started = true;
  }

  onHeaders(status: number, rawFields: Buffer[], resume: () => void, statusText: string): boolean {
    if (status < 200) return true;
    this.#call.head = upstreamHead(this.#call.request.method, status, rawFields);
    this.#observer.settled();
    // the reader is told nothing of the fields: they are in the head
    return this.#reader.onHeaders?.(status, [], resume, statusText) ?? true;
  }

  onData(chunk: Buffer): boolean {
    return this.#reader.onData?.(chunk) ?? true;
  }

  onComplete(): void {
    this.#reader.onComplete?.([]);
  }

  onError(error: Error): void {
    if (this.#call.head === undefined) this.#observer.failed(error, this.#started);
    else this.#reader.onError?.(error);
  }
}

function upstreamHead(method: string, status: number, rawFields: readonly Buffer[]): UpstreamHead {
  const received = new Fields(rawFields.map((bytes) => bytes.toString('latin1')));
  const bodyless = method === 'HEAD' || status === 204 || status === 304;
  const chunked = /(?:^|,)[\t ]*chunked[\t ]*$/i.test(received.get('transfer-encoding') ?? '');
  return {
    status,
    fields: withoutConnectionFields(received),
    bodyless,
    delimited: bodyless || chunked || received.has('content-length'),
  };
}
