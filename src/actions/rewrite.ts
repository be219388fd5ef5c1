import { z } from 'zod';
import { parseTarget } from '../http/path.js';
import { defineAction } from './action.js';
import type { Captures } from './captures.js';
import type { Exchange } from './exchange.js';
import { type Pattern, patternSchema } from './pattern.js';
import { encodePath, encodeQuery } from './percent.js';
import { firstMatch, rulesSchema } from './rules.js';

interface Target {
  readonly path: Pattern;
  /** `undefined` leaves the query as it is. */
  readonly query: Pattern | undefined;
}

/** Path and query lie apart before the pattern is one: a question mark that was inserted starts no query. */
const target = z.string().transform((text, check): Target => {
  const mark = /^(?:[^\\?]|\\.)*(?=\?)/s.exec(text)?.[0].length ?? text.length;
  const path = patternSchema.safeParse(text.slice(0, mark));
  const query = mark === text.length ? undefined : patternSchema.safeParse(text.slice(mark + 1));
  if (path.success && query?.success !== false) return { path: path.data, query: query?.data };
  const issues = [...(path.error?.issues ?? []), ...(query?.error?.issues ?? [])];
  for (const { message } of issues) check.issues.push({ code: 'custom', message, input: text });
  return z.NEVER;
});

export const rewriteAction = defineAction({
  name: 'rewrite',
  help: 'gives the request another path, and with a ? in the target another query; docroot comes after it',
  schema: () =>
    rulesSchema(target).describe('a target pattern, or regular expressions for the path with their targets'),
  compile: (rules) => (exchange) => {
    const match = firstMatch(rules, exchange.request.path);
    if (match !== undefined) Object.assign(exchange.request, rewritten(exchange, match.target, match.captures));
  },
});

/** What the upstream gets is the simplified path, encoded anew: the very path that keys and conditions see. */
function rewritten(exchange: Exchange, { path, query }: Target, captures: Captures) {
  const decoded = path.expand(exchange, captures);
  const simplified = parseTarget(encodePath(decoded.startsWith('/') ? decoded : `/${decoded}`)).path;
  const newQuery = query === undefined ? exchange.request.query : encodeQuery(query.expand(exchange, captures));
  return parseTarget(encodePath(simplified) + (newQuery === '' ? '' : `?${newQuery}`));
}
