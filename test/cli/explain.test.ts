import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { AskedAbout, CacheExplanation } from '../../src/actions/cache-explanation.js';
import type { RunningCache } from '../../src/actions/chain.js';
import { storeKey } from '../../src/cache/key.js';
import { configuredCaches } from '../../src/cli/configured-caches.js';
import { askedAbout } from '../../src/cli/explain.js';
import { explanationInText } from '../../src/cli/explain-text.js';
import { formatSeconds } from '../../src/cli/format-seconds.js';
import { parseResponseHead } from '../../src/cli/response-head.js';
import { openStore } from '../../src/store/open.js';
import type { Store } from '../../src/store/store.js';
import { ask, askAndStore, SITE } from '../support/ask.js';
import { lookaside } from '../support/command.js';
import { type CountingOrigin, startCountingOrigin } from '../support/counting-origin.js';
import { type Memcached, rawCommand, startMemcached } from '../support/memcached.js';
import { startProxy, type TestProxy, testSettings } from '../support/proxy.js';
import { until } from '../support/until.js';

const FOR_A_DAY = { 'Cache-Control': 'max-age=86400' };

let memcached: Memcached;
let origin: CountingOrigin;
let proxy: TestProxy;
let store: Store;
let caches: RunningCache[];
let finishSlow: (() => void) | undefined;
const folder = mkdtempSync(join(tmpdir(), 'lookaside-explain-'));

/** What the proxy runs, and what is explained. */
function config(cache: { readonly [option: string]: unknown } = {}) {
  const options = {
    query: { ignore: ['utm_*'] },
    maxSize: '4MiB',
    honorRequestCacheControl: true,
    rules: [
      { when: 'req.path =^ "/admin"', bypass: true },
      { when: 'req.path == "/bounded"', maxTtl: '1h', minUses: 2 },
    ],
    ...cache,
  };
  return {
    memcached: { servers: [memcached.server], timeout: '3s' },
    actions: [{ 'memcached.cache': { ...options, chain: [{ proxy: origin.url }] } }],
  };
}

function cachesOf(written: ReturnType<typeof config>): RunningCache[] {
  return configuredCaches(testSettings(written), () => store);
}

before(async () => {
  memcached = await startMemcached();
  origin = await startCountingOrigin({
    '/news': (_request, response) =>
      response.writeHead(200, { ...FOR_A_DAY, ETag: '"1"', 'Cache-Tag': 'news,sport' }).end('hello'),
    '/graceful': (_request, response) =>
      response
        .writeHead(200, { 'Cache-Control': 'max-age=86400, stale-while-revalidate=60, stale-if-error=0' })
        .end('1'),
    '/languages': (_request, response) => response.writeHead(200, { ...FOR_A_DAY, Vary: 'Accept-Language' }).end('x'),
    '/large': (_request, response) => response.writeHead(200, FOR_A_DAY).end(Buffer.alloc(3_000_000)),
    '/private': (_request, response) => response.writeHead(200, { 'Cache-Control': 'private' }).end('x'),
    '/slow': (_request, response) => {
      finishSlow = () => response.writeHead(200, FOR_A_DAY).end('slow');
    },
  });
  proxy = await startProxy(config());
  store = openStore(testSettings(config()));
  caches = cachesOf(config());
});
after(async () => {
  for (const cache of caches ?? []) cache.close();
  await proxy?.close();
  await store?.close();
  await origin?.close();
  await memcached?.stop();
  rmSync(folder, { recursive: true });
});

interface Question {
  readonly method?: string;
  /** Of the request, `Name: value`. */
  readonly header?: string[];
  /** The head of a response, a line each. */
  readonly response?: readonly string[];
  readonly caches?: readonly RunningCache[];
}

function asked(target: string, { method = 'GET', header = [], response }: Question = {}): AskedAbout {
  const head = response && parseResponseHead(Buffer.from(response.join('\r\n')));
  return askedAbout(`http://${SITE}${target}`, { method, header }, head);
}

