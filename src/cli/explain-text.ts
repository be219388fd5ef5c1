import type { AskedAbout, CacheExplanation, KeyExplanation, LifetimeSource } from '../actions/cache-explanation.js';
import type { Inspected, InspectedItem, LookupExplanation } from '../cache/inspection.js';
import type { EntryPlan } from '../cache/storage.js';
import { meaningOf, REASON_SECTIONS, type Reason } from '../cache/verdict.js';
import { nextSteps, storageSteps } from './explain-steps.js';
import { formatSeconds } from './format-seconds.js';
import { printable } from './output.js';

/** A label, and the lines behind it. */
type Row = readonly [label: string, ...lines: string[]];

/** What the caches of a configuration make of a request, for people. */
export function explanationInText(asked: AskedAbout, explanations: readonly CacheExplanation[]): string {
  const { method, scheme, authority, target } = asked.view.request;
  const title = `${method} ${printable(`${scheme}://${authority}${target}`)}`;
  const blocks = explanations.map((explanation, index) => {
    const number: Row[] = explanations.length === 1 ? [] : [['cache', `${index + 1} of ${explanations.length}`]];
    return inText([...number, ...rowsOf(explanation, asked)]);
  });
  return [title, ...blocks].join('\n\n');
}

const LABEL_WIDTH = 11;

function inText(rows: readonly Row[]): string {
  return rows
    .flatMap(([label, ...lines]) =>
      lines.map((line, index) => `${(index === 0 ? label : '').padEnd(LABEL_WIDTH)}${line}`),
    )
    .join('\n');
}

function rowsOf(explanation: CacheExplanation, asked: AskedAbout): Row[] {
  const { key, bypass, lookup, storage } = explanation;
  const rows = keyRows(key, asked);
  if (lookup !== undefined) rows.push(...lookupRows(lookup, explanation));
  if (lookup === undefined && storage === undefined && bypass !== undefined) {
    rows.push(['decision', ...reasonLines('bypass', bypass)]);
  }
  if (storage !== undefined) {
    const { decision } = storage;
    if (decision.isStored) rows.push(...planRows(decision.plan, storage.lifetime));
    const [word, reason]: [string, Reason] = decision.isStored ? ['stored', 'stored'] : ['not stored', decision.reason];
    rows.push(['decision', ...reasonLines(word, reason)]);
  }
  const steps = [...nextSteps(explanation, asked), ...storageSteps(explanation)];
  if (steps.length > 0) rows.push(['next', ...steps]);
  return rows;
}

function keyRows(
  { key, storeKey, pattern, parts, target, isByNoVarySearch }: KeyExplanation,
  asked: AskedAbout,
): Row[] {
  const made = pattern === undefined ? 'scheme, host, path and query' : `the pattern ${pattern}`;
  const sent = asked.view.request.target;
  const lines = [parts.length === 0 ? made : `${made}; ${parts.join(', ')}`];
  if (target !== sent) lines.push(`of ${printable(target)}, which stands for ${printable(sent)}`);
  if (isByNoVarySearch) lines.push('another one in processes that have seen a No-Vary-Search of the path');
  return [
    ['key', printable(key)],
    ['made of', ...lines],
    ['store key', key === storeKey ? 'the same' : `${storeKey} (SHA-1 of the key)`],
  ];
}

function lookupRows(lookup: LookupExplanation, { lifetime }: CacheExplanation): Row[] {
  const [base, variant] = lookup.items;
  const rows: Row[] = [];
  if (base?.server !== undefined) rows.push(['server', base.server]);
  if (base !== undefined) rows.push(['found', ...foundLines(base)]);
  if (variant !== undefined) {
    const where = variant.server === undefined ? variant.storeKey : `${variant.storeKey} on ${variant.server}`;
    rows.push(['variant', where, ...foundLines(variant)]);
  }
  rows.push(...entryRows(lookup, lifetime));
  const { verdict, reason } = lookup.decision.outcome;
  const because = lookup.decision.kind === 'refuse' ? lookup.decision.because : undefined;
  const more = because === undefined ? [] : reasonLines('can not be used', because);
  rows.push(['decision', ...reasonLines(verdict, reason), ...more]);
  return rows;
}

function reasonLines(word: string, reason: Reason): string[] {
  const section = REASON_SECTIONS[reason];
  const said = reason === word ? `${word}: ` : `${word} (${reason}): `;
  return [said + meaningOf(reason), ...(section === undefined ? [] : [section])];
}

