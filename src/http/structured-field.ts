/** Pieces of structured fields (RFC 9651) as `Cache-Status` and `Proxy-Status` are made of them. */

/** sf-token (section 3.3.4). */
const TOKEN = /^[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*$/;

/** `text` as a token, else as a string; `undefined` when it can be neither. */
export function tokenOrString(text: string): string | undefined {
  return TOKEN.test(text) ? text : quoted(text);
}

/** sf-string (section 3.3.3), or `undefined` when `text` can not be one. */
export function quoted(text: string): string | undefined {
  return /^[\x20-\x7e]*$/.test(text) ? `"${text.replace(/["\\]/g, '\\$&')}"` : undefined;
}

/** An sf-integer has at most 15 digits (section 3.3.1). */
const MAX_INTEGER = 999_999_999_999_999;

/** `value` as an sf-integer, clamped. */
export function integer(value: number): number {
  return Math.trunc(Math.min(Math.max(value, -MAX_INTEGER), MAX_INTEGER));
}

/** Stands in for a name of ours that no structured field can hold. */
export const DEFAULT_NAME = 'lookaside';
