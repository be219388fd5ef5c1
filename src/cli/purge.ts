import { z } from 'zod';
import { patternSchema } from '../actions/pattern.js';
import { targetFault } from '../actions/purge-report.js';
import { urlAsSent } from '../actions/url-view.js';
import { prefixKey, tagKey } from '../cache/generation-record.js';
import { ALL_KEY, storeKey } from '../cache/key.js';
import { combinedResult, type PurgeResult, Purger, type PurgeTarget } from '../cache/purger.js';
import { utf8ToBytes } from '../http/byte-string.js';
import { type Store, StoreError, storeFailure } from '../store/store.js';
import { defineCommand } from './command.js';
import { EXIT, type ExitCode, exitCodeOf, UsageError } from './exit.js';
import { keyOnWire, MEMCACHED_OPTIONS, type MemcachedOptions, memcachedOptions } from './memcached.js';
import { printJson, printLine } from './output.js';
import { type PurgePlaces, purgePlaces } from './purge-places.js';
import { isUrl, keyOfUrl, viewOfGiven } from './url-key.js';

const words = z.array(z.string().min(1)).default([]);

export const purgeCommand = defineCommand({
  name: 'purge',
  summary: 'remove from memcached what it holds under keys, for URLs, by tags, or below prefixes',
  details: `A URL stands for everything that is stored for it: with --config by every memcached.cache, memcached.lookup
and memcached.store of the configuration, else by "serve --upstream", with the pattern given with --key. Tags,
prefixes and --all are for memcached.cache. With --config the secret is known that entries are signed with:
without it, what is signed is removed where --soft would mark it.

  lookaside purge http://example.org/news
  lookaside purge --config site.yaml --soft --tag news --tag sport
  lookaside purge --prefix http://example.org/archive/
  lookaside purge --key '%{req.scheme}://%{req.host}%{req.path}' http://example.org/news
  lookaside purge --raw http://example.org/news        # this very key, not a URL`,
  args: [{ name: '[key-or-url...]', help: 'keys, before the key rule, and URLs (http:// or https://)' }],
  options: [
    ...MEMCACHED_OPTIONS,
    { flags: '--key <pattern>', help: 'pattern that makes the key of a URL (default: that of serve --upstream)' },
    { flags: '--tag <tag>', help: 'purge what bears this tag; may be repeated', isRepeatable: true },
    {
      flags: '--prefix <url>',
      help: 'purge what has a URL that begins with this one, which ends in /; may be repeated',
      isRepeatable: true,
    },
    { flags: '--all', help: 'purge everything that memcached.cache has stored' },
    { flags: '--soft', help: 'mark stale instead: it may be revalidated, and used where stale responses may be' },
    { flags: '--dry-run', help: 'change nothing, and say what there is' },
    { flags: '--json', help: 'print [{target, storeKeys, result, error}]; result is purged, absent or failed' },
  ],
  schema: z.strictObject({
    ...memcachedOptions,
    key: patternSchema.optional(),
    tag: words,
    prefix: words,
    all: z.literal(true).optional(),
    soft: z.literal(true).optional(),
    dryRun: z.literal(true).optional(),
    json: z.literal(true).optional(),
  }),
  async run(given, options) {
    const { soft = false, dryRun = false } = options;
    if (soft && options.raw) throw new UsageError('--raw and --soft exclude each other: a mark needs the key itself');
    const places = await purgePlaces(options);
    try {
      const orders = [
        ...given.map((target) => orderFor(target, places, options)),
        ...options.tag.map((tag) => ofCaches(`tag ${tag}`, { kind: 'tag', tag: utf8ToBytes(tag) }, places)),
        ...options.prefix.map((text) =>
          ofCaches(`prefix ${text}`, { kind: 'prefix', prefix: urlAsSent(text) }, places),
        ),
        ...(options.all ? [ofCaches('everything', { kind: 'all' }, places)] : []),
      ];
      if (orders.length === 0) throw new UsageError('say what to purge: keys, URLs, --tag, --prefix or --all');
      const purges: Purge[] = [];
      for (const order of orders) {
        const purge = await carryOut(order, places, { soft, dryRun });
        purges.push(purge);
        if (!options.json) await printLine(inText(purge, dryRun));
      }
      if (options.json) await printJson(purges.map(inJson));
      return exitCodeFor(purges);
    } finally {
      await places.close();
    }
  },
});

/** What is to be done for one thing that the command line names. */
interface Order {
  readonly target: string;
  /** The items or counters it is about, as far as its words tell. */
  readonly storeKeys: readonly string[];
  readonly removals: readonly Removal[];
  /** What to purge from every cache. */
  readonly ofCaches: PurgeTarget | undefined;
}

