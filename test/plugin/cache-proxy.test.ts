import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { RequestListener } from 'node:http';
import { type ClientHttp2Session, connect } from 'node:http2';
import { text } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import httpProxy from '@fastify/http-proxy';
import Fastify from 'fastify';
import lookaside, { type RouteCacheOptions } from '../../src/index.js';
import { startOrigin } from '../support/origin.js';
import { until } from '../support/until.js';
import { appWith, HIT, STORED, statusOf } from './app.js';

/** An app that passes everything on to an upstream with this listener. */
async function proxyTo(t: TestContext, listener: RequestListener, cache: RouteCacheOptions = true) {
  const upstream = await startOrigin(listener);
  t.after(() => upstream.close());
  const app = await appWith(t, {}, { forceCloseConnections: true });
  await app.register(httpProxy, { upstream: upstream.url, config: { cache } });
  return { app, upstream, url: await app.listen({ port: 0, host: '127.0.0.1' }) };
}

async function get(url: string, init?: RequestInit) {
  const response = await fetch(url, init);
  return { status: response.status, headers: Object.fromEntries(response.headers), body: await response.text() };
}

test('@fastify/http-proxy is cached by what the upstream says, large bodies included', async (t) => {
  const targets: (string | undefined)[] = [];
  const large = 'large '.repeat(500_000);
  const { url } = await proxyTo(t, (request, response) => {
    targets.push(request.url);
    response.setHeader('cache-control', request.url === '/private' ? 'private' : 'max-age=60');
    response.end(request.url === '/large' ? large : 'text');
  });
  for (const [path, body] of [
    ['/small?q=1', 'text'],
    ['/large', large],
  ] as const) {
    assert.equal(statusOf(await get(url + path)), STORED);
    await until(async () => statusOf(await get(url + path)) === HIT, 'it is not stored');
    assert.equal((await get(url + path)).body, body);
  }
  await get(`${url}/private`);
  await get(`${url}/private`);
  assert.deepEqual(targets, ['/small?q=1', '/large', '/private', '/private']);
});

test('the upstream is asked whether a stale response is still good, and a stale one stands in when it is away', async (t) => {
  const conditions: unknown[] = [];
  const { app, upstream, url } = await proxyTo(t, ({ headers }, response) => {
    conditions.push(headers['if-none-match']);
    response.writeHead(headers['if-none-match'] === '"v1"' ? 304 : 200, {
      etag: '"v1"',
      'cache-control': 'max-age=60',
    });
    response.end(headers['if-none-match'] === '"v1"' ? undefined : 'text');
  });
  await get(url);
  await app.cache.purge({ all: true, soft: true });
  assert.equal((await get(url)).body, 'text');
  assert.deepEqual(conditions, [undefined, '"v1"']);
  await app.cache.purge({ all: true, soft: true });
  await upstream.close();
  const stale = await get(url);
  assert.deepEqual([stale.status, stale.body], [200, 'text']);
  assert.match(statusOf(stale), /origin-failing/);
});

test('what the key leaves out does not reach the upstream, in the background neither', async (t) => {
  const targets: (string | undefined)[] = [];
  const options = { ttl: '1m', staleWhileRevalidate: '1m', query: { ignore: ['utm_*'] } };
  const { app, url } = await proxyTo(
    t,
    (request, response) => {
      targets.push(request.url);
      response.end('text');
    },
    options,
  );
  await get(`${url}/?utm_source=evil&q=1`);
  await until(async () => statusOf(await get(`${url}/?q=1`)) === HIT, 'it is not stored');
  await app.cache.purge({ all: true, soft: true });
  assert.match(statusOf(await get(`${url}/?q=1&utm_source=evil`)), /^lookaside; hit/);
  await until(() => targets.length === 2, 'there is no refresh');
  assert.deepEqual(targets, ['/?q=1', '/?q=1']);
});

test('over HTTP/2 as well', async (t) => {
  const app = Fastify({ http2: true });
  await app.register(lookaside);
  let calls = 0;
  app.get('/', { config: { cache: { ttl: '1m', staleWhileRevalidate: '1m' } } }, async () => String(++calls));
  const session = connect(await app.listen({ port: 0, host: '127.0.0.1' }));
  t.after(() => {
    session.destroy();
    return app.close();
  });
  const ask = async (client: ClientHttp2Session) => {
    const stream = client.request({ ':path': '/' });
    const [headers] = await once(stream, 'response');
    return { headers, body: await text(stream) };
  };
  assert.equal(statusOf(await ask(session)), STORED);
  await until(async () => statusOf(await ask(session)) === HIT, 'it is not stored');
  await app.cache.purge({ all: true, soft: true });
  assert.equal((await ask(session)).body, '1');
  await until(async () => (await ask(session)).body === '2', 'it is not refreshed');
});
