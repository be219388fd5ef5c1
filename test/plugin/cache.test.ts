import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import Fastify from 'fastify';
import lookaside from '../../src/index.js';
import type { PluginOptions } from '../../src/plugin/options.js';
import { startMemcached } from '../support/memcached.js';
import { until } from '../support/until.js';
import { appWith, HIT, STORED, statusOf, testWithEachStore } from './app.js';

const cached = { config: { cache: { ttl: '1m' } } };

/** Two apps on one memcached, as two processes would be. */
async function fleet(t: TestContext) {
  const memcached = await startMemcached();
  t.after(() => memcached.stop());
  const options: PluginOptions = { servers: [memcached.server], timeout: '2s' };
  return { memcached, apps: [await appWith(t, options), await appWith(t, options)] as const };
}

testWithEachStore('a response is made once, and what varies once for each variant', async (t, options) => {
  const app = await appWith(t, options);
  let calls = 0;
  app.get('/', { config: { cache: { ttl: '1m', vary: 'Accept-Language' } } }, async ({ headers }) => {
    calls++;
    return { language: headers['accept-language'] };
  });
  for (const language of ['de', 'fr']) {
    const get = () => app.inject({ url: '/', headers: { 'accept-language': language } });
    const miss = await get();
    assert.match(statusOf(miss), /; stored/);
    const hit = await get();
    assert.match(statusOf(hit), /hit|collapsed/, 'out of the store, or on its way there');
    for (const response of [miss, hit]) {
      assert.deepEqual(response.json(), { language });
      assert.equal(response.headers.vary, 'accept-language');
      assert.equal(response.headers['content-type'], 'application/json; charset=utf-8');
    }
  }
  assert.equal(calls, 2);
});

testWithEachStore(
  '200 requests at a time are one run of the handler, which streams to all of them',
  async (t, options) => {
    const app = await appWith(t, options);
    const body = Buffer.alloc(20_000, 'x');
    let calls = 0;
    app.get('/', cached, async () => {
      calls++;
      await delay(50);
      return Readable.from([body, body, body]);
    });
    const responses = await Promise.all(Array.from({ length: 200 }, () => app.inject('/')));
    assert.equal(calls, 1);
    for (const { statusCode, rawPayload } of responses)
      assert.deepEqual([statusCode, rawPayload.length], [200, 3 * body.length]);
    assert.equal(responses.filter((response) => statusOf(response).includes('collapsed')).length, 199);
    await until(async () => statusOf(await app.inject('/')) === HIT, 'the body is not stored');
    const hit = await app.inject({ url: '/', headers: { range: 'bytes=19999-20000' } });
    assert.deepEqual([hit.statusCode, hit.body], [206, 'xx']);
    assert.equal(calls, 1);
  },
);

test('two apps share what either has made, and a purge by tag through one is seen by both at once', async (t) => {
  const { apps } = await fleet(t);
  let calls = 0;
  for (const app of apps) {
    app.get<{ Params: { id: string } }>(
      '/products/:id',
      { config: { cache: { ttl: '1m', tags: ['products'] } } },
      async ({ params }, reply) => {
        reply.cacheTags(`product:${params.id}`, 'größe');
        return `${params.id} ${++calls}`;
      },
    );
  }
  const [one, two] = apps;
  const bodies = async () => {
    const found: string[] = [];
    for (const app of apps) for (const id of [1, 2]) found.push((await app.inject(`/products/${id}`)).body);
    return found;
  };
  assert.deepEqual(await bodies(), ['1 1', '2 2', '1 1', '2 2']);
  assert.equal((await one.cache.purge({ tag: 'product:1' })).result, 'purged');
  assert.deepEqual(await bodies(), ['1 3', '2 2', '1 3', '2 2']);
  assert.equal((await two.cache.purge({ tags: ['none', 'products'] })).result, 'purged');
  assert.deepEqual(await bodies(), ['1 4', '2 5', '1 4', '2 5']);
  await two.cache.purge({ tag: 'größe' });
  assert.deepEqual(await bodies(), ['1 6', '2 7', '1 6', '2 7']);
});

