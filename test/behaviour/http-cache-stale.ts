import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { after, before, describe, type TestContext, test } from 'node:test';
import { Fields } from '../../src/http/fields.js';
import type { Store } from '../../src/store/store.js';
import { newUrl } from '../support/cached.js';
import { CachingEngine } from '../support/engine.js';
import { Gate } from '../support/gate.js';
import { type Answer, Feed, ScriptedOrigin, UNREACHABLE } from '../support/scripted-origin.js';
import { until } from '../support/until.js';

/** Fresh for ten seconds, and to be known again by its ETag. */
const TAGGED = ['Cache-Control', 'max-age=10', 'ETag', '"1"'];
const NOT_MODIFIED: Answer = { status: 304, fields: TAGGED };

/** What the HTTP cache does with responses that are not fresh any more, over any store. */
export function staleBehaviour(name: string, open: () => Promise<Store>): void {
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

    /** An entry that has just been stored, and a clock to make it stale with. */
    async function stored(
      t: TestContext,
      answer: Answer,
      engine = one,
    ): Promise<{ url: string; origin: ScriptedOrigin }> {
      t.mock.timers.enable({ apis: ['Date'], now: Date.now() });
      const url = newUrl();
      const origin = new ScriptedOrigin(answer);
      assert.match(await engine.get(url, origin), /^miss 200 /);
      return { url, origin };
    }

    test('asks about a stale response by its validators, and uses it on when it is still good', async (t) => {
      const modified = 'Mon, 01 Jan 2024 00:00:00 GMT';
      const { url, origin } = await stored(t, {
        fields: [...TAGGED, 'Last-Modified', modified, 'X-Any', 'old'],
        body: 'v1',
      });
      t.mock.timers.tick(11_000);
      const body = new Feed();
      origin.script = () => ({ ...NOT_MODIFIED, fields: [...TAGGED, 'X-Any', 'new', 'Content-Length', '99'], body });
      const client = ['If-None-Match', '"of the client"', 'Range', 'bytes=0-0', 'Accept', 'text/html'];
      assert.equal(await one.get(url, origin, client), 'revalidated 206 v');
      assert.deepEqual(
        [...(origin.requests[1] ?? [])],
        [
          ['Accept', 'text/html'],
          ['If-None-Match', '"1"'],
          ['If-Modified-Since', modified],
        ],
      );
      await one.assertAtRest(url, origin);
      const fresh = await other.ask(url, origin);
      assert.deepEqual([fresh.outcome.verdict, fresh.fields.get('age'), await fresh.text()], ['hit', '0', 'v1']);
      assert.deepEqual([fresh.fields.get('x-any'), fresh.fields.get('content-length')], ['new', '2']);
    });

    test('asks once for all who want the same stale response, and gives each a head of its own', async (t) => {
      const { url, origin } = await stored(t, { fields: TAGGED, body: 'v1' });
      t.mock.timers.tick(11_000);
      const gate = new Gate();
      origin.script = async () => {
        await gate.opened;
        return NOT_MODIFIED;
      };
      const asked = [1, 2, 3].map(() => one.ask(url, origin));
      await one.looked();
      gate.open();
      for (const [i, answer] of (await Promise.all(asked)).entries()) {
        assert.equal(answer.fields.has('x-edit'), false, `number ${i} has what others were given`);
        answer.fields.set('X-Edit', 'of this one');
        assert.equal(await answer.text(), 'v1');
      }
      assert.equal(origin.asked, 2);
      assert.equal((await one.ask(url, origin)).fields.has('x-edit'), false);
    });

    test('gives what a 304 has for one user to whoever caused it, and to nobody else', async (t) => {
      const { url, origin } = await stored(t, { fields: TAGGED, body: 'v1' });
      t.mock.timers.tick(11_000);
      const gate = new Gate();
      const control = 'max-age=10, private="set-cookie"';
      origin.script = async () => {
        await gate.opened;
        return { status: 304, fields: ['Cache-Control', control, 'ETag', '"1"', 'Set-Cookie', 'session=1'] };
      };
      const asked = [one.ask(url, origin), one.ask(url, origin)];
      await one.looked();
      gate.open();
      const [leader, joiner] = await Promise.all(asked);
      assert.deepEqual([leader?.fields.get('set-cookie'), joiner?.fields.get('set-cookie')], ['session=1', undefined]);
      assert.equal((await other.ask(url, origin)).fields.has('set-cookie'), false);
      assert.equal(origin.asked, 2);
    });

    for (const [what, fields] of [
      ['private', ['Cache-Control', 'private']],
      ['a cookie', ['Set-Cookie', 'session=1']],
      ['no-store', ['Cache-Control', 'no-store']],
    ] as const) {
      test(`gives an entry up that a 304 makes ${what}`, async (t) => {
        const { url, origin } = await stored(t, { fields: TAGGED, body: 'v1' });
        t.mock.timers.tick(11_000);
        origin.script = () => ({ status: 304, fields });
        assert.equal(await one.get(url, origin), 'revalidated 200 v1');
        await one.assertAtRest(url, origin);
        origin.script = () => ({ fields, body: 'v2' });
        assert.equal(await other.get(url, origin), 'miss 200 v2');
      });
    }

    test('does not give a response to those whom a 304 has made it unfit for', async (t) => {
      const { url, origin } = await stored(t, { fields: TAGGED, body: 'in en' });
      t.mock.timers.tick(11_000);
      const gate = new Gate();
      origin.script = async (request, nth) => {
        await gate.opened;
        const vary = [...TAGGED, 'Vary', 'Accept-Language'];
        return nth === 2
          ? { status: 304, fields: vary }
          : { fields: vary, body: `in ${request.get('accept-language')}` };
      };
      const asked = ['en', 'de'].map((language) => one.ask(url, origin, { fields: ['Accept-Language', language] }));
      await one.looked();
      gate.open();
      const texts = await Promise.all(asked.map(async (answer) => (await answer).text()));
      assert.deepEqual(texts, ['in en', 'in de']);
    });

    for (const [failure, answer] of [
      ['is out of reach', UNREACHABLE],
      ['answers 503', { status: 503, fields: [], body: 'error' }],
    ] as const) {
      test(`uses a stale response in place of an origin that ${failure}, and no longer than allowed`, async (t) => {
        const fields = ['Cache-Control', 'max-age=10, stale-if-error=20', 'ETag', '"1"'];
        const { url, origin } = await stored(t, { fields, body: 'v1' });
        const error = new Feed().send('error').end();
        origin.script = () => ({ ...answer, body: error });
        t.mock.timers.tick(29_000);
        assert.equal(await one.get(url, origin), 'stale 200 v1');
        assert.ok(error.destroyed);
        await one.assertAtRest(url, origin);
        t.mock.timers.tick(2_000);
        origin.script = () => answer;
        assert.match(await one.get(url, origin), /^miss 50[34] /);
        await one.assertAtRest(url, origin);
      });
    }

    test('uses no stale response that must be revalidated, and says 504', async (t) => {
      const { url, origin } = await stored(t, {
        fields: ['Cache-Control', 'max-age=10, must-revalidate', 'ETag', '"1"'],
        body: 'v1',
      });
      t.mock.timers.tick(11_000);
      origin.script = () => UNREACHABLE;
      assert.match(await one.get(url, origin), /^miss 504 /);
      origin.script = () => ({ fields: TAGGED, body: 'v2' });
      assert.equal(await one.get(url, origin), 'miss 200 v2');
    });

    test('leaves an origin alone for a while that fails, as long as there is something to use', async (t) => {
      const patient = new CachingEngine(store, { failureBackoffMs: 60_000 });
      const { url, origin } = await stored(t, { fields: TAGGED, body: 'v1' }, patient);
      t.mock.timers.tick(11_000);
      origin.script = () => UNREACHABLE;
      for (let i = 0; i < 5; i++) assert.equal(await patient.get(url, origin), 'stale 200 v1');
      assert.equal(origin.asked, 2);
      t.mock.timers.tick(600_000);
      assert.match(await patient.get(url, origin), /^miss 504 /);
      assert.equal(origin.asked, 3);
    });

    test('answers at once with what may be stale, and has it refreshed by one process', async (t) => {
      const fields = ['Cache-Control', 'max-age=10, stale-while-revalidate=20', 'ETag', '"1"'];
      const { url, origin } = await stored(t, { fields, body: 'v1' });
      t.mock.timers.tick(29_000);
      const gate = new Gate();
      origin.script = async () => {
        await gate.opened;
        return { fields, body: Readable.from([Buffer.from('v'), Buffer.from('2')]) };
      };
      const engines = [one, other, one, other];
      assert.deepEqual(
        await Promise.all(engines.map((engine) => engine.get(url, origin))),
        engines.map(() => 'stale 200 v1'),
      );
      await until(() => origin.asked === 2, 'it is not refreshed');
      gate.open();
      await until(async () => (await other.get(url, origin)) === 'hit 200 v2', 'it was not refreshed');
      assert.equal(origin.asked, 2);
      await one.assertAtRest(url, origin);
    });

    test('does not answer with what is stale beyond its window', async (t) => {
      const fields = ['Cache-Control', 'max-age=10, stale-while-revalidate=20', 'ETag', '"1"'];
      const { url, origin } = await stored(t, { fields, body: 'v1' });
      t.mock.timers.tick(31_000);
      origin.script = () => ({ fields, body: 'v2' });
      assert.equal(await one.get(url, origin), 'miss 200 v2');
    });

    test('counts the windows of a response that came in stale from the end of its freshness', async (t) => {
      const fields = [
        'Cache-Control',
        'max-age=10, stale-while-revalidate=20, stale-if-error=20',
        'Age',
        '31',
        'ETag',
        '"1"',
      ];
      const { url, origin } = await stored(t, { fields, body: 'v1' });
      origin.script = () => UNREACHABLE;
      assert.match(await one.get(url, origin), /^miss 504 /);
    });

    test('takes nothing that is done to a stale answer for part of the refreshed entry', async (t) => {
      const fields = ['Cache-Control', 'max-age=10, stale-while-revalidate=20', 'ETag', '"1"', 'Cache-Tag', 'news'];
      const { url, origin } = await stored(t, { fields, body: 'v1' });
      t.mock.timers.tick(11_000);
      const gate = new Gate();
      origin.script = async () => {
        await gate.opened;
        return { status: 304, fields: fields.slice(0, 4) };
      };
      const stale = await one.ask(url, origin);
      stale.fields.append('Cache-Status', 'lookaside; hit');
      for (const stripped of ['etag', 'cache-tag']) stale.fields.delete(stripped);
      gate.open();
      await until(async () => (await one.get(url, origin)) === 'hit 200 v1', 'it was not refreshed');
      const fresh = await one.ask(url, origin);
      assert.deepEqual([fresh.fields.has('cache-status'), fresh.fields.get('etag')], [false, '"1"']);
      assert.deepEqual([origin.asked, origin.requests[1]?.get('if-none-match')], [2, '"1"']);
      await one.purge({ kind: 'tag', tag: 'news' });
      origin.script = () => ({ fields, body: 'v2' });
      assert.equal(await one.get(url, origin), 'miss 200 v2');
    });

    for (const [failure, answer] of [
      ['fails', UNREACHABLE],
      ['ends in an error', { status: 500, body: 'error' }],
    ] as const) {
      test(`keeps an entry whose refresh ${failure}`, async (t) => {
        const fields = ['Cache-Control', 'max-age=10, stale-while-revalidate=20', 'ETag', '"1"'];
        const { url, origin } = await stored(t, { fields, body: 'v1' });
        t.mock.timers.tick(11_000);
        origin.script = () => answer;
        for (let asked = 2; asked < 5; asked++) {
          assert.equal(await one.get(url, origin), 'stale 200 v1');
          await until(() => origin.asked === asked, 'it is not refreshed');
          await one.assertAtRest(url, origin);
        }
        t.mock.timers.tick(20_000);
        assert.equal(await one.get(url, origin), 'stale 200 v1');
      });
    }

    test('does not use what a refresh may fall back on for a request that may not', async (t) => {
      const fields = ['Cache-Control', 'max-age=10, stale-while-revalidate=20, stale-if-error=0', 'ETag', '"1"'];
      const { url, origin } = await stored(t, { fields, body: 'v1' });
      t.mock.timers.tick(29_000);
      const gate = new Gate();
      origin.script = async () => {
        await gate.opened;
        return UNREACHABLE;
      };
      assert.equal(await one.get(url, origin), 'stale 200 v1');
      await until(() => origin.asked === 2, 'it is not refreshed');
      t.mock.timers.tick(2_000);
      const late = one.get(url, origin);
      await one.looked();
      gate.open();
      assert.match(await late, /50[24]/);
      await one.assertAtRest(url, origin);
    });

    test('gives up a response that is refreshed by one which is not for the store', async (t) => {
      const fields = ['Cache-Control', 'max-age=10, stale-while-revalidate=20', 'ETag', '"1"'];
      const { url, origin } = await stored(t, { fields, body: 'v1' });
      t.mock.timers.tick(11_000);
      const body = new Feed().send('v2');
      origin.script = () => ({ fields: ['Cache-Control', 'private'], body });
      assert.equal(await one.get(url, origin), 'stale 200 v1');
      await until(() => body.destroyed, 'the body nobody gets is kept');
      origin.script = () => ({ fields: ['Cache-Control', 'private'], body: 'v3' });
      await until(async () => (await one.get(url, origin)) === 'miss 200 v3', 'the old one is still used');
    });

    test('keeps a stale entry when a request with a cookie gets another response', async (t) => {
      const { url, origin } = await stored(t, {
        fields: ['Last-Modified', 'Mon, 01 Jan 2024 00:00:00 GMT'],
        body: 'v1',
      });
      t.mock.timers.tick(2 * 86_400_000);
      origin.script = () => ({ fields: ['Last-Modified', 'Mon, 01 Jan 2024 00:00:00 GMT'], body: 'for one' });
      const answer = await one.ask(url, origin, { fields: ['Cookie', 'session=1'] });
      assert.deepEqual([answer.storage, await answer.text()], ['cookie', 'for one']);
      origin.script = () => ({ status: 304 });
      assert.equal(await one.get(url, origin), 'revalidated 200 v1');
    });

    test('keeps a stale entry when a request with a cookie is told that it is still good', async (t) => {
      const fields = ['Cache-Control', 'max-age=0', 'ETag', '"1"'];
      const { url, origin } = await stored(t, { fields, body: 'v1' });
      origin.script = () => ({ status: 304, fields });
      const answer = await one.ask(url, origin, { fields: ['Cookie', 'session=1'] });
      assert.deepEqual([answer.outcome.verdict, answer.storage, await answer.text()], ['revalidated', 'cookie', 'v1']);
      assert.equal(answer.fields.get('content-length'), '2');
      await one.assertAtRest(url, origin);
      assert.equal(await one.get(url, origin), 'revalidated 200 v1');
    });

    test('lets nobody join a response whose freshness has ended while it still comes in', async (t) => {
      t.mock.timers.enable({ apis: ['Date'], now: Date.now() });
      const url = newUrl();
      const feed = new Feed().send('v1');
      const origin = new ScriptedOrigin((_request, nth) => ({ fields: TAGGED, body: nth === 1 ? feed : `v${nth}` }));
      const first = await one.ask(url, origin);
      t.mock.timers.tick(5_000);
      const joined = await one.ask(url, origin);
      assert.deepEqual([joined.outcome.verdict, joined.fields.get('age')], ['collapsed', '5']);
      t.mock.timers.tick(6_000);
      assert.equal(await (await one.ask(url, origin)).text(), 'v2');
      feed.end();
      assert.deepEqual([await first.text(), await joined.text()], ['v1', 'v1']);
      await one.assertAtRest(url, origin);
    });

    test('lets nobody join a response that is to be revalidated before every use, once it is there', async () => {
      const url = newUrl();
      const gate = new Gate();
      const feed = new Feed().send('v1');
      const origin = new ScriptedOrigin(async (_request, nth) => {
        await gate.opened;
        return { fields: ['Cache-Control', 'no-cache', 'ETag', '"1"'], body: nth === 1 ? feed : `v${nth}` };
      });
      const asked = [one.ask(url, origin), one.ask(url, origin)];
      await one.looked();
      gate.open();
      const [first, joined] = await Promise.all(asked);
      const late = await one.ask(url, origin);
      feed.end();
      assert.deepEqual([await first?.text(), await joined?.text(), await late.text()], ['v1', 'v1', 'v2']);
    });

    test('goes by the request of a client only where it is told to', async (t) => {
      const honest = new CachingEngine(store, { honorRequestCacheControl: true });
      const { url, origin } = await stored(t, { fields: TAGGED, body: 'v1' });
      origin.script = () => NOT_MODIFIED;
      const noCache = ['Cache-Control', 'no-cache'];
      assert.equal(await one.get(url, origin, noCache), 'hit 200 v1');
      assert.equal(await honest.get(url, origin, noCache), 'revalidated 200 v1');
      t.mock.timers.tick(11_000);
      assert.equal(await honest.get(url, origin, ['Cache-Control', 'max-stale']), 'hit 200 v1');
    });

    test('forwards HEAD for what is stale, and changes nothing', async (t) => {
      const { url, origin } = await stored(t, { fields: TAGGED, body: 'v1' });
      t.mock.timers.tick(11_000);
      origin.script = () => ({ fields: ['X-Any', 'new'] });
      const head = await one.ask(url, origin, { method: 'HEAD' });
      assert.deepEqual([head.outcome.verdict, head.fields.get('x-any')], ['miss', 'new']);
      origin.script = () => NOT_MODIFIED;
      assert.equal(await one.get(url, origin), 'revalidated 200 v1');
    });

    test('answers only-if-cached with 504 for what is stale', async (t) => {
      const { url, origin } = await stored(t, { fields: TAGGED, body: 'v1' });
      t.mock.timers.tick(11_000);
      assert.equal(await one.get(url, origin, ['Cache-Control', 'only-if-cached']), 'miss 504 ');
      assert.equal(origin.asked, 1);
    });

    test('revalidates a body in segments without reading it, and notices that they are lost', async (t) => {
      const body = Buffer.alloc(2.5 * 1024 * 1024, 'x');
      const { url, origin } = await stored(t, { fields: TAGGED, body });
      t.mock.timers.tick(11_000);
      origin.script = () => NOT_MODIFIED;
      assert.ok((await one.get(url, origin)) === `revalidated 200 ${body}`);
      const found = await one.entries.find(url, url, new Fields());
      assert.ok(found.kind === 'entry' && !(found.entry.body.content instanceof Uint8Array));
      await store.delete(`lookaside:s:${found.entry.body.content.layout.id}:2`);
      t.mock.timers.tick(11_000);
      origin.script = (request) => (request.has('if-none-match') ? NOT_MODIFIED : { fields: TAGGED, body: 'new' });
      assert.equal(await one.get(url, origin), 'miss 200 new');
      await one.assertAtRest(url, origin);
    });
  });
}
