import { type CacheControl, parseCacheControl } from './cache-control.js';
import type { Fields } from './fields.js';
import { initialAge, type Lifetime, lifetime } from './freshness.js';
import { storedPart } from './partial.js';
import { resolveWithinOrigin } from './reference.js';
import type { ResponseHead } from './response-head.js';
import { isErrorStatus, isHeuristicallyCacheable, isStorable, isUnderstood } from './status.js';
import { governingControl } from './targeted-cache-control.js';
import { hasValidator } from './validators.js';
import { varyNames } from './vary.js';

/** Why a shared cache must leave a response alone, or at least does better to. */
export type StorageRefusal =
  | 'method'
  | 'request-no-store'
  | 'authorization'
  | 'cookie'
  | 'status'
  | 'partial'
  | 'error-status'
  | 'set-cookie'
  | 'private'
  | 'no-store'
  | 'must-understand'
  | 'no-cache'
  | 'vary'
  | 'no-freshness';

/**
 * Refusals that are about the one request, not about what the origin answers to others: they say nothing of the next
 * request for the same key.
 */
export const REQUEST_REFUSALS: ReadonlySet<StorageRefusal> = new Set<StorageRefusal>([
  'method',
  'request-no-store',
  'authorization',
  'cookie',
]);

export interface StorageRules {
  /** Names of the targeted fields to obey, the most specific one first. */
  readonly targets: readonly string[];
  /**
   * `rfc` stores all that RFC 9111 allows. `safe` leaves alone what a careless origin did not mean to share: responses
   * that set a cookie; errors, and responses to requests with a Cookie, unless the origin itself says how long they may
   * be used. (Heuristic freshness by Last-Modified counts for an error: what the origin makes up for one broken request
   * has no such date. It does not count for a page made for a cookie.) On the other hand it takes stale-while-revalidate
   * and stale-if-error at their word where s-maxage stands beside them.
   */
  readonly profile: 'rfc' | 'safe';
  /** How long the operator lets the response be used from its receipt on, in the place of what it says itself. */
  readonly ttlSeconds?: number | undefined;
  /**
   * The same for a response that does not say it itself: heuristics do not count. It makes nobody's page for a cookie one
   * for all.
   */
  readonly defaultTtlSeconds?: number | undefined;
  /** Whether the operator stores also what is private or must not be stored, sets a cookie or came for Authorization. */
  readonly unsafe?: boolean | undefined;
}

/** The request, as far as it matters for storing the response. */
export interface StorageRequest {
  readonly method: string;
  readonly fields: Fields;
  /** Target URI, as for `invalidationTargets`. Without it the response to a POST is not stored. */
  readonly url?: string | undefined;
}

/** How a response may be stored and used. All times are whole seconds. */
export interface StoragePlan {
  /** Age the response had when it was received. */
  readonly ageSeconds: number;
  /** Age up to which it is fresh; 0 when it must be revalidated before every use. */
  readonly lifetimeSeconds: number;
  /** What the response says; 0 when it is silent, and when it must never be used stale. */
  readonly staleWhileRevalidateSeconds: number;
  /** What the response says; `undefined` when it is silent, 0 when it must never be used stale. */
  readonly staleIfErrorSeconds: number | undefined;
  /**
   * `may`: stale, it can be used where the windows allow. `must` (must-revalidate, proxy-revalidate, s-maxage): never
   * stale. `always` (no-cache): not even fresh without asking the origin.
   */
  readonly revalidation: 'may' | 'must' | 'always';
  /** What the lifetime follows from: the response, the operator's rule, or `none` when nothing is known of it. */
  readonly source: KnownLifetime['source'] | 'none';
  /** It will not change while it is fresh (RFC 8246). */
  readonly immutable: boolean;
  /** Lower-case names of the fields that must not be stored with it: those of no-cache="…" and private="…". */
  readonly droppedFields: readonly string[];
}

/** When the request was sent and its response head received, in ms since 1970. */
export interface ExchangeTimes {
  readonly requestedMs: number;
  readonly receivedMs: number;
}

