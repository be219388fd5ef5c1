import { type ExchangeView, parseAuthority } from '../actions/exchange.js';
import type { Pattern } from '../actions/pattern.js';
import { utf8ToBytes } from '../http/byte-string.js';
import { parseTarget } from '../http/path.js';
import { UsageError } from './exit.js';

export function isUrl(text: string): boolean {
  return /^https?:\/\//i.test(text);
}

/**
 * The key that `pattern` makes for a GET of `url`; `undefined` when nothing is ever kept for it, because its path is
 * ambiguous. Throws a {@link UsageError} when the pattern asks for what a URL does not tell.
 */
export function keyOfUrl(url: string, pattern: Pattern): string | undefined {
  const view = viewOf(url, pattern);
  return pattern.usesDecodedPath && view.request.ambiguousPath ? undefined : pattern.expand(view);
}

/** The exchange of a GET of `url`, as far as the URL tells: reading anything else of it throws. */
function viewOf(url: string, pattern: Pattern): ExchangeView {
  const parts = /^(?<scheme>https?):\/\/(?<authority>[\w.:[\]-]+)(?<target>(?:[/?][^#]*)?)(?:#.*)?$/i.exec(url)?.groups;
  if (parts === undefined)
    throw new UsageError(`${url} is no URL to purge: expected http://host/path, the host in ASCII and without a user`);
  const scheme = parts.scheme?.toLowerCase() === 'https' ? 'https' : 'http';
  const target = asSent(parts.target ?? '');
  const untold = (what: string): UsageError =>
    new UsageError(`the key pattern ${pattern.source} uses ${what}, which a URL does not tell: purge by key instead`);
  return {
    request: {
      method: 'GET',
      scheme,
      ...parseAuthority(parts.authority ?? '', scheme),
      ...parseTarget(target.startsWith('/') ? target : `/${target}`),
      hasBody: false,
      get fields(): never {
        throw untold('fields of the request');
      },
      get remote(): never {
        throw untold('the address of the client');
      },
      get local(): never {
        throw untold('the address of the server');
      },
    },
    get response(): never {
      throw untold('the response');
    },
    get physical(): never {
      throw untold('the file');
    },
    get captures(): never {
      throw untold('captures of a condition');
    },
    get environment(): never {
      throw untold('what earlier actions leave');
    },
  };
}

/** What clients make of characters that can not stand in a request: the percent-encoded bytes of their UTF-8. */
function asSent(text: string): string {
  return utf8ToBytes(text).replace(
    /[^\x21-\x7e]/g,
    (byte) => `%${byte.charCodeAt(0).toString(16).padStart(2, '0').toUpperCase()}`,
  );
}
