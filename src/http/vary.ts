import { hash } from 'node:crypto';
import type { Fields } from './fields.js';

/**
 * The request fields that select the variant (RFC 9110, section 12.5.5), in lower case, sorted, each once; empty when
 * the response does not vary. `*` when it varies on more than the request's fields: it never fits another request.
 */
export function varyNames(response: Fields): '*' | string[] {
  const vary = response.get('vary');
  if (vary === undefined) return [];
  const names = new Set(
    vary
      .toLowerCase()
      .split(',')
      .map((name) => name.trim()),
  );
  if (names.has('*')) return '*';
  names.delete('');
  return [...names].sort();
}

/**
 * Tells variants apart: equal exactly for requests that mean the same by the fields `names` (from {@link varyNames}), an
 * absent field being another value than an empty one. Lines of a field count as one list, and white space around its
 * commas does not count; of Accept-Encoding and Accept-Language neither do letter case and order, save for what quality
 * values say (RFC 9111, section 4.1).
 *
 * It is 128 bits of SHA-256 in hex, as a client must not be able to make its request pass for that of others; or
 * empty when there are no `names`.
 */
export function variantDigest(names: readonly string[], request: Fields): string {
  return digest(names, (name) => request.get(name));
}

/**
 * {@link variantDigest} of the request as if it asked for `language` and no other; `undefined` when the language does not
 * select the variant. A variant in a language (Content-Language) that is also filed under this digest is found for a
 * request that likes that language best ({@link preferredLanguage}), whatever else it would take.
 */
export function languageDigest(names: readonly string[], request: Fields, language: string): string | undefined {
  if (!names.includes('accept-language')) return undefined;
  return digest(names, (name) => (name === 'accept-language' ? language : request.get(name)));
}

/** The language the client likes best, in lower case; `undefined` when there is not exactly one. */
export function preferredLanguage(request: Fields): string | undefined {
  const [best, second] = preferences(request.get('accept-language') ?? '') ?? [];
  if (best === undefined || best.name === '*' || best.quality === 0 || best.quality === second?.quality)
    return undefined;
  return best.name;
}

const DIGEST_CHARACTERS = 32;

function digest(names: readonly string[], fieldOf: (name: string) => string | undefined): string {
  if (names.length === 0) return '';
  const selecting = names.map((name) => [name, normalised(name, fieldOf(name))]);
  return hash('sha256', JSON.stringify(selecting)).slice(0, DIGEST_CHARACTERS);
}

function normalised(name: string, value: string | undefined): string | null {
  if (value === undefined) return null;
  if (name === 'accept-encoding' || name === 'accept-language') {
    const listed = preferences(value);
    if (listed !== undefined) return listed.map(formatted).join(',');
  }
  return value
    .split(',')
    .map((member) => member.trim())
    .join(',');
}

interface Preference {
  readonly name: string;
  /** 0 (not acceptable) to 1. */
  readonly quality: number;
}

/** What the client would take, best first and by name among equals; `undefined` when a member can not be understood. */
function preferences(value: string): Preference[] | undefined {
  const found = new Map<string, Preference>();
  for (const member of value.split(',')) {
    const text = member.trim().toLowerCase();
    if (text === '') continue;
    const groups = PREFERENCE.exec(text)?.groups;
    if (groups?.name === undefined) return undefined;
    const name = OLD_NAMES.get(groups.name) ?? groups.name;
    const preference = { name, quality: Number(groups.quality ?? 1) };
    if ((found.get(name)?.quality ?? preference.quality) !== preference.quality) return undefined;
    found.set(name, preference);
  }
  return [...found.values()].sort((a, b) => b.quality - a.quality || (a.name < b.name ? -1 : 1));
}

const PREFERENCE =
  /^(?<name>[!#$%&'*+\-.^_`|~0-9a-z]+)(?:[ \t]*;[ \t]*q=(?<quality>0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?$/;

/** Codings that are the same under two names (RFC 9110, section 8.4.1). No language is called so. */
const OLD_NAMES: ReadonlyMap<string, string> = new Map([
  ['x-gzip', 'gzip'],
  ['x-compress', 'compress'],
]);

function formatted({ name, quality }: Preference): string {
  return quality === 1 ? name : `${name};q=${quality}`;
}
