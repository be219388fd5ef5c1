import { ALL_KEY, escapeKey, escapeMember, internalKey, unescapeKey } from './key.js';

/** What an entry can be purged by, besides its key. */
export interface Labels {
  /** The URL it was stored for, when its key is another one; else empty, as whoever has the URL has the key. */
  readonly url: string;
  /** The longest of the prefixes of its URL that have a counter (see {@link prefixesOf}); empty when none has. */
  readonly prefix: string;
  readonly tags: readonly string[];
}

/** The values the counters of an entry had when its fetch began. */
export interface GenerationRecord {
  readonly labels: Labels;
  /** In the order of {@link counterKeys}; decimal. {@link UNKNOWN} where a server did not answer. */
  readonly counters: readonly string[];
}

/** Equal to no counter: the entry holds until the first purge of anything. */
export const UNKNOWN = '-';

/** Each is a counter to read and to record. What lies deeper is purged with its ancestor of this level. */
const MAX_PREFIXES = 8;

export function labelsOf(
  { key, url }: { readonly key: string; readonly url: string },
  tags: readonly string[],
): Labels {
  return { url: url === key ? '' : url, prefix: prefixesOf(url).at(-1) ?? '', tags };
}

/**
 * The prefixes of `url` (`scheme://authority/path?query`) that can be purged: each that ends in a `/` of the path, the
 * shortest (all of the host) first, the first {@link MAX_PREFIXES}.
 */
export function prefixesOf(url: string): string[] {
  const [path = ''] = url.split('?', 1);
  const authority = path.indexOf('://') + 3;
  const prefixes: string[] = [];
  if (authority < 3) return prefixes;
  for (let slash = path.indexOf('/', authority); slash >= 0; slash = path.indexOf('/', slash + 1)) {
    prefixes.push(path.slice(0, slash + 1));
    if (prefixes.length === MAX_PREFIXES) break;
  }
  return prefixes;
}

/** The counter of a URL, for what is stored for it under other keys than the URL itself. */
export function urlKey(url: string): string {
  return internalKey('url', url);
}

export function tagKey(tag: string): string {
  return internalKey('tag', tag);
}

/**
 * The counter of a URL's prefix, which ends in `/`. One with more levels than have counters has that of its ancestor.
 */
export function prefixKey(prefix: string): string {
  return internalKey('prefix', prefixesOf(prefix).at(-1) ?? prefix);
}

/** The store keys of the counters that concern an entry. */
export function counterKeys({ url, prefix, tags }: Labels): string[] {
  const ofPrefixes = prefixesOf(prefix).map((each) => internalKey('prefix', each));
  return [ALL_KEY, ...(url === '' ? [] : [urlKey(url)]), ...ofPrefixes, ...tags.map(tagKey)];
}

/**
 * As a line of an entry, without its name: `prefix=http://example.org/a/ tags=news,sport counters=12,13,14,15,16`. An
 * entry whose key is not its URL has `url=http://example.org/a/b ` in front, and a counter more.
 */
export function formatRecord({ labels, counters }: GenerationRecord): string {
  const url = labels.url === '' ? '' : `url=${escapeKey(labels.url)} `;
  const tags = labels.tags.map(escapeMember).join(',');
  return `${url}prefix=${escapeKey(labels.prefix)} tags=${tags} counters=${counters.join(',')}`;
}

/** The record in such a line, or `undefined` when there is none. */
export function parseRecord(line: string): GenerationRecord | undefined {
  const match = RECORD.exec(line);
  if (match === null) return undefined;
  const [, url = '', prefix = '', tags = '', values = ''] = match;
  const labels = {
    url: unescapeKey(url),
    prefix: unescapeKey(prefix),
    tags: tags === '' ? [] : tags.split(',').map(unescapeKey),
  };
  const counters = values.split(',');
  const expected = (url === '' ? 1 : 2) + prefixesOf(labels.prefix).length + labels.tags.length;
  return counters.length === expected && counters.every((value) => COUNTER.test(value))
    ? { labels, counters }
    : undefined;
}

const RECORD = /^(?:url=([\x21-\x7e]+) )?prefix=([\x21-\x7e]*) tags=([\x21-\x7e]*) counters=([0-9,-]+)$/;
const COUNTER = /^(?:[0-9]{1,20}|-)$/;
