import { parseHttpDate } from './date.js';
import type { Fields } from './fields.js';

/**
 * What the conditions of a request ask of a cache that may answer with a stored 200: all of it (`full`), a 304
 * (`not-modified`), or nothing, because the conditions are the origin's to judge (`origin`).
 */
export type ConditionVerdict = 'full' | 'not-modified' | 'origin';

/**
 * Evaluates the conditions of a GET or HEAD against a stored response that may be used (RFC 9110, section 13.2.2;
 * RFC 9111, section 4.3.2). If-Match and If-Unmodified-Since go to the origin; If-None-Match puts If-Modified-Since
 * out of force; a date that can not be read counts as no condition.
 */
export function evaluateConditions(request: Fields, response: Fields, nowMs: number): ConditionVerdict {
  if (request.has('if-match') || request.has('if-unmodified-since')) return 'origin';
  const noneMatch = request.get('if-none-match');
  if (noneMatch !== undefined) return matchesAny(noneMatch, entityTag(response)) ? 'not-modified' : 'full';
  const since = request.get('if-modified-since');
  return since !== undefined && unmodifiedSince(since, response, nowMs) ? 'not-modified' : 'full';
}

/**
 * What a 304 made from a stored 200 carries (RFC 9110, section 15.4.5): the fields a client needs to know and to update
 * its own copy. Last-Modified goes along only when there is no ETag to identify the copy by. Age is for the caller.
 */
export function notModifiedFields(stored: Fields): Fields {
  const untagged = !stored.has('etag');
  return stored.filter((name) => NOT_MODIFIED_FIELDS.has(name) || (untagged && name === 'last-modified'));
}

const NOT_MODIFIED_FIELDS: ReadonlySet<string> = new Set([
  'cache-control',
  'content-location',
  'date',
  'etag',
  'expires',
  'vary',
]);

/** Whether the request has preconditions (RFC 9110, section 13.1); a Range with its If-Range is none of them. */
export function isConditional(request: Fields): boolean {
  return PRECONDITIONS.some((name) => request.has(name));
}

const PRECONDITIONS = ['if-match', 'if-none-match', 'if-modified-since', 'if-unmodified-since'];

/**
 * The request as one for all of what is there now, whatever the client knows or has of it: without preconditions, Range
 * and If-Range.
 */
export function withoutConditions(request: Fields): Fields {
  return request.filter((name) => !PRECONDITIONS.includes(name) && name !== 'range' && name !== 'if-range');
}

/**
 * The preconditions by which the origin can tell whether a stored response is still the one (RFC 9111, section 4.3.1):
 * its ETag and its Last-Modified as they are stored, letter by letter. Empty when it has no validator.
 */
export function conditionalFields(stored: Fields): [name: string, value: string][] {
  const conditions: [string, string][] = [];
  const tag = stored.get('etag') ?? '';
  if (parseEntityTag(tag) !== undefined || UNQUOTED_TAG.test(tag)) conditions.push(['If-None-Match', tag]);
  const modified = stored.get('last-modified') ?? '';
  // Whether it is a date does not depend on the time.
  if (parseHttpDate(modified, 0) !== undefined) conditions.push(['If-Modified-Since', modified]);
  return conditions;
}

/** What origins send that forgot the quotes; they will know it again. A `*`, or a list, would match other responses. */
const UNQUOTED_TAG = /^(?!\*$)[\x21\x23-\x2b\x2d-\x7e\x80-\xff]+$/;

/** Whether the origin can be asked if the stored response is still the one. */
export function hasValidator(stored: Fields): boolean {
  return conditionalFields(stored).length > 0;
}

/** An entity tag (RFC 9110, section 8.8.3). */
export interface EntityTag {
  readonly weak: boolean;
  /** Between the quotes. */
  readonly opaque: string;
}

/** The ETag of a response; `undefined` when there is none, or no single valid one. */
export function entityTag(response: Fields): EntityTag | undefined {
  return parseEntityTag(response.get('etag') ?? '');
}

/** `text` as one entity tag, or `undefined` when it is something else. */
export function parseEntityTag(text: string): EntityTag | undefined {
  const found = ENTITY_TAG.exec(text);
  const opaque = found?.groups?.opaque;
  return opaque === undefined ? undefined : { weak: found?.groups?.weak !== undefined, opaque };
}

const ENTITY_TAG = /^(?<weak>W\/)?"(?<opaque>[\x21\x23-\x7e\x80-\xff]*)"$/;

/** One member of a list of entity tags, and the comma behind it: an opaque tag may hold commas of its own. */
const LIST_MEMBER = /[ \t,]*(?:W\/)?"(?<opaque>[\x21\x23-\x7e\x80-\xff]*)"[ \t]*(?:,|$)/y;

/** Weak comparison (RFC 9110, section 8.8.3.2). A member that is no entity tag ends the list. */
function matchesAny(list: string, tag: EntityTag | undefined): boolean {
  if (list.trim() === '*') return true;
  if (tag === undefined) return false;
  LIST_MEMBER.lastIndex = 0;
  for (let member = LIST_MEMBER.exec(list); member !== null; member = LIST_MEMBER.exec(list)) {
    if (member.groups?.opaque === tag.opaque) return true;
  }
  return false;
}

/** Date stands in for a Last-Modified that is absent (RFC 9111, section 4.3.2). */
function unmodifiedSince(since: string, response: Fields, nowMs: number): boolean {
  const sinceMs = parseHttpDate(since, nowMs);
  const modifiedMs = parseHttpDate(response.get('last-modified') ?? response.get('date') ?? '', nowMs);
  return sinceMs !== undefined && modifiedMs !== undefined && modifiedMs <= sinceMs;
}
