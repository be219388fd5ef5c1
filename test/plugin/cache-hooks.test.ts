import assert from 'node:assert/strict';
import { request as httpRequest } from 'node:http';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import Fastify, { type FastifyInstance } from 'fastify';
import fp from 'fastify-plugin';
import lookaside from '../../src/index.js';
import { startMemcached } from '../support/memcached.js';
import { until } from '../support/until.js';
import { appWith, HIT, STORED, statusOf } from './app.js';

const cached = { config: { cache: { ttl: '1m' } } };
const LARGE = Buffer.alloc(2 * 1024 * 1024, 'large ');

/** What every plugin that looks at routes does: it puts its hooks behind those it finds. */
const auth = fp(async (app: FastifyInstance) => {
  app.addHook('onRoute', (route) => {
    const check = async (request: { headers: { cookie?: string } }) => {
      if (request.headers.cookie !== 'user=1') throw Object.assign(new Error('who are you?'), { statusCode: 401 });
    };
    route.preHandler = [route.preHandler ?? [], check].flat();
  });
});

for (const order of ['before', 'behind'] as const) {
  test(`who may not have a response does not get it, with a plugin registered ${order} lookaside`, async (t) => {
    const app = Fastify();
    t.after(() => app.close());
    if (order === 'before') await app.register(auth);
    await app.register(lookaside);
    if (order === 'behind') await app.register(auth);
    app.get('/', cached, async () => 'for users');
    const user = { url: '/', headers: { cookie: 'user=1' } };
    assert.equal(statusOf(await app.inject(user)), STORED);
    assert.equal(statusOf(await app.inject(user)), HIT);
    const stranger = await app.inject('/');
    assert.equal(stranger.statusCode, 401);
    assert.doesNotMatch(stranger.body, /for users/);
    assert.equal(stranger.headers['cache-status'], undefined);
  });
}

for (const size of ['small', 'large']) {
  const body = size === 'small' ? Buffer.from('text') : LARGE;

  test(`hooks in front of the cache have done their work on a ${size} hit, hooks behind work on it`, async (t) => {
    const app = await appWith(t);
    app.addHook('onSend', async (_request, reply, payload) => {
      reply.header('x-signed', 'yes');
      const chunks: Buffer[] = [];
      if (!(payload instanceof Readable)) return Buffer.concat([Buffer.from(payload as Buffer), Buffer.from('signed')]);
      for await (const chunk of payload) chunks.push(Buffer.from(chunk));
      return Readable.from([...chunks, Buffer.from('signed')]);
    });
    const behind = async (
      _request: unknown,
      reply: { header(name: string, value: string): unknown },
      payload: unknown,
    ) => {
      reply.header('content-encoding', 'gzip');
      if (!(payload instanceof Readable)) return gzipSync(payload as Buffer);
      const chunks: Buffer[] = [];
      for await (const chunk of payload) chunks.push(Buffer.from(chunk));
      return gzipSync(Buffer.concat(chunks));
    };
    app.get('/', { ...cached, onSend: behind }, async () => (size === 'small' ? body : Readable.from([body])));
    const zipped = gzipSync(Buffer.concat([body, Buffer.from('signed')]));
    assert.equal(statusOf(await app.inject('/')), STORED);
    await until(async () => statusOf(await app.inject('/')) === HIT, 'the body is not stored');
    const hit = await app.inject('/');
    assert.equal(hit.headers['x-signed'], 'yes');
    assert.equal(hit.headers['content-encoding'], 'gzip');
    assert.ok(hit.rawPayload.equals(zipped));
  });
}

test('an error of a hook is not replaced by the hit it happened on', async (t) => {
  const app = await appWith(t);
  let fails = false;
  const onSend = async (_request: unknown, reply: { statusCode: number }, payload: unknown) => {
    if (fails && reply.statusCode === 200) throw new Error('hook broke');
    return payload;
  };
  app.get('/behind', { ...cached, onSend }, async () => 'text');
  app.addHook('onSend', async (request, reply, payload) =>
    request.url.startsWith('/before') ? onSend(request, reply, payload) : payload,
  );
  app.get('/before', cached, async () => 'text');
  app.get('/before-large', cached, async () => Readable.from([LARGE]));
  for (const url of ['/behind', '/before', '/before-large']) {
    fails = false;
    await app.inject(url);
    await until(async () => statusOf(await app.inject(url)) === HIT, 'the body is not stored');
    fails = true;
    const broken = await app.inject(url);
    assert.equal(broken.statusCode, 500);
    assert.equal(broken.json().message, 'hook broke');
    assert.equal(statusOf(broken), HIT, 'one member of Cache-Status, however often the reply was sent');
  }
});

test('a hook that fails on the response of a handler fails the one request, and others are answered', async (t) => {
  const app = await appWith(t);
  const onSend = async (request: { headers: { [name: string]: unknown } }, _reply: unknown, payload: unknown) => {
    if (request.headers['x-fail'] !== undefined) throw new Error('hook broke');
    return payload;
  };
  app.get('/', { ...cached, onSend }, async () => {
    await delay(20);
    return 'text';
  });
  const [broken, well] = await Promise.all([
    app.inject({ url: '/', headers: { 'x-fail': '1' } }),
    delay(5).then(() => app.inject('/')),
  ]);
  assert.equal(broken.statusCode, 500);
  assert.equal(well.body, 'text');
});

