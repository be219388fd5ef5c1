/**
 * The absolute URI that `reference` (Location, Content-Location) stands for, when it lies within the origin of `base`;
 * `undefined` when it lies elsewhere or is no http reference. Without its fragment, and with the origin spelled as in
 * `base`.
 *
 * Resolved as RFC 3986, section 5.2 says, and nothing else: bytes are neither decoded nor encoded, as they are in a URL
 * parser of the browsers, so that the result is the very text that a request for that URI makes its key of.
 *
 * @param base scheme://authority/path?query, the authority in lower case and without the scheme's default port.
 */
export function resolveWithinOrigin(base: string, reference: string): string | undefined {
  const parts = BASE.exec(base)?.groups;
  if (parts === undefined) return undefined;
  const { scheme = '', authority = '', path = '', query } = parts;
  const origin = `${scheme}://${authority}`;
  const text = reference.split('#', 1)[0] ?? '';
  if (text === '') return `${origin}${path}${query ?? ''}`;

  const absolute = ABSOLUTE.exec(text)?.groups;
  if (absolute !== undefined) {
    const otherScheme = absolute.scheme?.toLowerCase() ?? scheme;
    if (otherScheme !== scheme || canonicalAuthority(absolute.authority ?? '', scheme) !== authority) return undefined;
    return origin + withoutDots(absolute.rest ?? '');
  }
  if (/^[a-z][a-z0-9+.-]*:/i.test(text)) return undefined;
  if (text.startsWith('/')) return origin + withoutDots(text);
  if (text.startsWith('?')) return `${origin}${path}${text}`;
  return origin + withoutDots(path.slice(0, path.lastIndexOf('/') + 1) + text);
}

const BASE = /^(?<scheme>https?):\/\/(?<authority>[^/?#]+)(?<path>\/[^?#]*)(?<query>\?[^#]*)?$/;
const ABSOLUTE = /^(?:(?<scheme>https?):)?\/\/(?<authority>[^/?#]*)(?<rest>.*)$/is;
const DEFAULT_PORTS: ReadonlyMap<string, string> = new Map([
  ['http', '80'],
  ['https', '443'],
]);

function canonicalAuthority(authority: string, scheme: string): string {
  const [, host = '', port = ''] = /^(.*?)(?::([0-9]*))?$/s.exec(authority.toLowerCase()) ?? [];
  const bare = host.replace(/\.$/, '');
  return port === '' || port === DEFAULT_PORTS.get(scheme) ? bare : `${bare}:${port}`;
}

/** remove_dot_segments (RFC 3986, section 5.2.4) of a path that may have a query behind it. */
function withoutDots(pathAndQuery: string): string {
  const mark = pathAndQuery.indexOf('?');
  const path = mark < 0 ? pathAndQuery : pathAndQuery.slice(0, mark);
  const query = mark < 0 ? '' : pathAndQuery.slice(mark);
  if (!path.includes('/.')) return (path === '' ? '/' : path) + query;
  const kept: string[] = [];
  const segments = path.slice(1).split('/');
  for (const [i, segment] of segments.entries()) {
    const isLast = i === segments.length - 1;
    if (segment === '..') kept.pop();
    else if (segment !== '.') kept.push(segment);
    if (isLast && (segment === '.' || segment === '..')) kept.push('');
  }
  return `/${kept.join('/')}${query}`;
}
