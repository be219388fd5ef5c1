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
 * Tells variants apart: equal exactly for requests that have the same values in the fields `names` (from
 * {@link varyNames}), an absent field being another value than an empty one. Lines of a field count as one list, and
 * white space around its commas does not count (RFC 9111, section 4.1).
 *
 * It is 128 bits of SHA-256 in hex, as a client must not be able to make its request pass for that of others; or
 * empty when there are no `names`.
 */
export function variantDigest(names: readonly string[], request: Fields): string {
  if (names.length === 0) return '';
  const selecting = names.map((name) => [name, normalised(request.get(name))]);
  return hash('sha256', JSON.stringify(selecting)).slice(0, DIGEST_CHARACTERS);
}

const DIGEST_CHARACTERS = 32;

function normalised(value: string | undefined): string | null {
  if (value === undefined) return null;
  return value
    .split(',')
    .map((member) => member.trim())
    .join(',');
}
