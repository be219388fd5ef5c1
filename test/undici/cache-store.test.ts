import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { Agent, interceptors, request } from 'undici';
import { BufferBudget } from '../../src/cache/buffer-budget.js';
import { Purger } from '../../src/cache/purger.js';
import { undiciCacheStore } from '../../src/plugin/undici-cache-store.js';
import { EmbeddedStore } from '../../src/store/embedded.js';
import { UndiciCacheStore } from '../../src/undici/cache-store.js';
import type { CacheKey, CacheStore, CacheValue } from '../../src/undici/cached-value.js';
import { FailingStore } from '../support/failing-store.js';
import { rawCommand, startMemcached } from '../support/memcached.js';
import { startOrigin } from '../support/origin.js';
import { until } from '../support/until.js';

type Handler = (request: IncomingMessage, response: ServerResponse, count: number) => void;

/** An origin that counts what it is asked for. */
async function startCounting(t: TestContext, handler: Handler) {
  const targets: string[] = [];
  const origin = await startOrigin((incoming, response) => {
    targets.push(`${incoming.method} ${incoming.url}`);
    handler(incoming, response, targets.length);
  });
  t.after(() => origin.close());
  return { url: origin.url, targets };
}

function clientOf(t: TestContext, store: CacheStore, type: 'shared' | 'private' = 'shared') {
  const agent = new Agent();
  t.after(() => agent.close());
  const dispatcher = agent.compose(interceptors.cache({ store, type }));
  return async (url: string, headers: { [name: string]: string } = {}, method: 'GET' | 'POST' = 'GET') => {
    const { statusCode, headers: fields, body } = await request(url, { dispatcher, headers, method });
    return { statusCode, fields, body: Buffer.from(await body.arrayBuffer()) };
  };
}

/** Clients of two processes, as far as memcached can tell. */
async function fleet(t: TestContext, args: readonly string[] = []) {
  const memcached = await startMemcached({ args });
  t.after(() => memcached.stop());
  const stores = [1, 2].map(() => undiciCacheStore({ servers: [memcached.server], timeout: '2s' }));
  for (const store of stores) t.after(() => store.close());
  const [one, two] = stores.map((store) => clientOf(t, store));
  assert.ok(one !== undefined && two !== undefined);
  return { memcached, stores, one, two };
}

const GET: CacheKey = { origin: 'http://origin.example', method: 'GET', path: '/', headers: {} };

function valueWith(value: Partial<CacheValue> = {}): CacheValue {
  const cachedAt = Date.now();
  const times = { cachedAt, staleAt: cachedAt + 60_000, deleteAt: cachedAt + 120_000 };
  return {
    statusCode: 200,
    statusMessage: 'OK',
    headers: { 'x-a': '1' },
    cacheControlDirectives: {},
    ...times,
    ...value,
  };
}

function embedded(): { readonly store: FailingStore; readonly cacheStore: UndiciCacheStore } {
  const store = new FailingStore(new EmbeddedStore());
  return { store, cacheStore: new UndiciCacheStore(store, { budget: new BufferBudget() }) };
}

async function write(store: CacheStore, key: CacheKey, value: CacheValue, body: string): Promise<void> {
  await store.get(key);
  const stream = store.createWriteStream(key, value);
  assert.ok(stream !== undefined);
  stream.end(body);
  await once(stream, 'close');
}

async function read(store: CacheStore, key: CacheKey) {
  const found = await store.get({ ...key });
  if (found === undefined) return undefined;
  const { body, ...value } = found;
  assert.ok(body instanceof Readable || (typeof body === 'object' && Symbol.iterator in body));
  return { value, body: (await buffer(Readable.from(body))).toString() };
}

