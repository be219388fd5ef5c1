import { z } from 'zod';
import { BodyCopy } from '../cache/body-copy.js';
import { type EntryMetadata, encodeHead } from '../cache/entry.js';
import { storeKey } from '../cache/key.js';
import type { Reason } from '../cache/verdict.js';
import { formatHttpDate } from '../http/date.js';
import type { Fields } from '../http/fields.js';
import { ageOnReceipt, freshnessLifetime } from '../http/freshness.js';
import { storageRefusal } from '../http/storage-rules.js';
import { variantDigest, varyNames } from '../http/vary.js';
import { type Store, storeFailure } from '../store/store.js';
import { defineAction } from './action.js';
import type { ChainContext } from './chain.js';
import type { Exchange, ExchangeResponse } from './exchange.js';
import { keyOptions } from './key-options.js';
import { byteSize, durationSeconds } from './units.js';

/** lighttpd2's default maxsize. */
const DEFAULT_MAX_BYTES = 64 * 1024;
/** Flags are 32 bits in memcached. */
const MAX_FLAGS = 0xffff_ffff;

const shape = {
  ...keyOptions,
  ttl: durationSeconds()
    .prefault('30s')
    .describe('how long the entry may be used, at most; 0 = for ever (default: 30s)'),
  flags: z.int().min(0).max(MAX_FLAGS).default(0).describe('the client flags of the item (default: 0)'),
  unsafe: z
    .boolean()
    .default(false)
    .describe('with headers: store also what is private, sets cookies, or must not be stored (default: false)'),
};
const maxsize = byteSize({ min: '1' });

/** Options of `memcached.store`. `max-size` and `maxSize` are other spellings of `maxsize`. */
export const storeOptions = z
  .strictObject({
    ...shape,
    maxsize: maxsize.optional().describe('bodies larger than this are not stored (default: 64KiB)'),
    'max-size': maxsize.optional().describe('the same as maxsize'),
    maxSize: maxsize.optional().describe('the same as maxsize'),
  })
  .transform(({ maxsize, 'max-size': dashed, maxSize, ...options }, check) => {
    const given = [maxsize, dashed, maxSize].filter((bytes) => bytes !== undefined);
    if (given.length > 1) check.addIssue({ code: 'custom', message: 'maxsize is given more than once' });
    return { ...options, maxBytes: given[0] ?? DEFAULT_MAX_BYTES };
  });

export type StoreOptions = z.output<typeof storeOptions>;

export const storeAction = defineAction({
  name: 'memcached.store',
  help: 'keeps the response in the store while it streams to the client; comes after the action that makes it',
  schema: () => storeOptions.prefault({}),
  compile: store,
});

/**
 * lighttpd2's `memcached.store`: copies the body of a 200 as it passes, and when it has arrived completely sends one
 * `set`, for whose answer nobody waits. Delays and changes nothing for the client, whatever becomes of the copy.
 */
export function store(options: StoreOptions, context: ChainContext): (exchange: Exchange) => void {
  const target = context.store(options.server);
  return (exchange) => {
    const plan = planStorage(exchange, options, target.maxItemBytes);
    exchange.storage = plan.reason;
    if (plan.reason !== 'stored') return;
    const { response, lifetimeSeconds } = plan;
    const key = options.key.expand(exchange);
    const head = options.headers ? [entryHead(exchange.request.fields, response, key, lifetimeSeconds)] : [];
    const copy = new BodyCopy(options.maxBytes, context.bodies, contentLength(response.fields));
    const write = () => {
      const body = copy.finish();
      if (typeof body === 'string') {
        exchange.log.debug({ key, reason: body }, 'response not stored');
        return;
      }
      const settings = { ttlSeconds: lifetimeSeconds, flags: options.flags };
      void send(target, storeKey(key), [...head, ...body.pieces], settings, exchange).finally(() => copy.release());
    };
    observe(response, copy, write);
  };
}

type StoragePlan =
  | { readonly reason: Exclude<Reason, 'stored'> }
  | { readonly reason: 'stored'; readonly response: ExchangeResponse; readonly lifetimeSeconds: number };

