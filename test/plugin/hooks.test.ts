import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import Fastify, { type FastifyInstance } from 'fastify';
import fp from 'fastify-plugin';
import lookaside from '../../src/index.js';
import { appWith, HIT, STORED, statusOf } from './app.js';

const cached = { config: { memcached: {} } };

/** What every plugin that looks at routes does: it puts its hooks behind those it finds. */
const auth = fp(async (app: FastifyInstance) => {
  app.addHook('onRoute', (route) => {
    const check = async (request: { headers: { cookie?: string } }) => {
      if (request.headers.cookie !== 'user=1') throw Object.assign(new Error('who are you?'), { statusCode: 401 });
    };
    route.preHandler = [route.preHandler ?? [], check].flat();
  });
});

/** As @fastify/compress does it: on the route, for every payload that is not encoded yet. */
const compress = fp(async (app: FastifyInstance) => {
  app.addHook('onRoute', (route) => {
    route.onSend = [
      route.onSend ?? [],
      async (
        request: { headers: { [name: string]: unknown } },
        reply: { hasHeader(name: string): boolean; headers(values: Record<string, string>): unknown },
        payload: unknown,
      ) => {
        if (request.headers['accept-encoding'] !== 'gzip' || reply.hasHeader('content-encoding')) return payload;
        reply.headers({ 'content-encoding': 'gzip', vary: 'accept-encoding' });
        return gzipSync(payload as Buffer | string);
      },
    ].flat();
  });
});

for (const order of ['before', 'behind'] as const) {
  test(`who may not have a response does not get it from the store, with a plugin registered ${order} lookaside`, async (t) => {
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
  });

  test(`what a plugin registered ${order} lookaside compresses is stored plain, and hits are compressed once`, async (t) => {
    const app = Fastify();
    t.after(() => app.close());
    if (order === 'before') await app.register(compress);
    await app.register(lookaside);
    if (order === 'behind') await app.register(compress);
    app.get('/', cached, async () => 'text');
    const zipped = gzipSync('text');
    for (const status of [STORED, HIT]) {
      const response = await app.inject({ url: '/', headers: { 'accept-encoding': 'gzip' } });
      assert.equal(statusOf(response), status);
      assert.equal(response.headers['content-encoding'], 'gzip');
      assert.deepEqual(response.rawPayload, zipped);
    }
    const plain = await app.inject('/');
    assert.equal(statusOf(plain), HIT);
    assert.equal(plain.headers['content-encoding'], undefined);
    assert.equal(plain.body, 'text');
  });
}

test('hooks in front of the store have done their work: a hit does not undergo it again', async (t) => {
  const app = await appWith(t);
  app.addHook('onSend', async (_request, reply, payload) => {
    reply.header('x-signed', 'yes');
    return `${String(payload)}, signed`;
  });
  app.get('/', cached, async () => 'text');
  for (const status of [STORED, HIT, HIT]) {
    const response = await app.inject('/');
    assert.equal(statusOf(response), status);
    assert.equal(response.body, 'text, signed');
    assert.equal(response.headers['x-signed'], 'yes');
    assert.equal(response.headers['content-length'], '12');
  }
});

test('a stored encoding is not encoded again by a hook in front of the store', async (t) => {
  const app = await appWith(t);
  app.addHook('onSend', async (_request, reply, payload) => {
    reply.headers({ 'content-encoding': 'gzip', vary: 'accept-encoding' });
    return gzipSync(payload as string | Buffer);
  });
  app.get('/', cached, async () => 'text');
  await app.inject('/');
  const hit = await app.inject('/');
  assert.equal(statusOf(hit), HIT);
  assert.deepEqual(hit.rawPayload, gzipSync('text'));
  assert.equal(hit.headers['content-encoding'], 'gzip');
  assert.equal(hit.headers.vary, 'accept-encoding');
});

test('what a hook in front of the store would do to a hit only is dropped with its fields, but cookies stay', async (t) => {
  const app = await appWith(t);
  app.addHook('onSend', async (request, reply, payload) => {
    if (request.headers['accept-encoding'] !== 'gzip') return payload;
    reply.headers({ 'content-encoding': 'gzip', 'content-type': 'application/gzip', 'set-cookie': 'seen=1' });
    return gzipSync(payload as string | Buffer);
  });
  app.get('/', cached, async () => 'text');
  await app.inject('/');
  const hit = await app.inject({ url: '/', headers: { 'accept-encoding': 'gzip' } });
  assert.equal(statusOf(hit), HIT);
  assert.equal(hit.body, 'text');
  assert.equal(hit.headers['content-encoding'], undefined);
  assert.equal(hit.headers['content-type'], 'text/plain; charset=utf-8');
  assert.equal(hit.headers['content-length'], '4');
  assert.equal(hit.headers['set-cookie'], 'seen=1');
});

test('fields of hooks are there on a hit, once', async (t) => {
  const app = await appWith(t);
  let requests = 0;
  app.addHook('onRequest', async (_request, reply) => {
    reply.header('x-frame-options', 'DENY').header('x-request', String(++requests));
  });
  app.get('/', cached, async () => 'text');
  await app.inject('/');
  const { headers } = await app.inject('/');
  assert.equal(headers['x-frame-options'], 'DENY');
  assert.equal(headers['x-request'], '1', 'a stored response comes back whole, the fields of its request included');
});

test('an ETag that a hook makes is stored, and conditions are answered with it', async (t) => {
  const app = await appWith(t);
  app.addHook('onSend', async (request, reply, payload) => {
    if (!reply.hasHeader('etag') && typeof payload === 'string') reply.header('etag', `"${payload.length}"`);
    if (request.headers['if-none-match'] !== reply.getHeader('etag')) return payload;
    reply.code(304);
    return '';
  });
  app.get('/', cached, async () => 'text');
  await app.inject('/');
  const hit = await app.inject('/');
  assert.equal(statusOf(hit), HIT);
  assert.equal(hit.headers.etag, '"4"');
  const notModified = await app.inject({ url: '/', headers: { 'if-none-match': '"4"' } });
  assert.equal(notModified.statusCode, 304);
  assert.equal(notModified.body, '');
});

test('an error of a later hook is not replaced by the hit it happened on', async (t) => {
  const app = await appWith(t);
  let fails = false;
  const onSend = async (_request: unknown, reply: { statusCode: number }, payload: unknown) => {
    if (fails && reply.statusCode === 200) throw new Error('later hook broke');
    return payload;
  };
  app.get('/behind', { ...cached, onSend }, async () => 'text');
  app.addHook('onSend', async (request, reply, payload) =>
    request.url === '/before' ? onSend(request, reply, payload) : payload,
  );
  app.get('/before', cached, async () => 'text');
  for (const url of ['/behind', '/before']) {
    fails = false;
    assert.equal(statusOf(await app.inject(url)), STORED);
    fails = true;
    const broken = await app.inject(url);
    assert.equal(broken.statusCode, 500);
    assert.equal(broken.json().message, 'later hook broke');
    assert.equal(statusOf(broken), HIT, 'one member of Cache-Status, however often the reply was sent');
  }
});

test('an error handler answers for a failed route, and nothing is stored', async (t) => {
  const app = await appWith(t);
  app.setErrorHandler((_error, _request, reply) => reply.code(503).send('try later'));
  app.get('/', cached, async () => {
    throw new Error('broken');
  });
  for (let round = 0; round < 2; round++) {
    const response = await app.inject('/');
    assert.equal(response.body, 'try later');
    assert.equal(statusOf(response), 'lookaside; fwd=uri-miss; fwd-status=503; detail=status');
  }
});
