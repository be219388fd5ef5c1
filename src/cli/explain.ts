import { readFile } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import { z } from 'zod';
import type { AskedAbout, CacheExplanation } from '../actions/cache-explanation.js';
import type { RunningCache } from '../actions/chain.js';
import { announcesBody, type ExchangeView, parseAuthority } from '../actions/exchange.js';
import { patternSchema } from '../actions/pattern.js';
import { urlAsSent, viewOfUrl } from '../actions/url-view.js';
import { cachingProxy } from '../config/caching-proxy.js';
import { loadConfig, settingsOf } from '../config/load.js';
import { utf8ToBytes } from '../http/byte-string.js';
import { isFieldName, isFieldValue } from '../http/fields.js';
import type { ResponseHead } from '../http/response-head.js';
import { openStore } from '../store/open.js';
import { defineCommand } from './command.js';
import { configuredCaches } from './configured-caches.js';
import { EXIT, type ExitCode, UsageError } from './exit.js';
import { explanationInJson } from './explain-json.js';
import { explanationInText } from './explain-text.js';
import { type MemcachedOptions, memcachedOptions, SERVER_OPTIONS } from './memcached.js';
import { printJson, printLine } from './output.js';
import { purgePlaces } from './purge-places.js';
import { parseResponseHead } from './response-head.js';

const { memcached, config } = memcachedOptions;

const explainOptions = z.strictObject({
  memcached,
  config,
  key: patternSchema.optional(),
  header: z.array(z.string()).default([]),
  method: z.string().refine(isFieldName, { error: 'can not be a method' }).default('GET'),
  response: z.string().optional(),
  json: z.literal(true).optional(),
});

type ExplainOptions = z.output<typeof explainOptions>;

export const explainCommand = defineCommand({
  name: 'explain',
  summary: 'say what memcached.cache makes of a request, or of a response to it, and why',
  details: `The key and how it is made, what lies under it, what is decided by which rule, and what comes next: for every
memcached.cache of the configuration, else for that of "serve --upstream". The request is taken as it comes to the
cache: what actions in front of it would change, and when they would not come to it at all, is left out of account.
Nothing is fetched or stored. The exit code is 0 when the answer comes from the store, or the response goes into it.

  lookaside explain http://example.org/news
  lookaside explain --config site.yaml -H 'Accept-Encoding: br' -H 'Cache-Control: max-age=0' http://example.org/news
  curl -sD- -o/dev/null http://origin/news | lookaside explain --response - http://example.org/news`,
  args: [{ name: '<url>', help: 'as a client asks for it: http://host/path' }],
  options: [
    { flags: '-H, --header <field>', help: "field of the request, 'name: value'; may be repeated", isRepeatable: true },
    { flags: '--method <name>', help: 'method of the request (default: GET)' },
    {
      flags: '--response <file>',
      help: 'look nothing up, but judge the response whose head is in this file, or - for stdin',
    },
    ...SERVER_OPTIONS,
    { flags: '--key <pattern>', help: 'pattern that stands for the URL in the key, as for "serve --upstream"' },
    {
      flags: '--json',
      help: 'print {method, url, caches: [{key, items, entry, decision, storage, next}]}; times in seconds',
    },
  ],
  schema: explainOptions,
  async run([url = ''], options) {
    const asked = askedAbout(url, options, await givenResponse(options));
    const { caches, close } = await explainedCaches(options);
    try {
      if (caches.length === 0)
        throw new UsageError(`${options.config} has no memcached.cache: there is nothing to explain`);
      const explanations = await Promise.all(caches.map((cache) => cache.explain(asked)));
      if (options.json) await printJson(explanationInJson(asked, explanations));
      else await printLine(explanationInText(asked, explanations));
      return exitCodeFor(explanations);
    } finally {
      await close();
    }
  },
});

/** The request that the command line describes. Throws a {@link UsageError} when it describes none. */
export function askedAbout(
  url: string,
  { method, header }: Pick<ExplainOptions, 'method' | 'header'>,
  response?: ResponseHead,
): AskedAbout {
  const view = viewOfUrl(urlAsSent(url));
  if (view === undefined) {
    throw new UsageError(`${url} is no URL: expected http://host/path, the host in ASCII and without a user`);
  }
  const { fields } = view.request;
  const given = header.map(parseField);
  if (given.some(([name]) => name.toLowerCase() === 'host')) fields.delete('host');
  for (const [name, value] of given) fields.append(name, value);
  return { view: received(view, method), upgrade: fields.get('upgrade'), response };
}

/** The request as it is for a server that it has come to. */
function received({ request, ...rest }: ExchangeView, method: string): ExchangeView {
  const { fields, scheme } = request;
  const authority = parseAuthority(fields.get('host') ?? '', scheme);
  return { ...rest, request: { ...request, ...authority, method, hasBody: announcesBody(fields) } };
}

function parseField(text: string): readonly [name: string, value: string] {
  const colon = text.indexOf(':');
  const name = text.slice(0, Math.max(0, colon));
  const value = utf8ToBytes(text.slice(colon + 1)).replace(/^[\t ]+|[\t ]+$/g, '');
  if (isFieldName(name) && isFieldValue(value)) return [name, value];
  throw new UsageError(`--header: ${JSON.stringify(text)} is no field: expected 'name: value'`);
}

async function givenResponse({ response: file }: ExplainOptions): Promise<ResponseHead | undefined> {
  if (file === undefined) return undefined;
  const head = parseResponseHead(await contentOf(file));
  if (head === undefined)
    throw new UsageError(`--response: ${file} does not begin as a response: "HTTP/1.1 200 OK", fields`);
  return head;
}

async function contentOf(file: string): Promise<Buffer> {
  if (file === '-') return buffer(process.stdin);
  try {
    return await readFile(file);
  } catch (error) {
    throw new UsageError(
      `--response: ${file} can not be read: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

interface ExplainedCaches {
  readonly caches: readonly RunningCache[];
  close(): Promise<void>;
}

/** A response can be judged without a store. */
async function explainedCaches(options: ExplainOptions & MemcachedOptions): Promise<ExplainedCaches> {
  const { config, key, response } = options;
  if (response === undefined) return purgePlaces(options);
  const settings =
    config === undefined
      ? settingsOf(cachingProxy('http://127.0.0.1', { key: key?.source }), 'command line')
      : await loadConfig(config);
  const store = openStore();
  const caches = configuredCaches(settings, () => store);
  return {
    caches,
    async close() {
      for (const cache of caches) cache.close();
      await store.close();
    },
  };
}

function exitCodeFor(explanations: readonly CacheExplanation[]): ExitCode {
  const items = explanations.flatMap(({ lookup }) => lookup?.items ?? []);
  if (items.some(({ found }) => typeof found === 'string')) return EXIT.store;
  return explanations.some(isYes) ? EXIT.ok : EXIT.no;
}

function isYes({ lookup, storage }: CacheExplanation): boolean {
  if (storage !== undefined) return storage.decision.isStored;
  return lookup?.decision.kind === 'replay' || lookup?.decision.kind === 'replay-part';
}
