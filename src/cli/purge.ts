import { z } from 'zod';
import { keyOptions } from '../actions/key-options.js';
import { type Pattern, patternSchema } from '../actions/pattern.js';
import { storeKey } from '../cache/key.js';
import { CACHING_PROXY_KEY } from '../config/caching-proxy.js';
import { keyUsesOf } from '../config/key-uses.js';
import { configValue } from '../config/load.js';
import { type Store, type StoreError, storeFailure } from '../store/store.js';
import { defineCommand } from './command.js';
import { EXIT, type ExitCode, exitCodeOf } from './exit.js';
import {
  keyOnWire,
  MEMCACHED_OPTIONS,
  type MemcachedOptions,
  memcachedOptions,
  openMemcached,
  parseServers,
} from './memcached.js';
import { printJson, printLine } from './output.js';
import { isUrl, keyOfUrl } from './url-key.js';

export const purgeCommand = defineCommand({
  name: 'purge',
  summary: 'remove from memcached what it holds under keys or for URLs',
  details: `A URL stands for the keys that a GET of it has: with --config by every memcached.lookup and
memcached.store of the configuration, else by the pattern given with --key, or by that of "serve --upstream".

  lookaside purge http://example.org/news
  lookaside purge --config site.yaml http://example.org/news
  lookaside purge --key '%{req.scheme}://%{req.host}%{req.path}' http://example.org/news
  lookaside purge --raw http://example.org/news        # this very key, not a URL`,
  args: [{ name: '<key-or-url...>', help: 'keys, before the key rule, and URLs (http:// or https://)' }],
  options: [
    ...MEMCACHED_OPTIONS,
    { flags: '--key <pattern>', help: `pattern that makes the key of a URL (default: ${CACHING_PROXY_KEY})` },
    { flags: '--json', help: 'print [{target, storeKeys, result, error}]; result is purged, absent or failed' },
  ],
  schema: z.strictObject({ ...memcachedOptions, key: patternSchema.optional(), json: z.literal(true).optional() }),
  async run(targets, options) {
    const places = await placesOf(options);
    try {
      const plans = targets.map((target) => ({ target, removals: removalsFor(target, places, options) }));
      const purges: Purge[] = [];
      for (const { target, removals } of plans) {
        const purge = await remove(target, removals);
        purges.push(purge);
        if (!options.json) await printLine(inText(purge));
      }
      if (options.json) await printJson(purges.map(inJson));
      return exitCodeFor(purges);
    } finally {
      await Promise.all([...new Set(places.map(({ store }) => store))].map((store) => store.close()));
    }
  },
});

/** Where entries are kept, and under what keys. */
interface Place {
  readonly store: Store;
  readonly pattern: Pattern;
}

/** One key to remove from one store. */
interface Removal {
  readonly store: Store;
  readonly key: string;
}

interface Purge {
  readonly target: string;
  readonly storeKeys: readonly string[];
  /** `failed` as soon as one of the removals failed: something may still be there. */
  readonly result: 'purged' | 'absent' | 'failed';
  readonly failure: StoreError | undefined;
}

/** Where `lookaside serve --upstream` keeps everything. */
const CACHING_PROXY = { pattern: CACHING_PROXY_KEY, server: undefined };

async function placesOf(options: MemcachedOptions & { readonly key?: Pattern | undefined }): Promise<Place[]> {
  const found = options.config === undefined ? [] : keyUsesOf(await configValue(options.config));
  const uses = found.length === 0 ? [CACHING_PROXY] : found;
  const stores = new Map<string | undefined, Store>();
  for (const { server } of uses) {
    if (stores.has(server)) continue;
    stores.set(server, await openMemcached(server === undefined ? options : { memcached: parseServers(server) }));
  }
  return uses.flatMap(({ pattern, server }) => {
    const store = stores.get(server);
    return store === undefined ? [] : [{ store, pattern: options.key ?? keyOptions.key.parse(pattern) }];
  });
}

function removalsFor(target: string, places: readonly Place[], options: MemcachedOptions): Removal[] {
  const removals = new Map<string, Removal>();
  const stores = [...new Set(places.map(({ store }) => store))];
  for (const { store, pattern } of places) {
    const ofUrl = isUrl(target) && !options.raw;
    const made = ofUrl ? keyOfUrl(target, pattern) : undefined;
    const key = ofUrl ? made && storeKey(made) : keyOnWire(target, options);
    if (key !== undefined) removals.set(`${stores.indexOf(store)} ${key}`, { store, key });
  }
  return [...removals.values()];
}

async function remove(target: string, removals: readonly Removal[]): Promise<Purge> {
  let removed = false;
  let failure: StoreError | undefined;
  for (const { store, key } of removals) {
    try {
      removed = (await store.delete(key)) || removed;
    } catch (error) {
      failure = storeFailure(error);
    }
  }
  const result = failure !== undefined ? 'failed' : removed ? 'purged' : 'absent';
  return { target, storeKeys: removals.map(({ key }) => key), result, failure };
}

function inText({ target, result, failure }: Purge): string {
  return failure === undefined ? `${result} ${target}` : `${result} ${target}: ${failure.message}`;
}

function inJson({ target, storeKeys, result, failure }: Purge) {
  return { target, storeKeys, result, error: failure?.message };
}

function exitCodeFor(purges: readonly Purge[]): ExitCode {
  const failed = purges.find(({ failure }) => failure !== undefined);
  if (failed !== undefined) return exitCodeOf(failed.failure);
  return purges.some(({ result }) => result === 'purged') ? EXIT.ok : EXIT.no;
}
