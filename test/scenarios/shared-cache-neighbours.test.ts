import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { ask, askAndStore, isHit, type Reply } from '../support/ask.js';
import { type CountingOrigin, patterned, startCountingOrigin } from '../support/counting-origin.js';
import { type Fleet, startFleet } from '../support/fleet.js';
import { readItem, segmentKeys, writeItem } from '../support/items.js';

const FRESH = { 'Cache-Control': 'max-age=60' };
const BIG = patterned(1536 * 1024);
const SECRET = '0123456789abcdef0123456789abcdef';
const LEASE_WAIT_MS = 300;
/** What a machine that is busy with other tests may add to that. */
const PATIENCE_MS = 2500;

let origin: CountingOrigin;

before(async () => {
  origin = await startCountingOrigin({
    '/page': ({ url }, response) =>
      response.writeHead(200, { ...FRESH, 'X-Own': 'yes', 'Surrogate-Key': 'news' }).end(`right ${url}`),
    '/language': ({ headers }, response) =>
      response.writeHead(200, { ...FRESH, Vary: 'Accept-Language' }).end(`right ${headers['accept-language']}`),
    '/big': (_request, response) => response.writeHead(200, FRESH).end(BIG),
  });
});
after(() => origin?.close());

function startOne(store: { readonly secret?: string }): Promise<Fleet> {
  return startFleet({ upstream: origin.url, store, cache: { leaseWait: `${LEASE_WAIT_MS}ms` } });
}

const DE = { fields: ['Accept-Language', 'de'] };

/** Asks for what somebody has tampered with, which must be answered as if it had not been there. */
async function askAnew(url: string, target: string, expected: string, what: string): Promise<void> {
  const asked = target.startsWith('/language') ? DE : {};
  const reply = await ask(url, target, asked);
  assert.deepEqual([reply.status, reply.text, reply.isWhole], [200, expected, true], `${what}: ${reply.cacheStatus}`);
  assert.ok(!isHit(reply.cacheStatus), `${what}: ${reply.cacheStatus}`);
  await askAndStore(url, target, asked);
}

/** `value` with one bit of the byte at `at` changed. */
function flipped(value: string, at: number): string {
  return value.slice(0, at) + String.fromCharCode(value.charCodeAt(at) ^ (1 << (at % 8))) + value.slice(at + 1);
}

/** Values that are none of ours, and have nothing to do with what lies there. */
const NONSENSE: { readonly [name: string]: string } = {
  nothing: '',
  'a NUL': '\0',
  'a megabyte of zeros': '\0'.repeat(1024 * 1024 - 1024),
  'a line without end': 'HTTP/1.1 200 OK'.padEnd(1024 * 1023, 'x'),
  'half a head': 'HTTP/1.1 200 OK\r\nContent-Type: te',
  'a head of a thousand lines': `HTTP/1.1 200 OK\r\n${'a: b\r\n'.repeat(100_000)}\r\n`,
  'deep JSON': '['.repeat(500_000),
  'a 304': 'HTTP/1.1 304 Not Modified\r\n\r\n',
  'a 206': 'HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-3/9\r\n\r\nevil',
  'a 101': 'HTTP/1.1 101 Switching Protocols\r\n\r\n',
  'a status of four digits': 'HTTP/1.1 2000 OK\r\n\r\nevil',
  'a cookie': 'HTTP/1.1 200 OK\r\nSet-Cookie: session=evil\r\n\r\nevil',
  'a private page': 'HTTP/1.1 200 OK\r\nCache-Control: private\r\n\r\nevil',
  'a bare CR in a field': 'HTTP/1.1 200 OK\r\nX-A: b\rSet-Cookie: session=evil\r\n\r\nevil',
  'a bare LF in a field': 'HTTP/1.1 200 OK\r\nX-A: b\nSet-Cookie: session=evil\r\n\r\nevil',
  'a NUL in a field': 'HTTP/1.1 200 OK\r\nX-A: b\0\r\n\r\nevil',
  'a folded field': 'HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\n\r\nevil',
  'a field without a name': 'HTTP/1.1 200 OK\r\n: b\r\n\r\nevil',
  'a space in a name': 'HTTP/1.1 200 OK\r\nX A: b\r\n\r\nevil',
  'a wrong length': 'HTTP/1.1 200 OK\r\nContent-Length: 400000000000\r\n\r\nevil',
  'an index of nothing': 'lookaside-variants: 1 mac=- id=0 mark=0 key=x\r\n',
  'an index without end': `lookaside-variants: 1 mac=- id=${'0'.repeat(32)} mark=0 key=x\r\n${`${'0'.repeat(32)} 0 a\r\n`.repeat(20_000)}`,
};