test('200 requests to two apps are one run of the handler', async (t) => {
  const { apps } = await fleet(t);
  let calls = 0;
  for (const app of apps) {
    app.get('/', cached, async () => {
      await delay(50);
      return String(++calls);
    });
  }
  const responses = await Promise.all(Array.from({ length: 200 }, (_, i) => apps[i % 2 === 0 ? 0 : 1].inject('/')));
  assert.deepEqual(new Set(responses.map(({ body }) => body)), new Set(['1']));
});

test('purges by URL, by prefix and of everything reach what keys are made of besides, and soft ones mark stale', async (t) => {
  const app = await appWith(t);
  let calls = 0;
  const keyParts = { headers: ['x-country'] };
  app.get('/dir/keyed', { config: { cache: { ttl: '1m', keyParts } } }, async () => String(++calls));
  app.get('/dir/plain', cached, async () => String(++calls));
  const urls = ['/dir/keyed', '/dir/plain'];
  const fill = async () => {
    for (const url of urls) await app.inject({ url, authority: 'shop.example', headers: { 'x-country': 'de' } });
  };
  const verdicts = async () => {
    const found: string[] = [];
    for (const url of urls) {
      const response = await app.inject({ url, authority: 'shop.example', headers: { 'x-country': 'de' } });
      found.push(/hit/.test(statusOf(response)) ? 'hit' : 'miss');
    }
    return found;
  };
  await fill();
  assert.deepEqual(await verdicts(), ['hit', 'hit']);
  await app.cache.purge({ url: 'http://shop.example/dir/keyed' });
  assert.deepEqual(await verdicts(), ['miss', 'hit']);
  await app.cache.purge({ url: ['http://shop.example/dir/plain', 'http://SHOP.example:80/dir/keyed'] });
  assert.deepEqual(await verdicts(), ['miss', 'miss']);
  await app.cache.purge({ prefix: 'http://shop.example/dir/' });
  assert.deepEqual(await verdicts(), ['miss', 'miss']);
  await app.cache.purge({ prefix: 'http://shop.example/other/' });
  await app.cache.purge({ all: true, dryRun: true });
  assert.deepEqual(await verdicts(), ['hit', 'hit']);
  await app.cache.purge({ all: true });
  assert.deepEqual(await verdicts(), ['miss', 'miss']);
  const { purged } = await app.cache.purge({ url: 'http://shop.example/dir/plain', soft: true });
  assert.deepEqual(purged, [{ url: 'http://shop.example/dir/plain', result: 'purged' }]);
  assert.deepEqual(await verdicts(), ['hit', 'miss']);
});

test('what can not be purged is refused', async (t) => {
  const app = await appWith(t);
  const refused = { code: 'FST_LOOKASIDE_INVALID_OPTIONS' };
  await assert.rejects(app.cache.purge({ url: '/relative' }), { ...refused, message: /not a URL/ });
  await assert.rejects(app.cache.purge({ prefix: 'http://shop.example/no-directory' }), refused);
  await assert.rejects(app.cache.purge({}), { ...refused, message: /give one of/ });
  await assert.rejects(app.cache.purge({ tag: 'a', all: true }), { ...refused, message: /give one of/ });
});

test('tags go to clients only when they are to, and those that are none are refused', async (t) => {
  const app = await appWith(t);
  for (const stripTags of [true, false]) {
    app.get(`/${stripTags}`, { config: { cache: { ttl: 5, tags: 'a', stripTags } } }, (_request, reply) =>
      reply.cacheTags('b', 'a').send('text'),
    );
  }
  app.get('/uncached', (_request, reply) => reply.cacheTags('a').send('text'));
  app.get('/bad', cached, (_request, reply) => reply.cacheTags('two words').send('text'));
  for (let round = 0; round < 2; round++) {
    assert.equal((await app.inject('/true')).headers['surrogate-key'], undefined);
    assert.equal((await app.inject('/false')).headers['surrogate-key'], 'a b');
  }
  assert.equal((await app.inject('/uncached')).headers['surrogate-key'], undefined);
  assert.match((await app.inject('/bad')).json().message, /"two words" can not be used/);
});

