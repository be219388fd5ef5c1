import { hash } from 'node:crypto';
import type { Fields } from '../http/fields.js';
import { parseTarget } from '../http/path.js';
import type { QueryNormaliser } from '../http/query.js';
import { DEVICE_FIELD, deviceClass } from './device.js';
import type { ExchangeRequest, ExchangeView } from './exchange.js';
import type { Pattern } from './pattern.js';
import type { QueryEquivalence } from './query-memory.js';

/** How the key of a request is made. */
export interface KeyRules {
  /** In place of scheme, host, path and query; `undefined` leaves those. */
  readonly pattern: Pattern | undefined;
  /** Makes one of the queries that the operator takes for the same. */
  readonly normaliseQuery: QueryNormaliser;
  readonly parts: KeyParts;
}

/** What tells responses apart besides the URL. */
export interface KeyParts {
  /** Names of request fields, in lower case, sorted, each once. */
  readonly headers: readonly string[];
  /** Names of cookies, sorted, each once. */
  readonly cookies: readonly string[];
  /** Whether phones, tablets, desktops and bots have entries of their own. */
  readonly device: boolean;
}

/**
 * The key of a request, and what is to be asked of the origin for it.
 *
 * Two requests have one key only when the origin is asked for the same target with the same Host and the same values of
 * the key parts: what was normalised away must not reach it, or whoever comes first would decide what the others get.
 */
export interface CacheKey {
  /** For `storeKey()`. */
  readonly key: string;
  /** `scheme://authority/path?query`, what purges by URL and by prefix go by. */
  readonly url: string;
  /** The request target to ask the origin for. */
  readonly target: string;
  /** What to change in the fields of the request to the origin: see {@link editedFields}. */
  readonly edits: readonly FieldEdit[];
}

/** The only value that a field is to have; `undefined` to remove it. */
export type FieldEdit = readonly [name: string, value: string | undefined];

/**
 * The key of the request in `view`.
 *
 * The default one is the URL, of scheme, normalised host, raw path and normalised query, followed by `#` and the key
 * parts, `&` between them, when there are any: `device=phone`, `header.x-lang=de` (only the name when the field is
 * absent), `cookie.theme=` with 128 bits of SHA-256 in hex for the value, as cookies are nobody else's business. A part
 * holds no `#`, so that the last one always ends the URL; one that holds a `#` itself gets another at its end.
 *
 * With a pattern the text of the pattern stands for the URL. It is expanded for the normalised request.
 *
 * @param known what the path has said in No-Vary-Search: for the key only, as the origin itself answers for it. The
 *   key then ends with what was said (`no-vary-search=…`), and is for responses that say the same.
 */
export function cacheKey(
  { pattern, normaliseQuery, parts }: KeyRules,
  view: ExchangeView,
  known?: QueryEquivalence,
): CacheKey {
  const { request } = view;
  const origin = `${request.scheme}://${escapedAuthority(request.authority)}`;
  const target = withQuery(request, normaliseQuery(request.query));
  const asked = target === request.target ? request : { ...request, ...parseTarget(target) };
  const keyed = known === undefined ? target : withQuery(asked, known.normalise(asked.query));
  const { texts, edits } = partsOf(parts, request.fields);
  const suffixes = known === undefined ? texts : [...texts, `no-vary-search=${escapedPart(known.value)}`];
  const base = pattern === undefined ? origin + keyed : pattern.expand(withTarget(view, keyed));
  const isEnded = suffixes.length === 0 && (pattern !== undefined || !base.includes('#'));
  const host = hostEdit(request);
  return {
    key: isEnded ? base : `${base}#${suffixes.join('&')}`,
    url: origin + target,
    target,
    edits: host === undefined ? edits : [host, ...edits],
  };
}

/** Why nothing may be kept under the key that a pattern gives this request, or `undefined` when it may. */
export function keyRefusal({ pattern }: KeyRules, request: ExchangeRequest): 'ambiguous-path' | undefined {
  return pattern?.usesDecodedPath === true && request.ambiguousPath ? 'ambiguous-path' : undefined;
}

/** Whether requests for one URL may have different keys. */
export function keysDiffer({ pattern, parts }: KeyRules): boolean {
  return pattern !== undefined || parts.device || parts.headers.length > 0 || parts.cookies.length > 0;
}

