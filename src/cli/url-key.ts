import type { ExchangeView } from '../actions/exchange.js';
import type { Pattern } from '../actions/pattern.js';
import { urlAsSent, viewOfUrl } from '../actions/url-view.js';
import { UsageError } from './exit.js';

export function isUrl(text: string): boolean {
  return /^https?:\/\//i.test(text);
}

/** The exchange of a GET of a URL that a person wrote. Throws a {@link UsageError} when it is none. */
export function viewOfGiven(url: string): ExchangeView {
  const view = viewOfUrl(urlAsSent(url));
  if (view !== undefined) return view;
  throw new UsageError(`${url} is no URL to purge: expected http://host/path, the host in ASCII and without a user`);
}

/**
 * The key that `pattern` makes for a GET of `url`; `undefined` when nothing is ever kept for it, because its path is
 * ambiguous. Throws a {@link UsageError} when the pattern asks for what a URL does not tell.
 */
export function keyOfUrl(url: string, pattern: Pattern): string | undefined {
  const view = tellingView(viewOfGiven(url), pattern);
  return pattern.usesDecodedPath && view.request.ambiguousPath ? undefined : pattern.expand(view);
}

/** The view of a URL, which throws when it is asked for what that does not tell. */
function tellingView({ request }: ExchangeView, pattern: Pattern): ExchangeView {
  const untold = (what: string): UsageError =>
    new UsageError(`the key pattern ${pattern.source} uses ${what}, which a URL does not tell: purge by key instead`);
  return {
    request: {
      ...request,
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
