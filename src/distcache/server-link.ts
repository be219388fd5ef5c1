import type { Duplex } from 'node:stream';
import { MessageDecoder, WireError } from './decoder.js';
import { MessageSender } from './sender.js';
import { encodeMessage, type Message, UidSequence, wireBytesOf } from './wire.js';

/** Why a link to a server ended: it was closed or broke; it did not answer in time; it sent what it must not. */
export type LinkLoss = 'closed' | 'timeout' | 'fault';

export interface LinkEvents<Request> {
  response(request: Request, payload: Buffer): void;
  /** The link can take more after it could not. */
  ready(): void;
  /** The link is at its end, with these requests unanswered, in the order they were forwarded. */
  lost(loss: LinkLoss, reason: string, unanswered: readonly Request[]): void;
}

export interface LinkOptions {
  readonly responseTimeoutMs: number;
  /** Most bytes of requests that may be unanswered at a time, unless it is one request. */
  readonly maxOutstandingBytes: number;
}

/** As many as the C proxy has in flight. */
const MAX_OUTSTANDING = 512;

/**
 * The requesting end of a connection to a server: requests go out under uids of its own, and responses come back to
 * them. `Request` is whatever the caller wants back with the response.
 */
export class ServerLink<Request extends { readonly message: Message }> {
  readonly #stream: Duplex;
  readonly #options: LinkOptions;
  readonly #events: LinkEvents<Request>;
  readonly #decoder = new MessageDecoder('response');
  readonly #sender: MessageSender;
  readonly #uids = new UidSequence();
  /** By uid, the longest unanswered first. */
  readonly #outstanding = new Map<number, Outstanding<Request>>();
  #outstandingBytes = 0;
  #deadline: NodeJS.Timeout | undefined;
  #isLost = false;

  /** `stream` is connected. What it receives is passed to `receive`. */
  constructor(stream: Duplex, options: LinkOptions, events: LinkEvents<Request>) {
    this.#stream = stream;
    this.#options = options;
    this.#events = events;
    this.#sender = new MessageSender(stream, () => events.ready());
    stream.on('error', (error) => this.#lose('closed', error.message));
    stream.on('end', () => this.#lose('closed', 'it closed the connection'));
    stream.on('close', () => this.#lose('closed', 'it closed the connection'));
  }

  get isIdle(): boolean {
    return this.#outstanding.size === 0;
  }

  canTake(message: Message): boolean {
    if (this.isIdle) return true;
    if (this.#sender.isFull || this.#outstanding.size >= MAX_OUTSTANDING) return false;
    return this.#outstandingBytes + wireBytesOf(message.payload.length) <= this.#options.maxOutstandingBytes;
  }

  forward(request: Request): void {
    const uid = this.#uids.next(this.#outstanding);
    const bytes = encodeMessage('request', request.message, uid);
    const isAlone = this.isIdle;
    const deadlineMs = performance.now() + this.#options.responseTimeoutMs;
    this.#outstanding.set(uid, { request, bytes: bytes.length, deadlineMs });
    this.#outstandingBytes += bytes.length;
    this.#sender.send(bytes);
    if (isAlone) this.#sender.flush();
    else this.#sender.flushSoon();
    this.#deadline ??= setTimeout(() => this.#checkDeadline(), this.#options.responseTimeoutMs);
  }

  /** Ends the connection without a word to anybody. */
  destroy(): void {
    this.#isLost = true;
    clearTimeout(this.#deadline);
    this.#stream.destroy();
  }

  /** Takes the next bytes from the server. They may be written to when it returns. */
  receive(bytes: Buffer): void {
    if (this.#isLost) return;
    this.#decoder.push(bytes);
    try {
      for (let response = this.#decoder.next(); response !== undefined; response = this.#decoder.next()) {
        if (!this.#take(response)) {
          this.#lose('fault', 'a response to nothing that was asked');
          return;
        }
        if (this.#isLost) return;
      }
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.#lose('fault', error.message);
    }
    this.#events.ready();
  }

  /** Hands the response to whoever asked; `false` when nobody did. */
  #take({ uid, operation, payload }: Message): boolean {
    const outstanding = this.#outstanding.get(uid);
    if (outstanding === undefined || outstanding.request.message.operation !== operation) return false;
    this.#outstanding.delete(uid);
    this.#outstandingBytes -= outstanding.bytes;
    this.#events.response(outstanding.request, payload);
    return true;
  }

  #checkDeadline(): void {
    this.#deadline = undefined;
    const [oldest] = this.#outstanding.values();
    if (oldest === undefined) return;
    const leftMs = oldest.deadlineMs - performance.now();
    if (leftMs <= 0) this.#lose('timeout', `no response within ${this.#options.responseTimeoutMs} ms`);
    else this.#deadline = setTimeout(() => this.#checkDeadline(), leftMs);
  }

  #lose(loss: LinkLoss, reason: string): void {
    if (this.#isLost) return;
    this.destroy();
    const unanswered = [...this.#outstanding.values()].map(({ request }) => request);
    this.#events.lost(loss, reason, unanswered);
  }
}

interface Outstanding<Request> {
  readonly request: Request;
  readonly bytes: number;
  readonly deadlineMs: number;
}
