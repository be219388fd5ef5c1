import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { purgeOrder } from '../../src/actions/purge-request.js';
import { ask, askAndStore, isHit, SITE } from '../support/ask.js';
import { exchangeOf } from '../support/exchange.js';
import { type Origin, startOrigin } from '../support/origin.js';
import { startProxy, type TestProxy } from '../support/proxy.js';

async function order(url: string, headers: { [name: string]: string } = {}) {
  const { request } = await exchangeOf({ method: 'PURGE', url, headers: { host: 'h', ...headers } });
  return purgeOrder(request, ['surrogate-key', 'xkey', 'cache-tag', 'x-tags']);
}

describe('a PURGE asks for', () => {
  const hard = { soft: false, dryRun: false };

  it('its URL, unless it names tags, a prefix or everything', async () => {
    assert.deepEqual(await order('/a?b'), { targets: [{ kind: 'url', url: 'http://h/a?b' }], options: hard });
    const fields = { 'surrogate-key': 'a b', xkey: 'c', 'cache-tag': 'd e,f', 'x-tags': 'a g' };
    const tags = ['a', 'b', 'c', 'd e', 'f', 'g'].map((tag) => ({ kind: 'tag', tag }));
    assert.deepEqual(await order('/', fields), { targets: tags, options: hard });
    const prefix = { 'lookaside-purge': 'prefix' };
    assert.deepEqual(await order('/a/', prefix), {
      targets: [{ kind: 'prefix', prefix: 'http://h/a/' }],
      options: hard,
    });
    assert.deepEqual(await order('/x', { 'lookaside-purge': 'all' }), { targets: [{ kind: 'all' }], options: hard });
  });

  it('a mark, or nothing but an answer', async () => {
    for (const [name, value] of [
      ['lookaside-purge', 'soft'],
      ['fastly-soft-purge', '1'],
    ] as const) {
      const found = await order('/a', { [name]: value });
      assert.ok(typeof found !== 'string');
      assert.deepEqual(found.options, { soft: true, dryRun: false });
    }
    const found = await order('/a', { 'lookaside-purge': 'all, soft  dry-run' });
    assert.deepEqual(found, { targets: [{ kind: 'all' }], options: { soft: true, dryRun: true } });
  });

  it('nothing that can be done when it contradicts itself', async () => {
    assert.match(String(await order('/a', { 'lookaside-purge': 'everything' })), /^Lookaside-Purge knows soft, /);
    assert.match(String(await order('/a', { 'lookaside-purge': 'prefix' })), /^a prefix ends in \//);
    assert.match(String(await order('/a/?', { 'lookaside-purge': 'prefix' })), /^a prefix ends in \//);
    assert.match(String(await order('*')), /^not a URL/);
    assert.match(String(await order('/', { 'lookaside-purge': 'prefix all' })), /^either /);
    assert.match(String(await order('/', { 'lookaside-purge': 'all', xkey: 'a' })), /^either /);
    const many = Array.from({ length: 1001 }, (_, n) => `t${n}`).join(' ');
    assert.match(String(await order('/', { xkey: many })), /^more tags/);
  });
});

describe('memcached.cache with purge', () => {
  const TOKEN = 'a-token-of-16-characters';
  const BEARER = ['Authorization', `Bearer ${TOKEN}`];
  const asked: (string | undefined)[] = [];
  let origin: Origin;
  let proxy: TestProxy;
  let open: TestProxy;

  before(async () => {
    origin = await startOrigin(({ method, url = '' }, response) => {
      asked.push(method);
      response.setHeader('Cache-Control', 'max-age=60, stale-while-revalidate=60');
      if (url.startsWith('/tagged')) response.setHeader('Cache-Tag', 'news');
      if (url.startsWith('/q')) response.setHeader('No-Vary-Search', 'params=("utm")');
      response.end('answer');
    });
    const cache = (options: object) => ({
      actions: { 'memcached.cache': { ...options, chain: { proxy: origin.url } } },
    });
    proxy = await startProxy(cache({ purge: { token: TOKEN }, keyParts: { headers: ['x-lang'] }, noVarySearch: true }));
    open = await startProxy(cache({}));
  });
  after(async () => {
    await Promise.all([proxy?.close(), open?.close()]);
    await origin?.close();
  });

  const purge = (target: string, ...fields: string[]) =>
    ask(proxy.url, target, { method: 'PURGE', fields: [...BEARER, ...fields] });
  const stored = (target: string, fields: readonly string[] = []) => askAndStore(proxy.url, target, { fields });
  const isKept = async (target: string, fields: readonly string[] = []) =>
    isHit((await ask(proxy.url, target, { fields })).cacheStatus);

  it('purges a URL under all its keys, and says so in JSON', async () => {
    await Promise.all([stored('/a'), stored('/a', ['X-Lang', 'de']), stored('/b', ['X-Lang', 'de'])]);
    const { status, headers, text } = await purge('/a');
    assert.equal(status, 200);
    assert.equal(headers['content-type'], 'application/json');
    assert.deepEqual(JSON.parse(text), {
      result: 'purged',
      soft: false,
      dryRun: false,
      purged: [{ url: `http://${SITE}/a`, result: 'purged' }],
    });
    assert.deepEqual([await isKept('/a'), await isKept('/a', ['X-Lang', 'de'])], [false, false]);
    assert.equal(await isKept('/b', ['X-Lang', 'de']), true);
    assert.equal(JSON.parse((await purge('/never')).text).result, 'absent');
  });

  it('purges what No-Vary-Search has put under one key by any of the URLs', async () => {
    await stored('/q?id=1&utm=a');
    await stored('/q?id=1&utm=b');
    assert.equal(await isKept('/q?id=1&utm=c'), true);
    assert.equal((await purge('/q?id=1&utm=d')).status, 200);
    assert.equal(await isKept('/q?id=1&utm=c'), false);
  });

  it('purges by tag, prefix and all; softly what is marked is used while it is refreshed', async () => {
    const targets = ['/tagged/1', '/dir/1', '/else'];
    await Promise.all(targets.map((target) => stored(target)));
    assert.deepEqual(JSON.parse((await purge('/', 'Cache-Tag', 'news')).text).purged, [
      { tag: 'news', result: 'purged' },
    ]);
    assert.deepEqual(await Promise.all(targets.map((target) => isKept(target))), [false, true, true]);
    assert.equal((await purge('/dir/', 'Lookaside-Purge', 'prefix')).status, 200);
    assert.deepEqual([await isKept('/dir/1'), await isKept('/else')], [false, true]);
    assert.equal((await purge('/else', 'Fastly-Soft-Purge', '1')).status, 200);
    assert.match((await ask(proxy.url, '/else')).cacheStatus, /hit; ttl=0; detail=stale-while-revalidate/);
    await stored('/else');
    assert.equal((await purge('/', 'Lookaside-Purge', 'all')).status, 200);
    assert.equal(await isKept('/else'), false);
  });

  it('tells strangers, web pages and those who ask for nonsense so, and asks the origin in no case', async () => {
    asked.length = 0;
    const statusOf = async (...fields: string[]) => (await ask(proxy.url, '/a', { method: 'PURGE', fields })).status;
    assert.equal(await statusOf(), 403);
    assert.equal(await statusOf('Authorization', 'Bearer another-token-of-16', 'X-Forwarded-For', '127.0.0.1'), 403);
    assert.equal(await statusOf(...BEARER, 'Origin', `http://${SITE}`), 403);
    assert.equal(await statusOf(...BEARER, 'Lookaside-Purge', 'everything'), 400);
    assert.equal(asked.includes('PURGE'), false);
  });

  it('lets through so many at a time', async () => {
    const tags = Array.from({ length: 1000 }, (_, n) => `t${n}`).join(' ');
    const dry = () => purge('/', 'xkey', tags, 'Lookaside-Purge', 'dry-run');
    const replies = [await dry(), await dry()];
    const [, limited] = replies;
    assert.equal(limited?.status, 429);
    assert.equal(limited?.headers['retry-after'], '1');
  });

  it('which is not there leaves PURGE to the origin', async () => {
    asked.length = 0;
    const { status, cacheStatus } = await ask(open.url, '/a', { method: 'PURGE' });
    assert.deepEqual({ status, asked }, { status: 200, asked: ['PURGE'] });
    assert.match(cacheStatus, /fwd=method/);
  });
});