test('what the response says itself goes before the route’s ttl', async (t) => {
  const app = await appWith(t);
  const responses: { readonly [path: string]: readonly [field: string, value: string] } = {
    '/set-cookie': ['set-cookie', 'id=1'],
    '/private': ['cache-control', 'private'],
    '/no-store': ['cache-control', 'no-store'],
    '/no-cache': ['cache-control', 'no-cache'],
    '/vary': ['vary', '*'],
    '/max-age=0': ['cache-control', 'max-age=0'],
  };
  for (const [path, [field, value]] of Object.entries(responses)) {
    app.get(path, cached, (_request, reply) => reply.header(field, value).send('text'));
  }
  for (const status of [404, 429, 500])
    app.get(`/${status}`, cached, (_request, reply) => reply.code(status).send('no'));
  app.get('/own', cached, (_request, reply) => reply.header('cache-control', 'max-age=5').send('text'));
  app.get('/silent', { config: { cache: true } }, async () => 'text');
  app.get('/public', cached, (_request, reply) => reply.header('cache-control', 'public').send('text'));
  for (const path of [...Object.keys(responses), '/404', '/429', '/500', '/silent']) {
    await app.inject(path);
    assert.match(statusOf(await app.inject(path)), /^lookaside; fwd=/, path);
  }
  for (const [path, ttl] of [
    ['/own', /ttl=[45]$/],
    ['/public', /ttl=(?:60|59)$/],
  ] as const) {
    await app.inject(path);
    assert.match(String((await app.inject(path)).headers['cache-status']), ttl);
  }
});

test('rules of the route give other statuses a lifetime, and go before its ttl', async (t) => {
  const app = await appWith(t);
  const rules = [
    { status: 404, ttl: '10s' },
    { when: 'req.path =^ "/never"', bypass: true },
  ];
  app.get('/:name', { config: { cache: { ttl: '1m', rules } } }, (request, reply) =>
    request.url === '/missing' ? reply.callNotFound() : reply.send('text'),
  );
  app.get('/404', { config: { cache: { rules } } }, (_request, reply) => reply.code(404).send('no'));
  await app.inject('/404');
  assert.match(String((await app.inject('/404')).headers['cache-status']), /hit; ttl=(?:10|9)$/);
  await app.inject('/never');
  assert.equal(statusOf(await app.inject('/never')), 'lookaside; fwd=bypass; fwd-status=200; detail=rule');
});

test('requests with Authorization share nothing, unless the response says so', async (t) => {
  const app = await appWith(t);
  let calls = 0;
  app.get('/mine', cached, async (request) => {
    await delay(20);
    return `${request.headers.authorization} ${++calls}`;
  });
  app.get('/all', cached, async (_request, reply) => {
    reply.header('cache-control', 'public');
    return String(++calls);
  });
  const users = ['Basic b25l', 'Basic dHdv'];
  const get = (url: string) =>
    Promise.all(users.map((authorization) => app.inject({ url, headers: { authorization } })));
  for (const [i, { body }] of (await get('/mine')).entries()) assert.ok(body.startsWith(users[i] ?? ''));
  assert.equal(calls, 2);
  await get('/all');
  assert.deepEqual((await get('/all')).map(statusOf), [HIT, HIT]);
});

test('a stale response is sent at once, and refreshed by a request of the app’s own', async (t) => {
  const app = await appWith(t, {}, { trustProxy: true });
  const seen: unknown[] = [];
  let calls = 0;
  app.addHook('onRequest', async ({ ip, protocol, headers }) => {
    seen.push([ip, protocol, headers.cookie, headers['lookaside-refresh']]);
  });
  app.get('/', { config: { cache: { ttl: '1m', staleWhileRevalidate: '1m' } } }, async (request) => {
    await delay(20);
    return `${++calls} ${JSON.stringify(request.query)}`;
  });
  const headers = { cookie: 'a=1', 'x-forwarded-for': '192.0.2.1', 'x-forwarded-proto': 'https' };
  const get = () => app.inject({ url: '/?q=1&r=2', headers });
  assert.equal((await get()).body, '1 {"q":"1","r":"2"}');
  await app.cache.purge({ all: true, soft: true });
  assert.match(statusOf(await get()), /^lookaside; hit; .*detail=/);
  const requests = seen.length;
  await until(() => seen.length > requests || calls === 2, 'there is no refresh');
  await until(async () => (await get()).body === '2 {"q":"1","r":"2"}', 'the refreshed response is not used');
  assert.equal(calls, 2, 'one refresh for all');
  for (const request of seen) assert.deepEqual(request, ['192.0.2.1', 'https', 'a=1', undefined]);
});