/** Whether the response goes into the store and for how long, as far as its head tells. */
function planStorage(exchange: Exchange, options: StoreOptions, maxItemBytes: number): StoragePlan {
  const { request, response, outcome } = exchange;
  if (response === undefined) return { reason: 'no-response' };
  if (outcome?.verdict === 'hit') return { reason: 'from-store' };
  if (request.method !== 'GET') return { reason: 'method' };
  if (request.hasBody) return { reason: 'request-body' };
  if (exchange.client.upgrade !== undefined) return { reason: 'upgrade' };
  if (response.status !== 200) return { reason: 'status' };
  if (options.key.usesDecodedPath && request.ambiguousPath) return { reason: 'ambiguous-path' };
  if (!response.delimited) return { reason: 'unknown-length' };
  if ((contentLength(response.fields) ?? 0) > Math.min(options.maxBytes, maxItemBytes))
    return { reason: 'above-maxsize' };
  if (!options.headers) {
    // Without its fields nobody could tell that the body is encoded, nor how.
    if (response.fields.has('content-encoding')) return { reason: 'content-encoding' };
    return { reason: 'stored', response, lifetimeSeconds: options.ttl };
  }
  if (options.unsafe) return { reason: 'stored', response, lifetimeSeconds: options.ttl };
  const refusal = storageRefusal(request.fields, response.fields);
  if (refusal !== undefined) return { reason: refusal };
  const lifetimeSeconds = lifetime(response.fields, options.ttl, Date.now());
  return lifetimeSeconds === 'expired' ? { reason: 'expired' } : { reason: 'stored', response, lifetimeSeconds };
}

/** The ttl, or what the response's own freshness leaves of it. 0 = no end. */
function lifetime(response: Fields, ttlSeconds: number, nowMs: number): number | 'expired' {
  const own = freshnessLifetime(response, nowMs);
  if (own === undefined) return ttlSeconds;
  const left = own - ageOnReceipt(response, nowMs);
  if (left <= 0) return 'expired';
  return ttlSeconds === 0 ? left : Math.min(ttlSeconds, left);
}

/** The head of the entry. Gives the response a Date when it has none. */
function entryHead(
  request: Fields,
  { status, fields }: ExchangeResponse,
  key: string,
  lifetimeSeconds: number,
): Buffer {
  const nowMs = Date.now();
  const names = varyNames(fields);
  // A hit must show when the response was made, not when it is sent (RFC 9110, section 6.6.1).
  if (!fields.has('date')) fields.append('Date', formatHttpDate(nowMs));
  const metadata: EntryMetadata = {
    storedAtMs: nowMs,
    ageSeconds: ageOnReceipt(fields, nowMs),
    lifetimeSeconds,
    variant: names === '*' ? '' : variantDigest(names, request),
    key,
  };
  return encodeHead(status, fields, metadata);
}

function contentLength(fields: Fields): number | undefined {
  const text = fields.get('content-length');
  return text !== undefined && /^[0-9]+$/.test(text) ? Number(text) : undefined;
}

/**
 * Lets `copy` see the body of `response` as it passes; `complete` is called when all of it has, and only then.
 *
 * A stream is listened to, not piped through another one: the listener takes part in neither its flow nor its errors, and
 * costs a tenth. The stream stays paused until whoever sends the response sets it flowing.
 */
function observe({ body }: ExchangeResponse, copy: BodyCopy, complete: () => void): void {
  if (body === null || body instanceof Uint8Array) {
    if (body !== null) copy.add(body);
    complete();
    return;
  }
  let isComplete = false;
  body.pause();
  body.on('data', (chunk: Uint8Array | string) => copy.add(typeof chunk === 'string' ? Buffer.from(chunk) : chunk));
  body.once('end', () => {
    isComplete = true;
    complete();
  });
  body.once('close', () => {
    if (!isComplete) copy.release();
  });
}

async function send(
  target: Store,
  key: string,
  pieces: readonly Uint8Array[],
  settings: { ttlSeconds: number; flags: number },
  exchange: Exchange,
): Promise<void> {
  try {
    await target.set(key, pieces, settings);
  } catch (error) {
    const { code, message } = storeFailure(error);
    exchange.log.debug({ code, key }, `response not stored: ${message}`);
  }
}
