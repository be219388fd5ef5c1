import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import Fastify from 'fastify';
import { ClientConnection } from '../../src/actions/client-connection.js';
import { Exchange, receivedRequest } from '../../src/actions/exchange.js';

export interface ExchangeInit {
  /** Default `GET`. */
  readonly method?: string;
  /** Request target, taken as it is, however odd; default `/`. */
  readonly url?: string;
  /** `host` is `example.com` unless given. */
  readonly headers?: { readonly [name: string]: string | string[] };
  /** Address of the client; default 127.0.0.1. */
  readonly remoteAddress?: string;
  readonly body?: string;
}

const { log } = Fastify();

/** The exchange of a request that no connection carried, for tests of what reads or changes exchanges. */
export async function exchangeOf(init: ExchangeInit = {}): Promise<Exchange> {
  const { url = '/', headers, body, method = 'GET', remoteAddress = '127.0.0.1' } = init;
  const socket = new Socket();
  Object.defineProperties(socket, { remoteAddress: { value: remoteAddress }, remotePort: { value: 50_000 } });
  const request = new IncomingMessage(socket);
  const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) };
  const given = Object.entries({ ...headers, ...length }).map(([name, value]) => [name.toLowerCase(), value] as const);
  const fields = Object.entries({ host: 'example.com', ...Object.fromEntries(given) });
  request.rawHeaders = fields.flatMap(([name, values]) => [values].flat().flatMap((value) => [name, value]));
  for (const [name, value] of fields) request.headers[name] = value;
  Object.assign(request, { method, url, httpVersion: '1.1' });
  if (body !== undefined) request.push(body);
  request.push(null);
  return new Exchange(
    receivedRequest(request, 'http'),
    new ClientConnection(request, new ServerResponse(request)),
    log,
  );
}
