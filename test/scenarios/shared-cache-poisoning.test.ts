import assert from 'node:assert/strict';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import { ask, askAndStore, isHit } from '../support/ask.js';
import { type CountingOrigin, startCountingOrigin } from '../support/counting-origin.js';
import { type Fleet, startFleet } from '../support/fleet.js';
import { rawRequest, statusesIn } from '../support/raw-client.js';

const FRESH = { 'Cache-Control': 'max-age=60' };

/** Fields that some origin or framework lets change its answer, and that no key covers. */
const UNKEYED = [
  ...['X-Forwarded-Host', 'X-Forwarded-Proto', 'X-Forwarded-Scheme', 'X-Forwarded-Port', 'X-Forwarded-Prefix'],
  ...['X-Forwarded-For', 'X-Forwarded-Server', 'X-Forwarded-Path', 'X-Forwarded-SSL', 'X-Forwarded', 'X-Forwarded-By'],
  ...['X-Forwarded-Uri', 'X-Forwarded-Method', 'X-Forwarded-User', 'X_Forwarded_Host', 'X_Forwarded_For', 'Forwarded'],
  ...['Forwarded-For', 'X-Original-URL', 'X-Original-URI', 'X-Original-Host', 'X-Original-Method', 'X-Rewrite-URL'],
  ...['X-HTTP-Method-Override', 'X-HTTP-Method', 'X-Method-Override', 'X-HTTP-Path-Override', 'X-HTTP-Host-Override'],
  ...['X-Host', 'X-Real-IP', 'X-Client-IP', 'Client-IP', 'True-Client-IP', 'CF-Connecting-IP', 'Fastly-Client-IP'],
  ...['X-Cluster-Client-IP', 'X-Originating-IP', 'X-Remote-IP', 'X-Remote-Addr', 'X-ProxyUser-Ip', 'X-Scheme'],
  ...['X-URL-Scheme', 'Front-End-Https', 'Proxy', 'Proxy-Connection', 'X_Original_URL'],
];

/** Ends of a path that make it look like a file that everybody may have. */
const DISGUISES = [
  ...['/x.css', ';x.css', '%3bx.css', '%00x.css', '%0ax.css', '%23x.css', '%3fx.css', '%2fx.css', '/..%2fx.css'],
  ...[
    '/..%2f..%2fstatic/x.css',
    '//x.css',
    '\\x.css',
    '.css',
    '?x.css',
    '/.well-known/x.js',
    '%5cx.js',
    '/%2e%2e/x.png',
  ],
];

/** Ways to ask for what may be the same thing. Nobody but the origin can know. */
const SPELLINGS = [
  ...['/s', '/S', '/s/', '//s', '/./s', '/b/../s', '/%73', '/s%2f', '/s%2F', '/s;', '/s;a', '/s%3b', '/s%00', '/s%20'],
  ...['/s+', '/s\\', '/s%5c', '/s%23f', '/s%3f', '/s.', '/s%0d%0aflush_all%0d%0a', '/s%252f', '/s%C3%A9', '/s%c3%a9'],
  ...['/s?', '/s??', '/s?x=1', '/s?x=1&', '/s?&x=1', '/s?x=%31', '/s?X=1', '/s?x=1&y=2', '/s?y=2&x=1', '/s?x=1;y=2'],
  ...['/s?__proto__=1', '/s?constructor', '/s/__proto__', `/s/${'long'.repeat(100)}`, `/s?${'long'.repeat(1000)}`],
];