test('what one client has fetched, the other one has, whatever its size', async (t) => {
  const large = Buffer.alloc(3 * 1024 * 1024, 'large ');
  const origin = await startCounting(t, ({ url }, response) => {
    response.writeHead(200, 'Fine', {
      'cache-control': 'max-age=60',
      'x-list': ['a', 'b'],
      'content-type': 'text/plain',
    });
    response.end(url === '/large' ? large : 'small');
  });
  const { one, two } = await fleet(t);
  for (const [path, body] of [
    ['/small', Buffer.from('small')],
    ['/large', large],
  ] as const) {
    assert.ok((await one(origin.url + path)).body.equals(body));
    await until(async () => {
      const before = origin.targets.length;
      await one(origin.url + path);
      return origin.targets.length === before;
    }, 'it is not stored');
    const before = origin.targets.length;
    const hit = await two(origin.url + path);
    assert.ok(hit.body.equals(body));
    assert.equal(origin.targets.length, before);
    assert.deepEqual(hit.fields['x-list'], ['a', 'b']);
    assert.equal(hit.fields['content-type'], 'text/plain');
    assert.match(String(hit.fields.age), /^[0-9]+$/);
  }
});

test('two processes share one memcached: the origin is asked once', async (t) => {
  const origin = await startCounting(t, (_request, response) => {
    response.setHeader('cache-control', 'max-age=60');
    response.end('shared');
  });
  const { memcached } = await fleet(t);
  const program = `
    import { Agent, interceptors, request } from 'undici';
    import { undiciCacheStore } from '${new URL('../../src/index.js', import.meta.url)}';
    const store = undiciCacheStore({ servers: ['${memcached.server}'], timeout: '2s' });
    const dispatcher = new Agent().compose(interceptors.cache({ store }));
    const { body } = await request('${origin.url}/page', { dispatcher });
    console.log(await body.text());
    await new Promise((resolve) => setTimeout(resolve, 100));
    await dispatcher.close();
    await store.close();`;
  for (let run = 0; run < 2; run++) {
    const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
      cwd: new URL('../../', import.meta.url),
    });
    const output = buffer(child.stdout);
    assert.deepEqual(await once(child, 'exit'), [0, null]);
    assert.equal((await output).toString(), 'shared\n');
  }
  assert.deepEqual(origin.targets, ['GET /page']);
});

test('variants are told apart, also by the other client', async (t) => {
  const origin = await startCounting(t, ({ headers }, response) => {
    response.writeHead(200, { 'cache-control': 'max-age=60', vary: 'accept-language, x-none' });
    response.end(headers['accept-language']);
  });
  const { one, two } = await fleet(t);
  const bodies = async () => {
    const found: string[] = [];
    for (const client of [one, two]) {
      for (const language of ['de', 'fr']) {
        found.push((await client(origin.url, { 'accept-language': language })).body.toString());
      }
    }
    return found.join(' ');
  };
  await until(async () => {
    const before = origin.targets.length;
    assert.equal(await bodies(), 'de fr de fr');
    return origin.targets.length === before;
  }, 'they are not stored');
});

test('a stale response is revalidated, and stored anew for both', async (t) => {
  const conditions: unknown[] = [];
  const origin = await startCounting(t, ({ headers }, response) => {
    conditions.push(headers['if-none-match']);
    response.setHeader('etag', '"v1"');
    response.setHeader('cache-control', 'no-cache');
    if (headers['if-none-match'] === '"v1"') response.statusCode = 304;
    response.end(response.statusCode === 304 ? undefined : 'text');
  });
  const { one, two } = await fleet(t);
  await one(origin.url);
  await until(
    async () => (await two(origin.url)).body.toString() === 'text' && conditions.includes('"v1"'),
    'no revalidation',
  );
  assert.equal((await one(origin.url)).body.toString(), 'text');
});

test('an unsafe request removes what both have', async (t) => {
  const origin = await startCounting(t, (_request, response, count) => {
    response.setHeader('cache-control', 'max-age=60');
    response.end(String(count));
  });
  const { one, two } = await fleet(t);
  await until(async () => {
    const [first, second] = [await one(origin.url), await two(origin.url)];
    return first.body.equals(second.body);
  }, 'it is not stored');
  const before = origin.targets.length;
  await two(origin.url, {}, 'POST');
  await until(async () => Number((await one(origin.url)).body) > before, 'it is still there');
});

