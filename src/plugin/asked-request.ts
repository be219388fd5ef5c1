import type { FastifyRequest } from 'fastify';
import type { ExchangeRequest } from '../actions/exchange.js';
import { Fields } from '../http/fields.js';
import { parseTarget } from '../http/path.js';

/**
 * Makes `request` what the cache asks the handler for: with the conditions of the stored response in the place of the
 * client's own, and without what the key leaves out, so that no handler can put that into a response for all.
 *
 * @returns what makes it again the one the client sent
 */
export function ask(request: FastifyRequest, asked: ExchangeRequest): () => void {
  const restoreFields = askFields(request, asked.fields);
  const restoreTarget = askTarget(request, asked);
  return () => {
    restoreFields();
    restoreTarget();
  };
}

/** Fields that say how the body and the connection are to be read: they are not the cache's to change. */
const FRAMING_FIELDS: ReadonlySet<string> = new Set(['content-length', 'expect', 'transfer-encoding', 'upgrade']);

function askFields({ raw }: FastifyRequest, asked: Fields): () => void {
  const sent = new Fields(raw.rawHeaders);
  const names = new Set([...sent, ...asked].map(([name]) => name.toLowerCase()));
  const changed = [...names].filter((name) => !FRAMING_FIELDS.has(name) && sent.get(name) !== asked.get(name));
  const before = changed.map((name) => [name, raw.headers[name]] as const);
  for (const name of changed) setHeader(raw.headers, name, asked.get(name));
  return () => {
    for (const [name, value] of before) setHeader(raw.headers, name, value);
  };
}

function setHeader(
  headers: FastifyRequest['raw']['headers'],
  name: string,
  value: string | string[] | undefined,
): void {
  if (value === undefined) delete headers[name];
  else headers[name] = value;
}

function askTarget(request: FastifyRequest, { target, query }: ExchangeRequest): () => void {
  const { raw, query: parsed } = request;
  const { url } = raw;
  if (url === undefined || parseTarget(url).target === target) return () => {};
  raw.url = target;
  request.query = withParameters(parsed, query);
  return () => {
    raw.url = url;
    request.query = parsed;
  };
}

/** What the app's parser made of those parameters that are still in the query. */
function withParameters(parsed: unknown, query: string): unknown {
  if (!(parsed instanceof Object) && typeof parsed !== 'object') return parsed;
  const names = [...new URLSearchParams(query).keys()];
  // Parsers that make objects of names part them at brackets or dots.
  const isAsked = (key: string) =>
    names.some((name) => name === key || (/^[[.]/.test(name.slice(key.length)) && name.startsWith(key)));
  return Object.fromEntries(Object.entries(parsed ?? {}).filter(([key]) => isAsked(key)));
}