/** A response as any program can write it. */
const FOREIGN = 'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nevil';

describe('a neighbour writes to a memcached whose entries are signed', () => {
  let fleet: Fleet;
  let url: string;

  before(async () => {
    fleet = await startOne({ secret: SECRET });
    [url = ''] = fleet.urls;
  });
  after(() => fleet?.stop());

  for (const [name, target, expected] of [
    ['an entry', '/page?entry', 'right /page?entry'],
    ['an index of variants', '/language?index', 'right de'],
  ] as const) {
    test(`${name} that was changed in any way is none`, async () => {
      const key = `http://site.test${target}`;
      await askAndStore(url, target, DE);
      const value = await readItem(fleet.memcached, key);
      for (let at = 0; at < value.length; at += 11) {
        await writeItem(fleet.memcached, key, flipped(value, at));
        await askAnew(url, target, expected, `byte ${at}`);
      }
      for (const [what, changed] of [
        ['without its last byte', value.slice(0, -1)],
        ['cut in half', value.slice(0, value.length / 2)],
        ['with a byte more', `${value}.`],
        ['without a MAC', value.replace(/mac=[0-9a-f]{32}/, 'mac=-')],
        ['with the MAC of nothing', value.replace(/mac=[0-9a-f]{32}/, `mac=${'0'.repeat(32)}`)],
        ['with another number', value.replace(/ (life|mark)=(\d+) /, ' $1=1$2 ')],
        ['by somebody else', FOREIGN],
        ...Object.entries(NONSENSE),
      ] as const) {
        await writeItem(fleet.memcached, key, changed);
        await askAnew(url, target, expected, what);
      }
    });
  }

  test('entries, indexes and segments that are right for another key are wrong for this one', async () => {
    const targets = ['/page?a', '/page?b', '/language?a'];
    for (const target of targets) await askAndStore(url, target, DE);
    const values = await Promise.all(targets.map((target) => readItem(fleet.memcached, `http://site.test${target}`)));
    for (const target of targets) {
      for (const [i, other] of targets.entries()) {
        if (other === target) continue;
        await writeItem(fleet.memcached, `http://site.test${target}`, values[i] ?? '');
        await askAnew(
          url,
          target,
          target.startsWith('/page') ? `right ${target}` : 'right de',
          `${other} for ${target}`,
        );
      }
    }
  });

  test('a variant that was changed, or is another one’s, is none', async () => {
    const target = '/language?variant';
    await askAndStore(url, target, { fields: ['Accept-Language', 'fr'] });
    await askAndStore(url, target, DE);
    const index = await readItem(fleet.memcached, `http://site.test${target}`);
    const [, id] = / id=([0-9a-f]{32}) /.exec(index) ?? [];
    const [german = '', french = ''] = [...index.matchAll(/^([0-9a-f]{32}) \d/gm)].map(
      ([, digest]) => `lookaside:v:${id}:${digest}`,
    );
    const value = await readItem(fleet.memcached, german);
    for (let at = 0; at < value.length; at += 23) {
      await writeItem(fleet.memcached, german, flipped(value, at));
      await askAnew(url, target, 'right de', `byte ${at}`);
    }
    await writeItem(fleet.memcached, german, await readItem(fleet.memcached, french));
    await askAnew(url, target, 'right de', 'the French one');
  });

  test('a segment that was changed breaks the answer off before the byte, and is a miss for the next', async () => {
    await askAndStore(url, '/big');
    const [, key = ''] = await segmentKeys(fleet.memcached, 'http://site.test/big');
    const value = await readItem(fleet.memcached, key);
    await writeItem(fleet.memcached, key, flipped(value, value.length - 1));
    const cut = await ask(url, '/big');
    assert.equal(cut.isWhole, false);
    assert.deepEqual(cut.body, BIG.subarray(0, cut.body.length));
    await askAnew(url, '/big', BIG.toString('latin1'), 'after that');
  });

  test('a lease that nobody took is waited for by nobody', async () => {
    const forged = `lookaside-lease: 1 mac=${'0'.repeat(32)} token=${'0'.repeat(32)} key=http://site.test/page?lease\r\n`;
    await writeItem(fleet.memcached, 'http://site.test/page?lease', forged);
    const reply = await ask(url, '/page?lease');
    assert.equal(reply.text, 'right /page?lease');
    assert.match(reply.cacheStatus, /unauthenticated/);
  });
});