test('it is purged by tags like the responses of servers, and a purge during the fetch is not undone', async (t) => {
  const { store, cacheStore } = embedded();
  const purger = new Purger(store);
  t.after(() => purger.close());
  await write(cacheStore, GET, valueWith({ headers: { 'surrogate-key': 'news sport' } }), 'text');
  assert.equal((await read(cacheStore, GET))?.body, 'text');
  await purger.purge({ kind: 'tag', tag: 'news' }, { soft: true });
  const soft = await read(cacheStore, GET);
  assert.ok(soft !== undefined && soft.value.staleAt < Date.now(), 'a soft purge makes it stale');
  await purger.purge({ kind: 'tag', tag: 'sport' });
  assert.equal(await read(cacheStore, GET), undefined);

  const key = { ...GET };
  await cacheStore.get(key);
  await cacheStore.delete({ ...GET });
  const stream = cacheStore.createWriteStream(key, valueWith());
  stream?.end('old');
  if (stream !== undefined) await once(stream, 'close');
  assert.equal(await read(cacheStore, GET), undefined);
});

test('every value comes back as it was', async () => {
  const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,8}$/).filter((one) => !RESERVED.has(one));
  const text = fc.stringMatching(/^[\x21-\x7e\xa0-\xff]{1,10}$/);
  const value = fc.record({
    statusCode: fc.constantFrom(200, 203, 301, 404),
    statusMessage: text,
    headers: fc.dictionary(name, fc.oneof(text, fc.array(text, { minLength: 2, maxLength: 3 })), {
      noNullPrototype: true,
    }),
    vary: fc.option(fc.dictionary(name, fc.option(text), { noNullPrototype: true }), { nil: undefined }),
    etag: fc.option(text, { nil: undefined }),
    body: fc.string(),
  });
  const { cacheStore } = embedded();
  let count = 0;
  await fc.assert(
    fc.asyncProperty(value, async ({ body, vary, etag, ...rest }) => {
      const headers = Object.fromEntries(
        Object.entries(vary ?? {}).flatMap(([one, is]) => (is === null ? [] : [[one, is]])),
      );
      const key = { ...GET, path: `/${count++}`, headers };
      const given = valueWith({ ...rest, ...(vary && { vary }), ...(etag !== undefined && { etag }) });
      await write(cacheStore, key, given, body);
      const found = await read(cacheStore, key);
      assert.equal(found?.body, body);
      const { vary: _vary, ...found_headers } = found?.value.headers ?? {};
      assert.deepEqual({ ...found?.value, headers: found_headers }, given);
    }),
    { numRuns: 50 },
  );
});

/** Fields that an entry does not have, or that mean something to the store. */
const RESERVED = new Set(['vary', 'undici', 'connection', 'upgrade', 'te', 'age', 'trailer', 'xkey', 'lookaside']);

