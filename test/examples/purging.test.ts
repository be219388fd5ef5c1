import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import { ask, askAndStore, isHit, SITE } from '../support/ask.js';
import { type Memcached, rawCommand, startMemcached } from '../support/memcached.js';
import { type Origin, startOrigin } from '../support/origin.js';
import { startProxy, type TestProxy } from '../support/proxy.js';
import { packageRoot } from '../support/root.js';

const example = (name: string) => join(packageRoot, 'examples/purging', name);

const LANGUAGES = {
  Python: ['/usr/bin/python3', example('purge.py')],
  PHP: ['php', example('purge.php')],
  shell: ['bash', example('purge.sh')],
} as const;

const LONG_TAG = 't'.repeat(240);
const DEEP = '/1/2/3/4/5/6/7/8/9/';

describe('a backend purges with plain memcached commands, in a pool of two servers', () => {
  let pool: Memcached[] = [];
  let origin: Origin;
  /** One keeps a page under its URL, the other one for each language. */
  let proxy: TestProxy;
  let byLanguage: TestProxy;

  before(async () => {
    pool = await Promise.all([startMemcached(), startMemcached()]);
    origin = await startOrigin((_request, response) => {
      const tags = { 'Surrogate-Key': `news ${LONG_TAG}`, 'Cache-Tag': 'two words' };
      response.writeHead(200, { 'Cache-Control': 'max-age=60, stale-while-revalidate=60', ...tags }).end('page');
    });
    const start = (options: object) =>
      startProxy({
        memcached: { servers: pool.map(({ server }) => server), timeout: '2s' },
        actions: { 'memcached.cache': { ...options, chain: { proxy: origin.url } } },
      });
    [proxy, byLanguage] = await Promise.all([start({}), start({ keyParts: { headers: ['x-lang'] } })]);
  });
  after(async () => {
    await Promise.all([proxy?.close(), byLanguage?.close()]);
    await Promise.all([...pool.map((memcached) => memcached.stop()), origin?.close()]);
  });

  const url = (target: string) => `http://${SITE}${target}`;
  const stored = (targets: readonly string[]) =>
    Promise.all(targets.map((target) => askAndStore(proxy.url, target))).then(() => {});

  async function kept(targets: readonly string[]): Promise<boolean[]> {
    return Promise.all(targets.map(async (target) => isHit((await ask(proxy.url, target)).cacheStatus)));
  }

  for (const [language, [program, script]] of Object.entries(LANGUAGES)) {
    const run = async (servers: string, words: readonly string[]) => {
      const child = spawn(program, [script, servers, ...words], { stdio: ['ignore', 'inherit', 'pipe'] });
      const [complaint, [code]] = await Promise.all([text(child.stderr), once(child, 'close')]);
      return { code, complaint };
    };
    const purge = async (...words: string[]) => {
      const ended = await run(pool.map(({ server }) => server).join(), words);
      assert.deepEqual(ended, { code: 0, complaint: '' });
    };
    const own = (target: string) => `/${language}${target}`;

    test(`${language}: a page goes, by a URL of any length`, async () => {
      const targets = [own('/a?b=1'), own(`/${'x'.repeat(250)}`), own('/b')];
      await stored(targets);
      await Promise.all(targets.slice(0, 2).map((target) => purge('url', url(target))));
      assert.deepEqual(await kept(targets), [false, false, true]);
    });

    test(`${language}: a page goes under all keys that it has`, async () => {
      const fields = ['X-Lang', 'de'];
      const target = own('/keyed');
      await askAndStore(byLanguage.url, target, { fields });
      await purge('url', url(target));
      assert.ok(isHit((await ask(byLanguage.url, target, { fields })).cacheStatus));
      await purge('keyed-url', url(target));
      assert.ok(!isHit((await ask(byLanguage.url, target, { fields })).cacheStatus));
    });

    test(`${language}: what bears a tag goes, whatever the tag; and what is below a prefix`, async () => {
      for (const tag of ['news', 'two words', LONG_TAG]) {
        await stored([own('/tagged')]);
        await purge('tag', tag);
        assert.deepEqual(await kept([own('/tagged')]), [false], tag);
      }
      const targets = [own('/dir/a'), own(`${DEEP}x`), own('/dir')];
      await stored(targets);
      await Promise.all([purge('prefix', url(own('/dir/'))), purge('prefix', url(own(DEEP)))]);
      assert.deepEqual(await kept(targets), [false, false, true]);
    });

    test(`${language}: what is purged softly is used while it is refreshed; and then everything goes`, async () => {
      await stored([own('/soft')]);
      await purge('--soft', 'tag', 'news');
      assert.match((await ask(proxy.url, own('/soft'))).cacheStatus, /hit; ttl=0; detail=stale-while-revalidate/);
      await stored([own('/last')]);
      await purge('all');
      assert.deepEqual(await kept([own('/last')]), [false]);
    });

    test(`${language}: a counter that somebody has overwritten is no hindrance`, async () => {
      await stored([own('/overwritten')]);
      for (const { address } of pool) {
        await rawCommand(address, 'set lookaside:tag:news 0 0 1\r\nx\r\nset lookaside:epoch:7 0 0 1\r\nx\r\n');
      }
      await purge('tag', 'news');
      assert.match(await rawCommand(pool[0]?.address ?? assert.fail(), 'get lookaside:tag:news\r\n'), /^END/);
      assert.deepEqual(await kept([own('/overwritten')]), [false]);
    });

    test(`${language}: a server that does not answer makes it fail, and the others have been told`, async () => {
      await stored([own('/half')]);
      const servers = ['127.0.0.1:1', ...pool.map(({ server }) => server)].join();
      const { code, complaint } = await run(servers, ['url', url(own('/half'))]);
      assert.equal(code, 1);
      assert.match(complaint, /^not purged, run it again: /);
      assert.deepEqual(await kept([own('/half')]), [false]);
    });
  }
});
