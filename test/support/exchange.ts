import Fastify from 'fastify';
import { Exchange } from '../../src/actions/exchange.js';

export interface ExchangeInit {
  /** Default `GET`. */
  readonly method?: 'DELETE' | 'GET' | 'HEAD' | 'OPTIONS' | 'PATCH' | 'POST' | 'PUT';
  /** Request target, taken as it is, however odd; default `/`. */
  readonly url?: string;
  /** `host` is `example.com` unless given. */
  readonly headers?: { readonly [name: string]: string | string[] };
  /** Address of the client; default 127.0.0.1. */
  readonly remoteAddress?: string;
  readonly body?: string;
}

/** The exchange that a Fastify handler gets for a request, for tests of what reads or changes exchanges. */
export async function exchangeOf(init: ExchangeInit = {}): Promise<Exchange> {
  const { url = '/', headers, body, method = 'GET', remoteAddress = '127.0.0.1' } = init;
  const app = Fastify();
  const made: Exchange[] = [];
  app.addContentTypeParser('*', (_request, payload, done) => done(null, payload));
  app.route({
    method: app.supportedMethods,
    url: '/',
    handler: async (request, reply) => {
      // inject() would tidy an odd target up on its way, which a socket does not.
      request.raw.url = url;
      made.push(new Exchange(request, reply));
      return '';
    },
  });
  const response = await app.inject({
    method,
    url: '/',
    headers: { host: 'example.com', ...headers },
    remoteAddress,
    ...(body === undefined ? {} : { payload: body }),
  });
  await app.close();
  const [exchange] = made;
  if (exchange === undefined) throw new Error(`the request did not reach the handler: ${response.body}`);
  return exchange;
}