/** `fields` with the edits made: a copy, unless there are none. */
export function editedFields(fields: Fields, edits: readonly FieldEdit[]): Fields {
  if (edits.length === 0) return fields;
  const edited = fields.clone();
  for (const [name, value] of edits) {
    if (value === undefined) edited.delete(name);
    else edited.set(name, value);
  }
  return edited;
}

/** The target with another query. Where that is the one it has, it stays as it was sent, with a bare `?` or without. */
function withQuery({ target, query }: Pick<ExchangeRequest, 'target' | 'query'>, normalised: string): string {
  if (normalised === query) return target;
  const path = target.slice(0, target.length - query.length - 1);
  return normalised === '' ? path : `${path}?${normalised}`;
}

function withTarget(view: ExchangeView, target: string): ExchangeView {
  const { request, response, physical, captures, environment } = view;
  if (target === request.target) return view;
  return { request: { ...request, ...parseTarget(target) }, response, physical, captures, environment };
}

/** A host is taken as it comes, whoever checks it: nothing in one may end the authority. */
function escapedAuthority(authority: string): string {
  return authority.replace(/[^a-z0-9.\-_~:[\]]/g, escaped);
}

function escaped(char: string): string {
  return `%${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;
}

/** The origin is to see the host as the key has it. */
function hostEdit({ authority, fields }: ExchangeRequest): FieldEdit | undefined {
  const lines = fields.all('host');
  if (authority === '') return lines.length === 0 ? undefined : ['Host', undefined];
  return lines.length === 1 && lines[0] === authority ? undefined : ['Host', authority];
}

const NO_PARTS = { texts: [], edits: [] } as const;

/** The texts of the key parts, and the edits that they ask for. */
export function partsOf(
  { headers, cookies, device }: KeyParts,
  fields: Fields,
): { readonly texts: readonly string[]; readonly edits: readonly FieldEdit[] } {
  if (!device && headers.length === 0 && cookies.length === 0) return NO_PARTS;
  const texts: string[] = [];
  const edits: FieldEdit[] = [];
  if (device) {
    const name = deviceClass(fields);
    texts.push(`device=${name}`);
    edits.push([DEVICE_FIELD, name]);
  }
  for (const name of headers) {
    const lines = fields.all(name);
    if (lines.length === 0) {
      texts.push(`header.${escapedPart(name)}`);
      continue;
    }
    const value = withoutSpace(lines.map(withoutSpace).join(', '));
    texts.push(`header.${escapedPart(name)}=${escapedPart(value)}`);
    if (lines.length > 1 || lines[0] !== value) edits.push([name, value]);
  }
  const sent = cookies.length === 0 ? [] : cookiePairs(fields);
  for (const name of cookies) {
    // An origin may take the first of several or the last: all of them count.
    const values = sent.filter(([sentName]) => sentName === name).map(([, value]) => value);
    texts.push(`cookie.${escapedPart(name)}${values.length === 0 ? '' : `=${digest(values)}`}`);
  }
  return { texts, edits };
}

function escapedPart(text: string): string {
  return text.replace(/[^A-Za-z0-9.\-_~]/g, escaped);
}

/** Names and values, without the white space around them that some origins drop; `null` is the value of a bare name. */
function cookiePairs(fields: Fields): (readonly [name: string, value: string | null])[] {
  return fields.all('cookie').flatMap((line) =>
    line.split(';').map((pair) => {
      const equals = pair.indexOf('=');
      if (equals < 0) return [withoutSpace(pair), null] as const;
      return [withoutSpace(pair.slice(0, equals)), withoutSpace(pair.slice(equals + 1))] as const;
    }),
  );
}

/** Not `trim()`: that takes 0xa0 for a space, which in a byte string is the end of many a character. */
function withoutSpace(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isSpace(text.charCodeAt(start))) start++;
  while (end > start && isSpace(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

/** 128 bits: a client must not be able to find another value that passes for this one. */
const DIGEST_CHARACTERS = 32;

function digest(values: readonly (string | null)[]): string {
  return hash('sha256', JSON.stringify(values)).slice(0, DIGEST_CHARACTERS);
}
