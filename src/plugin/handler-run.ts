import type { FastifyReply, FastifyRequest } from 'fastify';
import type { ExchangeRequest, ExchangeResponse } from '../actions/exchange.js';
import { ask } from './asked-request.js';

/**
 * A handler made no response that a cache could see: it took the reply over, handed it to the 404 handler, or its client
 * left. Whoever waited for it has to run the handler for itself.
 */
export class NoResponseError extends Error {
  override readonly name = 'NoResponseError';
}

/** How long others wait for a handler to answer. Slower ones are not shared: something may be wrong with this one. */
const MAX_RUN_MS = 60_000;

/** How long a handler may still take whose client has left, and which may therefore never answer. */
const MAX_ABANDONED_MS = 5_000;

/**
 * The run of a route's handler on one client's request and reply, as the way to the origin for the cache. There is
 * at most one: a reply is sent once. It begins when the cache asks for a response, and ends with the payload as it passes
 * the cache's place among the `onSend` hooks.
 */
export class HandlerRun {
  readonly #request: FastifyRequest;
  readonly #reply: FastifyReply;
  /** Fulfilled when the handler is to be run. */
  readonly begun: Promise<void>;
  #begin: () => void = () => {};
  #state: 'idle' | 'running' | 'over' = 'idle';
  #finish: (response: ExchangeResponse | undefined) => void = () => {};

  constructor(request: FastifyRequest, reply: FastifyReply) {
    this.#request = request;
    this.#reply = reply;
    this.begun = new Promise((resolve) => {
      this.#begin = resolve;
    });
  }

  /** Whether a response of the handler is what the cache waits for. */
  get isRunning(): boolean {
    return this.#state === 'running';
  }

  /** Whether it can begin. */
  get isIdle(): boolean {
    return this.#state === 'idle';
  }

  /** The cache's side: what the handler answers to the request as the cache wants it; `undefined` when it does not. */
  async response(asked: ExchangeRequest): Promise<ExchangeResponse | undefined> {
    if (this.#state !== 'idle') return undefined;
    this.#state = 'running';
    const restore = ask(this.#request, asked);
    const { raw } = this.#reply;
    const onClose = () => {
      if (raw.writableEnded) this.end(undefined);
      else setTimeout(() => this.end(undefined), MAX_ABANDONED_MS).unref();
    };
    raw.once('close', onClose);
    const timer = setTimeout(() => this.end(undefined), MAX_RUN_MS).unref();
    try {
      return await new Promise((resolve) => {
        this.#finish = resolve;
        this.#begin();
      });
    } finally {
      clearTimeout(timer);
      raw.removeListener('close', onClose);
      restore();
    }
  }

  /** The handler's side: its response, or that there will be none. */
  end(response: ExchangeResponse | undefined): void {
    this.#state = 'over';
    this.#finish(response);
  }

  /** Has a look at what a handler returned, which may have taken the reply over. */
  watch(returned: unknown): void {
    const endIfTaken = () => {
      if (this.isRunning && this.#reply.sent) this.end(undefined);
    };
    if (isThenable(returned)) returned.then(endIfTaken, endIfTaken);
    else endIfTaken();
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}