describe('what a client can do to what others get', () => {
  let origin: CountingOrigin;
  let fleet: Fleet;

  before(async () => {
    origin = await startCountingOrigin(
      {
        '/echo': async (request, response) => {
          const body = await text(request);
          const { method, url, rawHeaders } = request;
          response.writeHead(200, FRESH).end(`${method} ${url} ${rawHeaders.join(' ')} ${body}`);
        },
        '/host': ({ headers }, response) => response.writeHead(200, FRESH).end(headers.host),
        '/greeting': ({ headers }, response, n) =>
          response.writeHead(200, FRESH).end(`hello ${headers.authorization ?? headers.cookie ?? 'you'} ${n}`),
        '/plain': (_request, response, n) => response.writeHead(200, FRESH).end(`${n}`),
        '/fragile': fragile,
        '/lifetime': ({ url = '' }, response, n) => {
          const value = decodeURIComponent(url.slice('/lifetime?'.length));
          response.writeHead(200, { 'Cache-Control': `max-age=${value}` }).end(`${n}`);
        },
        '/headers': ({ url }, response, n) => {
          const name = url === '/headers?cookie' ? 'Set-Cookie: id=1' : 'Cache-Control: private';
          const fields = Array.from({ length: 1100 }, (_, i) => `a: ${i}\r\n`).join('');
          const rest = `${name}\r\nContent-Length: 1\r\nConnection: close\r\n\r\n${n}`;
          response.socket?.end(`HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n${fields}${rest}`);
        },
        '/odd': (_request, response, n) => {
          const fields = {
            'Cache-Control': '__proto__=1, constructor, max-age=60, toString="x"',
            Vary: '__proto__, Constructor',
          };
          response.writeHead(200, fields).end(`${n}`);
        },
      },
      (request, response) => {
        if (request.url?.startsWith('/account/')) account(request, response);
        else response.writeHead(200, FRESH).end(`you asked for ${request.url}`);
      },
    );
    fleet = await startFleet({ upstream: origin.url });
  });
  after(async () => {
    await fleet?.stop();
    await origin?.close();
  });

  const url = () => fleet.urls[0] ?? '';

  test('fields that are in no key do not reach the origin, one by one and all together', async () => {
    const attacks = [...UNKEYED.map((name) => [name]), UNKEYED];
    await Promise.all(
      attacks.map(async (names, n) => {
        const target = `/echo?unkeyed-${n}`;
        const attack = await ask(url(), target, { fields: names.flatMap((name) => [name, 'evil.example']) });
        assert.equal(attack.status, 200);
        assert.doesNotMatch(attack.text, /evil/, names.join());
        assert.doesNotMatch((await ask(url(), target)).text, /evil/, names.join());
      }),
    );
  });

  test('fields that Connection names do not undo what the proxy says of the client', async () => {
    const names = ['X-Forwarded-For', 'X-Real-IP', 'X-Forwarded-Proto', 'Host', 'Via'];
    const answer = await ask(url(), '/echo?connection', { fields: ['Connection', `close, ${names.join(', ')}`] });
    for (const expected of [
      'X-Forwarded-For 127.0.0.1',
      'X-Real-IP 127.0.0.1',
      'X-Forwarded-Proto http',
      'Host site.test',
    ])
      assert.ok(answer.text.includes(expected), answer.text);
  });

  for (const name of ['Authorization', 'Cookie']) {
    test(`a response to ${name} stays one, when Connection names the field`, async () => {
      const target = `/greeting?${name}`;
      const fields = ['Connection', `close, ${name}`, name, 'me'];
      const hers = await ask(url(), target, { fields });
      assert.equal(hers.text, 'hello you 1', 'the field is for the next hop only');
      const other = await ask(url(), target);
      if (name === 'Authorization') assert.deepEqual([isHit(other.cacheStatus), other.text], [false, 'hello you 2']);
    });
  }

  test('a GET with a body is answered without it, and not from the cache, nor for it', async () => {
    const target = '/echo?fat';
    const fields = ['Transfer-Encoding', 'chunked'];
    for (const asked of [{ body: 'evil' }, { body: 'evil', method: 'HEAD' }]) {
      const fat = await ask(url(), target, asked);
      assert.match(fat.cacheStatus, /fwd=bypass.*request-body/);
      assert.doesNotMatch(fat.text, /evil/);
    }
    const chunked = await rawRequest(
      url(),
      `GET ${target} HTTP/1.1\r\nHost: site.test\r\n${fields.join(': ')}\r\nConnection: close\r\n\r\n4\r\nevil\r\n0\r\n\r\n`,
    );
    assert.match(chunked, /fwd=bypass.*request-body/);
    assert.doesNotMatch(chunked, /evil/);
    const thin = await ask(url(), target);
    assert.match(thin.cacheStatus, /fwd=uri-miss/);
    assert.match((await askAndStore(url(), target)).text, /^GET/);
    assert.match((await ask(url(), target, { body: 'evil' })).cacheStatus, /fwd=bypass/);
  });

  test('what a malformed or oversized request gets is not what the next one gets', async () => {
    const head = (target: string) => `GET ${target} HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n`;
    const attacks: { readonly [name: string]: string } = {
      'hho-12k': `X-Oversized: ${'a'.repeat(12_000)}\r\n\r\n`,
      'hho-40k': `X-Oversized: ${'a'.repeat(40_000)}\r\n\r\n`,
      'hho-many': `${'X-Oversized: 1\r\n'.repeat(800)}\r\n`,
      'hmc-1': 'X-Meta: \x01\r\n\r\n',
      'hmc-0': 'X-Meta: \0\r\n\r\n',
      'hmc-b': 'X-Meta: \x0b\r\n\r\n',
      'hmc-cr': 'X-Meta: a\rb\r\n\r\n',
      'hmc-lf': 'X-Meta: a\nb\r\n\r\n',
      'hmc-del': 'X-Meta: \x7f\r\n\r\n',
      fold: 'X-Meta: a\r\n b\r\n\r\n',
      'no-colon': 'X-Meta\r\n\r\n',
      'bad-range': 'Range: bytes=9-1, x\r\n\r\n',
      expect: 'Expect: nothing-good\r\n\r\n',
      hmo: 'X-HTTP-Method-Override: HELP\r\n\r\n',
      'bad-condition': 'If-None-Match: "\x80\r\n\r\n',
    };
    await Promise.all(
      Object.entries(attacks).map(async ([name, rest]) => {
        const target = `/fragile?${name}`;
        await rawRequest(url(), head(target) + rest);
        const victim = await ask(url(), target);
        assert.deepEqual([victim.status, victim.text], [200, 'fine'], `${name}: ${victim.cacheStatus}`);
      }),
    );
    for (const method of ['POST', 'DELETE', 'HELP', 'PURGE', 'TRACE']) {
      const target = `/fragile?method-${method}`;
      const answer = await rawRequest(url(), `${head(target).replace('GET', method)}\r\n`);
      assert.doesNotMatch(answer, /; stored/);
      const victim = await ask(url(), target);
      assert.deepEqual([victim.status, victim.text], [200, 'fine'], method);
    }
  });

  for (const status of [400, 403, 404, 405, 413, 414, 431, 500, 501, 502, 503]) {
    test(`an error ${status} of which the origin does not say how long it lasts is not stored`, async () => {
      const target = `/fragile?error-${status}`;
      const attack = await ask(url(), target, { fields: ['X-Break', String(status)] });
      assert.equal(attack.status, status);
      assert.deepEqual((await ask(url(), target)).text, 'fine');
    });
  }

  test('a page of one user is nobody else’s, whatever its path looks like', async () => {
    const kinds = ['private', 'no-store', 'set-cookie', 'cookie', 'authorization'];
    const secret = ['Cookie', 'session=alice', 'Authorization', 'Basic alice'];
    await Promise.all(
      kinds.flatMap((kind) =>
        DISGUISES.map(async (disguise) => {
          const target = `/account/${kind}${disguise}`;
          const fields = kind === 'cookie' ? secret.slice(0, 2) : kind === 'authorization' ? secret.slice(2) : secret;
          const [hers, again] = [await ask(url(), target, { fields }), await ask(url(), target, { fields })];
          for (const reply of [hers, again]) assert.deepEqual([reply.status, reply.text], [200, 'alice'], target);
          for (const reply of [hers, again, await ask(url(), target)]) assert.ok(!isHit(reply.cacheStatus), target);
          assert.equal((await ask(url(), target)).text, 'nobody', target);
        }),
      ),
    );
  });

  test('each spelling of a path and a query is a key of its own, and is what the origin is asked for', async () => {
    await askAndStore(url(), '/plain?still-there');
    for (const target of SPELLINGS) {
      const missed = await askAndStore(url(), target);
      assert.ok(!isHit(missed.cacheStatus), target);
      assert.equal(missed.text, `you asked for ${target}`);
      assert.equal(origin.count(target), 1, target);
    }
    assert.ok(isHit((await ask(url(), '/plain?still-there')).cacheStatus));
  });

  test('bytes that no target may have are refused', async () => {
    for (const target of ['/\0', '/a\tb', '/a b', 'x', 'http://other.test/', '//', '/\x7f'] as const) {
      const answer = await rawRequest(url(), `GET ${target} HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n\r\n`);
      if (target === '//' || target === '/\x7f') assert.ok(statusesIn(answer).length === 1);
      else assert.deepEqual(statusesIn(answer), [400], JSON.stringify(target));
    }
  });

  test('spellings of one host share a key, and the origin sees one host', async () => {
    for (const host of ['SITE.test', 'site.test.', 'site.test:80', 'site.TEST:80']) {
      const { text: seen } = await askAndStore(url(), '/host', { fields: ['Host', host] });
      assert.equal(seen, 'site.test', host);
    }
    assert.equal(origin.count('/host'), 1);
    assert.equal((await ask(url(), '/host', { fields: ['Host', 'evil.test'] })).text, 'evil.test');
    assert.equal((await ask(url(), '/host')).text, 'site.test');
    const two = 'GET /host HTTP/1.1\r\nHost: site.test\r\nHost: evil.test\r\nConnection: close\r\n\r\n';
    assert.deepEqual(statusesIn(await rawRequest(url(), two)), [400]);
  });

  test('a field behind a thousand others counts, in requests and in responses', async () => {
    const many = Array.from({ length: 1100 }, (_, i) => ['a', String(i)]).flat();
    const hers = await ask(url(), '/greeting?many', { fields: [...many, 'Authorization', 'alice'] });
    assert.ok(hers.status === 431 || hers.text === 'hello alice 1', `${hers.status} ${hers.text}`);
    assert.match((await ask(url(), '/greeting?many')).text, /^hello you/);
    for (const target of ['/headers?cookie', '/headers?private']) {
      assert.equal((await ask(url(), target)).text, '1');
      assert.equal((await ask(url(), target)).text, '2');
    }
  });

  test('lifetimes of any size are understood, and survive memcached’s idea of time', async () => {
    const good = ['2592000', '2592001', '1000000000', '2147483648', '99999999999999999999'];
    const bad = ['-1', '1x', '1.5'];
    for (const value of [...good, ...bad]) {
      const isFresh = good.includes(value);
      const target = `/lifetime?${value}`;
      if (isFresh) await askAndStore(url(), target);
      else await ask(url(), target);
      assert.equal(isHit((await ask(url(), target)).cacheStatus), isFresh, value);
    }
  });

  test('names that objects have by themselves are names like others', async () => {
    const fields = ['__proto__', 'a', 'Constructor', 'b'];
    await askAndStore(url(), '/odd', { fields });
    assert.ok(isHit((await ask(url(), '/odd', { fields })).cacheStatus));
    assert.match((await ask(url(), '/odd')).cacheStatus, /fwd=vary-miss/);
  });
});