interface KnownLifetime {
  readonly seconds: number;
  readonly source: Lifetime['source'] | 'rule' | 'default';
}

/** What the rules below look at, read once. */
interface Facts {
  readonly request: StorageRequest;
  readonly response: ResponseHead;
  readonly control: CacheControl;
  readonly profile: StorageRules['profile'];
  readonly ageSeconds: number;
  readonly known: KnownLifetime | undefined;
}

/**
 * Whether and how a shared cache may store the response (RFC 9111, sections 3 and 4.2). Also to be asked of a stored
 * response that a 304 has freshened: what it refuses then must not be used any longer.
 *
 * Of several refusals the gravest is given: first what nothing can change, then what only {@link StorageRules.unsafe}
 * overrides, last what a {@link StorageRules.ttlSeconds} would have made good.
 */
export function storagePlan(
  request: StorageRequest,
  response: ResponseHead,
  rules: StorageRules,
  { requestedMs, receivedMs }: ExchangeTimes,
): StoragePlan | StorageRefusal {
  const governing = governingControl(response.fields, rules.targets);
  const ageSeconds = initialAge(response.fields, requestedMs, receivedMs);
  const known = knownLifetime(lifetime(response, governing, receivedMs), rules, ageSeconds);
  const { profile } = rules;
  const facts: Facts = { request, response, control: governing.control, profile, ageSeconds, known };
  return (
    unfitness(facts) ??
    (rules.unsafe === true ? undefined : prohibition(facts, rules.profile)) ??
    uselessness(facts) ??
    (rules.profile === 'safe' ? carefulness(facts) : undefined) ??
    plan(facts)
  );
}

function knownLifetime(
  said: Lifetime | undefined,
  { ttlSeconds, defaultTtlSeconds }: StorageRules,
  ageSeconds: number,
): KnownLifetime | undefined {
  if (ttlSeconds !== undefined) return { seconds: ageSeconds + ttlSeconds, source: 'rule' };
  if (defaultTtlSeconds === undefined || isExplicit(said)) return said;
  return { seconds: ageSeconds + defaultTtlSeconds, source: 'default' };
}

/** Why the response answers no other request. */
function unfitness(facts: Facts): StorageRefusal | undefined {
  const { request, response } = facts;
  if (request.method !== 'GET' && !answersLaterGets(facts)) return 'method';
  if (!isStorable(response.status)) return 'status';
  if (response.status === 206 && storedPart(response) === undefined) return 'partial';
  return varyNames(response.fields) === '*' ? 'vary' : undefined;
}

/** The response to a POST is what a GET would get when it says so itself (RFC 9110, section 9.3.3). */
function answersLaterGets({ request: { method, url }, response, known }: Facts): boolean {
  const location = response.fields.get('content-location');
  if (method !== 'POST' || response.status !== 200 || url === undefined || location === undefined) return false;
  return isExplicit(known) && resolveWithinOrigin(url, location) === url;
}

/** What forbids to store the response. */
function prohibition({ request, response, control }: Facts, profile: StorageRules['profile']) {
  if (parseCacheControl(request.fields.get('cache-control')).has('no-store')) return 'request-no-store';
  const isForAll = control.has('public') || control.has('must-revalidate') || control.has('s-maxage');
  // RFC 9111, section 3.5.
  if (request.fields.has('authorization') && !isForAll) return 'authorization';
  // Where no-store stands beside must-understand, it is for caches that do not know the latter (section 5.2.2.3).
  if (control.has('must-understand')) {
    if (!isUnderstood(response.status)) return 'must-understand';
  } else if (control.has('no-store')) {
    return 'no-store';
  }
  if (control.has('private') && control.fieldNames('private') === undefined) return 'private';
  if (profile === 'rfc' || !response.fields.has('set-cookie')) return undefined;
  return droppedFields(control).has('set-cookie') ? undefined : 'set-cookie';
}

