import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { parse } from 'yaml';
import { ask, askAndStore, isHit, SITE } from '../support/ask.js';
import { lookaside } from '../support/command.js';
import { type Memcached, startMemcached } from '../support/memcached.js';
import { type Origin, startOrigin } from '../support/origin.js';
import { startProxy, type TestProxy } from '../support/proxy.js';

const PHONE = ['User-Agent', 'Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Mobile/15E148'];
const SEGMENTED_BYTES = 2_500_000;

describe('what memcached.cache has stored', () => {
  const folder = mkdtempSync(join(tmpdir(), 'lookaside-purge-'));
  const config = join(folder, 'lookaside.yaml');
  let memcached: Memcached;
  let origin: Origin;
  let proxy: TestProxy;
  let answers = 0;

  before(async () => {
    memcached = await startMemcached();
    origin = await startOrigin(({ url = '' }, response) => {
      response.setHeader('Cache-Control', 'max-age=60, stale-while-revalidate=60');
      if (url.startsWith('/news')) response.setHeader('Surrogate-Key', 'news top');
      if (url === '/language') response.setHeader('Vary', 'Accept-Language');
      response.end(url === '/large' ? Buffer.alloc(SEGMENTED_BYTES, 'x') : `${++answers}`);
    });
    const text = `
memcached: {servers: ["${memcached.server}"], timeout: 2s, secret: ${'s'.repeat(32)}}
actions:
  memcached.cache:
    keyParts: {device: true}
    query: {ignore: [utm_*]}
    chain: {proxy: "${origin.url}"}
`;
    writeFileSync(config, text);
    proxy = await startProxy(parse(text));
  });
  after(async () => {
    await proxy?.close();
    await Promise.all([memcached?.stop(), origin?.close()]);
    rmSync(folder, { recursive: true });
  });

  const stored = (target: string, fields: readonly string[] = []) => askAndStore(proxy.url, target, { fields });
  const isKept = async (target: string, fields: readonly string[] = []) =>
    isHit((await ask(proxy.url, target, { fields })).cacheStatus);
  const purge = (...args: string[]) => lookaside(['purge', '--config', config, ...args]);
  const url = (target: string) => `http://${SITE}${target}`;

  it('is purged by its URL, whatever else is in the keys', async () => {
    await Promise.all([stored('/page?a=1'), stored('/page?a=1', PHONE), stored('/page?a=2', PHONE)]);
    const { exitCode, stdout } = await purge(`${url('/page?utm_source=x&a=1')}`);
    assert.equal(stdout, `purged ${url('/page?utm_source=x&a=1')}\n`);
    assert.deepEqual([await isKept('/page?a=1'), await isKept('/page?a=1', PHONE)], [false, false]);
    assert.equal(await isKept('/page?a=2', PHONE), true);
    assert.equal(exitCode, 0);
  });

  it('is purged by tags and prefixes, and a dry run leaves it there', async () => {
    await Promise.all([stored('/news/1'), stored('/archive/a/b'), stored('/archive'), stored('/other')]);
    const words = ['--tag', 'news', '--tag', 'unheard-of', '--prefix', url('/archive/')];
    const dry = await purge('--dry-run', ...words);
    const answer = (purged: string) =>
      `${purged} tag news\nabsent tag unheard-of\n${purged} prefix ${url('/archive/')}\n`;
    assert.equal(dry.stdout, answer('would purge'));
    assert.deepEqual([await isKept('/news/1'), await isKept('/archive/a/b')], [true, true]);
    assert.equal((await purge(...words)).stdout, answer('purged'));
    assert.deepEqual([await isKept('/news/1'), await isKept('/archive/a/b')], [false, false]);
    assert.deepEqual([await isKept('/archive'), await isKept('/other')], [true, true]);
  });

  it('is marked stale with --soft, and all of it is gone with --all', async () => {
    await Promise.all([stored('/news/2'), stored('/soft')]);
    const soft = await purge('--soft', '--json', '--tag', 'top', url('/soft'));
    assert.deepEqual(JSON.parse(soft.stdout), [
      { target: url('/soft'), storeKeys: [`${url('/soft')}#device=desktop`], result: 'purged' },
      { target: 'tag top', storeKeys: ['lookaside:tag:top'], result: 'purged' },
    ]);
    for (const target of ['/news/2', '/soft']) {
      assert.match(
        (await ask(proxy.url, target)).cacheStatus,
        /^lookaside; hit; ttl=0; detail=stale-while-revalidate/,
        target,
      );
    }
    await stored('/last');
    assert.equal((await purge('--all')).stdout, 'purged everything\n');
    assert.equal(await isKept('/last'), false);
  });

  it('is shown by get: a response, the index of its variants, and where its segments lie', async () => {
    await Promise.all([stored('/news/3'), stored('/language', ['Accept-Language', 'de']), stored('/large')]);
    const get = (...args: string[]) => lookaside(['get', '--memcached', memcached.server, ...args]);
    const json = async (key: string, ...args: string[]) => JSON.parse((await get('--json', ...args, key)).stdout);
    const entry = await json(`${url('/news/3')}#device=desktop`);
    assert.equal(entry.kind, 'entry');
    assert.equal(entry.head.status, 200);
    assert.equal(entry.head.metadata.freshness.lifetimeSeconds, 60);
    const { counters, ...labels } = entry.head.purge;
    assert.deepEqual(labels, { url: url('/news/3'), prefix: url('/news/'), tags: ['news', 'top'] });
    assert.equal(counters.length, 6);

    const index = await json(`${url('/language')}#device=desktop`);
    assert.equal(index.kind, 'variants');
    assert.deepEqual(index.variants[0].vary, ['accept-language']);
    assert.equal((await json(index.variants[0].storeKey, '--raw')).head.status, 200);

    const key = `${url('/large')}#device=desktop`;
    const large = await json(key);
    assert.equal(large.segments.length, 3);
    assert.ok(large.segments.every(({ isThere }: { isThere: boolean }) => isThere));
    const { exitCode, stdoutBytes } = await get('--body', key);
    assert.deepEqual([exitCode, stdoutBytes.length], [0, SEGMENTED_BYTES]);
    assert.match((await get('--head', key)).stdout, /^HTTP\/1\.1 200 \r\nlookaside: 2 .*\r\n\r\n$/s);
  });
});

it('a purge by tag needs a cache that knows tags', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'lookaside-purge-'));
  const config = join(folder, 'lookaside.yaml');
  writeFileSync(config, 'memcached: {servers: [127.0.0.1]}\nactions: memcached.lookup\n');
  const { exitCode, stderr } = await lookaside(['purge', '--config', config, '--tag', 'news']);
  rmSync(folder, { recursive: true });
  assert.equal(stderr, 'lookaside purge: tag news: the configuration has no memcached.cache, which knows of it\n');
  assert.equal(exitCode, 2);
});

it('a purge by tag that reaches nobody has failed', async () => {
  const { exitCode, stdout } = await lookaside(['purge', '--memcached', 'unix:/nonexistent/m.sock', '--tag', 'news']);
  assert.match(stdout, /^failed tag news: .*nonexistent/);
  assert.equal(exitCode, 3);
});
