import { z } from 'zod';
import type { ChainContext, RunningCache } from '../actions/chain.js';
import { ExchangeCache } from '../actions/exchange-cache.js';
import { type NamedTarget, type PurgeReport, purgeEach } from '../actions/purge-report.js';
import { urlAsSent } from '../actions/url-view.js';
import { type RouteCacheSettings, routeCacheSettings } from './cache-options.js';
import { checked } from './check.js';
import { InvalidOptionsError } from './errors.js';
import { tagBytes } from './tags.js';

/** What {@link Cache.purge} is asked for: exactly one of `url`, `tag`, `tags`, `prefix` and `all`. */
export type PurgeRequest = z.input<typeof purgeSchema>;

const names = z.union([z.string().transform((name) => [name]), z.array(z.string())]);

const purgeSchema = z
  .strictObject({
    /** Absolute, as clients send it: what is stored for it, with all variants. */
    url: names.optional(),
    tag: z.string().optional(),
    tags: z.array(z.string()).optional(),
    /** An absolute URL that ends in `/`: what has a URL that begins so. */
    prefix: z.string().optional(),
    all: z.literal(true).optional(),
    /** Mark stale only: it may be revalidated, and used where stale responses may be. */
    soft: z.boolean().default(false),
    /** Change nothing, and tell what would become of it. */
    dryRun: z.boolean().default(false),
  })
  .transform(({ url, tag, tags, prefix, all, soft, dryRun }, check) => {
    const given = [url, tag, tags, prefix, all].filter((one) => one !== undefined);
    if (given.length !== 1) check.addIssue({ code: 'custom', message: 'give one of url, tag, tags, prefix and all' });
    const targets: NamedTarget[] = [
      ...(url ?? []).map((one) => ({ kind: 'url', url: urlAsSent(one) }) as const),
      ...[tag ?? [], tags ?? []].flat().map((one) => ({ kind: 'tag', tag: tagBytes(one) }) as const),
    ];
    if (prefix !== undefined) targets.push({ kind: 'prefix', prefix: urlAsSent(prefix) });
    if (all !== undefined) targets.push({ kind: 'all' });
    return { targets, soft, dryRun };
  });

/** `app.cache`: what the routes with `config.cache` have stored, here and in every other process on the same memcached. */
export class Cache {
  readonly #context: ChainContext;
  /** One for each kind of keys. */
  readonly #caches = new Map<string, RunningCache>();

  constructor(context: ChainContext) {
    this.#context = context;
    this.ofRoute(routeCacheSettings({}, 'app.cache'));
  }

  /** The cache of a route. */
  ofRoute({ rules, keyKind }: RouteCacheSettings): ExchangeCache {
    const cache = new ExchangeCache(rules, this.#context);
    this.#context.caches.add(cache);
    if (!this.#caches.has(keyKind)) this.#caches.set(keyKind, cache);
    return cache;
  }

  /**
   * Purges, for the whole fleet: when it resolves with `purged`, no process uses what was stored before. With `pending`, a
   * server has not answered, and it is tried again in the background. Never rejects because of the store, but with an
   * `InvalidOptionsError` for what can not be purged.
   */
  async purge(request: PurgeRequest): Promise<PurgeReport> {
    const where = 'app.cache.purge';
    const { targets, soft, dryRun } = checked(purgeSchema, request, where);
    try {
      return await purgeEach([...this.#caches.values()], targets, { soft, dryRun });
    } catch (error) {
      if (error instanceof RangeError) throw new InvalidOptionsError(where, error.message);
      throw error;
    }
  }
}
