import assert from 'node:assert/strict';
import { Readable, Stream } from 'node:stream';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyReply } from 'fastify';
import { Response as UndiciResponse } from 'undici';
import { rawCommand, startMemcached } from '../support/memcached.js';
import { appWith, HIT, STORED, statusOf, testWithEachStore } from './app.js';

const cached = { config: { memcached: { ttl: '1m' } } };

/** One payload of every kind that a handler may give, each the same text. */
const PAYLOADS: { readonly [kind: string]: (reply: FastifyReply) => unknown } = {
  'a string': () => 'the body',
  'a Buffer': () => Buffer.from('the body'),
  'a Uint8Array': () => new Uint8Array(Buffer.from('the body')),
  'a stream': () => Readable.from(['the ', 'body']),
  'a stream of bytes': () => Readable.from([Buffer.from('the '), Buffer.from('body')], { objectMode: false }),
  'a stream with Content-Length': (reply) => reply.header('content-length', 8).send(Readable.from(['the body'])),
  'a stream of the first kind': () => {
    const legacy = new Stream();
    setImmediate(() => {
      for (const piece of ['the ', 'body']) legacy.emit('data', Buffer.from(piece));
      legacy.emit('end');
    });
    return legacy;
  },
  'a web stream': () => new Response('the body').body,
  'a Response': () => new Response('the body', { headers: { 'x-made-by': 'fetch' } }),
  'a Response of undici': () => new UndiciResponse('the body', { headers: [['x-made-by', 'undici']] }),
  'a body sent later': (reply) => {
    setImmediate(() => reply.send('the body'));
    return undefined;
  },
};

for (const [kind, payload] of Object.entries(PAYLOADS)) {
  testWithEachStore(`${kind} comes back whole`, async (t, options) => {
    const app = await appWith(t, options);
    let calls = 0;
    app.get('/page', cached, (_request, reply) => {
      calls++;
      reply.header('x-fields', 'kept').header('link', ['<a>; rel=preload', '<b>; rel=preload']);
      return payload(reply);
    });

    const first = await app.inject('/page');
    assert.equal(statusOf(first), STORED);
    const second = await app.inject('/page');
    assert.equal(statusOf(second), HIT);
    assert.equal(calls, 1);
    for (const response of [first, second]) {
      assert.equal(response.statusCode, 200);
      assert.equal(response.body, 'the body');
      assert.equal(response.headers['x-fields'], 'kept');
      assert.deepEqual(response.headers.link, ['<a>; rel=preload', '<b>; rel=preload']);
    }
    const {
      'content-length': _length,
      'transfer-encoding': _coding,
      'cache-status': _status,
      ...before
    } = first.headers;
    const { 'content-length': length, 'cache-status': _hit, age, ...after } = second.headers;
    assert.deepEqual(after, before);
    assert.equal(length, '8');
    assert.match(String(age), /^[01]$/);
  });
}

test('an object is stored as it was serialized', async (t) => {
  const app = await appWith(t);
  const schema = { response: { 200: { type: 'object', properties: { shown: { type: 'string' } } } } };
  app.get('/', { ...cached, schema }, async () => ({ shown: 'yes', hidden: 'no' }));
  await app.inject('/');
  const hit = await app.inject('/');
  assert.equal(statusOf(hit), HIT);
  assert.equal(hit.headers['content-type'], 'application/json; charset=utf-8');
  assert.deepEqual(hit.json(), { shown: 'yes' });
});

test('an empty body is stored', async (t) => {
  const app = await appWith(t);
  app.get('/', cached, (_request, reply) => reply.send());
  await app.inject('/');
  const hit = await app.inject('/');
  assert.equal(statusOf(hit), HIT);
  assert.equal(hit.body, '');
  assert.equal(hit.headers['content-length'], '0');
  assert.equal(hit.headers['content-type'], undefined);
});

test('HEAD is answered from what GET stored, and stores nothing itself', async (t) => {
  const app = await appWith(t);
  app.get('/', cached, async () => 'the body');
  assert.equal(
    statusOf(await app.inject({ method: 'HEAD', url: '/' })),
    'lookaside; fwd=uri-miss; fwd-status=200; detail=method',
  );
  assert.equal(statusOf(await app.inject('/')), STORED);
  const head = await app.inject({ method: 'HEAD', url: '/' });
  assert.equal(statusOf(head), HIT);
  assert.equal(head.headers['content-length'], '8');
  assert.equal(head.body, '');
});

