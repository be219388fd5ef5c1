/** What a request target says, apart. All of it is a byte string: one character a byte. */
export interface RequestTarget {
  /** In origin-form: path and query as they were sent, beginning with `/`; or `*`. */
  readonly target: string;
  /** Percent-decoded and simplified as lighttpd2 does: `//` is `/`, `/./` and `/../` are resolved, never above `/`. */
  readonly path: string;
  /** What follows the first `?`, as sent; empty when there is none. */
  readonly query: string;
  /**
   * Whether {@link path} may name another resource than the target does for the origin. Two targets with one `path`
   * are then not one resource, so nothing may be kept under a key made of `path`: that is the defence against cache
   * deception by `/static/..%2faccount`, `//account`, `/account%3bx.css` and their like.
   *
   * It is so when simplification removed or merged a segment, when an escape stands for a delimiter, `%`, `\` or a
   * control byte, or is invalid, and when the target holds a bare `\` or `#`. Other escapes (letters, space, bytes
   * above 0x7f) mean the same to everybody.
   */
  readonly ambiguousPath: boolean;
}

/**
 * Takes a request target apart, in the form node:http delivers it. The absolute-form of requests to proxies is reduced
 * to its origin-form; anything else that does not begin with `/` (HTTP/2 lets it through) gets one put in front, so
 * that a target appended to an origin can not change the origin.
 */
export function parseTarget(received: string): RequestTarget {
  if (received === '*') return { target: '*', path: '*', query: '', ambiguousPath: false };
  const target = received.startsWith('/') ? received : originForm(received);
  const mark = target.indexOf('?');
  const raw = mark < 0 ? target : target.slice(0, mark);
  const query = mark < 0 ? '' : target.slice(mark + 1);
  // Whoever cuts a fragment off sees another query, and perhaps another path, than we do.
  const fragment = target.includes('#');
  if (!TELLING.test(raw)) return { target, path: raw, query, ambiguousPath: fragment };
  const { path, ambiguous } = resolve(raw);
  return { target, path, query, ambiguousPath: ambiguous || fragment };
}

/** Without any of these a path is what it says. */
const TELLING = /[%\\]|\/[/.]/;

function originForm(received: string): string {
  const rest = received.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i, '');
  return rest.startsWith('/') ? rest : `/${rest}`;
}

/** Delimiters (`reserved` of RFC 3986, section 2.2), `%` and `\`: an escape that stands for one changes the meaning. */
const SIGNIFICANT = new Set([...":/?#[]@!$&'()*+,;=%\\"].map((char) => char.charCodeAt(0)));

function resolve(raw: string): { path: string; ambiguous: boolean } {
  let ambiguous = raw.includes('\\');
  const decoded = raw.replace(/%([0-9A-Fa-f]{2})?/g, (escaped, digits: string | undefined) => {
    if (digits === undefined) {
      ambiguous = true;
      return escaped;
    }
    const byte = Number.parseInt(digits, 16);
    ambiguous ||= byte < 0x20 || byte === 0x7f || SIGNIFICANT.has(byte);
    return String.fromCharCode(byte);
  });
  const path = simplify(decoded);
  return { path, ambiguous: ambiguous || path !== decoded };
}

/** `path` begins with a slash; so does the result. A path that names a directory keeps its slash at the end. */
function simplify(path: string): string {
  const segments = path.slice(1).split('/');
  const last = segments.at(-1);
  const kept: string[] = [];
  for (const segment of segments) {
    if (segment === '..') kept.pop();
    else if (segment !== '' && segment !== '.') kept.push(segment);
  }
  const directory = kept.length > 0 && (last === '' || last === '.' || last === '..');
  return `/${kept.join('/')}${directory ? '/' : ''}`;
}
