import { type CacheRequest, HttpCache } from '../cache/cache.js';
import { Entries } from '../cache/entries.js';
import { discard, type Origin, type OriginResponse } from '../cache/origin.js';
import type { ResponseRule } from '../cache/policy.js';
import { combinedResult, type PurgeOptions, type PurgeResult, Purger, type PurgeTarget } from '../cache/purger.js';
import type { Fields } from '../http/fields.js';
import { invalidationTargets, isUnsafe } from '../http/invalidation.js';
import { parseTarget } from '../http/path.js';
import type { ResponseHead } from '../http/response-head.js';
import { invalidatedGroups } from '../http/surrogate-keys.js';
import { cacheBypass } from './cache-bypass.js';
import { type AskedAbout, type CacheExplanation, explainExchange } from './cache-explanation.js';
import { type CacheKey, cacheKey, editedFields, keyRefusal, keysDiffer } from './cache-key.js';
import type { CacheOptions } from './cache-options.js';
import { responseRule } from './cache-rules.js';
import type { ChainContext, Step } from './chain.js';
import type { Exchange, ExchangeResponse, ExchangeView } from './exchange.js';
import { FillExchange } from './fill-exchange.js';
import { plainResponse } from './plain-response.js';
import { PurgeRequests } from './purge-request.js';
import { type QueryEquivalence, QueryMemory, withoutQuery } from './query-memory.js';
import { viewOfUrl } from './url-view.js';

