/** Percent-encoding of byte strings for the places of a URI they go to (RFC 3986). */

/** A decoded path: all that would mean something else in it is encoded, slashes and sub-delimiters are kept. */
export function encodePath(path: string): string {
  return path.replace(/[^A-Za-z0-9\-._~!$&'()*+,;=:@/]/g, encodeByte);
}

/** A query that may hold escapes already: only what can not stand in one is encoded. */
export function encodeQuery(query: string): string {
  return encodeUnsafe(query).replaceAll('#', '%23');
}

/** A whole URI reference that may hold escapes already: only what can not stand in one at all is encoded. */
export function encodeUnsafe(text: string): string {
  return text.replace(/[^\x21-\x7e]|["<>\\^`{|}]/g, encodeByte);
}

function encodeByte(byte: string): string {
  return `%${byte.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;
}
