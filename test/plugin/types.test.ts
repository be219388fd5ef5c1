import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import Fastify, {
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  type onRequestAsyncHookHandler,
  type onSendHookHandler,
  type preHandlerAsyncHookHandler,
  type RouteHandlerMethod,
} from 'fastify';
import { Agent, interceptors } from 'undici';
import lookasideDefault, {
  connect,
  lookaside,
  openStore,
  type PluginOptions,
  type PurgeRequest,
  type RouteCacheOptions,
  type Store,
  undiciCacheStore,
} from '../../src/index.js';

/** What a user of the package writes in TypeScript: it is checked by being compiled. */
async function usage(app: FastifyInstance): Promise<void> {
  const store: Store = openStore();
  const options: PluginOptions = { servers: ['127.0.0.1', { address: '[::1]:11211', weight: 2 }], timeout: '50ms' };
  await app.register(lookaside, options);
  await app.register(lookasideDefault, { store, name: 'edge' });
  // @ts-expect-error: no such option
  await app.register(lookaside, { server: '127.0.0.1' });

  const item = await app.memcached.get('key');
  const bytes: Buffer | undefined = item?.value;
  const stored: boolean = await app.memcached.add('key', bytes ?? 'text', { ttlSeconds: 5, flags: 1 });
  const purged: number = await app.memcached.purge('one', 'two');
  app.memcached.setq('key', 'value');
  assert.ok([stored, purged]);

  const hit = (_request: FastifyRequest, reply: FastifyReply) => reply.header('x-memcached', 'Hit');
  const lookup = app.memcached.lookup({ key: '%{req.path}', headers: true }, hit, async () => ({ made: 'here' }));
  const store60 = app.memcached.store({ key: '%{req.path}', headers: true, ttl: '60s', maxsize: '1MiB', flags: 1 });
  const handler: RouteHandlerMethod = lookup;
  const onRequest: onRequestAsyncHookHandler = lookup;
  const preHandler: preHandlerAsyncHookHandler = lookup;
  const onSend: onSendHookHandler = store60;
  app.addHook('onRequest', onRequest);
  app.addHook('preParsing', lookup);
  app.addHook('preValidation', lookup);
  app.addHook('preHandler', preHandler);
  app.addHook('onSend', onSend);
  app.get('/raw', lookup);
  app.get('/hooks', { onRequest: lookup, preHandler: [lookup], onSend: [store60] }, handler);

  interface Typed {
    Params: { id: string };
    Querystring: { page?: number };
    Reply: { id: string };
  }
  app.get<Typed>(
    '/typed/:id',
    { preHandler: lookup, onSend: store60, config: { memcached: { ttl: 5 } } },
    (request) => {
      const reason: string | undefined = request.memcached?.outcome?.reason;
      return { id: `${request.params.id} ${reason}` };
    },
  );
  app.get<Typed>('/typed-raw/:id', lookup);
  // @ts-expect-error: no such option
  app.get('/typo', { config: { memcached: { tll: 5 } } }, handler);
  const cache: RouteCacheOptions = {
    ttl: '1m',
    staleWhileRevalidate: 30,
    staleIfError: '1d',
    tags: ['products'],
    vary: 'accept-language',
    profile: 'rfc',
    query: { ignore: ['utm_*'] },
    keyParts: { cookies: ['theme'] },
    rules: [{ status: [404, '5xx'], ttl: '10s' }],
  };
  app.get<Typed>('/cached/:id', { config: { cache } }, async ({ params }, reply) => {
    reply.cacheTags('products', `product:${params.id}`).header('x-id', params.id);
    return { id: params.id };
  });
  app.get('/defaults', { config: { cache: true } }, handler);
  // @ts-expect-error: no such option
  app.get('/typo', { config: { cache: { tll: 5 } } }, handler);
  // @ts-expect-error: the handler is what makes the response
  app.get('/chain', { config: { cache: { chain: [] } } }, handler);
  const purge: PurgeRequest = { tags: ['products'], soft: true };
  const result: 'purged' | 'absent' | 'pending' = (await app.cache.purge(purge)).result;
  assert.ok(result);
  // @ts-expect-error: nothing else can be all
  await app.cache.purge({ all: false });

  const cacheStore = undiciCacheStore({ servers: ['127.0.0.1'], secret: 'x'.repeat(32) });
  new Agent().compose(
    interceptors.cache({ store: cacheStore }),
    interceptors.cache({ store: undiciCacheStore(store) }),
  );
  await cacheStore.close();

  // @ts-expect-error: a ttl is a number of seconds or text
  app.memcached.store({ ttl: true });

  const response = await connect('127.0.0.1').get('key');
  const code: number = response.code;
  assert.ok(code);
}

test('the types of the package fit Fastify’s', () => {
  assert.equal(typeof usage, 'function');
  assert.equal(lookasideDefault, lookaside);
  assert.ok(Fastify().hasDecorator('memcached') === false);
});
