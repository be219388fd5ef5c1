import { resolveWithinOrigin } from './reference.js';
import type { ResponseHead } from './response-head.js';

/** Methods that ask for no change of the resource (the IANA registry's "safe" ones). They are case-sensitive. */
const SAFE_METHODS: ReadonlySet<string> = new Set([
  'GET',
  'HEAD',
  'OPTIONS',
  'PROPFIND',
  'QUERY',
  'REPORT',
  'SEARCH',
  'TRACE',
]);

/** Whether a request with this method may change the resource; one of unknown safety may (RFC 9111, section 4.4). */
export function isUnsafe(method: string): boolean {
  return !SAFE_METHODS.has(method);
}

/**
 * The URIs whose stored responses the response to an unsafe request puts out of date: its own, and what Location and
 * Content-Location name within the same origin (RFC 9111, section 4.4). None when the request failed.
 *
 * @param targetUri scheme://authority/path?query of the request, the authority in lower case and without default port.
 */
export function invalidationTargets(targetUri: string, response: ResponseHead): string[] {
  if (response.status < 200 || response.status > 399) return [];
  const targets = new Set([targetUri]);
  for (const name of ['location', 'content-location']) {
    const reference = response.fields.get(name);
    const target = reference === undefined ? undefined : resolveWithinOrigin(targetUri, reference);
    if (target !== undefined) targets.add(target);
  }
  return [...targets];
}