test('a refresh that hooks refuse leaves the stale response where it is', async (t) => {
  const app = await appWith(t);
  let isClosed = false;
  let refusals = 0;
  let calls = 0;
  const options = { ttl: '1m', staleWhileRevalidate: '1m', failureBackoff: '1ms' };
  const preHandler = async (request: { raw: object }) => {
    if (!isClosed || !('isLightMyRequest' in request.raw)) return;
    refusals++;
    throw Object.assign(new Error('closed'), { statusCode: 403 });
  };
  await app.register(async (scope) => {
    scope.get('/', { config: { cache: options }, preHandler }, async () => String(++calls));
  });
  await app.listen({ port: 0, host: '127.0.0.1' });
  const get = async () => {
    const response = await fetch(app.listeningOrigin, { headers: { connection: 'close' } });
    return `${response.status} ${await response.text()}`;
  };
  assert.equal(await get(), '200 1');
  isClosed = true;
  await app.cache.purge({ all: true, soft: true });
  await until(async () => (await get()) === '200 1' && refusals > 1, 'nothing was refused');
  isClosed = false;
  await until(async () => (await get()) === '200 2', 'it is not refreshed once it may be');
});

test('a client can not pass for a refresh', async (t) => {
  const app = await appWith(t);
  let calls = 0;
  app.get('/', cached, async () => String(++calls));
  await app.inject('/');
  const response = await app.inject({ url: '/', headers: { 'lookaside-refresh': 'x' } });
  assert.equal(statusOf(response), HIT);
});

test('a stale response with a validator is revalidated by the handler', async (t) => {
  const app = await appWith(t);
  const conditions: unknown[] = [];
  app.get('/', { config: { cache: true } }, async ({ headers }, reply) => {
    conditions.push(headers['if-none-match']);
    reply.headers({ etag: '"v1"', 'cache-control': 'max-age=60' });
    if (headers['if-none-match'] !== '"v1"') return 'text';
    return reply.code(304).send();
  });
  const onSend: unknown[] = [];
  app.addHook('onResponse', async ({ headers }) => {
    onSend.push(headers['if-none-match']);
  });
  await app.inject('/');
  await app.cache.purge({ all: true, soft: true });
  const response = await app.inject({ url: '/', headers: { 'if-none-match': '"v0"' } });
  assert.deepEqual(conditions, [undefined, '"v1"'], 'the handler is asked about the stored response');
  assert.deepEqual([response.statusCode, response.body], [200, 'text'], 'and the client’s own condition is kept');
  assert.equal(onSend.at(-1), '"v0"');
  assert.match(statusOf(response), /^lookaside; fwd=stale; fwd-status=304/);
  const conditional = await app.inject({ url: '/', headers: { 'if-none-match': '"v1"' } });
  assert.deepEqual([conditional.statusCode, conditional.body], [304, '']);
});

test('a stale response stands in for a handler that fails', async (t) => {
  const app = await appWith(t);
  let fails = false;
  app.get('/', { config: { cache: { ttl: '1m', staleIfError: '1m' } } }, async (_request, reply) => {
    if (fails) throw new Error('broken');
    reply.header('x-made', 'well');
    return 'text';
  });
  await app.inject('/');
  fails = true;
  await app.cache.purge({ all: true, soft: true });
  const response = await app.inject('/');
  assert.match(statusOf(response), /origin-failing/);
  assert.deepEqual([response.statusCode, response.body, response.headers['x-made']], [200, 'text', 'well']);
  assert.equal(response.headers['content-type'], 'text/plain; charset=utf-8');
  assert.equal(response.headers['content-length'], '4');
});

