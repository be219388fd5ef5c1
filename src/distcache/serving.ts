import type { Duplex } from 'node:stream';
import { MessageDecoder, WireError } from './decoder.js';
import { MessageSender } from './sender.js';
import { encodeMessage, type Message } from './wire.js';

/** A peer that is disconnected and does not read its last answers is cut off after this time. */
const LINGER_MS = 1000;

/**
 * The serving end of one connection. Takes requests while fewer than `maxOpen` are unanswered and the peer reads the
 * answers; leaves the rest in the stream. A peer that ends its side gets all its answers; one that sends garbage gets
 * those to the requests before it.
 */
export abstract class ServedConnection {
  readonly #stream: Duplex;
  readonly #maxOpen: number;
  readonly #decoder = new MessageDecoder('request');
  readonly #sender: MessageSender;
  #open = 0;
  #isWorking = false;
  /** The peer has sent its last byte. */
  #isEnded = false;
  /** No more requests are taken. */
  #isFinishing = false;
  #isFinished = false;
  #cut: NodeJS.Timeout | undefined;

  /** `stream` is connected, and lets this side write after the peer's end. */
  constructor(stream: Duplex, maxOpen: number) {
    this.#stream = stream;
    this.#maxOpen = maxOpen;
    this.#sender = new MessageSender(stream, () => this.#work());
    stream.on('data', (chunk: Buffer) => {
      if (this.#isFinishing) return;
      this.#decoder.push(chunk);
      this.#work();
    });
    stream.on('end', () => {
      this.#isEnded = true;
      this.#work();
    });
    // every error is followed by close
    stream.on('error', () => {});
    stream.on('close', () => {
      this.#isFinishing = true;
      this.#isFinished = true;
      clearTimeout(this.#cut);
      this.onClosed();
    });
  }

  /** Has to `answer` each request, now or later, in the order of the requests; or to `refuse` the last one. */
  protected abstract onRequest(message: Message): void;

  /** The peer sent what it must not, and is being disconnected. */
  protected abstract onFault(error: WireError): void;

  /** The connection is gone. Answers to what is open lead nowhere. */
  protected abstract onClosed(): void;

  /** Requests taken and not yet answered. */
  get open(): number {
    return this.#open;
  }

  /** Answers the first open request. */
  answer({ uid, operation }: Message, payload: Buffer): void {
    this.#open--;
    this.#sender.send(encodeMessage('response', { uid, operation, payload }));
    if (this.#isWorking) return;
    if (this.#open === 0) this.#sender.flush();
    else this.#sender.flushSoon();
    this.#work();
  }

  /** Leaves the last taken request without answer, and disconnects once those before it are answered. */
  refuse(): void {
    this.#open--;
    this.finish();
  }

  /** Takes no more requests, and disconnects when the open ones are answered or it takes too long. Idempotent. */
  finish(): void {
    if (this.#cut !== undefined || this.#stream.closed) return;
    this.#cut = setTimeout(() => this.#stream.destroy(), LINGER_MS);
    this.#stream.once('finish', () => this.#stream.destroy());
    this.#isFinishing = true;
    // what still comes is read and dropped: a close with bytes unread could cost the peer its last answers
    this.#stream.resume();
    this.#endWhenDone();
  }

  #work(): void {
    if (this.#isWorking || this.#isFinished) return;
    this.#isWorking = true;
    const isExhausted = this.#takeRequests();
    this.#isWorking = false;
    this.#sender.flush();
    if (isExhausted && this.#isEnded) this.#isFinishing = true;
    if (this.#isFinishing) this.#endWhenDone();
    else if (!isExhausted) this.#stream.pause();
    else if (this.#stream.isPaused()) this.#stream.resume();
  }

  /** Takes what can be taken; whether nothing that was received waits to be taken. */
  #takeRequests(): boolean {
    while (!this.#isFinishing && this.#open < this.#maxOpen && !this.#sender.isFull) {
      const message = this.#nextRequest();
      if (message === undefined) return true;
      this.#open++;
      this.onRequest(message);
    }
    return !this.#decoder.hasBytes;
  }

  #nextRequest(): Message | undefined {
    try {
      return this.#decoder.next();
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.onFault(error);
      this.finish();
      return undefined;
    }
  }

  #endWhenDone(): void {
    if (this.#open > 0 || this.#isWorking || this.#isFinished) return;
    this.#isFinished = true;
    this.#sender.end();
  }
}