test('those who wait for a handler that takes its reply over run it for themselves', async (t) => {
  const app = await appWith(t);
  let calls = 0;
  app.get('/hijack', cached, async (_request, reply) => {
    await delay(20);
    reply.hijack();
    reply.raw.end(`raw ${++calls}`);
  });
  app.setNotFoundHandler((_request, reply) => reply.code(404).send(`gone ${++calls}`));
  app.get('/missing', cached, async (_request, reply) => {
    await delay(20);
    reply.callNotFound();
    return reply;
  });
  for (const [url, text] of [
    ['/hijack', 'raw'],
    ['/missing', 'gone'],
  ] as const) {
    calls = 0;
    const responses = await Promise.all([1, 2, 3].map(() => app.inject(url)));
    assert.deepEqual(
      responses.map(({ body }) => body).sort(),
      [1, 2, 3].map((call) => `${text} ${call}`),
    );
  }
});

test('the others get their response when the client leaves whose handler they wait for', async (t) => {
  const app = await appWith(t);
  let calls = 0;
  let isLeaving = () => {};
  app.get('/', cached, async () => {
    calls++;
    isLeaving();
    await delay(50);
    return Readable.from([LARGE]);
  });
  await app.listen({ port: 0, host: '127.0.0.1' });
  const leaver = httpRequest(app.listeningOrigin).on('error', () => {});
  isLeaving = () => leaver.destroy();
  leaver.end();
  await until(() => calls === 1, 'the handler does not run');
  const { host } = new URL(app.listeningOrigin);
  const responses = await Promise.all([1, 2, 3].map(() => app.inject({ url: '/', authority: host })));
  for (const { rawPayload } of responses) assert.ok(rawPayload.equals(LARGE));
  assert.equal(calls, 1);
});

test('a body that breaks off is not stored, and those who share it notice', async (t) => {
  const app = await appWith(t);
  let breaks = true;
  app.get('/', cached, async () =>
    Readable.from(
      (async function* () {
        yield LARGE;
        await delay(20);
        if (breaks) throw new Error('broken off');
        yield LARGE;
      })(),
    ),
  );
  await app.listen({ port: 0, host: '127.0.0.1' });
  const get = () =>
    fetch(app.listeningOrigin, { headers: { connection: 'close' } }).then((response) => response.arrayBuffer());
  for (const result of await Promise.allSettled([get(), get(), get()])) assert.equal(result.status, 'rejected');
  breaks = false;
  assert.equal((await get()).byteLength, 2 * LARGE.length);
});

test('a handler that does not answer keeps others waiting for so long only', async (t) => {
  const app = await appWith(t);
  let calls = 0;
  let answer = () => {};
  app.get('/', { config: { cache: { ttl: '1m', leaseWait: '1s' } } }, async () => {
    if (++calls > 1) return 'other';
    await new Promise<void>((resolve) => {
      answer = resolve;
    });
    return 'first';
  });
  await app.ready();
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const first = app.inject('/');
  while (calls === 0) await new Promise((resolve) => setImmediate(resolve));
  const second = app.inject('/');
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  t.mock.timers.tick(10_999);
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(calls, 1);
  t.mock.timers.tick(2);
  assert.equal((await second).body, 'other');
  t.mock.timers.reset();
  answer();
  assert.equal((await first).body, 'first');
  await until(async () => (await app.inject('/')).body === 'first', 'the slow response is not stored');
});

test('requests are answered while memcached is away, and its return is noticed', async (t) => {
  const memcached = await startMemcached();
  t.after(() => memcached.stop());
  const app = await appWith(t, { servers: [memcached.server] });
  let calls = 0;
  app.get('/', cached, async () => String(++calls));
  await app.inject('/');
  await until(async () => statusOf(await app.inject('/')) === HIT, 'it is not stored');
  await memcached.kill();
  for (let i = 0; i < 20; i++) assert.equal((await app.inject('/')).statusCode, 200);
  await memcached.restart();
  await until(async () => statusOf(await app.inject('/')) === HIT, 'the return is not noticed');
});

test('payloads that Fastify refuses, WebSockets and preconditions go past the cache', async (t) => {
  const app = await appWith(t);
  let calls = 0;
  app.get('/consumed', cached, async () => {
    const response = new Response('text');
    await response.text();
    return response;
  });
  app.get('/', cached, async () => String(++calls));
  app.get('/fetched', cached, async () => new Response('fetched', { headers: { 'x-by': 'fetch' } }));
  app.get('/null', cached, async () => null);
  assert.equal((await app.inject('/consumed')).statusCode, 500);
  await app.inject('/');
  const upgrade = await app.inject({ url: '/', headers: { connection: 'upgrade', upgrade: 'websocket' } });
  assert.equal(upgrade.body, '2');
  const precondition = await app.inject({ url: '/', headers: { 'if-match': '"x"' } });
  assert.equal(statusOf(precondition), 'lookaside; fwd=bypass; fwd-status=200; detail=precondition');
  for (const status of [STORED, HIT]) {
    const response = await app.inject('/fetched');
    assert.deepEqual([statusOf(response), response.body, response.headers['x-by']], [status, 'fetched', 'fetch']);
    const empty = await app.inject('/null');
    assert.deepEqual([statusOf(empty), empty.body], [status, 'null']);
  }
});
