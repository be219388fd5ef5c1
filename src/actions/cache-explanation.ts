import type { CacheRequest } from '../cache/cache.js';
import type { LookupExplanation } from '../cache/inspection.js';
import { isLasting } from '../cache/keep.js';
import { storeKey } from '../cache/key.js';
import { contentLength } from '../cache/origin.js';
import type { CachePolicy, ResponseRule } from '../cache/policy.js';
import { decideStorage, type StorageDecision, strip } from '../cache/storage.js';
import type { StoredEntry } from '../cache/stored-entry.js';
import type { Reason } from '../cache/verdict.js';
import { Fields } from '../http/fields.js';
import type { ResponseHead } from '../http/response-head.js';
import type { StoragePlan } from '../http/storage-rules.js';
import { cacheBypass } from './cache-bypass.js';
import { type CacheKey, editedFields, partsOf } from './cache-key.js';
import type { CacheOptions } from './cache-options.js';
import type { ExchangeClient, ExchangeView } from './exchange.js';
import { responseHead } from './upstream-attempt.js';

/** A request that somebody wants to know about. Nobody has sent it. */
export interface AskedAbout extends Pick<ExchangeClient, 'upgrade'> {
  readonly view: ExchangeView;
  /** The head of a response to it, as it comes over the wire, to know what becomes of that. */
  readonly response: ResponseHead | undefined;
}

/** What a cache makes of a request, and why: what its own functions say, one after the other. */
export interface CacheExplanation {
  readonly key: KeyExplanation;
  /** Why the cache has no part in it, or `undefined`. */
  readonly bypass: Reason | undefined;
  /** `undefined` with a bypass, and when the question is about a response: then nothing is looked up. */
  readonly lookup: LookupExplanation | undefined;
  /** What the lifetime of the entry follows from, as far as the rules that hold now make the same of it. */
  readonly lifetime: LifetimeSource | undefined;
  readonly storage: StorageExplanation | undefined;
  readonly policy: Pick<CachePolicy, 'leaseWaitMs' | 'passSeconds'>;
}

/** A key, and what it is made of. */
export interface KeyExplanation extends CacheKey {
  readonly storeKey: string;
  /** Pattern that stands for the URL; `undefined`: none does. */
  readonly pattern: string | undefined;
  /** What tells responses apart besides the URL. */
  readonly parts: readonly string[];
  /** Whether a process that has seen the path's No-Vary-Search may take another key. */
  readonly isByNoVarySearch: boolean;
}

export interface LifetimeSource {
  readonly source: StoragePlan['source'];
  /** Whether a rule has made it longer or shorter (minTtl, maxTtl). */
  readonly isBounded: boolean;
}

export interface StorageExplanation {
  readonly decision: StorageDecision;
  /** With the decision to store it. */
  readonly lifetime: LifetimeSource | undefined;
  readonly rule: ResponseRule;
  /** Whether it is remembered that the response was not stored, so that nobody waits for the next one. */
  readonly isRemembered: boolean;
}

/** What an `ExchangeCache` explains with. */
export interface ExplainingCache {
  readonly options: Pick<CacheOptions, 'rules' | 'keyRules' | 'policy' | 'noVarySearch'>;
  readonly key: CacheKey;
  /** As for the engine. */
  readonly url: string;
  ruleFor(head: ResponseHead): ResponseRule;
  lookup(request: CacheRequest): Promise<LookupExplanation>;
}

export async function explainExchange(cache: ExplainingCache, asked: AskedAbout): Promise<CacheExplanation> {
  const { options, key, url } = cache;
  const { keyRules, policy } = options;
  const { view, response } = asked;
  const { method } = view.request;
  const fields = editedFields(view.request.fields, key.edits);
  const bypass = cacheBypass(view, asked, options);
  const isLookedUp = bypass === undefined && response === undefined;
  const lookup = isLookedUp ? await cache.lookup({ method, fields, key: key.key, url }) : undefined;
  return {
    key: {
      ...key,
      storeKey: storeKey(key.key),
      pattern: keyRules.pattern?.source,
      parts: partsOf(keyRules.parts, view.request.fields).texts,
      isByNoVarySearch: options.noVarySearch,
    },
    bypass,
    lookup,
    lifetime: lookup?.entry && lifetimeOf(lookup.entry, cache),
    storage: response && storageOf({ method, fields, response }, bypass, cache),
    policy,
  };
}

/** A response to any method but GET is not for the store on account of that: `decideStorage` knows the one exception. */
function storageOf(
  { method, fields, response }: { readonly method: string; readonly fields: Fields; readonly response: ResponseHead },
  bypass: Reason | undefined,
  { ruleFor, url, options: { policy } }: ExplainingCache,
): StorageExplanation {
  const received = responseHead(method, response.status, response.fields);
  const rule = ruleFor(received);
  const refused = (reason: Reason, isRemembered: boolean): StorageExplanation => {
    return { decision: { isStored: false, reason }, lifetime: undefined, rule, isRemembered };
  };
  if (bypass !== undefined && bypass !== 'method') return refused(bypass, false);
  if (!received.delimited) return refused('unknown-length', isLasting('unknown-length'));
  const nowMs = Date.now();
  const times = { requestedMs: nowMs, receivedMs: nowMs };
  strip(received.fields, rule);
  const judged = { method, url, requestFields: fields, status: received.status, fields: received.fields, ...times };
  const judge = (by: ResponseRule) => decideStorage(judged, policy, by);
  const decision = judge(rule);
  if (!decision.isStored) return refused(decision.reason, bypass === undefined && isLasting(decision.reason));
  const isTooLarge = (contentLength(received.fields) ?? 0) > policy.maxBodyBytes;
  if (isTooLarge) return refused('above-maxsize', isLasting('above-maxsize'));
  return { decision, lifetime: lifetimeSource(decision, judge(unbounded(rule))), rule, isRemembered: false };
}

function lifetimeOf(
  { status, fields: storedFields, freshness }: StoredEntry,
  { ruleFor, url, options: { policy } }: ExplainingCache,
): LifetimeSource | undefined {
  const { storedAtMs, ageSeconds, lifetimeSeconds } = freshness;
  const fields = storedFields.clone();
  fields.set('Age', String(ageSeconds));
  const rule = ruleFor({ status, fields });
  const times = { requestedMs: storedAtMs, receivedMs: storedAtMs };
  const request = { method: 'GET', url, requestFields: NO_FIELDS };
  const judge = (by: ResponseRule) => decideStorage({ ...request, status, fields, ...times }, policy, by);
  const decision = judge(rule);
  if (!decision.isStored || decision.plan.lifetimeSeconds !== lifetimeSeconds) return undefined;
  return lifetimeSource(decision, judge(unbounded(rule)));
}

const NO_FIELDS = new Fields();

function lifetimeSource(decision: StorageDecision, free: StorageDecision): LifetimeSource | undefined {
  if (!decision.isStored) return undefined;
  const { source, lifetimeSeconds } = decision.plan;
  return { source, isBounded: !free.isStored || free.plan.lifetimeSeconds !== lifetimeSeconds };
}

function unbounded(rule: ResponseRule): ResponseRule {
  return { ...rule, minTtlSeconds: undefined, maxTtlSeconds: undefined };
}
