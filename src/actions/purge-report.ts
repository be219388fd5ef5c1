import { combinedResult, type PurgeOptions, type PurgeResult, type PurgeTarget } from '../cache/purger.js';
import { bytesToText } from '../http/byte-string.js';
import type { RunningCache } from './chain.js';
import { viewOfUrl } from './url-view.js';

/** What became of a purge, as those who ask for it over HTTP are told in JSON. */
export interface PurgeReport {
  /** `pending` when something is, else `purged` when something was. */
  readonly result: PurgeResult;
  readonly soft: boolean;
  readonly dryRun: boolean;
  /** Each with its kind and name as a property: `{"tag": "news", "result": "purged"}`. */
  readonly purged: readonly { readonly [name: string]: string | true }[];
}

/** What can be purged by those who do not know how a cache makes its keys. */
export type NamedTarget = Exclude<PurgeTarget, { readonly kind: 'key' }>;

/** What is wrong with a target that somebody has sent, or `undefined`. */
export function targetFault(target: NamedTarget): string | undefined {
  if (target.kind !== 'url' && target.kind !== 'prefix') return undefined;
  const text = target.kind === 'url' ? target.url : target.prefix;
  if (viewOfUrl(text) === undefined) return `not a URL such as http://host/path: ${bytesToText(text)}`;
  const isPrefix = text.endsWith('/') && !text.includes('?');
  return target.kind === 'url' || isPrefix ? undefined : `a prefix ends in /, before any query: ${bytesToText(text)}`;
}

/** The most that one request can purge: as many tags as a response can bear. */
export const MAX_PURGE_TARGETS = 1000;

/** Purges that are let through in a second: a purge costs the store some forty operations. */
export const PURGES_PER_SECOND = 100;

/**
 * Purges the targets, which have no {@link targetFault}, from all of `caches`: one after the other, as each of them
 * already keeps every server busy.
 */
export async function purgeEach(
  caches: readonly RunningCache[],
  targets: readonly NamedTarget[],
  { soft = false, dryRun = false }: PurgeOptions,
): Promise<PurgeReport> {
  const results: PurgeResult[] = [];
  const purged: PurgeReport['purged'][number][] = [];
  for (const target of targets) {
    const ofCaches = await Promise.all(caches.map((cache) => cache.purge(target, { soft, dryRun })));
    const result = combinedResult(ofCaches);
    results.push(result);
    purged.push({ ...named(target), result });
  }
  return { result: combinedResult(results), soft, dryRun, purged };
}

function named(target: NamedTarget): { readonly [name: string]: string | true } {
  switch (target.kind) {
    case 'url':
      return { url: bytesToText(target.url) };
    case 'tag':
      return { tag: bytesToText(target.tag) };
    case 'prefix':
      return { prefix: bytesToText(target.prefix) };
    case 'all':
      return { all: true };
  }
}

/** The status of a response with the report. */
export function reportStatus({ result }: PurgeReport): 200 | 202 {
  return result === 'pending' ? 202 : 200;
}