test('what lies in memcached is not trusted', async (t) => {
  const { memcached, stores } = await fleet(t);
  const [store] = stores;
  assert.ok(store !== undefined);
  await write(store, GET, valueWith({ headers: { 'x-a': '1' } }), 'text');
  const name = 'undici:http://origin.example/';
  const reply = await rawCommand(memcached.address, `get ${name}\r\n`);
  const stored = /^VALUE \S+ 0 \d+\r\n(.*)\r\nEND\r\n$/s.exec(reply)?.[1] ?? '';
  assert.match(stored, /^HTTP\/1\.1 200 /);
  const put = (value: string) => rawCommand(memcached.address, `set ${name} 0 60 ${value.length}\r\n${value}\r\n`);
  await put(stored);
  assert.equal((await read(store, GET))?.body, 'text');
  const forgeries = [
    stored.replace('"cachedAt"', '"__proto__"'),
    stored.replace(/"staleAt":\d+/, '"staleAt":"soon"'),
    stored.replace(/"staleAt":\d+/, '"staleAt":1e400'),
    stored.replace(/"cachedAt":\d+/, `"cachedAt":${Date.now() + 3_600_000}`),
    stored.replace(/"deleteAt":\d+/, '"deleteAt":5'),
    stored.replace('"message":"OK"', '"message":"OK\\r\\nx: y"'),
    stored.replace(/undici: .*/, 'undici: {'),
    stored.replace(/undici: .*/, `undici: ${'['.repeat(10_000)}`),
    stored.replace(/undici: .*\r\n/, ''),
    stored.replace('key=undici', 'key=other'),
    stored.slice(0, -1),
    'x',
  ];
  for (const forgery of forgeries) {
    assert.notEqual(forgery, stored);
    await put(forgery);
    assert.equal(await read(store, GET), undefined, forgery);
  }
});

test('with a secret, nothing is taken that was not signed', async (t) => {
  const memcached = await startMemcached();
  t.after(() => memcached.stop());
  const secret = 'a secret of thirty-two characters';
  const signed = undiciCacheStore({ servers: [memcached.server], secret });
  const unsigned = undiciCacheStore({ servers: [memcached.server] });
  for (const store of [signed, unsigned]) t.after(() => store.close());
  await write(unsigned, GET, valueWith(), 'text');
  assert.equal(await read(signed, GET), undefined);
});

test('a memcached that fails makes misses, and nothing else', async (t) => {
  const origin = await startCounting(t, (_request, response) => {
    response.setHeader('cache-control', 'max-age=60');
    response.end('text');
  });
  const { memcached, one } = await fleet(t);
  assert.equal((await one(origin.url)).body.toString(), 'text');
  await memcached.kill();
  for (let round = 0; round < 5; round++) assert.equal((await one(origin.url)).body.toString(), 'text');
  assert.ok(origin.targets.length > 1);

  const { store, cacheStore } = embedded();
  store.fails = () => 'timeout';
  assert.equal(await cacheStore.get({ ...GET }), undefined);
  await cacheStore.delete({ ...GET });
  const stream = cacheStore.createWriteStream({ ...GET }, valueWith());
  stream?.end('text');
  if (stream !== undefined) await once(stream, 'close');
  await cacheStore.close();
});

test('a body that breaks off, or is too large, is not stored', async () => {
  const { store } = embedded();
  const cacheStore = new UndiciCacheStore(store, { budget: new BufferBudget(), maxBodyBytes: 10 });
  await write(cacheStore, GET, valueWith(), 'eleven bytes');
  assert.equal(await read(cacheStore, GET), undefined);
  const key = { ...GET, path: '/broken' };
  await cacheStore.get(key);
  const stream = cacheStore.createWriteStream(key, valueWith());
  assert.ok(stream !== undefined);
  stream.on('error', () => {});
  stream.write('text');
  const closed = new Promise((resolve) => stream.once('close', resolve));
  stream.destroy(new Error('broken off'));
  await closed;
  assert.equal(await read(cacheStore, key), undefined);
});

test('what a private cache may keep does not go into the store of all', async (t) => {
  const { cacheStore } = embedded();
  assert.equal(cacheStore.createWriteStream(GET, valueWith({ cacheControlDirectives: { private: true } })), undefined);
  assert.equal(cacheStore.createWriteStream(GET, valueWith({ headers: { 'set-cookie': 'a=1' } })), undefined);
  const origin = await startCounting(t, ({ headers }, response) => {
    response.setHeader('cache-control', 'max-age=60');
    response.end(headers.authorization);
  });
  const client = clientOf(t, cacheStore, 'private');
  for (const authorization of ['Basic b25l', 'Basic dHdv']) {
    assert.equal((await client(origin.url, { authorization })).body.toString(), authorization);
  }
});
