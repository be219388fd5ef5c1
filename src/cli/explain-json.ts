import type { AskedAbout, CacheExplanation, StorageExplanation } from '../actions/cache-explanation.js';
import type { InspectedItem, LookupExplanation } from '../cache/inspection.js';
import { meaningOf, REASON_SECTIONS, type Reason } from '../cache/verdict.js';
import { bytesToText } from '../http/byte-string.js';
import { nextSteps, storageSteps } from './explain-steps.js';

/** What the caches of a configuration make of a request, for programs. Times are in seconds, `null` is without end. */
export function explanationInJson(asked: AskedAbout, explanations: readonly CacheExplanation[]) {
  const { method, scheme, authority, target } = asked.view.request;
  return {
    method,
    url: bytesToText(`${scheme}://${authority}${target}`),
    caches: explanations.map((explanation) => inJson(explanation, asked)),
  };
}

function inJson(explanation: CacheExplanation, asked: AskedAbout) {
  const { key, bypass, lookup, lifetime, storage } = explanation;
  return {
    key: bytesToText(key.key),
    storeKey: key.storeKey,
    pattern: key.pattern,
    keyParts: key.parts,
    target: bytesToText(key.target),
    items: lookup?.items.map(itemInJson),
    entry: lookup && entryInJson(lookup, lifetime?.source),
    decision: decisionInJson(lookup, storage === undefined ? bypass : undefined),
    storage: storage && storageInJson(storage),
    next: [...nextSteps(explanation, asked), ...storageSteps(explanation)],
  };
}

function itemInJson({ storeKey, server, found }: InspectedItem) {
  if (typeof found === 'string') return { storeKey, server, kind: 'failed', error: found };
  if (found.kind === 'nothing') return { storeKey, server, kind: found.kind };
  const common = { storeKey, server, kind: found.kind, size: found.itemBytes, ttl: found.keptSeconds ?? null };
  switch (found.kind) {
    case 'entry': {
      const { bodyBytes, layout } = found.metadata;
      const segments = layout === undefined ? 0 : Math.ceil(layout.bytes / layout.segmentBytes);
      return { ...common, status: found.status, bodySize: bodyBytes, segments, tags: found.tags?.map(bytesToText) };
    }
    case 'message':
      return { ...common, status: found.status };
    case 'variants':
      return { ...common, variants: found.variants.map(({ digest, names }) => ({ digest, names })) };
    default:
      return common;
  }
}

function entryInJson({ entry, reuse }: LookupExplanation, source: string | undefined) {
  if (entry === undefined || reuse === undefined) return undefined;
  const { status, freshness, body } = entry;
  return {
    status,
    bodySize: body.bytes,
    age: reuse.ageSeconds,
    ttl: reuse.ttlSeconds,
    lifetime: freshness.lifetimeSeconds,
    lifetimeSource: source,
    softPurged: freshness.isSoftPurged,
    staleWhileRevalidate: freshness.staleWhileRevalidateSeconds,
    staleIfError: freshness.staleIfErrorSeconds,
    revalidation: freshness.revalidation,
  };
}

function decisionInJson(lookup: LookupExplanation | undefined, bypass: Reason | undefined) {
  if (bypass !== undefined) return { verdict: 'bypass', ...reasonInJson(bypass) };
  if (lookup === undefined) return undefined;
  const { decision, status } = lookup;
  const { verdict, reason, ttlSeconds: ttl } = decision.outcome;
  return { verdict, ...reasonInJson(reason), ttl, does: decision.kind, status };
}

function reasonInJson(reason: Reason) {
  return { reason, meaning: meaningOf(reason), section: REASON_SECTIONS[reason] };
}

function storageInJson({ decision, lifetime }: StorageExplanation) {
  if (!decision.isStored) return { stored: false, ...reasonInJson(decision.reason) };
  const { ageSeconds, lifetimeSeconds, staleWhileRevalidateSeconds, staleIfErrorSeconds, revalidation } = decision.plan;
  return {
    stored: true,
    ...reasonInJson('stored'),
    age: ageSeconds,
    lifetime: lifetimeSeconds,
    lifetimeSource: lifetime?.source,
    ttl: decision.plan.ttlSeconds,
    staleWhileRevalidate: staleWhileRevalidateSeconds,
    staleIfError: staleIfErrorSeconds,
    revalidation,
    tags: decision.plan.tags.map(bytesToText),
  };
}