/** An origin that breaks on requests that the cache may not have looked at so closely. */
function fragile(request: IncomingMessage, response: ServerResponse): void {
  const { method = '', headers, rawHeaders } = request;
  const [broken] = [
    headers['x-break'],
    rawHeaders.join('').length > 8000 ? '431' : undefined,
    headers['x-meta'] === undefined ? undefined : '400',
    headers.range === undefined ? undefined : '416',
    headers.expect === undefined ? undefined : '417',
    headers['if-none-match'] === undefined ? undefined : '400',
    headers['x-http-method-override'] === undefined ? undefined : '405',
    method === 'GET' ? undefined : '405',
  ].filter((status) => status !== undefined);
  if (broken === undefined) response.writeHead(200, FRESH).end('fine');
  else response.writeHead(Number(broken), { ETag: '"error"' }).end('broken');
}

/** A page that shows who is asking, and says in one way or another that it is for nobody else. */
function account({ url = '', headers }: IncomingMessage, response: ServerResponse): void {
  const isAlice = headers.cookie === 'session=alice' || headers.authorization === 'Basic alice';
  const [, , kind = ''] = url.split(/[^a-z-]/);
  const lastModified = new Date(Date.now() - 864_000_000).toUTCString();
  const protections: { readonly [kind: string]: readonly string[] } = {
    private: ['Cache-Control', 'private, max-age=60'],
    'no-store': ['Cache-Control', 'max-age=60, no-store'],
    'set-cookie': isAlice ? ['Cache-Control', 'max-age=60', 'Set-Cookie', 'session=alice'] : [],
    // what a heuristic could take for fresh
    cookie: ['Last-Modified', lastModified],
    authorization: ['Last-Modified', lastModified],
  };
  const protection = protections[kind];
  response.writeHead(protection === undefined ? 500 : 200, [...(protection ?? []), 'Content-Type', 'text/css']);
  response.end(isAlice ? 'alice' : 'nobody');
}
