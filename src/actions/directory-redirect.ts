import { Fields } from '../http/fields.js';
import type { Exchange } from './exchange.js';
import { encodePath, encodeQuery } from './percent.js';

/**
 * Sends the client to the same path with a slash at its end, so that relative links in the directory's index work. The
 * path is the simplified one, encoded anew: one that begins with two slashes would name another host.
 */
export function redirectToDirectory(exchange: Exchange): void {
  const { path, query } = exchange.request;
  const location = `${encodePath(path)}/${query === '' ? '' : `?${encodeQuery(query)}`}`;
  exchange.respond({ status: 301, fields: new Fields(['Location', location]), body: null, delimited: true });
}
