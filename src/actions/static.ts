import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { send } from '@fastify/send';
import { Fields } from '../http/fields.js';
import { defineAction, noOptions } from './action.js';
import { redirectToDirectory } from './directory-redirect.js';
import { type DocrootFile, findInDocroot } from './docroot-file.js';
import type { Exchange, ExchangeResponse, Physical } from './exchange.js';
import { plainResponse } from './plain-response.js';

export const staticAction = defineAction({
  name: 'static',
  help: 'serves the file below the docroot that the path names',
  schema: () => noOptions,
  compile: () => serve,
});

/** What a directory is served by when no `index` has chosen a file. */
const DEFAULT_INDEX = 'index.html';

/** Does nothing when the request is handled already, or when no docroot was set. */
async function serve(exchange: Exchange): Promise<void> {
  const { request, physical } = exchange;
  if (exchange.response !== undefined || physical === undefined) return;
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return exchange.respond(plainResponse(405, ['Allow', 'GET, HEAD']));
  }
  const found = await findServable(physical);
  if (found.kind === 'directory') return redirectToDirectory(exchange);
  exchange.respond(found.kind === 'file' ? await read(found, exchange) : plainResponse(STATUS[found.kind]));
}

const STATUS = { absent: 404, forbidden: 403 } as const;

async function findServable(physical: Physical): Promise<DocrootFile> {
  const found = await findInDocroot(physical, physical.path);
  if (found.kind !== 'directory' || !physical.path.endsWith('/')) return found;
  const index = await findInDocroot(physical, physical.path + DEFAULT_INDEX);
  return index.kind === 'directory' ? { kind: 'absent' } : index;
}

/** Leaves types, validators, conditions and ranges to `@fastify/send`; the path is one that was found right. */
async function read({ root, path }: DocrootFile & { kind: 'file' }, exchange: Exchange): Promise<ExchangeResponse> {
  const below = path.subarray(root.length).toString('utf8');
  const result = await send(asLeftByChain(exchange), below.split('/').map(encodeURIComponent).join('/'), {
    root: root.toString('utf8'),
    dotfiles: 'allow',
    index: false,
    // max-age=0 would keep a memcached.store from storing it; freshness is for the chain to say
    cacheControl: false,
  });
  if (result.type === 'file' && exchange.request.method === 'GET' && result.statusCode !== 304) {
    return { status: result.statusCode, fields: Fields.from(result.headers), body: result.stream, delimited: true };
  }
  result.stream.destroy();
  if (result.type === 'file') {
    return { status: result.statusCode, fields: Fields.from(result.headers), body: null, delimited: true };
  }
  const range = result.headers['Content-Range'];
  return plainResponse(result.statusCode, range === undefined ? [] : ['Content-Range', range]);
}

/** Fields that decide what of a file is sent. */
const SELECTING_FIELDS = [
  'range',
  'if-range',
  'if-match',
  'if-none-match',
  'if-modified-since',
  'if-unmodified-since',
  'cache-control',
] as const;

/** `IncomingMessage` wants a socket. Nothing is read from this one. */
const NO_SOCKET = new Socket();

/**
 * The request as the chain left it (`req_header.remove` may have taken its Range), in what `@fastify/send` reads of one:
 * the method and the fields above.
 */
function asLeftByChain({ request }: Exchange): IncomingMessage {
  const message = new IncomingMessage(NO_SOCKET);
  message.method = request.method;
  for (const name of SELECTING_FIELDS) {
    const value = request.fields.get(name);
    if (value !== undefined) message.headers[name] = value;
  }
  return message;
}
