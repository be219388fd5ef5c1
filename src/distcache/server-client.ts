import type { Duplex } from 'node:stream';
import type { Awaitable, SessionCache } from './cache.js';
import type { WireError } from './decoder.js';
import type { LimitedLog } from './limited-log.js';
import type { Counts, ServerCounter } from './metrics.js';
import { MAX_ID_BYTES, RESULT, type Request, type ResultCode, readRequest, resultPayload } from './payload.js';
import { ServedConnection } from './serving.js';
import { MAX_PAYLOAD_BYTES, type Message } from './wire.js';

/** What a server's connections share. */
export interface ServerContext {
  readonly cache: SessionCache;
  readonly minTimeoutMs: number;
  readonly now: () => number;
  readonly counters: Counts<ServerCounter>;
  readonly log: LimitedLog;
  readonly onOperation: () => void;
}

/**
 * Requests of one connection that may wait for the cache together: enough to keep a remote store busy with a connection
 * that carries many clients' requests, and no more than 1 MiB of answers.
 */
const MAX_OPEN = 32;

/** The requests of one connection: done by the cache side by side where they are independent, answered in order. */
export class ServerClient extends ServedConnection {
  readonly #context: ServerContext;
  readonly #onClosed: (client: ServerClient) => void;
  /** Requests without answer, and those behind them. */
  readonly #waiting: Waiting[] = [];
  /** The last request on each id that the cache has not answered: the next one on it is not begun before. */
  readonly #lastOn = new Map<string, Promise<unknown>>();

  constructor(stream: Duplex, context: ServerContext, onClosed: (client: ServerClient) => void) {
    super(stream, MAX_OPEN);
    this.#context = context;
    this.#onClosed = onClosed;
  }

  protected override onRequest(message: Message): void {
    const request = readRequest(message);
    if (request === undefined) {
      this.#disconnected('short', 'an ADD without its lengths');
      this.refuse();
      return;
    }
    const answer = typeof request === 'number' ? this.#refused(request) : this.#inTurn(request);
    this.#context.counters.operations_total++;
    this.#context.onOperation();
    if (answer instanceof Promise) {
      const waiting: Waiting = { message, answer: undefined };
      this.#waiting.push(waiting);
      answer.then((payload) => this.#settle(waiting, payload));
    } else if (this.#waiting.length > 0) this.#waiting.push({ message, answer });
    else this.answer(message, answer);
  }

  protected override onFault({ fault, message }: WireError): void {
    this.#disconnected(fault, message);
  }

  protected override onClosed(): void {
    this.#onClosed(this);
  }

  #disconnected(kind: string, reason: string): void {
    this.#context.counters.faults_total++;
    this.#context.log.say(kind, `Warning, closed a connection: ${reason}`);
  }

  #settle(waiting: Waiting, answer: Buffer): void {
    waiting.answer = answer;
    for (let [first] = this.#waiting; first?.answer !== undefined; [first] = this.#waiting) {
      this.#waiting.shift();
      this.answer(first.message, first.answer);
    }
  }

  #inTurn(request: Request): Awaitable<Buffer> {
    const isKeepable = request.id.length >= 1 && request.id.length <= MAX_ID_BYTES;
    if (!isKeepable) return this.#missed();
    const previous = this.#lastOn.size > 0 ? this.#lastOn.get(request.id.toString('latin1')) : undefined;
    const answer = previous === undefined ? this.#ask(request) : previous.then(() => this.#ask(request));
    if (!(answer instanceof Promise)) return answer;
    const id = request.id.toString('latin1');
    this.#lastOn.set(id, answer);
    return answer.then((payload) => {
      if (this.#lastOn.get(id) === answer) this.#lastOn.delete(id);
      return payload;
    });
  }

  /** The payload of the response. Never rejects: a cache that fails is a negative answer. */
  #ask(request: Request): Awaitable<Buffer> {
    try {
      const answer = this.#perform(request);
      return answer instanceof Promise ? answer.catch((error) => this.#failed(request, error)) : answer;
    } catch (error) {
      return this.#failed(request, error);
    }
  }

  #perform(request: Request): Awaitable<Buffer> {
    const { cache, counters } = this.#context;
    const now = this.#context.now();
    const { id } = request;
    switch (request.operation) {
      case 'add': {
        const timeoutMs = Math.max(request.timeoutMs, this.#context.minTimeoutMs);
        return after(cache.add(id, request.data, timeoutMs, now), (isAdded) =>
          isAdded ? this.#done('added_total') : this.#refused(RESULT.addMatchingSession),
        );
      }
      case 'get':
        return after(cache.get(id, now), (data) => {
          // an empty response makes C clients hang
          if (data === undefined || data.length === 0 || data.length > MAX_PAYLOAD_BYTES) return this.#missed();
          counters.hits_total++;
          return data;
        });
      case 'remove':
        return after(cache.remove(id, now), (isRemoved) => (isRemoved ? this.#done('removed_total') : this.#missed()));
      case 'have':
        return after(cache.have(id, now), (isThere) => (isThere ? this.#done('hits_total') : this.#missed()));
    }
  }

  #done(counter: ServerCounter): Buffer {
    this.#context.counters[counter]++;
    return resultPayload(RESULT.ok);
  }

  #missed(): Buffer {
    this.#context.counters.misses_total++;
    return resultPayload(RESULT.notOk);
  }

  #refused(code: ResultCode): Buffer {
    this.#context.counters.refused_total++;
    return resultPayload(code);
  }

  #failed(request: Request, error: unknown): Buffer {
    this.#context.counters.failures_total++;
    this.#context.log.say(
      'cache',
      `Warning, the cache failed: ${error instanceof Error ? error.message : String(error)}`,
    );
    return request.operation === 'add' ? this.#refused(RESULT.addMatchingSession) : this.#missed();
  }
}

interface Waiting {
  readonly message: Message;
  answer: Buffer | undefined;
}

function after<Value>(value: Awaitable<Value>, then: (value: Value) => Buffer): Awaitable<Buffer> {
  return value instanceof Promise ? value.then(then) : then(value);
}
