import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { ask } from '../support/ask.js';
import { type Answering, type CountingOrigin, startCountingOrigin } from '../support/counting-origin.js';
import { type Fleet, startFleet } from '../support/fleet.js';
import { rawCommand } from '../support/memcached.js';
import { until } from '../support/until.js';

const BACKOFF_MS = 400;

/** Good once, then as `then` says. */
function once(cacheControl: string, then: (response: ServerResponse) => void): Answering {
  return (_request, response, n) => {
    if (n === 1) response.writeHead(200, { 'Cache-Control': cacheControl, ETag: '"1"' }).end('good');
    else then(response);
  };
}

const fail = (status: number) => (response: ServerResponse) => void response.writeHead(status).end('broken');
const hangUp = (response: ServerResponse) => void response.socket?.resetAndDestroy();

/** Lifetimes that are over at once, but for their windows. */
const ROUTES: { readonly [path: string]: Answering } = {
  '/sie-500': once('max-age=0, stale-if-error=60', fail(500)),
  '/sie-503': once('max-age=0, stale-if-error=60', fail(503)),
  '/sie-down': once('max-age=0, stale-if-error=60', hangUp),
  '/sie-404': once('max-age=0, stale-if-error=60', fail(404)),
  '/silent-500': once('max-age=0', fail(500)),
  '/silent-down': once('max-age=0', hangUp),
  '/none-500': once('max-age=0, stale-if-error=0', fail(500)),
  '/none-down': once('max-age=0, stale-if-error=0', hangUp),
  '/must-500': once('max-age=0, must-revalidate', fail(500)),
  '/must-down': once('max-age=0, must-revalidate', hangUp),
  '/proxy-down': once('max-age=0, proxy-revalidate', hangUp),
  '/no-cache-down': once('no-cache', hangUp),
  '/shared-down': once('s-maxage=0', hangUp),
  '/over-sie': once('max-age=1, stale-if-error=1', fail(500)),
  '/over-swr': (_request, response, n) =>
    response.writeHead(200, { 'Cache-Control': 'max-age=1, stale-while-revalidate=1, stale-if-error=0' }).end(`${n}`),
  '/rate': once('max-age=0, stale-if-error=60', fail(500)),
  '/rate-swr': once('max-age=0, stale-while-revalidate=60, stale-if-error=60', fail(503)),
  '/never': (_request, response) => hangUp(response),
};

describe('what is stale', () => {
  let origin: CountingOrigin;
  let fleet: Fleet;
  /** Lets refreshes come to their end, by target. */
  const finish = new Map<string, () => void>();

  before(async () => {
    origin = await startCountingOrigin({
      ...ROUTES,
      '/swr': ({ url = '' }, response, n) => {
        const answer = () =>
          response.writeHead(200, { 'Cache-Control': 'max-age=0, stale-while-revalidate=60' }).end(`${n}`);
        if (n === 1) answer();
        else finish.set(url, answer);
      },
    });
    fleet = await startFleet({ upstream: origin.url, processes: 2, cache: { failureBackoff: `${BACKOFF_MS}ms` } });
  });
  after(async () => {
    await fleet?.stop();
    await origin?.close();
  });

  const [one, two] = [() => fleet.urls[0] ?? '', () => fleet.urls[1] ?? ''];
  const url = (client: number) => fleet.urls[client % fleet.urls.length] ?? '';

  /** Has the first process fetch and store what the second one is to find. */
  async function store(target: string): Promise<void> {
    assert.ok(['good', '1'].includes((await ask(one(), target)).text));
    const isStored = async () =>
      (await rawCommand(fleet.memcached.address, `get http://site.test${target}\r\n`)).includes(' life=');
    await until(isStored, `${target} is not stored`);
    assert.equal(origin.count(target), 1);
  }

  test('it is served at once while it is refreshed, and one process of the fleet refreshes it, once', async () => {
    await store('/swr');
    const replies = await Promise.all(Array.from({ length: 20 }, (_, client) => ask(url(client), '/swr')));
    for (const { text, cacheStatus } of replies) {
      assert.equal(text, '1');
      assert.match(cacheStatus, /^lookaside; hit; ttl=-?\d+; detail=stale-while-revalidate$/);
    }
    await until(() => finish.has('/swr'), 'nobody refreshes it');
    assert.equal(origin.count('/swr'), 2);
    finish.get('/swr')?.();
    finish.delete('/swr');
    for (const process of [one(), two()])
      await until(
        async () => (await ask(process, '/swr', { fields: ONLY_CACHED })).text === '2',
        'the new one is not served',
      );
    finish.get('/swr')?.();
  });

  for (const path of ['/sie-500', '/sie-503', '/sie-down', '/silent-500', '/silent-down']) {
    test(`${path}: it stands in for an origin that fails`, async () => {
      await store(path);
      for (const process of [one(), two()]) {
        const reply = await ask(process, path);
        assert.deepEqual([reply.status, reply.text], [200, 'good'], reply.cacheStatus);
        assert.match(reply.cacheStatus, /origin-failing/);
      }
    });
  }

  for (const [path, status] of [
    ['/sie-404', 404],
    ['/none-500', 500],
    ['/none-down', 504],
    ['/must-500', 500],
    ['/must-down', 504],
    ['/proxy-down', 504],
    ['/no-cache-down', 504],
    ['/shared-down', 504],
  ] as const) {
    test(`${path}: it does not, and the client learns of it by ${status}`, async () => {
      await store(path);
      for (const process of [one(), two()]) {
        const reply = await ask(process, path);
        assert.equal(reply.status, status, reply.cacheStatus);
        assert.equal(reply.text, status === 504 ? '' : 'broken');
      }
    });
  }

  test('beyond its windows it is not used any more', async () => {
    for (const target of ['/over-sie', '/over-swr']) await store(target);
    await delay(2100);
    assert.equal((await ask(two(), '/over-sie')).status, 500);
    const refreshed = await ask(two(), '/over-swr');
    assert.equal(refreshed.text, '2');
    assert.match(refreshed.cacheStatus, /fwd=(stale|uri-miss); fwd-status=200/);
  });

  test('an origin that fails is asked at a bounded rate, though it is asked for all the time', async () => {
    for (const target of ['/rate', '/rate-swr']) await store(target);
    const began = performance.now();
    let asked = 0;
    const client = async (n: number) => {
      while (performance.now() - began < 3 * BACKOFF_MS) {
        const { status, text } = await ask(url(n), n % 4 < 2 ? '/rate' : '/rate-swr');
        assert.deepEqual([status, text], [200, 'good']);
        asked++;
      }
    };
    await Promise.all(Array.from({ length: 8 }, (_, n) => client(n)));
    // by each process: at the beginning, and once after each back-off
    const most = 2 * (1 + Math.ceil((performance.now() - began) / BACKOFF_MS));
    assert.ok(asked > 5 * most, `only ${asked} requests`);
    for (const target of ['/rate', '/rate-swr'])
      assert.ok(
        origin.count(target) - 1 <= most,
        `${target} was asked for ${origin.count(target) - 1} times by ${asked} requests`,
      );
  });

  test('without anything stored, an origin that is down is a 502', async () => {
    for (const process of [one(), two()]) {
      const reply = await ask(process, '/never');
      assert.equal(reply.status, 502);
      assert.match(String(reply.headers['proxy-status']), /^lookaside; error=connection_terminated/);
    }
  });
});

/** Asks whether there is something, without having it fetched. */
const ONLY_CACHED = ['Cache-Control', 'only-if-cached'];
