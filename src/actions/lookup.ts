import { z } from 'zod';
import { decodeEntry, type Entry } from '../cache/entry.js';
import { storeKey } from '../cache/key.js';
import type { Reason } from '../cache/verdict.js';
import { Fields } from '../http/fields.js';
import { ageOnReceipt, freshnessLifetime } from '../http/freshness.js';
import { responseRefusal } from '../http/storage-rules.js';
import { variantDigest, varyNames } from '../http/vary.js';
import { type Item, type Store, storeFailure } from '../store/store.js';
import { defineAction } from './action.js';
import { answer } from './answer.js';
import type { ChainContext, Step } from './chain.js';
import { contentType } from './content-type.js';
import type { Exchange, ExchangeRequest } from './exchange.js';
import { keyOptions } from './key-options.js';

/** Options of `memcached.lookup`, besides what is done on a hit and on a miss. */
export const lookupOptions = z.strictObject(keyOptions);

export type LookupOptions = z.output<typeof lookupOptions>;

export const lookupAction = defineAction({
  name: 'memcached.lookup',
  help: 'answers from the store when it holds an entry under the key, and runs one chain on a hit, another on a miss',
  schema: (chains) =>
    z
      .strictObject({
        ...keyOptions,
        hit: chains.optional().describe('actions to run on a hit; the response is there already'),
        miss: chains.optional().describe('actions to run on a miss'),
      })
      .prefault({}),
  compile: ({ hit, miss, ...options }, context) => lookup(options, context, hit?.(context), miss?.(context)),
});

/**
 * lighttpd2's `memcached.lookup`. Does nothing when the request is handled already. On a hit the response is the entry
 * (`headers: true`) or the bare value with a Content-Type by the path's extension; on a miss, a bypass or a failure of
 * the store there is no response yet.
 */
export function lookup(options: LookupOptions, context: ChainContext, hit?: Step, miss?: Step): Step {
  const store = context.store(options.server);
  return (exchange) => {
    if (exchange.response !== undefined) return;
    const bypass = lookupBypass(exchange, options);
    if (bypass !== undefined) {
      exchange.outcome = { verdict: 'bypass', reason: bypass };
      return miss?.(exchange);
    }
    return find(store, options, exchange).then((found) => {
      if (typeof found === 'string') {
        exchange.outcome = { verdict: 'miss', reason: found };
        return miss?.(exchange);
      }
      exchange.outcome = { verdict: 'hit', reason: 'fresh', ttlSeconds: found.ttlSeconds };
      exchange.respond(answer(exchange.request, found));
      return hit?.(exchange);
    });
  };
}

/** Why the store is not asked for this request, or `undefined` when it is. */
function lookupBypass({ request, client }: Exchange, { key }: LookupOptions): Reason | undefined {
  if (request.method !== 'GET' && request.method !== 'HEAD') return 'method';
  if (request.hasBody) return 'request-body';
  if (client.upgrade !== undefined) return 'upgrade';
  if (key.usesDecodedPath && request.ambiguousPath) return 'ambiguous-path';
  if (request.fields.has('if-match') || request.fields.has('if-unmodified-since')) return 'precondition';
  return undefined;
}

/** A stored response that may be used now. */
export interface Usable {
  readonly status: number;
  readonly fields: Fields;
  readonly body: Buffer;
  readonly ttlSeconds: number | undefined;
}

async function find(store: Store, options: LookupOptions, exchange: Exchange): Promise<Usable | Reason> {
  const key = options.key.expand(exchange);
  let item: Item | null;
  try {
    item = await store.get(storeKey(key));
  } catch (error) {
    const { code, message } = storeFailure(error);
    // storeKey() makes only keys that a store takes.
    if (code === 'bad-key') throw error;
    if (code === 'breaker-open' || code === 'busy') exchange.log.debug({ code }, message);
    else exchange.log.warn({ code }, message);
    return code;
  }
  if (item === null) return 'absent';
  if (!options.headers) return bareValue(item, exchange.request);
  const entry = decodeEntry(item.value);
  return entry === undefined ? 'malformed' : usable(entry, item.ttlSeconds, key, exchange.request.fields, Date.now());
}

function bareValue({ value, ttlSeconds }: Item, request: ExchangeRequest): Usable {
  return { status: 200, fields: new Fields(['Content-Type', contentType(request.path)]), body: value, ttlSeconds };
}

/** Clocks of a fleet differ; an entry from further in the future than this is not trusted to be fresh. */
const MAX_CLOCK_SKEW_MS = 5000;

/** The entry made ready for use, or why it can not be used. */
function usable(
  { status, fields, body, metadata }: Entry,
  itemTtlSeconds: number | undefined,
  key: string,
  request: Fields,
  nowMs: number,
): Usable | Reason {
  const names = varyNames(fields);
  if (metadata === undefined) {
    const refusal = names.length > 0 ? 'vary' : responseRefusal(fields);
    if (refusal !== undefined) return refusal;
    const ageSeconds = ageOnReceipt(fields, nowMs);
    const ttlSeconds = sooner(itemTtlSeconds, remaining(freshnessLifetime(fields, nowMs), ageSeconds));
    if (ttlSeconds !== undefined && ttlSeconds <= 0) return 'expired';
    fields.set('Age', String(ageSeconds));
    return { status, fields, body, ttlSeconds };
  }
  if (metadata.key !== key) return 'wrong-key';
  if (names === '*' || variantDigest(names, request) !== metadata.variant) return 'vary';
  const residentMs = nowMs - metadata.storedAtMs;
  if (residentMs < -MAX_CLOCK_SKEW_MS) return 'expired';
  const residentSeconds = Math.max(0, Math.floor(residentMs / 1000));
  const lifetime = metadata.lifetimeSeconds === 0 ? undefined : metadata.lifetimeSeconds;
  if (lifetime !== undefined && residentMs >= lifetime * 1000) return 'expired';
  fields.set('Age', String(metadata.ageSeconds + residentSeconds));
  return { status, fields, body, ttlSeconds: sooner(itemTtlSeconds, remaining(lifetime, residentSeconds)) };
}

function remaining(lifetimeSeconds: number | undefined, ageSeconds: number): number | undefined {
  return lifetimeSeconds === undefined ? undefined : lifetimeSeconds - ageSeconds;
}

function sooner(a: number | undefined, b: number | undefined): number | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return Math.min(a, b);
}