test('what parameters are left out of the key, the handler does not get', async (t) => {
  const app = await appWith(t);
  const options = { ttl: '1m', query: { ignore: ['utm_*'], sort: true }, staleWhileRevalidate: '1m' };
  app.get('/', { config: { cache: options } }, async (request) => ({ url: request.url, query: request.query }));
  const seen: string[] = [];
  app.addHook('onResponse', async (request) => {
    seen.push(request.url);
  });
  const first = await app.inject('/?utm_source=evil&q=1');
  assert.deepEqual(first.json(), { url: '/?q=1', query: { q: '1' } });
  const hit = await app.inject('/?q=1&utm_medium=x');
  assert.equal(statusOf(hit), HIT);
  assert.deepEqual(seen, ['/?utm_source=evil&q=1', '/?q=1&utm_medium=x']);
});

test('HEAD is answered from what GET stored', async (t) => {
  const app = await appWith(t);
  app.get('/', cached, async () => 'the body');
  app.get('/large', cached, async () => Readable.from([Buffer.alloc(2 * 1024 * 1024)]));
  assert.match(statusOf(await app.inject({ method: 'HEAD', url: '/' })), /^lookaside; fwd=uri-miss; fwd-status=200/);
  assert.equal(statusOf(await app.inject('/')), STORED);
  await app.inject('/large');
  await until(async () => statusOf(await app.inject('/large')) === HIT, 'the body is not stored');
  for (const [url, length] of [
    ['/', 8],
    ['/large', 2 * 1024 * 1024],
  ] as const) {
    const head = await app.inject({ method: 'HEAD', url });
    assert.equal(statusOf(head), HIT);
    assert.equal(head.headers['content-length'], String(length));
    assert.equal(head.body, '');
  }
});

test('an unsafe request to the same URL removes what is stored for it', async (t) => {
  const app = await appWith(t);
  let name = 'Coffee';
  app.get('/product', cached, async () => name);
  app.put<{ Body: { name: string } }>('/product', { config: { cache: true } }, async ({ body }) => {
    if (body.name === '') throw Object.assign(new Error('no name'), { statusCode: 400 });
    name = body.name;
    return name;
  });
  const put = (text: string) => app.inject({ method: 'PUT', url: '/product', payload: { name: text } });
  await app.inject('/product');
  assert.equal((await put('')).statusCode, 400);
  assert.equal(statusOf(await app.inject('/product')), HIT);
  assert.equal((await put('Tea')).body, 'Tea');
  assert.equal((await app.inject('/product')).body, 'Tea');
});

test('the option holds where it is given, in plugins of the app as well', async (t) => {
  const app = Fastify();
  t.after(() => app.close());
  await app.register(lookaside);
  await app.register(
    async (scope) => {
      let calls = 0;
      scope.get('/page', cached, async () => String(++calls));
      scope.get('/off', { config: { cache: false } }, async () => String(++calls));
    },
    { prefix: '/scope' },
  );
  await app.inject('/scope/page');
  assert.equal((await app.inject('/scope/page')).body, '1');
  await app.inject('/scope/off');
  const off = await app.inject('/scope/off');
  assert.deepEqual([off.body, off.headers['cache-status']], ['3', undefined]);
});

test('options that can not be used are told where they are written', async (t) => {
  const app = await appWith(t);
  const refused = (cache: unknown, message: RegExp) => {
    const options: object = { config: { cache } };
    assert.throws(() => app.get('/', options, async () => 'text'), { code: 'FST_LOOKASIDE_INVALID_OPTIONS', message });
  };
  refused({ tll: 5 }, /config\.cache of GET \/: .*"tll".*ttl/);
  refused({ ttl: 'soon' }, /ttl: "soon" is not a duration/);
  refused({ chain: [] }, /chain/);
  refused({ tags: ['two words'] }, /tags.*no space/);
  refused({ vary: '*' }, /vary/);
  refused({ rules: [{ ttl: 5, strip: ['set-cookie'] }] }, /unsafe/);
  const both: object = { config: { cache: true, memcached: {} } };
  assert.throws(() => app.get('/', both, async () => 'text'), /either memcached or cache/);
});

test('a route that was added too early is warned of', async (t) => {
  const lines: string[] = [];
  const app = Fastify({ logger: { stream: { write: (line: string) => lines.push(line) } } });
  t.after(() => app.close());
  app.register(lookaside);
  app.get('/', { config: { cache: true } }, async () => 'text');
  for (let round = 0; round < 2; round++) await app.inject('/');
  assert.equal(lines.filter((line) => line.includes('config.cache has no effect')).length, 1);
});