test('only a 200 to GET is stored', async (t) => {
  const app = await appWith(t);
  const statuses = [201, 204, 206, 301, 304, 404, 410, 500, 503];
  for (const status of statuses) app.get(`/${status}`, cached, (_request, reply) => reply.code(status).send('text'));
  app.get('/error', cached, async () => {
    throw new Error('broken');
  });
  app.get('/missing', cached, (_request, reply) => reply.callNotFound());
  app.post('/post', cached, async () => 'text');
  for (const path of [...statuses, 'error', 'missing']) {
    for (let round = 0; round < 2; round++) {
      const response = await app.inject(`/${path}`);
      assert.match(statusOf(response), /^lookaside; fwd=uri-miss; fwd-status=\d+(?:; detail=status)?$/, `${path}`);
    }
  }
  for (let round = 0; round < 2; round++) {
    const response = await app.inject({ method: 'POST', url: '/post', payload: { a: 1 } });
    assert.equal(statusOf(response), 'lookaside; fwd=method; fwd-status=200; detail="method, method"');
  }
});

test('what is private is not stored, unless the route says that it may be', async (t) => {
  const app = await appWith(t);
  const responses: { readonly [path: string]: readonly [field: string, value: string] } = {
    '/set-cookie': ['set-cookie', 'id=1'],
    '/private': ['cache-control', 'private, max-age=60'],
    '/no-store': ['cache-control', 'no-store'],
    '/no-cache': ['cache-control', 'no-cache'],
    '/vary': ['vary', '*'],
    '/max-age=0': ['cache-control', 'max-age=0'],
  };
  for (const [path, [field, value]] of Object.entries(responses)) {
    app.get(path, cached, (_request, reply) => reply.header(field, value).send('text'));
  }
  app.get('/cookies', { config: { memcached: { unsafe: true } } }, (_request, reply) =>
    reply.header('set-cookie', ['a=1', 'b=2']).send('text'),
  );
  for (const path of Object.keys(responses)) {
    await app.inject(path);
    assert.match(statusOf(await app.inject(path)), /fwd-status=200(?:; detail=|$)/, path);
  }
  await app.inject('/cookies');
  const hit = await app.inject('/cookies');
  assert.equal(statusOf(hit), HIT);
  assert.deepEqual(hit.headers['set-cookie'], ['a=1', 'b=2']);
});

test('the answer to a request with Authorization is not stored', async (t) => {
  const app = await appWith(t);
  app.get('/', cached, async () => 'text');
  const response = await app.inject({ url: '/', headers: { authorization: 'Basic eDp5' } });
  assert.equal(statusOf(response), 'lookaside; fwd=uri-miss; fwd-status=200; detail=authorization');
  assert.equal(statusOf(await app.inject('/')), STORED);
});

test('conditions and ranges are answered from the store', async (t) => {
  const app = await appWith(t);
  app.get('/', cached, (_request, reply) => reply.header('etag', '"v1"').send('0123456789'));
  await app.inject('/');

  const notModified = await app.inject({ url: '/', headers: { 'if-none-match': '"v1"' } });
  assert.equal(notModified.statusCode, 304);
  assert.equal(statusOf(notModified), HIT);
  assert.equal(notModified.headers.etag, '"v1"');
  assert.equal(notModified.headers['content-type'], undefined);
  assert.equal(notModified.body, '');

  const part = await app.inject({ url: '/', headers: { range: 'bytes=2-4' } });
  assert.equal(part.statusCode, 206);
  assert.equal(part.headers['content-range'], 'bytes 2-4/10');
  assert.equal(part.headers['content-length'], '3');
  assert.equal(part.body, '234');

  const beyond = await app.inject({ url: '/', headers: { range: 'bytes=10-' } });
  assert.equal(beyond.statusCode, 416);
  assert.equal(beyond.headers['content-range'], 'bytes */10');
});

