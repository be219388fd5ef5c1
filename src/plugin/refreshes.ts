import { randomUUID } from 'node:crypto';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Exchange, ExchangeResponse } from '../actions/exchange.js';
import type { Fields } from '../http/fields.js';
import { NoResponseError } from './handler-run.js';

/** Names the refresh that a request is made for. Nobody else knows the name, and it is good for one request. */
const REFRESH_FIELD = 'lookaside-refresh';

/** What a refresh may take. Until it is over, no other one of the same key begins. */
const MAX_REFRESH_MS = 60_000;

/** Fields of the client's connection, which a request without one does not have. */
const CONNECTION_FIELDS: ReadonlySet<string> = new Set(['connection', 'keep-alive', 'te', 'upgrade']);

/**
 * Requests that the app makes to itself (`app.inject`), to have the handler of a route make a response when the client
 * that caused it has an answer already. They go the way of that client's request, through all hooks and with its fields;
 * at the cache's place among the `onSend` hooks the payload is taken from them.
 */
export class Refreshes {
  readonly #app: FastifyInstance;
  readonly #announced = new Map<string, Refresh>();
  readonly #underWay = new WeakMap<FastifyRequest, Refresh>();

  constructor(app: FastifyInstance) {
    this.#app = app;
    app.addHook('onRequest', (request, reply, done) => {
      if (this.#admit(request)) done();
      else void reply.code(204).send();
    });
  }

  /** Leaves in `fill` what the handler answers to its request. `url`: as the client of the same request sent it. */
  async fetch(fill: Exchange, url: string): Promise<void> {
    const { request } = fill;
    const name = randomUUID();
    let end: Refresh['end'] = () => {};
    const response = new Promise<ExchangeResponse | undefined>((resolve) => {
      end = resolve;
    });
    this.#announced.set(name, { fill, end });
    const timer = setTimeout(end, MAX_REFRESH_MS).unref();
    const headers = { ...headersOf(request.fields), [REFRESH_FIELD]: name };
    const options = { method: 'GET', url, headers, remoteAddress: request.remote.address } as const;
    // Whatever it ends in: when the handler was reached, its response is there by then.
    this.#app.inject(options).then(
      () => end(undefined),
      () => end(undefined),
    );
    try {
      const made = await response;
      if (made === undefined) throw new NoResponseError(`no response to refresh ${request.target} with`);
      fill.respond(made);
    } finally {
      clearTimeout(timer);
      this.#announced.delete(name);
    }
  }

  /** The refresh that a request is made for; `undefined` when it is a client's. */
  of(request: FastifyRequest): Refresh | undefined {
    return this.#underWay.get(request);
  }

  /** Makes a request of ours look like that of the client. `false`: it does not ask for what the client did. */
  #admit(request: FastifyRequest): boolean {
    const { raw } = request;
    const name = raw.headers[REFRESH_FIELD];
    const refresh = typeof name === 'string' ? this.#announced.get(name) : undefined;
    if (refresh === undefined || typeof name !== 'string') return true;
    this.#announced.delete(name);
    delete raw.headers[REFRESH_FIELD];
    const { scheme, target } = refresh.fill.request;
    Object.assign(raw.socket, { encrypted: scheme === 'https' });
    if (raw.url === target) this.#underWay.set(request, refresh);
    else refresh.end();
    return raw.url === target;
  }
}

/** A response that is being made for the store. */
export interface Refresh {
  readonly fill: Exchange;
  /** Called with the response, or without when there will be none. */
  end(response?: ExchangeResponse): void;
}

function headersOf(fields: Fields): { [name: string]: string[] | undefined } {
  const headers = new Map<string, string[] | undefined>([['user-agent', undefined]]);
  for (const [name] of fields) {
    const lowerName = name.toLowerCase();
    // HTTP/2 has its pseudo-fields among the others.
    if (!CONNECTION_FIELDS.has(lowerName) && !name.startsWith(':')) headers.set(lowerName, fields.all(lowerName));
  }
  return Object.fromEntries(headers);
}
