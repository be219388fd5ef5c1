import assert from 'node:assert/strict';
import { text } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import { ask, askAndStore, isHit } from '../support/ask.js';
import { type Answering, type CountingOrigin, startCountingOrigin } from '../support/counting-origin.js';
import { type Fleet, startFleet } from '../support/fleet.js';
import { RawClient } from '../support/raw-client.js';
import { until } from '../support/until.js';

const FRESH = { 'Cache-Control': 'max-age=60' };
const USERS = 12;

/** How long answers take on which users are to meet. */
const WAIT_MS = 100;

/** An answer to one user, some time after the question, so that others come meanwhile. */
function slowly(fields: { readonly [name: string]: string }): Answering {
  return ({ headers }, response, n) => {
    const user = headers.authorization ?? headers.cookie ?? headers['x-user'] ?? 'nobody';
    setTimeout(() => response.writeHead(200, { ...fields, 'X-Secret': user }).end(`${user} ${n}`), WAIT_MS);
  };
}

describe('many users, two processes', () => {
  let origin: CountingOrigin;
  let fleet: Fleet;

  before(async () => {
    origin = await startCountingOrigin({
      '/authorized': slowly(FRESH),
      '/authorized-for-all': ({ headers }, response, n) =>
        response
          .writeHead(200, { 'Cache-Control': 'public, max-age=60' })
          .end(`for all, as ${headers.authorization} ${n}`),
      '/cookie': slowly({ 'Last-Modified': new Date(Date.now() - 864_000_000).toUTCString() }),
      '/set-cookie': ({ headers }, response, n) => {
        const user = headers['x-user'];
        setTimeout(
          () => response.writeHead(200, { ...FRESH, 'Set-Cookie': `id=${user}` }).end(`${user} ${n}`),
          WAIT_MS,
        );
      },
      '/private': slowly({ 'Cache-Control': 'private, max-age=60' }),
      '/private-field': slowly({ 'Cache-Control': 'max-age=60, private="X-Secret"' }),
      '/no-cache-field': slowly({ 'Cache-Control': 'max-age=60, no-cache="x-secret, x-other"' }),
      '/no-store': slowly({ 'Cache-Control': 'no-store' }),
      '/page': ({ method }, response, n) =>
        response
          .writeHead(200, { ...FRESH, 'Content-Type': 'text/plain', ETag: '"p"' })
          .end(method === 'HEAD' ? '' : `page ${n}`),
      '/query': async (request, response, n) => {
        const body = await text(request);
        response.writeHead(200, FRESH).end(`${request.method} ${body} ${n}`);
      },
      '/chat': ({ socket }, response) => {
        response.writeHead(101, { Connection: 'Upgrade', Upgrade: 'websocket' }).flushHeaders();
        socket.pipe(socket);
      },
      '/language': ({ headers }, response, n) =>
        setTimeout(
          () =>
            response.writeHead(200, { ...FRESH, Vary: 'Accept-Language' }).end(`${headers['accept-language']} ${n}`),
          WAIT_MS,
        ),
    });
    fleet = await startFleet({ upstream: origin.url, processes: 2 });
  });
  after(async () => {
    await fleet?.stop();
    await origin?.close();
  });

  const url = (client: number) => fleet.urls[client % fleet.urls.length] ?? '';

  const users = Array.from({ length: USERS }, (_, n) => `user-${n}`);

  /** What users get who all ask at the same time. */
  const crowd = (target: string, fieldsOf: (user: string) => readonly string[]) =>
    Promise.all(users.map((user, n) => ask(url(n), target, { fields: fieldsOf(user) })));

  for (const [target, fieldsOf] of [
    ['/authorized', (user: string) => ['Authorization', user]],
    ['/cookie', (user: string) => ['Cookie', user]],
    ['/set-cookie', (user: string) => ['X-User', user]],
    ['/private', (user: string) => ['Cookie', user]],
    ['/no-store', (user: string) => ['X-User', user]],
  ] as const) {
    test(`${target}: each gets an answer of their own, also when all ask at the same time`, async () => {
      const together = await crowd(target, fieldsOf);
      for (const [n, user] of users.entries()) {
        const { text: answer, headers, cacheStatus } = together[n] ?? assert.fail();
        assert.ok(answer.startsWith(`${user} `), `${user} got ${answer} (${cacheStatus})`);
        if (target === '/set-cookie') assert.deepEqual(headers['set-cookie'], [`id=${user}`]);
      }
      assert.equal(origin.count(target), USERS);
      const nobody = await ask(url(1), target);
      assert.ok(!isHit(nobody.cacheStatus), nobody.cacheStatus);
      assert.doesNotMatch(nobody.text, /user-/);
    });
  }

  test('a response to Authorization that says it is for all is for all', async () => {
    const target = '/authorized-for-all';
    await ask(url(0), target, { fields: ['Authorization', 'alice'] });
    await until(async () => isHit((await ask(url(0), target)).cacheStatus), 'it is not stored');
    assert.match((await ask(url(1), target, { fields: ['Authorization', 'bob'] })).text, /^for all, as alice 1$/);
  });

  for (const target of ['/private-field', '/no-cache-field']) {
    test(`${target}: a field that is for one user reaches nobody else, neither with the response nor out of the store`, async () => {
      const together = await crowd(target, (user) => ['X-User', user]);
      const own = together.filter(({ headers }) => headers['x-secret'] !== undefined);
      for (const { headers, text: answer, cacheStatus } of own) {
        assert.ok(answer.startsWith(`${headers['x-secret']} `), `${answer} with ${headers['x-secret']}`);
        assert.doesNotMatch(cacheStatus, /collapsed|hit/);
      }
      assert.equal(own.length, origin.count(target));
      const stored = await askAndStore(url(1), target);
      assert.equal(stored.headers['x-secret'], undefined);
    });
  }

  test('two languages at once are two fetches, and each reader gets theirs', async () => {
    const target = '/language';
    // the first one shows what it varies on
    await askAndStore(url(0), target, { fields: ['Accept-Language', 'en'] });
    const languages = ['de', 'fr'];
    const replies = await Promise.all(
      Array.from({ length: USERS }, async (_, n) => {
        const language = languages[n % 3 === 0 ? 0 : 1] ?? '';
        return [language, await ask(url(n), target, { fields: ['Accept-Language', language] })] as const;
      }),
    );
    for (const [language, reply] of replies) assert.match(reply.text, new RegExp(`^${language} `));
    assert.equal(origin.count(target), 3);
    for (const language of ['en', ...languages]) {
      const hit = await askAndStore(url(1), target, { fields: ['Accept-Language', language] });
      assert.match(hit.text, new RegExp(`^${language} `));
    }
    assert.equal(origin.count(target), 3);
  });

  test('HEAD is answered from a stored GET, and stores nothing itself', async () => {
    const cold = await ask(url(0), '/page?cold', { method: 'HEAD' });
    assert.deepEqual([cold.status, cold.text], [200, '']);
    assert.doesNotMatch(cold.cacheStatus, /stored/);
    assert.equal((await askAndStore(url(0), '/page?cold')).text, 'page 2');
    for (const client of [0, 1]) {
      const { status, headers, text: body, cacheStatus } = await ask(url(client), '/page?cold', { method: 'HEAD' });
      assert.deepEqual([status, body, headers['content-length'], headers.etag], [200, '', '6', '"p"']);
      assert.ok(isHit(cacheStatus), cacheStatus);
    }
    assert.equal(origin.count('/page?cold'), 2);
  });

  test('QUERY, and a method that nobody knows, pass with their bodies; POST purges, and they do not', async () => {
    const target = '/query';
    assert.equal((await askAndStore(url(0), target)).text, 'GET  1');
    assert.equal((await ask(url(0), target, { method: 'QUERY', body: 'select 1' })).text, 'QUERY select 1 2');
    assert.equal((await ask(url(1), target, { method: 'QUERY', body: 'select 2' })).text, 'QUERY select 2 3');
    assert.match((await ask(url(1), target, { method: 'QUERY', body: 'select 2' })).cacheStatus, /fwd=method/);
    assert.equal((await ask(url(1), target)).text, 'GET  1');
    assert.equal((await ask(url(1), target, { method: 'POST', body: 'change' })).text, 'POST change 5');
    assert.equal((await ask(url(0), target)).text, 'GET  6');
  });

  test('a WebSocket passes through the cache in both directions', async () => {
    const client = await RawClient.connect(url(0));
    client.send(
      'GET /chat HTTP/1.1\r\nHost: site.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: a\r\n\r\n',
    );
    await client.until(/^HTTP\/1.1 101 .*\r\n\r\n/s);
    client.send('\x81\x05hello');
    assert.ok((await client.until(/hello/)).endsWith('\r\n\r\n\x81\x05hello'));
    client.close();
  });
});
