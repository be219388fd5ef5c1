import { utf8ToBytes } from '../http/byte-string.js';
import { Fields } from '../http/fields.js';
import { parseTarget } from '../http/path.js';
import { type ExchangeView, parseAuthority } from './exchange.js';

/**
 * The exchange of a GET of `url` (absolute, as a client would send it; a byte string), by a client of which nothing else
 * is known; `undefined` when it is no such URL. A fragment does not count.
 */
export function viewOfUrl(url: string): ExchangeView | undefined {
  const parts = URL_PARTS.exec(url)?.groups;
  if (parts === undefined) return undefined;
  const scheme = parts.scheme?.toLowerCase() === 'https' ? 'https' : 'http';
  const { host, authority } = parseAuthority(parts.authority ?? '', scheme);
  const target = parts.target ?? '';
  return {
    request: {
      method: 'GET',
      scheme,
      host,
      authority,
      ...parseTarget(target.startsWith('/') ? target : `/${target}`),
      fields: new Fields(['Host', authority]),
      remote: NOBODY,
      local: NOBODY,
      hasBody: false,
    },
    response: undefined,
    physical: undefined,
    captures: [],
    environment: new Map(),
  };
}

/** The host in ASCII, and without a user: the hosts that the proxy takes. */
const URL_PARTS = /^(?<scheme>https?):\/\/(?<authority>[\w.:[\]~-]+)(?<target>(?:[/?][^#]*)?)(?:#.*)?$/is;

const NOBODY = { address: '', port: 0 };

/**
 * What clients make of a URL that a person wrote: the percent-encoded bytes of their UTF-8 stand for characters that can
 * not be in a request.
 */
export function urlAsSent(text: string): string {
  return utf8ToBytes(text).replace(
    /[^\x21-\x7e]/g,
    (byte) => `%${byte.charCodeAt(0).toString(16).padStart(2, '0').toUpperCase()}`,
  );
}