/** The HTTP cache of one `memcached.cache`, for exchanges: its keys, its operator's rules, and the way to its chain. */
export class ExchangeCache {
  readonly #options: CacheRules;
  readonly #engine: HttpCache;
  readonly #purger: Purger;
  readonly #purgeRequests: PurgeRequests | undefined;
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
    this.#purgeRequests = options.purge && new PurgeRequests(this, options.purge, policy.tagFields);
    this.#queries = options.noVarySearch ? new QueryMemory() : undefined;
  }

  /**
   * Leaves a response in the exchange: out of the cache, or made by `chain`, and then stored if it may be.
   *
   * @param refresh what makes a response when the exchange has its own already. Default: `chain`, too
   */
  async handle(exchange: Exchange, chain: Step, refresh: Step = chain): Promise<void> {
    if (exchange.request.method === 'PURGE' && this.#purgeRequests !== undefined) {
      exchange.respond(await this.#purgeRequests.answer(exchange));
      return;
    }
    const bypass = cacheBypass(exchange, exchange.client, this.#options);
    if (bypass === undefined) {
      await this.#answer(exchange, chain, refresh);
    } else {
      exchange.outcome = { verdict: 'bypass', reason: bypass };
      if (bypass === 'method' && isUnsafe(exchange.request.method)) await this.#change(exchange, chain);
      else await chain(exchange);
    }
    const { tagFields, stripTags } = this.#options.policy;
    if (stripTags) for (const name of tagFields) exchange.response?.fields.delete(name);
  }

  /** As in `RunningCache`. */
  async purge(target: PurgeTarget, options?: PurgeOptions): Promise<PurgeResult> {
    switch (target.kind) {
      case 'url':
        return this.#purgeRequested(requiredView(target.url), options);
      case 'prefix':
        return this.#purger.purge({ kind: 'prefix', prefix: this.key(requiredView(target.prefix)).url }, options);
      default:
        return this.#purger.purge(target, options);
    }
  }

  /** Purges what is stored for a request, and for others that differ in what keys are made of besides the URL. */
  async #purgeRequested(view: ExchangeView, options?: PurgeOptions): Promise<PurgeResult> {
    const { keyRules, noVarySearch } = this.#options;
    const { key, url } = this.key(view);
    const targets: PurgeTarget[] = [];
    if (keyRefusal(keyRules, view.request) === undefined) targets.push({ kind: 'key', key });
    if (keysDiffer(keyRules) || noVarySearch) targets.push({ kind: 'url', url });
    if (noVarySearch) targets.push({ kind: 'url', url: withoutQuery(url) });
    return combinedResult(await Promise.all(targets.map((target) => this.#purger.purge(target, options))));
  }

  /** The key of a GET for what the exchange asks for. */
  key(view: ExchangeView): CacheKey {
    return this.#place(view).key;
  }

  /** As in `RunningCache`. */
  explain(asked: AskedAbout): Promise<CacheExplanation> {
    const place = this.#place(asked.view);
    const cache = {
      options: this.#options,
      key: place.key,
      url: purgeUrl(place),
      ruleFor: (head: ResponseHead) => this.#ruleFor(asked.view, place, head),
      lookup: (request: CacheRequest) => this.#engine.explain(request),
    };
    return explainExchange(cache, asked);
  }

  close(): void {
    this.#purger.close();
  }

  async #answer(exchange: Exchange, chain: Step, refresh: Step): Promise<void> {
    const place = this.#place(exchange);
    const ruleFor = (head: ResponseHead, view: ExchangeView) => this.#ruleFor(view, place, head);
    const origin = new ChainOrigin(exchange, { chain, refresh }, place.key, ruleFor);
    const { key } = place.key;
    const request = { method: exchange.request.method, fields: origin.fields, key, url: purgeUrl(place) };
    const result = await this.#engine.answer(request, origin);
    exchange.outcome = result.outcome;
    if (result.kind === 'answer') {
      exchange.storage = result.storage;
      exchange.respond(result.response);
      return;
    }
    const asked = { ...request, fields: request.fields.clone() };
    origin.begin();
    const requestedMs = Date.now();
    const received = (response: ExchangeResponse | undefined) =>
      this.#engine.received(asked, result, response, { origin, requestedMs, receivedMs: Date.now() });
    try {
      await exchange.runEdited(chain);
    } catch (error) {
      await received(undefined);
      throw error;
    }
    exchange.storage = await received(exchange.client.isGone ? undefined : exchange.response);
  }

  /** A request that may change what is stored (RFC 9111, section 4.4; RFC 9875, section 3). */
  async #change(exchange: Exchange, chain: Step): Promise<void> {
    // The chain may rewrite the request; what is stored of the resource goes by what the client sent.
    const view = snapshot(exchange);
    const requestedMs = Date.now();
    await exchange.runEdited(chain);
    const { response } = exchange;
    if (response === undefined || response.failure !== undefined) return;
    const place = this.#place(view);
    const targets = invalidationTargets(place.key.url, response);
    const groups = targets.length === 0 ? [] : invalidatedGroups(response.fields);
    await Promise.all([
      ...targets.map((url) => this.#purgeRequested(url === place.key.url ? view : sameOriginView(url, view))),
      ...groups.map((tag) => this.purge({ kind: 'tag', tag })),
    ]);
    const { method } = view.request;
    if (method !== 'POST' || !response.fields.has('content-location')) return;
    // The response to a POST can be that of a later GET, when it says so (RFC 9110, section 9.3.3).
    const ruleFor = (head: ResponseHead) => this.#ruleFor(view, place, head);
    const origin = new ChainOrigin(exchange, { chain, refresh: chain }, place.key, ruleFor);
    const trip = { origin, requestedMs, receivedMs: Date.now() };
    const { key, url, edits } = place.key;
    const fields = editedFields(view.request.fields, edits);
    exchange.storage = await this.#engine.receivedUnasked({ method, fields, key, url }, response, trip);
  }

  #place(view: ExchangeView): Place {
    const { request } = view;
    const known = this.#queries?.of(`${request.scheme}://${request.authority}${request.target}`);
    return { known, key: cacheKey(this.#options.keyRules, view, known) };
  }

  #ruleFor(view: ExchangeView, { key, known }: Place, head: ResponseHead): ResponseRule {
    const rule = responseRule(this.#options.rules, view, head);
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

/**
 * The URL by which a response can be purged. For one that answers all queries that No-Vary-Search takes for the same,
 * whose key therefore no URL tells, it is that of the path.
 */
function purgeUrl({ key: { url }, known }: Place): string {
  return known === undefined ? url : withoutQuery(url);
}

/** The same request, but for another URL of the same origin. */
function sameOriginView(url: string, view: ExchangeView): ExchangeView {
  const target = parseTarget(url.replace(/^https?:\/\/[^/?#]*/, ''));
  return { ...view, request: { ...view.request, ...target } };
}

/** What an exchange is like at this moment, whatever a chain makes of it. */
function snapshot({ request, response, physical, captures, environment }: Exchange): ExchangeView {
  const kept = { ...request, fields: request.fields.clone() };
  return {
    request: kept,
    response,
    physical: physical && { ...physical },
    captures,
    environment: new Map(environment),
  };
}

function requiredView(url: string): ExchangeView {
  const view = viewOfUrl(url);
  if (view === undefined) throw new RangeError(`not a URL such as http://host/path: ${url}`);
  return view;
}

/** What makes a response: for the exchange itself, and when that has one already. */
interface OriginSteps {
  readonly chain: Step;
  readonly refresh: Step;
}

/** The way to the origin through the chain within. What the key leaves out of the request, the origin does not get. */
class ChainOrigin implements Origin {
  /** Those of the request, as the origin gets them. */
  readonly fields: Fields;
  readonly #rule: (head: ResponseHead, view: ExchangeView) => ResponseRule;
  readonly #exchange: Exchange;
  /** The request, as the rules see it. */
  #view: ExchangeView;
  readonly #steps: OriginSteps;
  readonly #key: CacheKey;

  constructor(
    exchange: Exchange,
    steps: OriginSteps,
    key: CacheKey,
    rule: (head: ResponseHead, view: ExchangeView) => ResponseRule,
  ) {
    this.fields = editedFields(exchange.request.fields, key.edits);
    this.#rule = rule;
    this.#exchange = exchange;
    this.#view = exchange;
    this.#steps = steps;
    this.#key = key;
  }

  async fetch(fields: Fields, isRefresh: boolean): Promise<OriginResponse> {
    const { client } = this.#exchange;
    const fill = new FillExchange(this.#exchange, {
      method: 'GET',
      target: this.#key.target,
      fields,
      onInterim: (status, interimFields) => client.interim(status, interimFields),
    });
    try {
      await (isRefresh ? this.#steps.refresh : this.#steps.chain)(fill);
      const response = fill.response ?? plainResponse(404, ['Cache-Control', 'no-store']);
      fill.applyDeliveryEdits(response);
      return response;
    } catch (error) {
      if (fill.response !== undefined) discard(fill.response);
      throw error;
    }
  }

  ruleFor(head: ResponseHead): ResponseRule {
    return this.#rule(head, this.#view);
  }

  /**
   * Makes the request of the exchange the one that the origin is to get, for the chain to run on the client's own exchange.
   * Whatever it does to that one, the rules go by the request as it was.
   */
  begin(): void {
    const { request } = this.#exchange;
    this.#view = snapshot(this.#exchange);
    if (request.target !== this.#key.target) Object.assign(request, parseTarget(this.#key.target));
    for (const [name, value] of this.#key.edits) {
      if (value === undefined) request.fields.delete(name);
      else request.fields.set(name, value);
    }
  }
}
