import type { PurgeOptions } from '../cache/purger.js';
import { Fields } from '../http/fields.js';
import { hasTooManyTags, tags } from '../http/surrogate-keys.js';
import type { RunningCache } from './chain.js';
import type { ExchangeRequest, ExchangeResponse, ExchangeView } from './exchange.js';
import { mayPurge, type PurgeAccess } from './purge-access.js';
import {
  MAX_PURGE_TARGETS,
  type NamedTarget,
  PURGES_PER_SECOND,
  purgeEach,
  reportStatus,
  targetFault,
} from './purge-report.js';
import { TokenBucket } from './token-bucket.js';

/**
 * The method PURGE, as Varnish, nginx and Fastly know it: without further fields, what is stored for the URL goes.
 *
 *     PURGE /news HTTP/1.1                   the URL, with all its variants
 *     Surrogate-Key: news sport              instead, what bears one of these tags (also xkey, Cache-Tag)
 *     Lookaside-Purge: prefix                instead, what has a URL that begins with this one, which ends in /
 *     Lookaside-Purge: all                   instead, everything
 *     Lookaside-Purge: soft                  mark stale only; also `Fastly-Soft-Purge: 1`
 *     Lookaside-Purge: dry-run               change nothing
 */
export class PurgeRequests {
  readonly #cache: RunningCache;
  readonly #access: PurgeAccess;
  readonly #tagFields: readonly string[];
  readonly #rate = new TokenBucket(MAX_PURGE_TARGETS, PURGES_PER_SECOND);

  /** `tagFields`: fields that hold tags, besides those above. */
  constructor(cache: RunningCache, access: PurgeAccess, tagFields: readonly string[]) {
    this.#cache = cache;
    this.#access = access;
    this.#tagFields = [...new Set([...TAG_FIELDS, ...tagFields.map((name) => name.toLowerCase())])];
  }

  async answer(view: ExchangeView): Promise<ExchangeResponse> {
    // Programs do not send Origin; a web page whose visitor may purge can not leave it out.
    if (view.request.fields.has('origin') || !mayPurge(this.#access, view)) return refusal(403, 'you may not purge');
    const order = purgeOrder(view.request, this.#tagFields);
    if (typeof order === 'string') return refusal(400, order);
    if (!this.#rate.take(order.targets.length)) return refusal(429, 'too many purges at a time', ['Retry-After', '1']);
    const report = await purgeEach([this.#cache], order.targets, order.options);
    return answer(reportStatus(report), report);
  }
}

const TAG_FIELDS = ['surrogate-key', 'xkey', 'cache-tag'];

interface PurgeOrder {
  readonly targets: readonly NamedTarget[];
  readonly options: PurgeOptions;
}

const WORDS: ReadonlySet<string> = new Set(['soft', 'dry-run', 'prefix', 'all']);

/** What a PURGE asks for, or what is wrong with it. */
export function purgeOrder(
  { scheme, authority, target, fields }: ExchangeRequest,
  tagFields: readonly string[],
): PurgeOrder | string {
  const words = (fields.get('lookaside-purge') ?? '').split(/[\t ,]+/).filter((word) => word !== '');
  const unknown = words.find((word) => !WORDS.has(word));
  if (unknown !== undefined) return `Lookaside-Purge knows ${[...WORDS].join(', ')}`;
  const url = `${scheme}://${authority}${target}`;
  const found = tags(fields, tagFields);
  if (hasTooManyTags(fields, tagFields)) return 'more tags, or longer ones, than a response can bear';
  const isAll = words.includes('all');
  const isPrefix = words.includes('prefix');
  if (Number(isAll) + Number(isPrefix) + Number(found.length > 0) > 1) return 'either tags, or a prefix, or all';
  const soft = words.includes('soft') || fields.get('fastly-soft-purge') === '1';
  const options = { soft, dryRun: words.includes('dry-run') };
  if (found.length > 0) return { targets: found.map((tag) => ({ kind: 'tag', tag })), options };
  const named: NamedTarget = isAll
    ? { kind: 'all' }
    : isPrefix
      ? { kind: 'prefix', prefix: url }
      : { kind: 'url', url };
  return targetFault(named) ?? { targets: [named], options };
}

function refusal(status: number, error: string, more: readonly string[] = []): ExchangeResponse {
  return answer(status, { error }, more);
}

function answer(status: number, value: object, more: readonly string[] = []): ExchangeResponse {
  const fields = new Fields(['Content-Type', 'application/json', 'Cache-Control', 'no-store', ...more]);
  return { status, fields, body: Buffer.from(`${JSON.stringify(value)}\n`), delimited: true };
}