describe('a neighbour writes to a memcached whose entries are not signed', () => {
  let fleet: Fleet;
  let url: string;

  before(async () => {
    fleet = await startOne({});
    [url = ''] = fleet.urls;
  });
  after(() => fleet?.stop());

  test('a response that is well-formed is served: whoever can write there is trusted', async () => {
    await writeItem(fleet.memcached, 'http://site.test/page?foreign', FOREIGN);
    const reply = await ask(url, '/page?foreign');
    assert.deepEqual([reply.status, reply.text], [200, 'evil']);
    assert.ok(isHit(reply.cacheStatus), reply.cacheStatus);
  });

  test('what is no response for others is none', async () => {
    for (const [what, value] of Object.entries(NONSENSE)) {
      await writeItem(fleet.memcached, 'http://site.test/page?nonsense', value);
      await askAnew(url, '/page?nonsense', 'right /page?nonsense', what);
    }
  });

  test('an entry that contradicts itself, or belongs to another key, is none', async () => {
    const target = '/page?ours';
    const key = `http://site.test${target}`;
    await askAndStore(url, target);
    await askAndStore(url, '/page?other');
    const value = await readItem(fleet.memcached, key);
    const body = value.indexOf('\r\n\r\n') + 4;
    for (const [what, changed] of [
      ['of another key', await readItem(fleet.memcached, 'http://site.test/page?other')],
      ['with half a body', value.slice(0, -3)],
      ['with more of a body', `${value}more`],
      ['with two lines of ours', value.replace('\r\nlookaside: ', '\r\nlookaside: 2 x\r\nlookaside: ')],
      ['without its purge line', value.replace(/lookaside-purge: .*\r\n/, '')],
      ['with a counter that is none', purgedSince(value).replace(/counters=\d+/, 'counters=x')],
      ['with a counter too few', purgedSince(value).replace(/counters=\d+,/, 'counters=')],
      ['with a counter of its own', purgedSince(value).replace(/counters=\d+/, 'counters=1')],
      ['with a time that is none', value.replace(/ at=\d+/, ' at=now')],
      ['from the future', value.replace(/ at=\d/, ' at=9')],
      ['of a variant', value.replace(' vary=- ', ` vary=${'0'.repeat(32)} `)],
      ['with a body in segments that are not there', segmented(value.slice(0, body), 4, 4)],
      ['with a body of a terabyte', segmented(value.slice(0, body), 1e12, 1e6)],
      ['with a body in a million segments', segmented(value.slice(0, body), 1e6, 1)],
      ['with an answer behind its own', value.replace('X-Own: yes', 'X-Own: yes\r\n\r\nHTTP/1.1 200 OK')],
      ['with a line break in a field', value.replace('yes', 'yes\nSet-Cookie: session=evil')],
    ] as const) {
      assert.notEqual(changed, value, what);
      await writeItem(fleet.memcached, key, changed);
      await askAnew(url, target, `right ${target}`, what);
    }
  });

  test('a flipped bit is a miss or one wrong character, and never more', async () => {
    const target = '/page?flips';
    const key = `http://site.test${target}`;
    await askAndStore(url, target);
    const value = await readItem(fleet.memcached, key);
    for (let at = 0; at < value.length; at += 11) {
      await writeItem(fleet.memcached, key, flipped(value, at));
      const reply: Reply = await ask(url, target);
      assert.ok(reply.isWhole && reply.text.length === `right ${target}`.length, `byte ${at}: ${reply.text}`);
      assert.equal(reply.headers['set-cookie'], undefined);
      await askAndStore(url, target);
    }
  });

  test('segments that are another body’s are noticed', async () => {
    await askAndStore(url, '/big?one');
    await askAndStore(url, '/big?two');
    const [ofOne = ''] = await segmentKeys(fleet.memcached, 'http://site.test/big?one');
    const [first = '', second = ''] = await segmentKeys(fleet.memcached, 'http://site.test/big?two');
    await writeItem(fleet.memcached, ofOne, await readItem(fleet.memcached, first));
    await writeItem(fleet.memcached, second, await readItem(fleet.memcached, first));
    for (const target of ['/big?one', '/big?two']) {
      const cut = await ask(url, target);
      assert.equal(cut.isWhole, false);
      assert.deepEqual(cut.body, BIG.subarray(0, cut.body.length));
      await askAnew(url, target, BIG.toString('latin1'), 'after that');
    }
  });

  test('a lease of somebody who never fetches holds nobody up for longer than leaseWait', async () => {
    for (const target of ['/page?lease', '/page?lease-again']) {
      const key = `http://site.test${target}`;
      await writeItem(fleet.memcached, key, `lookaside-lease: 1 mac=- token=${'0'.repeat(32)} key=${key}\r\n`);
      const replies = await Promise.all(Array.from({ length: 10 }, () => ask(url, target)));
      for (const { text, tookMs } of replies) {
        assert.equal(text, `right ${target}`);
        assert.ok(tookMs < LEASE_WAIT_MS + PATIENCE_MS, `held up for ${Math.round(tookMs)} ms`);
      }
      await askAndStore(url, target);
    }
  });

  test('counters that are no numbers lose entries, and do no other harm', async () => {
    for (const counter of [
      'lookaside:all',
      'lookaside:tag:news',
      'lookaside:prefix:http://site.test/',
      'lookaside:epoch:',
    ]) {
      for (const [n, value] of ['', 'x', '-1', '99999999999999999999999', '1 2', '1'.repeat(100_000)].entries()) {
        const target = `/page?counter-${counter.length}-${n}`;
        await askAndStore(url, target);
        const names = counter.endsWith(':') ? Array.from({ length: 16 }, (_, i) => counter + i) : [counter];
        for (const name of names) await writeItem(fleet.memcached, name, value);
        const reply = await ask(url, target);
        assert.deepEqual([reply.status, reply.text], [200, `right ${target}`]);
        await askAndStore(url, target);
      }
    }
  });
});

/** The entry as if something had been purged after it was stored, so that its counters matter. */
function purgedSince(value: string): string {
  return value.replace(/ epoch=\d+ /, ' epoch=1 ');
}

/** The head of an entry, with a body elsewhere. */
function segmented(head: string, bytes: number, segmentBytes: number): string {
  return head.replace(/ body=\d+ seg=- /, ` body=${bytes} seg=${'0'.repeat(32)}/${bytes}/${segmentBytes} `);
}
