import { parseList } from 'structured-headers';
import type { Fields } from './fields.js';

/**
 * The tags a response bears, each once, in the order of `names`: `Surrogate-Key` and `xkey` part them by spaces,
 * `Cache-Tag` by commas, `Cache-Groups` is a list of strings (RFC 9875), and a field of any other name may do as it
 * likes with spaces and commas. At most {@link MAX_TAGS}: where {@link hasTooManyTags} is true, the response must not
 * be stored, as a purge by a tag left out would not reach it.
 *
 * @param names of the fields to read.
 */
export function tags(response: Fields, names: readonly string[]): string[] {
  return [...allTags(response, names)].slice(0, MAX_TAGS);
}

/** Whether the response bears more, or longer, tags than a cache keeps. */
export function hasTooManyTags(response: Fields, names: readonly string[]): boolean {
  const found = allTags(response, names);
  return found.size > MAX_TAGS || [...found].some((tag) => tag.length > MAX_TAG_LENGTH);
}

/** Drupal's pages bear hundreds; every tag costs a counter that must be read and lies in the entry. */
export const MAX_TAGS = 1000;
/** In bytes: what Fastly and Cloudflare take. */
export const MAX_TAG_LENGTH = 1024;

/** The groups that the response to an unsafe request declares out of date (RFC 9875, section 3). */
export function invalidatedGroups(response: Fields): string[] {
  return [...new Set(groups(response.get('cache-group-invalidation') ?? ''))].slice(0, MAX_TAGS);
}

const SEPARATORS: ReadonlyMap<string, RegExp> = new Map([
  ['surrogate-key', /[ \t]+/],
  ['xkey', /[ \t]+/],
  ['cache-tag', /,/],
]);
const ANY_SEPARATOR = /[ \t,]+/;

function allTags(response: Fields, names: readonly string[]): Set<string> {
  const found = new Set<string>();
  for (const name of names) {
    const lowerName = name.toLowerCase();
    const separator = SEPARATORS.get(lowerName) ?? ANY_SEPARATOR;
    for (const line of response.all(lowerName)) {
      const listed = lowerName === 'cache-groups' ? [] : line.split(separator);
      for (const tag of listed.map((one) => one.trim())) if (tag !== '') found.add(tag);
    }
    if (lowerName === 'cache-groups') for (const tag of groups(response.get(lowerName) ?? '')) found.add(tag);
  }
  return found;
}

/** The strings of the list; none when it is invalid. Members of another type are left out (RFC 9875, section 2). */
function groups(value: string): string[] {
  try {
    return parseList(value).flatMap(([member]) => (typeof member === 'string' && member !== '' ? [member] : []));
  } catch {
    // The parser says by throwing that the field is invalid, and it is ignored as a whole (RFC 9651, section 4.2).
    return [];
  }
}