/** Why an entry could neither be used as it is nor be revalidated, or must not be made without any word about freshness. */
function uselessness({ response: { status, fields }, control, known }: Facts): StorageRefusal | undefined {
  if (isNeverFresh(control) && !hasValidator(fields)) return 'no-cache';
  if (known === undefined && !hasValidator(fields)) return 'no-freshness';
  // The last item of RFC 9111, section 3.
  const isAllowed =
    known?.source === 'default' || isExplicit(known) || control.has('public') || isHeuristicallyCacheable(status);
  return isAllowed ? undefined : 'no-freshness';
}

/** What is better not shared, though HTTP allows it. */
function carefulness({ request, response, control, known }: Facts): StorageRefusal | undefined {
  if (control.has('public') || (isExplicit(known) && known.seconds > 0)) return undefined;
  const isDated = known?.source === 'heuristic' || known?.source === 'default';
  if (isErrorStatus(response.status) && !isDated) return 'error-status';
  return request.fields.has('cookie') ? 'cookie' : undefined;
}

/** Whether somebody says it of this response, in so many words. */
function isExplicit(known: KnownLifetime | undefined): known is KnownLifetime {
  return known !== undefined && known.source !== 'heuristic' && known.source !== 'default';
}

function plan({ control, profile, ageSeconds, known }: Facts): StoragePlan {
  const revalidation = revalidationOf(control, profile);
  const isStaleAllowed = revalidation === 'may';
  // Beside s-maxage only what is said in so many words is allowed.
  const silent = control.has('s-maxage') ? 0 : undefined;
  return {
    ageSeconds,
    lifetimeSeconds: revalidation === 'always' ? 0 : (known?.seconds ?? 0),
    staleWhileRevalidateSeconds: isStaleAllowed ? (control.seconds('stale-while-revalidate') ?? 0) : 0,
    staleIfErrorSeconds: isStaleAllowed ? (control.seconds('stale-if-error') ?? silent) : 0,
    revalidation,
    source: known?.source ?? 'none',
    immutable: control.has('immutable'),
    droppedFields: [...droppedFields(control)],
  };
}

function isNeverFresh(control: CacheControl): boolean {
  return control.has('no-cache') && control.fieldNames('no-cache') === undefined;
}

/**
 * s-maxage includes proxy-revalidate (section 5.2.2.10), and so puts stale-while-revalidate beside it out of force. Origins
 * that send both (Next.js, for one) mean both, and CDNs take them at their word; in profile `safe` so do we.
 */
function revalidationOf(control: CacheControl, profile: StorageRules['profile']): StoragePlan['revalidation'] {
  if (isNeverFresh(control)) return 'always';
  if (control.has('must-revalidate') || control.has('proxy-revalidate')) return 'must';
  const saysStale = control.has('stale-while-revalidate') || control.has('stale-if-error');
  return control.has('s-maxage') && !(profile === 'safe' && saysStale) ? 'must' : 'may';
}

function droppedFields(control: CacheControl): Set<string> {
  return new Set([...(control.fieldNames('no-cache') ?? []), ...(control.fieldNames('private') ?? [])]);
}

/**
 * Why the response to a request with these fields must not be stored with its fields by an action that does what the
 * operator says (`memcached.store`), or `undefined` when it may be.
 */
export function storageRefusal(request: Fields, response: Fields): StorageRefusal | undefined {
  if (request.has('authorization')) return 'authorization';
  if (parseCacheControl(request.get('cache-control')).has('no-store')) return 'no-store';
  return responseRefusal(response);
}

/** The same of a response alone, whoever asked for it. */
export function responseRefusal(response: Fields): StorageRefusal | undefined {
  if (response.has('set-cookie')) return 'set-cookie';
  const cacheControl = parseCacheControl(response.get('cache-control'));
  if (cacheControl.has('private')) return 'private';
  if (cacheControl.has('no-store')) return 'no-store';
  if (cacheControl.has('no-cache')) return 'no-cache';
  if (varyNames(response) === '*') return 'vary';
  return undefined;
}
