import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { ask, askAndStore, isHit } from '../support/ask.js';
import { type CountingOrigin, startCountingOrigin } from '../support/counting-origin.js';
import { type Fleet, startFleet } from '../support/fleet.js';
import { type PythonClient, startPythonClient } from '../support/python-client.js';
import { until } from '../support/until.js';

/** What a purge adds to a counter. */
const HARD = 1 << 20;
const SOFT = 1;

const FRESH = { 'Cache-Control': 'max-age=60' };

const TOKEN = '0123456789abcdef0123456789abcdef';
const MAY_PURGE = ['Authorization', `Bearer ${TOKEN}`];

describe('two processes share what is stored, and what is purged', () => {
  let origin: CountingOrigin;
  let fleet: Fleet;
  let python: PythonClient;
  /** Lets the slow pages of the origin come to their end, by target. */
  const finish = new Map<string, () => void>();

  before(async () => {
    origin = await startCountingOrigin({
      '/page': (_request, response, n) =>
        response.writeHead(200, { ...FRESH, 'Surrogate-Key': 'news top' }).end(`${n}`),
      '/dir/deep/page': (_request, response, n) =>
        response.writeHead(200, { ...FRESH, 'Cache-Tag': 'top' }).end(`${n}`),
      '/untagged': (_request, response, n) => response.writeHead(200, FRESH).end(`${n}`),
      '/language': ({ headers }, response, n) =>
        response
          .writeHead(200, { ...FRESH, Vary: 'Accept-Language', 'Surrogate-Key': 'words' })
          .end(`${headers['accept-language']} ${n}`),
      '/validated': ({ headers }, response, n) => {
        const fields = { ...FRESH, ETag: '"v"', 'Surrogate-Key': 'validated' };
        if (headers['if-none-match'] === '"v"') response.writeHead(304, fields).end();
        else response.writeHead(200, fields).end(`whole ${n}`);
      },
      '/slow': ({ url = '' }, response, n) => {
        response.writeHead(200, { ...FRESH, 'Surrogate-Key': tagOf(url), 'Content-Length': '8' }).write('half');
        finish.set(url, () => response.end(` n=${n}`));
      },
      '/late': ({ url = '' }, response, n) => {
        finish.set(url, () => response.writeHead(200, { ...FRESH, 'Surrogate-Key': tagOf(url) }).end(`half n=${n}`));
      },
    });
    fleet = await startFleet({ upstream: origin.url, processes: 2, cache: { purge: { token: TOKEN } } });
    python = startPythonClient(fleet.memcached.server);
  });
  after(async () => {
    await python?.stop();
    await fleet?.stop();
    await origin?.close();
  });

  const url = (process: number) => fleet.urls[process] ?? '';
  /** What the first process and then, when that is stored, the second one answer. */
  const both = async (target: string, ...fields: string[]) => [
    (await askAndStore(url(0), target, { fields })).text,
    (await ask(url(1), target, { fields })).text,
  ];

  async function raiseEpochs(): Promise<void> {
    for (let i = 0; i < 16; i++) await python.call('incr', `lookaside:epoch:${i}`, 1);
  }
  async function raise(counter: string, by: number): Promise<void> {
    await raiseEpochs();
    await python.call('incr', counter, by);
    await raiseEpochs();
  }

  test('by PURGE at one of them: a URL, a tag, a prefix, everything', async () => {
    for (const [target, ...fields] of [
      ['/page?method'],
      ['/nothing', 'Surrogate-Key', 'news'],
      ['/', 'Lookaside-Purge', 'prefix'],
      ['/', 'Lookaside-Purge', 'all'],
    ] as const) {
      for (const process of [0, 1]) {
        const [text = ''] = await both('/page?method');
        const purged = await ask(url(process), target, { method: 'PURGE', fields: [...MAY_PURGE, ...fields] });
        assert.equal(purged.status, 200, purged.text);
        const next = String(Number(text) + 1);
        assert.deepEqual(await both('/page?method'), [next, next], fields.join());
      }
    }
  });

  test('by PURGE only with the token, wherever a request says it comes from', async () => {
    const target = '/page?token';
    const [text] = await both(target);
    for (const fields of [
      [],
      ['Authorization', `Bearer ${TOKEN.slice(1)}`],
      ['Authorization', TOKEN],
      ['X-Forwarded-For', '127.0.0.1', 'Forwarded', 'for=127.0.0.1'],
      ['X-HTTP-Method-Override', 'PURGE', 'Cookie', `token=${TOKEN}`],
      [...MAY_PURGE, 'Origin', 'http://evil.test'],
    ]) {
      for (const asked of [target, `${target}&token=${TOKEN}`])
        assert.equal((await ask(url(0), asked, { method: 'PURGE', fields })).status, 403, fields.join());
    }
    assert.deepEqual(await both(target), [text, text]);
  });

  test('by a backend in Python, a URL: both forget it at once', async () => {
    assert.deepEqual(await both('/page'), ['1', '1']);
    assert.equal(await python.call('delete', 'http://site.test/page'), true);
    assert.deepEqual(await both('/page'), ['2', '2']);
    assert.equal(await python.call('delete', 'http://site.test/page'), true);
    assert.equal((await askAndStore(url(1), '/page')).text, '3');
    assert.equal((await ask(url(0), '/page')).text, '3');
  });

  test('by a backend, a URL that is too long for a key: its SHA-1 names it', async () => {
    const target = `/page?${'x'.repeat(300)}`;
    assert.deepEqual(await both(target), ['1', '1']);
    const key = createHash('sha1').update(`http://site.test${target}`).digest('hex');
    assert.equal(await python.call('delete', key), true);
    assert.deepEqual(await both(target), ['2', '2']);
  });

  test('by a backend in Python, a URL: all variants go with it', async () => {
    assert.deepEqual(await both('/language', 'Accept-Language', 'de'), ['de 1', 'de 1']);
    assert.deepEqual(await both('/language', 'Accept-Language', 'fr'), ['fr 2', 'fr 2']);
    assert.deepEqual(await both('/language', 'Accept-Language', 'de'), ['de 1', 'de 1']);
    assert.equal(await python.call('delete', 'http://site.test/language'), true);
    assert.deepEqual(await both('/language', 'Accept-Language', 'fr'), ['fr 3', 'fr 3']);
    assert.deepEqual(await both('/language', 'Accept-Language', 'de'), ['de 4', 'de 4']);
  });

  test('by a backend, a tag: what bears it is gone from both, variants as well, and nothing else', async () => {
    await both('/page?tag');
    await both('/dir/deep/page?tag');
    await both('/untagged?tag');
    await both('/language?tag', 'Accept-Language', 'de');
    await both('/language?tag', 'Accept-Language', 'fr');
    await raise('lookaside:tag:top', HARD);
    assert.deepEqual(await both('/page?tag'), ['2', '2']);
    assert.deepEqual(await both('/dir/deep/page?tag'), ['2', '2']);
    assert.deepEqual(await both('/untagged?tag'), ['1', '1']);
    assert.deepEqual(await both('/language?tag', 'Accept-Language', 'de'), ['de 1', 'de 1']);
    await raise('lookaside:tag:words', HARD);
    assert.deepEqual(await both('/language?tag', 'Accept-Language', 'fr'), ['fr 3', 'fr 3']);
    assert.deepEqual(await both('/language?tag', 'Accept-Language', 'de'), ['de 4', 'de 4']);
    assert.deepEqual(await both('/page?tag'), ['2', '2']);
  });

  test('by a backend, a prefix: what lies below is gone, what lies beside stays', async () => {
    await both('/dir/deep/page?prefix');
    await both('/page?prefix');
    await raise('lookaside:prefix:http://site.test/dir/', HARD);
    assert.deepEqual(await both('/dir/deep/page?prefix'), ['2', '2']);
    assert.deepEqual(await both('/page?prefix'), ['1', '1']);
  });

  test('by a backend, everything, by the counter of all; and again by deleting it', async () => {
    await both('/page?all');
    await both('/untagged?all');
    await raise('lookaside:all', HARD);
    assert.deepEqual(await both('/page?all'), ['2', '2']);
    assert.deepEqual(await both('/untagged?all'), ['2', '2']);
    assert.equal(await python.call('delete', 'lookaside:all'), true);
    await raiseEpochs();
    assert.deepEqual(await both('/page?all'), ['3', '3']);
  });

  test('by a backend, softly: the entry is revalidated by one process, and is as good as new for the other', async () => {
    assert.deepEqual(await both('/validated'), ['whole 1', 'whole 1']);
    await raise('lookaside:tag:validated', SOFT);
    const revalidated = await ask(url(0), '/validated');
    assert.equal(revalidated.text, 'whole 1');
    assert.match(revalidated.cacheStatus, /fwd=stale; fwd-status=304/);
    const reused = await ask(url(1), '/validated');
    assert.equal(reused.text, 'whole 1');
    assert.ok(isHit(reused.cacheStatus), reused.cacheStatus);
    assert.equal(origin.count('/validated'), 2);
  });

  const PURGES = {
    'by URL': (target: string) => python.call('delete', `http://site.test${target}`),
    'by tag': (target: string) => raise(`lookaside:tag:${tagOf(target)}`, HARD),
    'by prefix': () => raise('lookaside:prefix:http://site.test/', HARD),
    'of everything': () => raise('lookaside:all', HARD),
    'by flush_all': () => python.call('flush_all'),
  };

  for (const [name, purge] of Object.entries(PURGES)) {
    test(`a purge ${name} is not undone by a fetch that began before it, whether its head has come or not`, async () => {
      for (const path of ['/slow', '/late']) {
        const target = `${path}?${name.replaceAll(' ', '-')}`;
        const began = ask(url(0), target);
        await until(() => finish.has(target), 'the origin was not asked');
        await purge(target);
        finish.get(target)?.();
        const { text, isWhole } = await began;
        assert.deepEqual([text, isWhole], ['half n=1', true]);
        finish.delete(target);
        const after = askAndStore(url(1), target);
        await until(() => finish.has(target), `${target}: what had been purged is back`);
        finish.get(target)?.();
        assert.equal((await after).text, 'half n=2');
        assert.equal((await ask(url(0), target)).text, 'half n=2');
        assert.equal(origin.count(target), 2);
      }
    });
  }
});

/** A tag that nothing else bears. */
function tagOf(target: string): string {
  return target.replace(/[^a-z-]/g, '.');
}
