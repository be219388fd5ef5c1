import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { FastifyInstance } from 'fastify';
import { startMemcached } from '../support/memcached.js';
import { appWith, HIT, STORED, statusOf } from './app.js';

const cached = { config: { memcached: {} } };

/** Several times the deadline of a lookup and of a connection, for a machine under load. */
const PATIENCE_MS = 2000;

async function timed(app: FastifyInstance, url = '/') {
  const start = performance.now();
  const response = await app.inject(url);
  assert.ok(performance.now() - start < PATIENCE_MS, 'the response was late');
  return response;
}

test('without memcached every response is fine, and hits come back with it', async (t) => {
  const memcached = await startMemcached();
  t.after(() => memcached.stop());
  const app = await appWith(t, { servers: [memcached.server] });
  let calls = 0;
  app.get('/', cached, async () => String(++calls));
  await memcached.kill();
  for (let round = 1; round <= 5; round++) {
    const response = await timed(app);
    assert.equal(response.statusCode, 200);
    assert.equal(response.body, String(round));
    assert.match(
      statusOf(response),
      /^lookaside; fwd=miss; fwd-status=200; stored; detail=(?:connection|breaker-open)$/,
    );
  }
  await memcached.restart();
  const deadline = Date.now() + 10_000;
  while (statusOf(await timed(app)) !== HIT && Date.now() < deadline) await delay(20);
  assert.equal(statusOf(await timed(app)), HIT);
});

test('a memcached that says nothing costs no more than the deadline', async (t) => {
  const memcached = await startMemcached();
  t.after(() => memcached.stop());
  const app = await appWith(t, { servers: [memcached.server], timeout: '50ms' });
  app.get('/', cached, async () => 'text');
  app.get('/only', app.memcached.lookup());
  await timed(app);
  memcached.pause();
  for (let round = 0; round < 5; round++) {
    const response = await timed(app);
    assert.equal(response.body, 'text');
    assert.match(statusOf(response), /detail=(?:timeout|breaker-open|connection)$/);
    assert.equal((await timed(app, '/only')).statusCode, 404);
  }
  memcached.resume();
});

test('a stream that fails is not stored, and the client can tell', async (t) => {
  const app = await appWith(t);
  let calls = 0;
  app.get('/', cached, async () =>
    Readable.from(
      (async function* () {
        yield Buffer.from('half');
        await delay(10);
        if (++calls < 3) throw new Error('the other half is lost');
      })(),
      { objectMode: false },
    ),
  );
  const url = await app.listen({ port: 0, host: '127.0.0.1' });
  for (let round = 0; round < 2; round++) {
    const response = await fetch(url);
    await assert.rejects(response.text(), TypeError);
  }
  assert.equal(await (await fetch(url)).text(), 'half');
  assert.equal(calls, 3);
});

test('what a client did not wait for is not stored, and its source is let go', async (t) => {
  const app = await appWith(t);
  const sources: Readable[] = [];
  app.get('/', { config: { memcached: { maxsize: '1MiB' } } }, async () => {
    const source = new Readable({ read() {} });
    source.on('error', () => {});
    source.push('the first half');
    sources.push(source);
    return source;
  });
  const url = await app.listen({ port: 0, host: '127.0.0.1' });
  const request = httpRequest(url).end();
  const [response] = await once(request, 'response');
  await once(response, 'data');
  request.on('error', () => {});
  request.destroy();
  const [source] = sources;
  assert.ok(source);
  while (!source.closed) await delay(5);

  const again = fetch(url);
  while (sources.length < 2) await delay(5);
  sources[1]?.push(', and the second');
  sources[1]?.push(null);
  const whole = await again;
  assert.match(String(whole.headers.get('cache-status')), /fwd=uri-miss/);
  assert.equal(await whole.text(), 'the first half, and the second');
});

test('a stream that a later hook replaces is let go and not stored', async (t) => {
  const app = await appWith(t, { bodyMemory: '64KiB' });
  let source: Readable | undefined;
  let replaces = true;
  const onSend = async (_request: unknown, _reply: unknown, payload: unknown) => (replaces ? 'instead' : payload);
  app.get('/', { ...cached, onSend }, async () => {
    source = Readable.from(['x'.repeat(60_000), 'end']);
    return source;
  });
  for (let round = 0; round < 3; round++) {
    assert.equal((await app.inject('/')).body, 'instead');
    assert.ok(source);
    while (!source.closed) await delay(5);
  }
  replaces = false;
  const response = await app.inject('/');
  assert.equal(response.body.length, 60_003);
  assert.equal(statusOf(response), STORED);
  assert.equal(statusOf(await app.inject('/')), HIT, 'the memory of the abandoned copies was given back');
});

test('concurrent requests get their own responses, stored and not', async (t) => {
  const memcached = await startMemcached();
  t.after(() => memcached.stop());
  const app = await appWith(t, { servers: [memcached.server], timeout: '5s' });
  app.get('/:page', cached, async (request) => Readable.from([`${request.url} `.repeat(500)]));
  const urls = Array.from({ length: 100 }, (_, page) => `/${page}`);
  for (const expected of [STORED, HIT]) {
    const responses = await Promise.all([...urls, ...urls].map((url) => app.inject(url)));
    for (const [index, response] of responses.entries()) {
      const url = urls[index % urls.length];
      assert.equal(response.body, `${url} `.repeat(500));
      if (expected === HIT) assert.equal(statusOf(response), HIT);
    }
  }
});

test('a process whose app is closed ends by itself', async (t) => {
  const memcached = await startMemcached();
  t.after(() => memcached.stop());
  const index = new URL('../../src/index.js', import.meta.url).href;
  const script = `
    import Fastify from 'fastify';
    import lookaside from ${JSON.stringify(index)};
    const app = Fastify();
    await app.register(lookaside, { servers: [${JSON.stringify(memcached.server)}, '127.0.0.1:1'] });
    const server = ${JSON.stringify(memcached.server)};
    app.get('/:page', { config: { memcached: {} } }, async () => 'text');
    app.get('/own/:page', { config: { memcached: { server } } }, async () => 'text');
    for (const url of ['/1', '/2', '/3', '/own/1']) await app.inject(url);
    await app.close();
    console.log('closed');`;
  const run = promisify(execFile);
  const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', script], { timeout: 20_000 });
  assert.equal(stdout, 'closed\n');
});

test('what is on its way to the store when the app closes arrives', async (t) => {
  const memcached = await startMemcached();
  t.after(() => memcached.stop());
  const app = await appWith(t, { servers: [memcached.server] });
  app.get('/', { config: { memcached: { key: 'page' } } }, async () => 'x'.repeat(50_000));
  await app.inject('/');
  await app.close();
  const other = await appWith(t, { servers: [memcached.server] });
  assert.ok(await other.memcached.get('page'));
});
