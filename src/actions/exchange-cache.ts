import { HttpCache } from '../cache/cache.js';
import { Entries } from '../cache/entries.js';
import type { Origin, OriginResponse } from '../cache/origin.js';
import type { ResponseRule } from '../cache/policy.js';
import { type PurgeOptions, type PurgeResult, Purger, type PurgeTarget } from '../cache/purger.js';
import type { Reason } from '../cache/verdict.js';
import type { Fields } from '../http/fields.js';
import { invalidationTargets, isUnsafe } from '../http/invalidation.js';
import { parseTarget } from '../http/path.js';
import type { ResponseHead } from '../http/response-head.js';
import { invalidatedGroups } from '../http/surrogate-keys.js';
import { type CacheKey, cacheKey, editedFields, keyRefusal } from './cache-key.js';
import type { CacheOptions } from './cache-options.js';
import { requestRule, responseRule } from './cache-rules.js';
import type { ChainContext, Step } from './chain.js';
import type { Exchange, ExchangeRequest, ExchangeView } from './exchange.js';
import { FillExchange } from './fill-exchange.js';
import { plainResponse } from './plain-response.js';
import { type QueryEquivalence, QueryMemory } from './query-memory.js';

/** The HTTP cache of one `memcached.cache`, for exchanges: its keys, its operator's rules, and the way to its chain. */
export class ExchangeCache {
  readonly #options: CacheRules;
  readonly #engine: HttpCache;
  readonly #purger: Purger;
  readonly #queries: QueryMemory | undefined;

  constructor(options: CacheRules, context: ChainContext) {
    const { policy, maxVariants } = options;
    const { bodies: budget, secrets } = context;
    const { passSeconds, maxBodyBytes } = policy;
    const store = context.store(options.server);
    const entries = new Entries(store, { budget, secrets, maxVariants, passSeconds, maxBodyBytes, partials: true });
    this.#options = options;
    this.#engine = new HttpCache(entries, policy, budget);
    this.#purger = new Purger(store, { secrets });
    this.#queries = options.noVarySearch ? new QueryMemory() : undefined;
  }

  /** Leaves a response in the exchange: out of the cache, or made by `chain`, and then stored if it may be. */
  async handle(exchange: Exchange, chain: Step): Promise<void> {
    const bypass = this.#bypass(exchange);
    if (bypass === undefined) {
      await this.#answer(exchange, chain);
    } else {
      exchange.outcome = { verdict: 'bypass', reason: bypass };
      const requestedMs = Date.now();
      await chain(exchange);
      if (bypass === 'method') await this.#changed(exchange, chain, requestedMs);
    }
    const { tagFields, stripTags } = this.#options.policy;
    if (stripTags) for (const name of tagFields) exchange.response?.fields.delete(name);
  }

  /** Purges, for the whole fleet. A `url` is that of a GET. */
  purge(target: PurgeTarget, options?: PurgeOptions): Promise<PurgeResult> {
    return this.#purger.purge(target, options);
  }

  /** The key of a GET for what the exchange asks for. */
  key(view: ExchangeView): CacheKey {
    return this.#place(view).key;
  }

  close(): void {
    this.#purger.close();
  }

