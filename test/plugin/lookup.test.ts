import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LookupBranch } from '../../src/plugin/lookup-handler.js';
import { appWith, HIT, STORED, statusOf, testWithEachStore } from './app.js';

const markHit: LookupBranch = (_request, reply) => {
  reply.header('X-Memcached', 'Hit');
};
const markMiss: LookupBranch = (_request, reply) => {
  reply.header('X-Memcached', 'Miss');
};

testWithEachStore('the example of the manual, with hooks', async (t, options) => {
  const app = await appWith(t, options);
  const key = '%{req.scheme}://%{req.host}%{req.path}';
  const hooks = {
    onRequest: app.memcached.lookup({ key, headers: true }, markHit, markMiss),
    onSend: app.memcached.store({ key, headers: true, ttl: '60s' }),
  };
  app.get('/page', hooks, (_request, reply) => reply.type('text/html').send('<p>text'));

  const first = await app.inject('/page');
  assert.equal(first.headers['x-memcached'], 'Miss');
  assert.equal(statusOf(first), STORED);
  const second = await app.inject('/page');
  assert.equal(second.headers['x-memcached'], 'Hit');
  assert.equal(second.headers['content-type'], 'text/html');
  assert.equal(second.body, '<p>text');
  assert.equal(statusOf(second), HIT);
});

test('what the miss branch sets belongs to the miss, and is not stored', async (t) => {
  const app = await appWith(t);
  const hooks = {
    preHandler: app.memcached.lookup({ headers: true }, undefined, markMiss),
    onSend: app.memcached.store({ headers: true }),
  };
  app.get('/', hooks, (_request, reply) => reply.header('x-response', 'own').send('text'));
  assert.equal((await app.inject('/')).headers['x-memcached'], 'Miss');
  const hit = await app.inject('/');
  assert.equal(hit.headers['x-memcached'], undefined);
  assert.equal(hit.headers['x-response'], 'own');
});

test('a lookup is a route of its own: 404 without an entry', async (t) => {
  const app = await appWith(t);
  app.get('/:name', app.memcached.lookup({ key: 'raw:%{req.path}' }));
  await app.memcached.set('raw:/page.html', '<p>text');

  const missing = await app.inject('/other.html');
  assert.equal(missing.statusCode, 404);
  assert.equal(statusOf(missing), 'lookaside; fwd=uri-miss; fwd-status=404');
  for (const method of ['GET', 'HEAD'] as const) {
    const found = await app.inject({ method, url: '/page.html' });
    assert.equal(found.statusCode, 200);
    assert.equal(found.headers['content-type'], 'text/html; charset=utf-8');
    assert.equal(found.headers['content-length'], '7');
    assert.equal(found.body, method === 'GET' ? '<p>text' : '');
    assert.equal(statusOf(found), HIT);
  }
});

test('what a branch returns is sent', async (t) => {
  const app = await appWith(t);
  const lookup = app.memcached.lookup(
    { key: 'k' },
    (_request, reply) => reply.code(203).send('from the hit branch'),
    async () => ({ from: 'the miss branch' }),
  );
  app.get('/handler', lookup);
  app.get('/hook', { preHandler: lookup }, async () => assert.fail('the handler must not run'));
  for (const url of ['/handler', '/hook']) {
    await app.memcached.delete('k');
    const miss = await app.inject(url);
    assert.deepEqual(miss.json(), { from: 'the miss branch' });
    await app.memcached.set('k', 'from the store');
    const hit = await app.inject(url);
    assert.equal(hit.statusCode, 203);
    assert.equal(hit.body, 'from the hit branch');
  }
});

test('a hit branch may change status and fields', async (t) => {
  const app = await appWith(t);
  app.get(
    '/',
    {
      onRequest: app.memcached.lookup({ headers: true }, (_request, reply) => {
        reply.code(203).type('text/x-hit').header('cache-control', 'no-store').removeHeader('x-stored');
      }),
      onSend: app.memcached.store({ headers: true }),
    },
    (_request, reply) => reply.headers({ 'x-stored': 'yes', 'cache-control': 'max-age=60' }).send('text'),
  );
  await app.inject('/');
  const hit = await app.inject('/');
  assert.equal(hit.statusCode, 203);
  assert.equal(hit.headers['cache-control'], 'no-store');
  assert.equal(hit.headers['content-type'], 'text/x-hit');
  assert.equal(hit.headers['x-stored'], undefined);
  assert.equal(hit.body, 'text');
});

test('a branch that throws is an error of the request', async (t) => {
  const app = await appWith(t);
  const fail: LookupBranch = async () => {
    throw new Error('branch broke');
  };
  app.get('/', app.memcached.lookup({}, undefined, fail));
  const response = await app.inject('/');
  assert.equal(response.statusCode, 500);
  assert.equal(response.json().message, 'branch broke');
});

test('a lookup that is called in a hook of the app lets the handler run on a miss', async (t) => {
  const app = await appWith(t);
  const lookup = app.memcached.lookup({ key: 'k' });
  app.addHook('preHandler', async (request, reply) => {
    if (request.headers.cookie === undefined) await lookup(request, reply);
  });
  app.get('/', async () => 'from the handler');
  assert.equal((await app.inject('/')).body, 'from the handler');
  await app.memcached.set('k', 'from the store');
  assert.equal((await app.inject('/')).body, 'from the store');
  assert.equal((await app.inject({ url: '/', headers: { cookie: 'a=1' } })).body, 'from the handler');
});

test('hooks of a scope cache all of its routes, and no others', async (t) => {
  const app = await appWith(t);
  let calls = 0;
  const handler = async () => String(++calls);
  await app.register(async (scope) => {
    scope.addHook('preHandler', scope.memcached.lookup({ headers: true }));
    scope.addHook('onSend', scope.memcached.store({ headers: true }));
    scope.get('/a', handler);
    scope.get('/b', handler);
  });
  app.get('/outside', handler);
  const bodies: string[] = [];
  for (const url of ['/a', '/b', '/outside', '/a', '/b', '/outside']) bodies.push((await app.inject(url)).body);
  assert.deepEqual(bodies, ['1', '2', '3', '1', '2', '4']);
});

test('a hit ends the request: hooks and handler behind it do not run', async (t) => {
  const app = await appWith(t);
  const ran: string[] = [];
  app.get(
    '/',
    {
      onRequest: app.memcached.lookup({ key: 'k' }),
      preValidation: async () => void ran.push('preValidation'),
      preHandler: async () => void ran.push('preHandler'),
      onResponse: async () => void ran.push('onResponse'),
    },
    async () => 'text',
  );
  await app.memcached.set('k', 'stored');
  await app.inject('/');
  assert.deepEqual(ran, ['onResponse']);
});
