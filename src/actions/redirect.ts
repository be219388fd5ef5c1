import { z } from 'zod';
import { Fields } from '../http/fields.js';
import { defineAction } from './action.js';
import type { Captures } from './captures.js';
import type { Exchange } from './exchange.js';
import { type Pattern, patternSchema } from './pattern.js';
import { encodeUnsafe } from './percent.js';
import { firstMatch, rulesSchema } from './rules.js';

const rules = rulesSchema(patternSchema);

/** lighttpd2 knows no other status. */
const DEFAULT_STATUS = 301;

const redirectOptions = z.strictObject({
  to: rules.describe('target pattern, or regular expressions for the path with their targets'),
  status: z
    .literal([301, 302, 303, 307, 308])
    .default(DEFAULT_STATUS)
    .describe('301, 302, 303, 307 or 308 (default: 301)'),
});

export const redirectAction = defineAction({
  name: 'redirect',
  help: 'sends the client to another address',
  schema: () => z.union([patternSchema.transform((pattern) => toAlways(pattern)), redirectOptions]),
  compile:
    ({ to, status }) =>
    (exchange) => {
      if (exchange.response !== undefined) return;
      const match = firstMatch(to, exchange.request.path);
      if (match === undefined) return;
      const fields = new Fields(['Location', location(exchange, match.target, match.captures)]);
      exchange.respond({ status, fields, body: null, delimited: true });
    },
});

function toAlways(target: Pattern): z.output<typeof redirectOptions> {
  return { to: [{ expression: undefined, target }], status: DEFAULT_STATUS };
}

/**
 * What a pattern inserts can neither end the field nor, behind a pattern that is a path, name another host: browsers
 * take `//host` and `/\host` for one.
 */
function location(exchange: Exchange, target: Pattern, captures: Captures): string {
  const expanded = target.expand(exchange, captures);
  return encodeUnsafe(target.source.startsWith('/') ? expanded.replace(/^[/\\]+/, '/') : expanded);
}