/** One item to remove from one store. `key` is what {@link storeKey} was made of; `undefined` with `--raw`. */
interface Removal {
  readonly store: Store;
  readonly storeKey: string;
  readonly key: string | undefined;
}

interface Purge {
  readonly target: string;
  readonly storeKeys: readonly string[];
  /** `failed` as soon as a server did not answer: something may still be there. */
  readonly result: 'purged' | 'absent' | 'failed';
  readonly failure: StoreError | undefined;
}

interface Manner {
  readonly soft: boolean;
  readonly dryRun: boolean;
}

function orderFor(target: string, places: PurgePlaces, options: MemcachedOptions): Order {
  if (options.raw || !isUrl(target)) {
    const key = options.raw ? undefined : utf8ToBytes(target);
    const wireKey = keyOnWire(target, options);
    const removals = places.stores.map((store) => ({ store, storeKey: wireKey, key }));
    return { target, storeKeys: [wireKey], removals, ofCaches: undefined };
  }
  const view = viewOfGiven(target);
  const removals = new Map<string, Removal>();
  for (const { store, pattern } of places.patterns) {
    const key = keyOfUrl(target, pattern);
    if (key === undefined) continue;
    removals.set(`${places.stores.indexOf(store)} ${key}`, { store, storeKey: storeKey(key), key });
  }
  const keys = [
    ...[...removals.values()].map((removal) => removal.storeKey),
    ...places.caches.map((cache) => storeKey(cache.key(view).key)),
  ];
  const ofCaches: PurgeTarget = { kind: 'url', url: urlAsSent(target) };
  return { target, storeKeys: [...new Set(keys)], removals: [...removals.values()], ofCaches };
}

/** What only a `memcached.cache` knows. */
function ofCaches(
  target: string,
  purge: Exclude<PurgeTarget, { readonly kind: 'key' | 'url' }>,
  { caches }: PurgePlaces,
): Order {
  const fault = targetFault(purge);
  if (fault !== undefined) throw new UsageError(fault);
  if (caches.length === 0)
    throw new UsageError(`${target}: the configuration has no memcached.cache, which knows of it`);
  return { target, storeKeys: [counterOf(purge)], removals: [], ofCaches: purge };
}

function counterOf(purge: Exclude<PurgeTarget, { readonly kind: 'key' | 'url' }>): string {
  if (purge.kind === 'all') return ALL_KEY;
  return purge.kind === 'tag' ? tagKey(purge.tag) : prefixKey(purge.prefix);
}

async function carryOut(order: Order, { caches, stores, secrets }: PurgePlaces, manner: Manner): Promise<Purge> {
  const { target, storeKeys, removals, ofCaches } = order;
  const results: PurgeResult[] = [];
  let failure: StoreError | undefined;
  for (const removal of removals) {
    try {
      results.push(await remove(removal, secrets, manner));
    } catch (error) {
      failure = storeFailure(error);
    }
  }
  if (ofCaches !== undefined) for (const cache of caches) results.push(await cache.purge(ofCaches, manner));
  const result = combinedResult(results);
  if (result === 'pending') failure ??= await failureAmong(stores);
  return { target, storeKeys, result: failure !== undefined || result === 'pending' ? 'failed' : result, failure };
}

async function remove({ store, storeKey, key }: Removal, secrets: readonly string[], { soft, dryRun }: Manner) {
  if (dryRun) return (await store.get(storeKey)) === null ? 'absent' : 'purged';
  if (!soft || key === undefined) return (await store.delete(storeKey)) ? 'purged' : 'absent';
  const purger = new Purger(store, { secrets });
  const result = await purger.purge({ kind: 'key', key }, { soft });
  // nobody is going to be there when a server answers again
  purger.close();
  return result;
}

/** Why a server did not answer. One that does by now did not do so in time. */
async function failureAmong(stores: readonly Store[]): Promise<StoreError> {
  const reports = (await Promise.all(stores.map((store) => store.stats()))).flat().map(({ report }) => report);
  const failures = reports.filter((report) => report instanceof StoreError);
  return failures[0] ?? new StoreError('timeout', 'a server did not answer in time: purge again');
}

function inText({ target, result, failure }: Purge, dryRun: boolean): string {
  const word = dryRun && result === 'purged' ? 'would purge' : result;
  return failure === undefined ? `${word} ${target}` : `${word} ${target}: ${failure.message}`;
}

function inJson({ target, storeKeys, result, failure }: Purge) {
  return { target, storeKeys, result, error: failure?.message };
}

function exitCodeFor(purges: readonly Purge[]): ExitCode {
  const failed = purges.find(({ failure }) => failure !== undefined);
  if (failed !== undefined) return exitCodeOf(failed.failure);
  return purges.some(({ result }) => result === 'purged') ? EXIT.ok : EXIT.no;
}