function foundLines({ found }: InspectedItem): string[] {
  if (typeof found === 'string') return [meaningOf(found)];
  if (found.kind === 'nothing') return ['nothing'];
  const kept =
    found.keptSeconds === undefined ? 'kept without end' : `kept for ${formatSeconds(found.keptSeconds)} more`;
  return [`${whatIs(found)}; ${kept}`];
}

function whatIs(found: Exclude<Inspected, { kind: 'nothing' }>): string {
  switch (found.kind) {
    case 'entry': {
      const { bodyBytes, layout } = found.metadata;
      const segments = layout === undefined ? 0 : Math.ceil(layout.bytes / layout.segmentBytes);
      const size = `${counted(bodyBytes, 'byte')}${segments === 0 ? '' : ` in ${counted(segments, 'segment')}`}`;
      const tags = found.tags?.map(printable).join(', ') ?? '';
      return `an entry: status ${found.status}, ${size}${tags === '' ? '' : `, tagged ${tags}`}`;
    }
    case 'message':
      return found.isOurs
        ? `an entry of memcached.store: status ${found.status}`
        : `a response that another program has written: status ${found.status}`;
    case 'variants': {
      const lists = new Set(found.variants.map(({ names }) => (names.length === 0 ? 'nothing' : names.join(', '))));
      return `the index of ${counted(found.variants.length, 'variant')}, by ${[...lists].join(' or by ')}`;
    }
    case 'lease':
      return 'a lease: a process is fetching the response';
    case 'pass':
      return 'a pass marker: responses of the key were not stored lately';
    case 'malformed':
      return `${counted(found.itemBytes, 'byte')}, neither a response nor anything of the cache's`;
    case 'unauthenticated':
      return `${counted(found.itemBytes, 'byte')}, not signed with the secret`;
  }
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

function entryRows({ entry, reuse }: LookupExplanation, lifetime: LifetimeSource | undefined): Row[] {
  if (entry === undefined || reuse === undefined) return [];
  const { freshness } = entry;
  const age = `age ${formatSeconds(reuse.ageSeconds)} of ${lifetimeText(freshness.lifetimeSeconds, lifetime)}`;
  const soft = freshness.isSoftPurged ? '; marked stale by a soft purge' : '';
  const state =
    reuse.ttlSeconds > 0
      ? `fresh for ${formatSeconds(reuse.ttlSeconds)} more`
      : `stale for ${formatSeconds(-reuse.ttlSeconds)}`;
  return [['freshness', `${state}: ${age}${soft}`, ...staleLines(freshness)]];
}

function planRows(plan: EntryPlan, lifetime: LifetimeSource | undefined): Row[] {
  const left = plan.lifetimeSeconds - plan.ageSeconds;
  const age = `age ${formatSeconds(plan.ageSeconds)} of ${lifetimeText(plan.lifetimeSeconds, lifetime)}`;
  const tags = plan.tags.map(printable).join(', ');
  return [
    [
      'freshness',
      `${left > 0 ? `fresh for ${formatSeconds(left)}` : 'stale from the beginning'}: ${age}`,
      ...staleLines(plan),
    ],
    ['kept', `for ${formatSeconds(plan.ttlSeconds)}`],
    ...(tags === '' ? [] : [['tags', tags] as const]),
  ];
}

function lifetimeText(seconds: number, lifetime: LifetimeSource | undefined): string {
  const text = formatSeconds(seconds);
  if (lifetime === undefined || lifetime.source === 'none') return text;
  return `${text} (${SOURCES[lifetime.source]}${lifetime.isBounded ? ', within minTtl and maxTtl of a rule' : ''})`;
}

const SOURCES = {
  's-maxage': 's-maxage',
  'max-age': 'max-age',
  expires: 'Expires',
  heuristic: 'a tenth of the time since Last-Modified',
  rule: 'ttl of a rule',
  default: 'defaultTtl of a rule',
} as const;

type StaleUses = Pick<EntryPlan, 'revalidation' | 'staleWhileRevalidateSeconds' | 'staleIfErrorSeconds'>;

function staleLines({ revalidation, staleWhileRevalidateSeconds, staleIfErrorSeconds }: StaleUses): string[] {
  if (revalidation === 'always') return ['must be revalidated before every use (no-cache)'];
  if (revalidation === 'must') return ['must not be used stale (must-revalidate, proxy-revalidate or s-maxage)'];
  const uses = [
    ...(staleWhileRevalidateSeconds === 0
      ? []
      : [`${formatSeconds(staleWhileRevalidateSeconds)} while it is refreshed`]),
    ...(staleIfErrorSeconds === undefined ? [] : [`${formatSeconds(staleIfErrorSeconds)} if the origin fails`]),
  ];
  return uses.length === 0 ? [] : [`the response allows to use it stale for ${uses.join(', ')}`];
}