  /** Why the cache has no part in a request, or `undefined` when it has. */
  #bypass(exchange: Exchange): Reason | undefined {
    const { request, client } = exchange;
    const { method, fields, hasBody } = request;
    if (method !== 'GET' && method !== 'HEAD') return 'method';
    if (hasBody) return 'request-body';
    if (client.upgrade !== undefined) return 'upgrade';
    if (fields.has('if-match') || fields.has('if-unmodified-since')) return 'precondition';
    if (requestRule(this.#options.rules, exchange).bypass === true) return 'rule';
    return keyRefusal(this.#options.keyRules, request);
  }

  async #answer(exchange: Exchange, chain: Step): Promise<void> {
    const place = this.#place(exchange);
    const origin = new ChainOrigin(exchange, chain, place.key, (head) => this.#ruleFor(exchange, place, head));
    const { key, url } = place.key;
    const request = { method: exchange.request.method, fields: origin.fields, key, url };
    const result = await this.#engine.answer(request, origin);
    exchange.outcome = result.outcome;
    if (result.kind === 'answer') {
      exchange.storage = result.storage;
      exchange.respond(result.response);
      return;
    }
    origin.rewrite(exchange.request);
    const requestedMs = Date.now();
    await chain(exchange);
    const response = exchange.client.isGone ? undefined : exchange.response;
    const trip = { origin, requestedMs, receivedMs: Date.now() };
    exchange.storage = await this.#engine.received(request, result, response, trip);
  }

  /** After a request that may have changed what is stored (RFC 9111, section 4.4; RFC 9875, section 3). */
  async #changed(exchange: Exchange, chain: Step, requestedMs: number): Promise<void> {
    const { request, response } = exchange;
    if (response === undefined || response.failure !== undefined || !isUnsafe(request.method)) return;
    const place = this.#place(exchange);
    const targets = invalidationTargets(place.key.url, response).map((url) => this.#keyOf(url, place, exchange));
    const groups = targets.length === 0 ? [] : invalidatedGroups(response.fields);
    await Promise.all([
      ...targets.map((key) => this.purge({ kind: 'key', key })),
      ...groups.map((tag) => this.purge({ kind: 'tag', tag })),
    ]);
    if (request.method !== 'POST' || !response.fields.has('content-location')) return;
    // The response to a POST can be that of a later GET, when it says so (RFC 9110, section 9.3.3).
    const origin = new ChainOrigin(exchange, chain, place.key, (head) => this.#ruleFor(exchange, place, head));
    const { key, url } = place.key;
    const trip = { origin, requestedMs, receivedMs: Date.now() };
    const { fields } = origin;
    exchange.storage = await this.#engine.receivedUnasked({ method: 'POST', fields, key, url }, response, trip);
  }

  #place(view: ExchangeView): Place {
    const { request } = view;
    const known = this.#queries?.of(`${request.scheme}://${request.authority}${request.target}`);
    return { known, key: cacheKey(this.#options.keyRules, view, known) };
  }

  /** The key of a URL of the same origin as that of `own`. */
  #keyOf(url: string, own: Place, { request, response, physical, captures, environment }: Exchange): string {
    if (url === own.key.url) return own.key.key;
    const target = parseTarget(url.replace(/^https?:\/\/[^/?#]*/, ''));
    return this.key({ request: { ...request, ...target }, response, physical, captures, environment }).key;
  }

  #ruleFor(exchange: Exchange, { key, known }: Place, head: ResponseHead): ResponseRule {
    const rule = responseRule(this.#options.rules, exchange, head);
    const isOfKey = this.#queries?.learn(key.url, known, head.fields) ?? true;
    return { ...rule, minUses: rule.minUses ?? this.#options.minUses, bypass: rule.bypass === true || !isOfKey };
  }
}

/** The options of a `memcached.cache`, but for its chain. */
export type CacheRules = Omit<CacheOptions, 'chain'>;

/** Where the response to a request is kept, and what was known of its query when that was worked out. */
interface Place {
  readonly key: CacheKey;
  readonly known: QueryEquivalence | undefined;
}

/** The way to the origin through the chain within. What the key leaves out of the request, the origin does not get. */
class ChainOrigin implements Origin {
  /** Those of the request, as the origin gets them. */
  readonly fields: Fields;
  readonly ruleFor: (head: ResponseHead) => ResponseRule;
  readonly #exchange: Exchange;
  readonly #chain: Step;
  readonly #key: CacheKey;

  constructor(exchange: Exchange, chain: Step, key: CacheKey, ruleFor: (head: ResponseHead) => ResponseRule) {
    this.fields = editedFields(exchange.request.fields, key.edits);
    this.ruleFor = ruleFor;
    this.#exchange = exchange;
    this.#chain = chain;
    this.#key = key;
  }

  async fetch(fields: Fields): Promise<OriginResponse> {
    const { client } = this.#exchange;
    const fill = new FillExchange(this.#exchange, {
      method: 'GET',
      target: this.#key.target,
      fields,
      onInterim: (status, interimFields) => client.interim(status, interimFields),
    });
    await this.#chain(fill);
    const response = fill.response ?? plainResponse(404, ['Cache-Control', 'no-store']);
    fill.applyDeliveryEdits(response);
    return response;
  }

  /** Makes `request` the one that the origin is to get, for a chain that runs on the client's own exchange. */
  rewrite(request: ExchangeRequest): void {
    if (request.target !== this.#key.target) Object.assign(request, parseTarget(this.#key.target));
    for (const [name, value] of this.#key.edits) {
      if (value === undefined) request.fields.delete(name);
      else request.fields.set(name, value);
    }
  }
}
