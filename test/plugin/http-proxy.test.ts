import assert from 'node:assert/strict';
import type { RequestListener } from 'node:http';
import { type TestContext, test } from 'node:test';
import httpProxy, { type FastifyHttpProxyOptions } from '@fastify/http-proxy';
import type { PluginOptions } from '../../src/index.js';
import { startOrigin, startRawOrigin } from '../support/origin.js';
import { appWith, HIT, STORED, statusOf, testWithEachStore } from './app.js';

/** Where an origin with this listener listens. */
async function origin(t: TestContext, listener: RequestListener): Promise<string> {
  const { url, close } = await startOrigin(listener);
  t.after(close);
  return url;
}

/** Where an origin listens that answers each connection with these bytes and ends it, and how many it has answered. */
async function rawOrigin(t: TestContext, response: string): Promise<{ url: string; requests: () => number }> {
  let requests = 0;
  const { url, close } = await startRawOrigin((socket) => {
    requests++;
    socket.end(response);
  });
  t.after(close);
  return { url, requests: () => requests };
}

/** An app that passes everything on to `upstream`, and where it listens. */
async function proxyTo(
  t: TestContext,
  upstream: string,
  options: { plugin?: PluginOptions; proxy?: Partial<FastifyHttpProxyOptions> } = {},
): Promise<string> {
  const app = await appWith(t, options.plugin, { forceCloseConnections: true });
  await app.register(httpProxy, { upstream, config: { memcached: { ttl: '1m' } }, ...options.proxy });
  return app.listen({ port: 0, host: '127.0.0.1' });
}

async function get(url: string, init?: RequestInit) {
  const response = await fetch(url, init);
  return { status: response.status, headers: Object.fromEntries(response.headers), body: await response.text() };
}

testWithEachStore('the second request is answered without the upstream', async (t, plugin) => {
  let requests = 0;
  const upstream = await origin(t, (request, response) => {
    requests++;
    response.setHeader('content-type', 'text/html');
    response.setHeader('x-url', String(request.url));
    if (request.url?.startsWith('/chunked')) response.write('<p>');
    response.end('text');
  });
  const proxy = await proxyTo(t, upstream, { plugin });
  for (const path of ['/counted?q=1', '/chunked?q=1', '/counted?q=2']) {
    requests = 0;
    const first = await get(proxy + path);
    const second = await get(proxy + path);
    assert.equal(requests, 1);
    assert.equal(statusOf(first), STORED);
    assert.equal(statusOf(second), HIT);
    for (const { status, headers, body } of [first, second]) {
      assert.equal(status, 200);
      assert.equal(headers['content-type'], 'text/html');
      assert.equal(headers['x-url'], path);
      assert.equal(body, path.startsWith('/chunked') ? '<p>text' : 'text');
    }
    assert.equal(second.headers.date, first.headers.date, 'the date of the origin');
  }
});

const BROKEN_BODIES = {
  'Content-Length': 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf',
  'chunked coding': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n',
};

for (const [framing, response] of Object.entries(BROKEN_BODIES)) {
  test(`a body that the upstream breaks off is not stored, and the client can tell (${framing})`, async (t) => {
    const { url, requests } = await rawOrigin(t, response);
    const proxy = await proxyTo(t, url);
    for (let round = 1; round <= 2; round++) {
      await assert.rejects(get(`${proxy}/`), TypeError);
      assert.equal(requests(), round);
    }
  });
}

test('a body whose end only the end of the connection marks is not stored', async (t) => {
  const { url } = await rawOrigin(t, 'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nperhaps all of it');
  const proxy = await proxyTo(t, url);
  for (let round = 0; round < 2; round++) {
    const response = await get(`${proxy}/`);
    assert.equal(response.body, 'perhaps all of it');
    assert.equal(statusOf(response), 'lookaside; fwd=uri-miss; fwd-status=200; detail=unknown-length');
  }
});

test('fields of the upstream’s connection are not stored', async (t) => {
  const upstream = await origin(t, (_request, response) => {
    response
      .writeHead(200, { connection: 'keep-alive, x-hop', 'x-hop': 'mine', 'keep-alive': 'timeout=7' })
      .end('text');
  });
  const proxy = await proxyTo(t, upstream);
  await get(`${proxy}/`);
  const hit = await get(`${proxy}/`);
  assert.equal(statusOf(hit), HIT);
  assert.equal(hit.headers['x-hop'], undefined);
  assert.notEqual(hit.headers['keep-alive'], 'timeout=7');
});

test('other methods pass through with their bodies', async (t) => {
  let requests = 0;
  const upstream = await origin(t, (request, response) => {
    requests++;
    request.pipe(response);
  });
  const proxy = await proxyTo(t, upstream);
  for (const method of ['POST', 'PUT']) {
    requests = 0;
    for (let round = 1; round <= 2; round++) {
      const response = await get(`${proxy}/`, { method, body: 'sent' });
      assert.equal(response.body, 'sent');
      assert.match(statusOf(response), /fwd=method/);
      assert.equal(requests, round);
    }
  }
});

test('an upstream that is away is an error, until there is a stored response', async (t) => {
  const upstream = await startOrigin((_request, response) => response.end('text'));
  const proxy = await proxyTo(t, upstream.url);
  assert.equal(statusOf(await get(`${proxy}/stored`)), STORED);
  await upstream.close();
  assert.equal((await get(`${proxy}/stored`)).body, 'text');
  const failed = await get(`${proxy}/other`);
  assert.ok(failed.status >= 500);
  assert.match(statusOf(failed), /detail=status$/);
});

test('the proxy’s preHandler decides first who may have a stored response', async (t) => {
  const upstream = await origin(t, (_request, response) => response.end('for users'));
  const proxy = await proxyTo(t, upstream, {
    proxy: {
      preHandler: (request, reply, done) => {
        if (request.headers.cookie === 'user=1') done();
        else void reply.code(401).send('who are you?');
      },
    },
  });
  const user = { headers: { cookie: 'user=1' } };
  await get(`${proxy}/`, user);
  assert.equal(statusOf(await get(`${proxy}/`, user)), HIT);
  assert.equal((await get(`${proxy}/`)).status, 401);
});