test('the key of a route is the whole URL unless it says otherwise', async (t) => {
  const app = await appWith(t);
  let calls = 0;
  app.get('/whole', cached, async () => String(++calls));
  app.get('/path', { config: { memcached: { key: '%{req.path}' } } }, async () => String(++calls));
  const bodies = async (urls: readonly [string, string][]) => {
    const found: string[] = [];
    for (const [authority, url] of urls) found.push((await app.inject({ url, authority })).body);
    return found;
  };
  assert.deepEqual(
    await bodies([
      ['one.example', '/whole?q=1'],
      ['one.example', '/whole?q=2'],
      ['two.example', '/whole?q=1'],
      ['one.example:81', '/whole?q=1'],
      ['one.example', '/whole?q=1'],
    ]),
    ['1', '2', '3', '4', '1'],
  );
  assert.deepEqual(
    await bodies([
      ['one.example', '/path?q=1'],
      ['two.example', '/path?q=2'],
    ]),
    ['5', '5'],
  );
});

test('a key of undefined is the default one, not the key without the query', async (t) => {
  const app = await appWith(t);
  let calls = 0;
  app.get('/', { config: { memcached: { key: undefined } } }, async () => String(++calls));
  assert.equal((await app.inject('/?q=1')).body, '1');
  assert.equal((await app.inject('/?q=2')).body, '2');
});

test('what varies is stored for the requests it fits', async (t) => {
  const app = await appWith(t);
  app.get('/', cached, (request, reply) =>
    reply.header('vary', 'accept-language').send(String(request.headers['accept-language'])),
  );
  const get = (language: string) => app.inject({ url: '/', headers: { 'accept-language': language } });
  await get('de');
  assert.equal(statusOf(await get('de')), HIT);
  const other = await get('fr');
  assert.equal(other.body, 'fr');
  assert.equal(statusOf(other), 'lookaside; fwd=vary-miss; fwd-status=200; stored; detail=vary');
});

test('ttl, maxsize and flags reach memcached', async (t) => {
  const memcached = await startMemcached();
  t.after(() => memcached.stop());
  const app = await appWith(t, { servers: [memcached.server] });
  app.get(
    '/short',
    { config: { memcached: { key: 'short', ttl: '2s', flags: 42, maxsize: '1k' } } },
    async () => 'text',
  );
  app.get('/large', { config: { memcached: { key: 'large', maxsize: '1k' } } }, async () => 'x'.repeat(1025));
  app.get('/large-stream', { config: { memcached: { key: 'large', maxSize: 1024 } } }, async () =>
    Readable.from(['x'.repeat(1000), 'y'.repeat(25)]),
  );
  app.get('/bare', { config: { memcached: { key: 'bare', headers: false, ttl: 0 } } }, async () => 'bare text');

  /** What another client finds, after what this one has sent before. */
  const seen = async (key: string) => {
    await app.memcached.get(key);
    return rawCommand(memcached.address, `get ${key}\r\n`);
  };
  await app.inject('/short');
  assert.match(await seen('short'), /^VALUE short 42 \d+\r\nHTTP\/1\.1 200 \r\nlookaside: /);
  assert.equal(statusOf(await app.inject('/short')), HIT);
  const deadline = Date.now() + 10_000;
  let status = HIT;
  while (status === HIT && Date.now() < deadline) {
    await delay(100);
    status = statusOf(await app.inject('/short'));
  }
  assert.equal(status, STORED);

  await app.inject('/large');
  const streamed = await app.inject('/large-stream');
  assert.equal(streamed.body, `${'x'.repeat(1000)}${'y'.repeat(25)}`);
  assert.equal(await seen('large'), 'END\r\n');

  await app.inject('/bare');
  assert.equal(await seen('bare'), 'VALUE bare 0 9\r\nbare text\r\nEND\r\n');
});

test('a bare value that another program set is served with the type of the path', async (t) => {
  const memcached = await startMemcached();
  t.after(() => memcached.stop());
  const app = await appWith(t, { servers: [memcached.server] });
  app.get('/:name', { config: { memcached: { key: '%{req.path}', headers: false } } }, async () => 'made here');
  await rawCommand(memcached.address, 'set /style.css 7 60 4\r\na {}\r\n');
  const hit = await app.inject('/style.css');
  assert.equal(hit.body, 'a {}');
  assert.equal(hit.headers['content-type'], 'text/css; charset=utf-8');
});