async function explained(target: string, question: Question = {}): Promise<CacheExplanation> {
  const [explanation] = await Promise.all(
    (question.caches ?? caches).map((cache) => cache.explain(asked(target, question))),
  );
  assert.ok(explanation !== undefined);
  return explanation;
}

/** What is printed, without the title, and without what depends on the second. */
async function text(target: string, question: Question = {}): Promise<string> {
  const printed = explanationInText(asked(target, question), [await explained(target, question)]);
  return printed
    .replace(/^.*\n\n/, '')
    .replaceAll(memcached.server, 'SERVER')
    .replaceAll(/(?<=kept for |fresh for |age |Age: )\d+(?: (?:d|h|min|s)\b)?(?: \d+ (?:h|min|s)\b)?/g, 'T')
    .replaceAll(/\b[0-9a-f]{32}\b/g, 'ID');
}

/** The lines of a transcript, its indentation taken away. */
function transcript(expected: string): string {
  return expected
    .split('\n')
    .map((line) => line.replace(/^ {6}/, '').trimEnd())
    .filter((line) => line !== '')
    .join('\n');
}

function put(key: string, value: string): Promise<string> {
  return rawCommand(memcached.address, `set ${key} 0 0 ${value.length}\r\n${value}\r\n`);
}

describe('a request is explained:', () => {
  it('with a fresh entry', async () => {
    await askAndStore(proxy.url, '/news');
    assert.equal(
      await text('/news?utm_source=mail'),
      transcript(`
      key        http://site.test/news
      made of    scheme, host, path and query
                 of /news, which stands for /news?utm_source=mail
      store key  the same
      server     SERVER
      found      an entry: status 200, 5 bytes, tagged news, sport; kept for T more
      freshness  fresh for T more: age T of 1 d (max-age)
      decision   hit (fresh): an entry was found and may be used
                 RFC 9111, section 4.2
      next       answers 200 from the store, with Age: T
      `),
    );
  });

  it('with a fresh entry that the client has already, or wants a part of', async () => {
    await askAndStore(proxy.url, '/news');
    assert.match(
      await text('/news', { header: ['If-None-Match: "1"'] }),
      /\nnext +answers 304 from the store: what the/,
    );
    assert.match(await text('/news', { header: ['Range: bytes=1-2'] }), /\nnext +answers 206 from the store/);
    assert.match(await text('/news', { header: ['Range: bytes=9-'] }), /\nnext +answers 416 from the store/);
  });

  it('with a fresh entry that the client does not take', async () => {
    await askAndStore(proxy.url, '/news');
    assert.match(
      await text('/news', { header: ['cache-control: no-cache'] }),
      new RegExp(
        transcript(`
      decision   miss \\(request-no-cache\\): the client wants the origin to be asked \\(Cache-Control or Pragma: no-cache\\)
                 RFC 9111, section 5\\.2\\.1\\.4
      next       asks the origin with If-None-Match: "1"
                 the entry stands in if the origin can not be reached or answers 500, 502, 503 or 504
                 an origin that has just failed is left alone: then the entry answers at once`),
      ),
    );
  });

  it('with nothing under a key that is too long for memcached', async () => {
    const target = `/${'x'.repeat(300)}`;
    const key = `http://site.test${target}`;
    assert.equal(
      await text(target),
      transcript(`
      key        ${key}
      made of    scheme, host, path and query
      store key  ${storeKey(key)} (SHA-1 of the key)
      server     SERVER
      found      nothing
      decision   miss (absent): the store has no entry under the key
      next       asks the origin, once for all who wait for it, and stores the response if it may be
      `),
    );
  });

  it('with an entry that was soft-purged', async () => {
    await askAndStore(proxy.url, '/news?soft');
    for (const cache of caches) await cache.purge({ kind: 'url', url: `http://${SITE}/news?soft` }, { soft: true });
    assert.match(
      await text('/news?soft'),
      new RegExp(
        transcript(`
      freshness  stale for 0 s: age T of 1 d \\(max-age\\); marked stale by a soft purge
      decision   miss \\(soft-purged\\): the entry was marked stale by a soft purge
      next       asks the origin with If-None-Match: "1"
                 the entry stands in`),
      ),
    );
  });

  it('with an entry that may be used while it is refreshed', async () => {
    await askAndStore(proxy.url, '/graceful');
    for (const cache of caches) await cache.purge({ kind: 'url', url: `http://${SITE}/graceful` }, { soft: true });
    assert.match(
      await text('/graceful'),
      new RegExp(
        transcript(`
      freshness  stale for 0 s: age T of 1 d \\(max-age\\); marked stale by a soft purge
                 the response allows to use it stale for 1 min while it is refreshed, 0 s if the origin fails
      decision   stale \\(stale-while-revalidate\\): the entry is stale, but may be used while it is refreshed
                 RFC 5861, section 3
      next       answers 200 from the store, with Age: T
                 meanwhile asks the origin for all of it \\(the entry has neither ETag nor Last-Modified\\), unless it`),
      ),
    );
  });

  it('with variants, of which one fits or none does', async () => {
    await askAndStore(proxy.url, '/languages', { fields: ['Accept-Language', 'de'] });
    const found =
      /\nfound +the index of 1 variant, by accept-language; kept for T more\nvariant +lookaside:v:ID:ID on SERVER\n/;
    const german = await text('/languages', { header: ['Accept-Language: de'] });
    assert.match(german, found);
    assert.match(german, /\n +an entry: status 200, 1 byte; kept for T more\nfreshness .*\ndecision +hit \(fresh\)/);
    const french = await text('/languages', { header: ['Accept-Language: fr'] });
    assert.match(french, found);
    assert.match(
      french,
      /\n +nothing\ndecision +miss \(vary\): .*\n +RFC 9111, section 4\.1\nnext +asks the origin, once/,
    );
  });

  it('with a body in segments, and when one of them is lost', async () => {
    await askAndStore(proxy.url, '/large');
    assert.match(await text('/large'), /\nfound +an entry: status 200, 3000000 bytes in 3 segments; kept/);
    const { lookup } = await explained('/large');
    const found = lookup?.items[0]?.found;
    assert.ok(typeof found === 'object' && found.kind === 'entry' && found.metadata.layout !== undefined);
    await rawCommand(memcached.address, `delete lookaside:s:${found.metadata.layout.id}:1\r\n`);
    assert.match(
      await text('/large'),
      /\ndecision +miss \(lost-segment\): a part of the body is not in the store any more\nnext +passes the request on as/,
    );
    assert.match(await text('/large', { method: 'HEAD' }), /\ndecision +hit \(fresh\)/);
  });

  it('with a process that is fetching, and what it leaves', async () => {
    const answer = ask(proxy.url, '/slow');
    await until(() => finishSlow !== undefined, 'the origin is not asked');
    assert.match(
      await text('/slow'),
      /\nfound +a lease: a process is fetching the response; kept for T more\ndecision .*\nnext +waits for the process that is fetching it, up to 5 s\n/,
    );
    finishSlow?.();
    await answer;
    await ask(proxy.url, '/private');
    assert.match(
      await text('/private'),
      /\nfound +a pass marker: .*\ndecision +miss \(hit-for-miss\): .*\nnext +passes the request on as it is, for this client alone/,
    );
  });

  it('with what others have left under the key', async () => {
    const values: [value: string, found: RegExp, decision: RegExp][] = [
      ['<p>bare', /7 bytes, neither a response nor anything of the cache's; kept without end/, /miss \(malformed\)/],
      [
        'HTTP/1.1 200 OK\r\ncache-control: max-age=9\r\n\r\nx',
        /a response that another program has written: status 200/,
        /hit/,
      ],
      [
        'HTTP/1.1 200 \r\nlookaside: 1 at=1763640000123 age=0 life=60 vary=- key=http://site.test/left\r\n\r\nx',
        /an entry of memcached\.store: status 200/,
        /miss \(expired\)/,
      ],
    ];
    for (const [value, found, decision] of values) {
      await put('http://site.test/left', value);
      const printed = await text('/left');
      assert.match(/\nfound +(.*)/.exec(printed)?.[1] ?? printed, found);
      assert.match(/\ndecision +(.*)/.exec(printed)?.[1] ?? printed, decision);
    }
    const { memcached: servers, actions } = config();
    const signing = cachesOf({ memcached: { ...servers, ...{ secret: 'x'.repeat(32) } }, actions });
    assert.match(
      await text('/left', { caches: signing }),
      /\nfound +\d+ bytes, not signed with the secret; kept without end\ndecision +miss \(unauthenticated\)/,
    );
    for (const cache of signing) cache.close();
  });

  it('with what keys are made of besides the URL', async () => {
    const parted = cachesOf(
      config({ key: '%{req.host}%{req.path}', keyParts: { headers: ['x-country'], device: true } }),
    );
    const printed = await text('/a?b', { header: ['X-Country: de'], caches: parted });
    assert.match(
      printed,
      /^key +site\.test\/a#device=desktop&header\.x-country=de\nmade of +the pattern %\{req\.host\}%\{req\.path\}; device=desktop, header\.x-country=de\n/,
    );
    for (const cache of parted) cache.close();
  });

  for (const [target, question, reason] of [
    ['/news', { method: 'POST' }, 'method'],
    ['/news', { header: ['Content-Length: 1'] }, 'request-body'],
    ['/news', { header: ['Upgrade: websocket'] }, 'upgrade'],
    ['/news', { header: ['If-Match: "1"'] }, 'precondition'],
    ['/admin/x', {}, 'rule'],
  ] as const) {
    it(`as a bypass (${reason})`, async () => {
      const printed = await text(target, { ...question, header: [...('header' in question ? question.header : [])] });
      assert.match(
        printed,
        new RegExp(`\\ndecision +bypass \\(${reason}\\): .*(?:\\n .*)?\\nnext +passes the request on`),
      );
      assert.equal(printed.includes('found'), false);
    });
  }
});

describe('what is explained', () => {
  it('is what happens', async () => {
    await askAndStore(proxy.url, '/news');
    await askAndStore(proxy.url, '/languages', { fields: ['Accept-Language', 'it'] });
    await ask(proxy.url, '/private?again');
    for (const [target, header, status] of [
      ['/news', '', /^lookaside; hit; ttl=\d+$/],
      ['/news', 'Cache-Control: min-fresh=90000', /; fwd=request; fwd-status=200; .*detail=request-min-fresh/],
      ['/news', 'If-Match: "1"', /; fwd=bypass; .*detail=precondition/],
      ['/absent', 'Cache-Control: only-if-cached', /^lookaside; detail=only-if-cached$/],
      ['/languages', 'Accept-Language: xx', /; fwd=vary-miss; /],
      ['/private?again', '', /; fwd=miss; .*detail="hit-for-miss, private"/],
      ['/admin', '', /; fwd=bypass; .*detail=rule/],
    ] as const) {
      const [name, value = ''] = header.split(': ');
      const fields = header === '' || name === undefined ? [] : [name, value];
      const { lookup, bypass } = await explained(target, { header: header === '' ? [] : [header] });
      const { cacheStatus } = await ask(proxy.url, target, { fields });
      assert.match(cacheStatus, status, target);
      const reason = bypass ?? lookup?.decision.outcome.reason ?? '';
      const isSilent = reason === 'fresh' || reason === 'absent';
      assert.ok(isSilent || cacheStatus.includes(reason) || status.source.includes(`${reason}-miss`), cacheStatus);
    }
  });

  it('is left as it was', async () => {
    await askAndStore(proxy.url, '/news');
    await put('http://site.test/unchanged', 'x');
    const before = await rawCommand(memcached.address, 'gets http://site.test/news http://site.test/unchanged\r\n');
    const questions = origin.total();
    await explained('/news');
    await explained('/unchanged');
    assert.equal(
      await rawCommand(memcached.address, 'gets http://site.test/news http://site.test/unchanged\r\n'),
      before,
    );
    assert.equal(origin.total(), questions);
  });
});

describe('a response is explained', () => {
  const OK = ['HTTP/1.1 200 OK', 'Content-Length: 5'];

  it('that is stored', async () => {
    const response = [
      ...OK,
      'Cache-Control: max-age=600, stale-if-error=60',
      'Cache-Tag: a',
      'Set-Cookie2: x',
      '',
      'body',
    ];
    assert.equal(
      await text('/page', { response }),
      transcript(`
      key        http://site.test/page
      made of    scheme, host, path and query
      store key  the same
      freshness  fresh for T: age T of 10 min (max-age)
                 the response allows to use it stale for 1 min if the origin fails
      kept       for 11 min
      tags       a
      decision   stored: the response goes into the store
      `),
    );
  });

  it('that is stored as a rule says', async () => {
    const printed = await text('/bounded', { response: [...OK, 'Cache-Control: max-age=86400'] });
    assert.match(printed, /\nfreshness +fresh for T: age T of 1 h \(max-age, within minTtl and maxTtl of a rule\)\n/);
    assert.match(printed, /\nnext +stores it once the key is asked for 2 times in a process \(minUses\)$/);
  });

  for (const [why, response, reason] of [
    ['is private', [...OK, 'Cache-Control: private'], 'private'],
    ['does not say how long it is good', OK, 'no-freshness'],
    ['ends with the connection', ['HTTP/1.1 200 OK', 'Cache-Control: max-age=60'], 'unknown-length'],
    ['is too large', ['HTTP/1.1 200 OK', 'Content-Length: 9999999', 'Cache-Control: max-age=60'], 'above-maxsize'],
  ] as const) {
    it(`that ${why}`, async () => {
      const printed = await text('/page', { response });
      assert.match(printed, new RegExp(`\\ndecision +not stored \\(${reason}\\): `));
      assert.match(printed, /\nnext +for 10 s nobody waits for another response of the key \(hit-for-miss\)$/);
    });
  }

  it('to what the cache has no part in', async () => {
    assert.match(await text('/admin', { response: OK }), /\ndecision +not stored \(rule\): .*$/);
    assert.match(await text('/page', { response: OK, method: 'POST' }), /\ndecision +not stored \(method\): /);
  });

  it('out of what curl shows of it', () => {
    const shown =
      'HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/2 200 \r\ncache-control: max-age=1\r\n\r\nHTTP is a protocol';
    const head = parseResponseHead(Buffer.from(shown));
    assert.deepEqual(
      [head?.status, head?.fields.get('cache-control'), head?.fields.has('link')],
      [200, 'max-age=1', false],
    );
    assert.equal(parseResponseHead(Buffer.from('{}')), undefined);
    assert.equal(parseResponseHead(Buffer.from('HTTP/1.1 200 OK\r\nno field\r\n')), undefined);
  });
});

describe('lookaside explain', { concurrency: 3 }, () => {
  const url = `http://${SITE}/command`;

  function file(name: string, content: string): string {
    writeFileSync(join(folder, name), content);
    return join(folder, name);
  }

  it('explains by serve --upstream without a configuration, and says no when the origin would be asked', async () => {
    const { exitCode, stdout, stderr } = await lookaside(['explain', '--memcached', memcached.server, url]);
    assert.deepEqual({ exitCode, stderr }, { exitCode: 1, stderr: '' });
    assert.match(
      stdout,
      /^GET http:\/\/site\.test\/command\n\nkey +http:\/\/site\.test\/command\n.*\ndecision +miss \(absent\)/s,
    );
  });

  it('explains every cache of a configuration, in JSON for programs', async () => {
    await askAndStore(proxy.url, '/news');
    const [one] = config().actions;
    const two = { 'memcached.cache': { key: 'other', chain: [{ proxy: origin.url }] } };
    const both = file('both.json', JSON.stringify({ ...config(), actions: [one, two] }));
    const args = ['explain', '--config', both, '-H', 'Host: SITE.test:80', '-H', 'Accept: x', 'http://elsewhere/news'];
    const [plain, json] = await Promise.all([lookaside(args), lookaside([...args, '--json'])]);
    assert.equal(plain.exitCode, 0, plain.stderr);
    assert.match(plain.stdout, /\n\ncache +1 of 2\nkey .*\n\ncache +2 of 2\nkey +other\n/s);
    const { method, url, caches } = JSON.parse(json.stdout);
    assert.deepEqual({ method, url }, { method: 'GET', url: 'http://site.test/news' });
    const [{ key, items, entry, decision, next }, other] = caches;
    assert.deepEqual([key, items[0].kind, items[0].tags], ['http://site.test/news', 'entry', ['news', 'sport']]);
    assert.deepEqual([entry.lifetime, entry.lifetimeSource, next.length], [86400, 'max-age', 1]);
    assert.deepEqual([decision.verdict, decision.reason, decision.section], ['hit', 'fresh', 'RFC 9111, section 4.2']);
    assert.deepEqual([other.key, other.pattern, other.decision.reason], ['other', 'other', 'absent']);
  });

  it('judges a response without any memcached', async () => {
    const embedded = file('embedded.json', JSON.stringify({ actions: config().actions }));
    const stdin = 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nCache-Control: max-age=60\r\n\r\n';
    const args = ['explain', '--config', embedded, '--response', '-', url];
    const { exitCode, stdout, stderr } = await lookaside(args, { stdin });
    assert.deepEqual({ exitCode, stderr }, { exitCode: 0, stderr: '' });
    assert.match(stdout, /\ndecision +stored: the response goes into the store\n/);
    const json = await lookaside([...args, '--json'], { stdin: stdin.replace('max-age=60', 'no-store') });
    assert.deepEqual([json.exitCode, JSON.parse(json.stdout).caches[0].storage.reason], [1, 'no-store']);
  });

  it('tells which server gives no answer', async () => {
    const { exitCode, stdout } = await lookaside(['explain', '--memcached', 'unix:/nonexistent/memcached.sock', url]);
    assert.equal(exitCode, 3);
    assert.match(
      stdout,
      /\nserver +unix:\/nonexistent\/memcached\.sock\nfound +the store gives no answer: connection\n/,
    );
  });

  it('says what it can not explain', async () => {
    const plain = file('plain.yaml', `memcached: {servers: ["${memcached.server}"]}\nactions: []\n`);
    const unread = ['explain', '--response', '/nonexistent', url];
    const [none, unreadable] = await Promise.all([lookaside(['explain', '--config', plain, url]), lookaside(unread)]);
    assert.deepEqual([none.exitCode, none.stdout, unreadable.exitCode, unreadable.stdout], [2, '', 2, '']);
    assert.match(none.stderr, /plain\.yaml has no memcached\.cache: there is nothing to explain/);
    assert.match(unreadable.stderr, /--response: \/nonexistent can not be read: ENOENT/);
    assert.throws(
      () => asked('', { header: ['no field'] }),
      /--header: "no field" is no field: expected 'name: value'/,
    );
    assert.throws(() => askedAbout('ftp://x/', { method: 'GET', header: [] }), /ftp:\/\/x\/ is no URL: expected http:/);
  });
});

it('what others have written does nothing to a terminal', async () => {
  await put('http://site.test/escape', 'HTTP/1.1 200 OK\r\ncache-control: max-age=0\r\netag: "\xc2\x9b"\r\n\r\nx');
  assert.match(await text('/escape'), /asks the origin with If-None-Match: "\\xc2\\x9b"\n/);
});

it('times are shown in their two largest units', () => {
  const shown = [0, 59, 60, 61, 3600, 3661, 90_061, 86_400].map(formatSeconds);
  assert.deepEqual(shown, ['0 s', '59 s', '1 min', '1 min 1 s', '1 h', '1 h 1 min', '1 d 1 h', '1 d']);
});
