import type { Fields } from '../http/fields.js';
import { parseTarget } from '../http/path.js';
import { Exchange, type ExchangeClient, type ExchangeRequest, type RequestBody } from './exchange.js';

/** In what a fill's request differs from the one it is made for. */
export interface FillOptions {
  /** Default: those of the request as they are now. The fill gets a copy, without what frames a body. */
  readonly fields?: Fields;
  /** Default: the same. */
  readonly target?: string;
  /** Default: the same. */
  readonly method?: string;
  /** Gets the interim responses. Default: nobody does. */
  readonly onInterim?: (status: number, fields: Fields) => void;
}

/**
 * An exchange of the cache's own: a fetch on behalf of another exchange, and of others that may join it. Nothing that
 * becomes of the other one, or of its client, has an effect on it; what its chain does, none on the other one.
 */
export class FillExchange extends Exchange {
  readonly #client: DetachedClient;

  constructor(from: Exchange, options: FillOptions = {}) {
    const client = new DetachedClient(from.client.httpVersion, options.onInterim);
    super(fillRequest(from.request, options), client, from.log);
    this.#client = client;
    this.physical = from.physical === undefined ? undefined : { ...from.physical };
    this.captures = from.captures;
    for (const [name, value] of from.environment) this.environment.set(name, value);
  }

  /** Nobody needs the response any more: what its chain is waiting for is broken off. */
  abandon(): void {
    this.#client.leave();
  }
}

/** Fields that frame or announce a body, or ask for another protocol: a fill has neither. */
const CLIENTS_OWN: ReadonlySet<string> = new Set(['content-length', 'expect', 'transfer-encoding', 'upgrade']);

function fillRequest(request: ExchangeRequest, options: FillOptions): ExchangeRequest {
  const { fields = request.fields, target = request.target, method = request.method } = options;
  return {
    ...request,
    ...(target === request.target ? {} : parseTarget(target)),
    method,
    fields: fields.filter((name) => !CLIENTS_OWN.has(name)),
    hasBody: false,
  };
}

/** A client that has no connection, and is gone when it is said to be. */
class DetachedClient implements ExchangeClient {
  readonly httpVersion: string;
  readonly upgrade = undefined;
  readonly #onInterim: FillOptions['onInterim'];
  readonly #listeners: (() => void)[] = [];
  #isGone = false;

  constructor(httpVersion: string, onInterim: FillOptions['onInterim']) {
    this.httpVersion = httpVersion;
    this.#onInterim = onInterim;
  }

  get isGone(): boolean {
    return this.#isGone;
  }

  leave(): void {
    this.#isGone = true;
    for (const listener of this.#listeners.splice(0)) listener();
  }

  onGone(listener: () => void): void {
    if (this.#isGone) listener();
    else this.#listeners.push(listener);
  }

  takeBody(): RequestBody | undefined {
    return undefined;
  }

  interim(status: number, fields: Fields): void {
    this.#onInterim?.(status, fields);
  }
}