test('an entry of another program keeps its status and its missing Content-Type', async (t) => {
  const memcached = await startMemcached();
  t.after(() => memcached.stop());
  const app = await appWith(t, { servers: [memcached.server] });
  app.get('/:name', { config: { memcached: { key: '%{req.path}' } } }, async () => 'made here');
  const entry = 'HTTP/1.1 404 Not Found\r\nx-by: hand\r\n\r\nnothing';
  await rawCommand(memcached.address, `set /gone 0 60 ${entry.length}\r\n${entry}\r\n`);
  for (const method of ['GET', 'HEAD'] as const) {
    const hit = await app.inject({ method, url: '/gone' });
    assert.equal(hit.statusCode, 404);
    assert.equal(hit.headers['x-by'], 'hand');
    assert.equal(hit.headers['content-type'], undefined);
    assert.equal(hit.headers['content-length'], '7');
    assert.equal(hit.body, method === 'GET' ? 'nothing' : '');
  }
});

test('Cache-Status of a cache nearer to the origin stays in front of ours, once', async (t) => {
  const app = await appWith(t, { name: 'edge' });
  app.get('/', cached, (_request, reply) => reply.header('cache-status', 'origin; hit; ttl=5').send('text'));
  assert.deepEqual((await app.inject('/')).headers['cache-status'], [
    'origin; hit; ttl=5',
    'edge; fwd=uri-miss; fwd-status=200; stored',
  ]);
  for (let round = 0; round < 2; round++) {
    const [first, second, ...more] = [(await app.inject('/')).headers['cache-status'] ?? []].flat();
    assert.equal(first, 'origin; hit; ttl=5');
    assert.match(String(second), /^edge; hit; ttl=/);
    assert.deepEqual(more, []);
  }
});

test('a request for a WebSocket goes to the handler', async (t) => {
  const app = await appWith(t);
  let calls = 0;
  app.get('/', cached, async () => String(++calls));
  await app.inject('/');
  const response = await app.inject({ url: '/', headers: { connection: 'upgrade', upgrade: 'websocket' } });
  assert.equal(response.body, '2');
});

test('a hijacked reply is left alone', async (t) => {
  const app = await appWith(t);
  app.get('/', cached, (_request, reply) => {
    reply.hijack();
    reply.raw.end('raw');
  });
  for (let round = 0; round < 2; round++) {
    const response = await app.inject('/');
    assert.equal(response.body, 'raw');
    assert.equal(response.headers['cache-status'], undefined);
  }
});

test('a payload that Fastify refuses stays an error', async (t) => {
  const app = await appWith(t);
  app.get('/consumed', cached, async () => {
    const response = new Response('text');
    await response.text();
    return response;
  });
  app.get('/locked', cached, async () => {
    const { body } = new Response('text');
    body?.getReader();
    return body;
  });
  for (const url of ['/consumed', '/locked']) {
    const response = await app.inject(url);
    assert.equal(response.statusCode, 500, url);
    assert.equal(statusOf(response), 'lookaside; fwd=uri-miss; fwd-status=500; detail=status');
  }
});

test('request.memcached says what became of a request, and is null where no lookup ran', async (t) => {
  const app = await appWith(t);
  const seen: unknown[] = [];
  app.addHook('onResponse', async ({ memcached }) => {
    seen.push(memcached === null ? null : [memcached.outcome?.verdict, memcached.outcome?.reason, memcached.storage]);
  });
  app.get('/', cached, async () => 'text');
  app.get('/plain', async () => 'text');
  for (const url of ['/', '/', '/plain']) await app.inject(url);
  assert.deepEqual(seen, [['miss', 'absent', 'stored'], ['hit', 'fresh', undefined], null]);
});

test('routes without the option are not touched', async (t) => {
  const app = await appWith(t);
  app.get('/', async () => 'text');
  const response = await app.inject('/');
  assert.equal(response.headers['cache-status'], undefined);
});
