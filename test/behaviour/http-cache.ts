import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { after, before, describe, test } from 'node:test';
import { Fields } from '../../src/http/fields.js';
import type { Store } from '../../src/store/store.js';
import { newUrl } from '../support/cached.js';
import { type Asked, CachingEngine, leave } from '../support/engine.js';
import { Gate } from '../support/gate.js';
import { type Answer, Feed, feedOf, ScriptedOrigin, UNREACHABLE } from '../support/scripted-origin.js';
import { until } from '../support/until.js';

const FRESH = ['Cache-Control', 'max-age=60'];
const MEBIBYTE = 1024 * 1024;

/** What the HTTP cache does for requests, with fresh responses and none, over any store. */
export function httpCacheBehaviour(name: string, open: () => Promise<Store>): void {
  describe(`the HTTP cache over ${name}`, () => {
    let store: Store;
    let one: CachingEngine;
    let other: CachingEngine;
    before(async () => {
      store = await open();
      one = new CachingEngine(store);
      other = new CachingEngine(store);
    });
    after(() => store.close());

    test('fetches once, and answers from the store from then on, in every process', async () => {
      const url = newUrl();
      const origin = new ScriptedOrigin({ fields: [...FRESH, 'X-Any', 'thing'], body: 'text' });
      const first = await one.ask(url, origin);
      assert.deepEqual([first.outcome.verdict, first.storage, await first.text()], ['miss', 'stored', 'text']);
      await one.settled();
      const second = await other.ask(url, origin);
      assert.deepEqual([second.outcome.verdict, second.storage, await second.text()], ['hit', undefined, 'text']);
      assert.deepEqual([second.fields.get('age'), second.fields.get('x-any')], ['0', 'thing']);
      assert.equal(origin.asked, 1);
      await one.assertAtRest(url, origin);
    });

    test('answers HEAD out of a stored GET, and keeps nothing of the HEAD that it forwards', async () => {
      const url = newUrl();
      const origin = new ScriptedOrigin({ fields: FRESH, body: 'text' });
      const missed = await one.ask(url, origin, { method: 'HEAD' });
      assert.deepEqual([missed.outcome.verdict, missed.storage], ['miss', 'no-lease']);
      assert.equal(await one.get(url, origin), 'miss 200 text');
      const head = await one.ask(url, origin, { method: 'HEAD' });
      assert.deepEqual([head.outcome.verdict, head.body, head.fields.get('content-length')], ['hit', null, '4']);
      await one.assertAtRest(url, origin);
    });

    test('answers conditions and ranges out of the stored response', async () => {
      const url = newUrl();
      const origin = new ScriptedOrigin({ fields: [...FRESH, 'ETag', '"e"'], body: 'text' });
      await one.get(url, origin);
      assert.equal(await one.get(url, origin, ['If-None-Match', '"e"']), 'hit 304 ');
      assert.equal(await one.get(url, origin, ['Range', 'bytes=1-2']), 'hit 206 ex');
      assert.equal(await one.get(url, origin, ['Range', 'bytes=9-']), 'hit 416 ');
      assert.equal(origin.asked, 1);
    });

    for (const fields of [
      ['If-None-Match', '"mine"'],
      ['Range', 'bytes=1-2'],
    ]) {
      test(`sends a request with ${fields[0]} on as it came while nothing is stored`, async () => {
        const url = newUrl();
        const origin = new ScriptedOrigin((request) =>
          request.has('range')
            ? { status: 206, fields: [...FRESH, 'Content-Range', 'bytes 1-2/*'], body: 'ex' }
            : { status: 304 },
        );
        const answer = await one.ask(url, origin, { fields });
        assert.ok([206, 304].includes(answer.status));
        assert.deepEqual([...(origin.requests[0] ?? [])], [[fields[0], fields[1]]]);
        await one.assertAtRest(url, origin);
        origin.script = () => ({ fields: FRESH, body: 'text' });
        assert.equal(await one.get(url, origin), 'miss 200 text');
      });
    }

    test('keeps neither a failed precondition nor several parts, and makes nobody go without for them', async () => {
      for (const [status, fields] of [
        [412, ['If-None-Match', '*']],
        [206, ['Range', 'bytes=0-0,2-2']],
      ] as const) {
        const url = newUrl();
        const gate = new Gate();
        const origin = new ScriptedOrigin({ status, fields: FRESH, body: 'of one' });
        assert.equal(await one.get(url, origin, fields), `miss ${status} of one`);
        origin.script = async () => {
          await gate.opened;
          return { fields: FRESH, body: 'text' };
        };
        const asked = [one.ask(url, origin), one.ask(url, origin)];
        await one.looked();
        gate.open();
        const answers = await Promise.all(asked);
        assert.deepEqual([answers.map((answer) => answer.status), origin.asked], [[200, 200], 2]);
      }
    });

    test('does not share fetches for Authorization, nor keeps them unless the origin lets it', async () => {
      const url = newUrl();
      const asked: Asked = { fields: ['Authorization', 'Basic eDp5'] };
      const origin = new ScriptedOrigin((_request, nth) => ({ fields: FRESH, body: `for number ${nth}` }));
      const answers = await Promise.all([one.ask(url, origin, asked), one.ask(url, origin, asked)]);
      assert.equal(new Set(await Promise.all(answers.map((answer) => answer.text()))).size, 2);
      assert.deepEqual(
        answers.map(({ storage }) => storage),
        ['authorization', 'authorization'],
      );
      await one.assertAtRest(url, origin);
      origin.script = () => ({ fields: ['Cache-Control', 'public, max-age=60'], body: 'for all' });
      assert.equal((await one.ask(url, origin, asked)).storage, 'stored');
      await one.settled();
      assert.equal(await other.get(url, origin), 'hit 200 for all');
    });

    test('keeps nothing of a request with no-store, and shares nothing with it', async () => {
      const url = newUrl();
      const gate = new Gate();
      const origin = new ScriptedOrigin(async (_request, nth) => {
        await gate.opened;
        return { fields: FRESH, body: `for number ${nth}` };
      });
      const noStore = ['Cache-Control', 'no-store'];
      const asked = [noStore, [], noStore].map((fields) => one.ask(url, origin, { fields }));
      await until(() => origin.asked >= 2, 'they wait for one another');
      gate.open();
      const [first, , third] = await Promise.all(asked);
      assert.deepEqual([first?.storage, third?.storage], ['request-no-store', 'request-no-store']);
      await one.assertAtRest(url, origin);
    });

    test('answers only-if-cached with 504 while nothing is stored, and asks nobody', async () => {
      const url = newUrl();
      const origin = new ScriptedOrigin({ fields: FRESH, body: 'text' });
      assert.equal(await one.get(url, origin, ['Cache-Control', 'only-if-cached']), 'miss 504 ');
      assert.equal(origin.asked, 0);
      await one.get(url, origin);
      assert.equal(await one.get(url, origin, ['Cache-Control', 'only-if-cached']), 'hit 200 text');
    });

    test('takes a large body through segments, for ranges too', async () => {
      const url = newUrl();
      const bytes = Buffer.alloc(3 * MEBIBYTE, 'abcdefg');
      const origin = new ScriptedOrigin({
        fields: [...FRESH, 'Content-Length', String(bytes.length)],
        body: slow(bytes),
      });
      assert.ok((await (await one.ask(url, origin)).text()) === bytes.toString());
      await one.assertAtRest(url, origin);
      const hit = await other.ask(url, origin);
      assert.equal(hit.outcome.verdict, 'hit');
      assert.ok((await hit.text()) === bytes.toString());
      const start = 2 * MEBIBYTE - 5;
      const part = await other.ask(url, origin, { fields: ['Range', `bytes=${start}-${start + 9}`] });
      assert.equal(await part.text(), bytes.toString('latin1', start, start + 10));
    });

    describe('gives everything back,', () => {
      const cases: readonly [name: string, answer: () => Answer | Promise<Answer>, asked?: Asked][] = [
        ['when the response is private', () => ({ fields: ['Cache-Control', 'private'], body: feedOf('text') })],
        ['when it is not for the store', () => ({ fields: ['Cache-Control', 'no-store'], body: feedOf('text') })],
        [
          'when its end can not be told from a break',
          () => ({ fields: FRESH, body: feedOf('text'), delimited: false }),
        ],
        ['when nothing is said of its freshness', () => ({ body: feedOf('text') })],
        ['when it varies on everything', () => ({ fields: [...FRESH, 'Vary', '*'], body: feedOf('text') })],
        ['when it is a 304 that nobody asked for', () => ({ status: 304 })],
        ['when it is a 206 that nobody asked for', () => ({ status: 206, fields: FRESH, body: feedOf('text') })],
        ['when it is a 416', () => ({ status: 416, body: feedOf('text') }), { fields: ['Range', 'bytes=9-'] }],
        ['when a precondition has failed', () => ({ status: 412, fields: FRESH }), { fields: ['If-None-Match', '*'] }],
        ['when it has no content', () => ({ status: 204, fields: FRESH })],
        ['when it is empty', () => ({ fields: FRESH, body: '' })],
        [
          'when its head is too large',
          () => ({ fields: [...FRESH, 'X-Large', 'x'.repeat(200_000)], body: feedOf('text') }),
        ],
        [
          'when it announces too much',
          () => ({ fields: [...FRESH, 'Content-Length', '99999999'], body: feedOf('text') }),
        ],
        [
          'when it has less than it announced',
          () => ({ fields: [...FRESH, 'Content-Length', '9'], body: feedOf('text') }),
        ],
        [
          'when it has more than it announced',
          () => ({ fields: [...FRESH, 'Content-Length', '2'], body: feedOf('text') }),
        ],
        ['when it breaks off', () => ({ fields: FRESH, body: new Feed().send('text').breakOff() })],
        ['when it broke off before', async () => ({ fields: FRESH, body: await broken() })],
        [
          'when it broke off before, and is for one',
          async () => ({ fields: ['Cache-Control', 'private'], body: await broken() }),
        ],
        [
          'when it broke off before, and came for one, to be kept for all',
          async () => ({ fields: ['Cache-Control', 'public, max-age=60'], body: await broken() }),
          { fields: ['Authorization', 'Basic eDp5'] },
        ],
        ['when the origin is out of reach', () => UNREACHABLE],
        ['when the origin is out of reach for one', () => UNREACHABLE, { fields: ['Authorization', 'Basic eDp5'] }],
        ['when its error page is a stream', () => ({ ...UNREACHABLE, body: feedOf('text') })],
        ['for HEAD', () => ({ fields: FRESH }), { method: 'HEAD' }],
      ];
      for (const [when, answer, asked] of cases) {
        for (const isTaken of [true, false]) {
          test(`${when}${isTaken ? '' : ', though the client has left'}`, async () => {
            const url = newUrl();
            const origin = new ScriptedOrigin(answer);
            const reply = await one.ask(url, origin, asked);
            if (isTaken) await reply.text().catch(() => 'broken off');
            else leave(reply);
            const { fields = [] } = asked ?? {};
            const found = await one.entries.find(url, url, new Fields(fields));
            if (found.kind !== 'entry') await one.assertAtRest(url, origin, fields);
            await origin.letGo();
          });
        }
      }

      test('when the chain to the origin fails', async () => {
        const url = newUrl();
        const origin = new ScriptedOrigin(() => {
          throw new Error('as the test wants it');
        });
        await assert.rejects(one.ask(url, origin), /as the test wants it/);
        await one.assertAtRest(url, origin);
      });

      for (const fields of [[], ['Authorization', 'Basic eDp5']]) {
        test(`when the rules fail${fields.length === 0 ? '' : ', for a request of its own'}`, async () => {
          const url = newUrl();
          const origin = new ScriptedOrigin({ fields: FRESH, body: feedOf('text') });
          origin.ruleFor = () => {
            throw new Error('as the test wants it');
          };
          await assert.rejects(one.ask(url, origin, { fields }), /as the test wants it/);
          await one.assertAtRest(url, origin);
        });
      }
    });

    test('takes fields out before it judges and before anybody gets them', async () => {
      const url = newUrl();
      const origin = new ScriptedOrigin({ fields: [...FRESH, 'Set-Cookie', 'a=b', 'X-Any', 'thing'], body: 'text' });
      origin.rule = { strip: ['set-cookie', 'x-any'] };
      for (const verdict of ['miss', 'hit']) {
        const answer = await one.ask(url, origin);
        assert.deepEqual([answer.outcome.verdict, answer.fields.has('set-cookie')], [verdict, false]);
        assert.equal(answer.fields.has('x-any'), false);
        await one.settled();
      }
    });

    test('stores what is not to be stored only by a rule that says unsafe', async () => {
      for (const [unsafe, storage] of [
        [false, 'private'],
        [true, 'stored'],
      ] as const) {
        const url = newUrl();
        const origin = new ScriptedOrigin({ fields: ['Cache-Control', 'private'], body: 'text' });
        origin.rule = { ttlSeconds: 60, unsafe };
        assert.equal((await one.ask(url, origin)).storage, storage);
      }
    });

    test('answers a GET with what a POST said it would get', async () => {
      const url = newUrl();
      const origin = new ScriptedOrigin({});
      const body = feedOf('posted');
      const response = { status: 200, fields: new Fields([...FRESH, 'Content-Location', url]), body, delimited: true };
      const times = { requestedMs: Date.now(), receivedMs: Date.now() };
      const request = { method: 'POST', fields: new Fields(), key: url, url };
      assert.equal(await one.cache.receivedUnasked(request, response, { origin, ...times }), 'stored');
      body.resume();
      await until(() => body.destroyed, 'it is not read');
      await one.settled();
      assert.equal(await one.get(url, origin), 'hit 200 posted');
      const elsewhere = { ...response, fields: new Fields([...FRESH, 'Content-Location', '/other']), body: 'x' };
      const other = { ...elsewhere, body: Buffer.from('x') };
      assert.equal(await one.cache.receivedUnasked(request, other, { origin, ...times }), 'method');
      await one.assertAtRest(url, origin);
    });

    test('forwards when the segments of a body are lost', async () => {
      const url = newUrl();
      const bytes = Buffer.alloc(2.5 * MEBIBYTE, 'x');
      const origin = new ScriptedOrigin((_request, nth) => ({ fields: FRESH, body: nth === 1 ? slow(bytes) : 'new' }));
      await (await one.ask(url, origin)).text();
      await one.settled();
      const found = await one.entries.find(url, url, new Fields());
      assert.ok(found.kind === 'entry' && !(found.entry.body.content instanceof Uint8Array));
      await store.delete(`lookaside:s:${found.entry.body.content.layout.id}:1`);
      assert.equal(await one.get(url, origin), 'miss 200 new');
      await one.assertAtRest(url, origin);
    });
  });
}

/** A body that broke off before anybody could read it. */
async function broken(): Promise<Feed> {
  const feed = new Feed().send('beginning');
  const closed = once(feed, 'close');
  feed.destroy();
  await closed;
  return feed;
}

/** In chunks as a socket has them. */
function slow(bytes: Uint8Array): Readable {
  const chunks = Array.from({ length: Math.ceil(bytes.length / 65_536) }, (_, i) =>
    bytes.subarray(i * 65_536, (i + 1) * 65_536),
  );
  return Readable.from(chunks);
}
