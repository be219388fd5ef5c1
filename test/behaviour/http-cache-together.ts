import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { after, before, describe, test } from 'node:test';
import type { Store } from '../../src/store/store.js';
import { newUrl } from '../support/cached.js';
import { CachingEngine, leave } from '../support/engine.js';
import { Gate } from '../support/gate.js';
import { Feed, feedOf, ScriptedOrigin, UNREACHABLE } from '../support/scripted-origin.js';
import { until } from '../support/until.js';

const FRESH = ['Cache-Control', 'max-age=60'];

/** What the HTTP cache does for requests that come at the same time, over any store. */
export function togetherBehaviour(name: string, open: () => Promise<Store>): void {
  describe(`the HTTP cache over ${name}, for many at a time,`, () => {
    let store: Store;
    let one: CachingEngine;
    let other: CachingEngine;
    before(async () => {
      store = await open();
      one = new CachingEngine(store);
      other = new CachingEngine(store);
    });
    after(() => store.close());

    test('lets a request for a part join the fetch of the whole', async () => {
      const url = newUrl();
      const feed = new Feed();
      const origin = new ScriptedOrigin({ fields: [...FRESH, 'Content-Length', '8'], body: feed });
      const whole = await one.ask(url, origin);
      const part = await one.ask(url, origin, { fields: ['Range', 'bytes=2-5'] });
      assert.deepEqual([part.status, part.fields.get('content-range')], [206, 'bytes 2-5/8']);
      feed.send('abc').send('defgh').end();
      assert.deepEqual([await whole.text(), await part.text()], ['abcdefgh', 'cdef']);
      assert.equal(origin.asked, 1);
      await one.assertAtRest(url, origin);
    });

    test('gives one fetch to all who ask at the same time, while it comes in', async () => {
      const url = newUrl();
      const feed = new Feed();
      const gate = new Gate();
      const origin = new ScriptedOrigin(async () => {
        await gate.opened;
        return { fields: FRESH, body: feed };
      });
      const asked = Array.from({ length: 50 }, () => one.ask(url, origin));
      await one.looked();
      gate.open();
      const answers = await Promise.all(asked);
      feed.send('first ');
      const texts = answers.map((answer) => answer.text());
      const late = await one.ask(url, origin);
      feed.send('second').end();
      assert.deepEqual(new Set(await Promise.all([...texts, late.text()])), new Set(['first second']));
      assert.equal(origin.asked, 1);
      assert.equal(answers.filter(({ outcome }) => outcome.verdict === 'collapsed').length, 49);
      await one.assertAtRest(url, origin);
      assert.equal(await other.get(url, origin), 'hit 200 first second');
    });

    test('stores a response though all who wanted it have left', async () => {
      const url = newUrl();
      const feed = new Feed();
      const origin = new ScriptedOrigin({ fields: FRESH, body: feed });
      const [answer, joined] = await Promise.all([one.ask(url, origin), one.ask(url, origin)]);
      feed.send('begun ');
      leave(answer);
      leave(joined);
      feed.send('and ended').end();
      await one.assertAtRest(url, origin);
      assert.equal(await one.get(url, origin), 'hit 200 begun and ended');
    });

    test('stores a response at once whose body nobody is to have', async (t) => {
      // Without a clock nobody is waited for who might still want the body.
      t.mock.timers.enable({ apis: ['setTimeout'] });
      const url = newUrl();
      const gate = new Gate();
      const origin = new ScriptedOrigin({ fields: [...FRESH, 'ETag', '"1"', 'Age', '61'], body: 'v1' });
      await one.get(url, origin);
      const feed = feedOf('v2');
      origin.script = async () => {
        await gate.opened;
        return { fields: [...FRESH, 'ETag', '"2"'], body: feed };
      };
      gate.open();
      assert.equal(await one.get(url, origin, ['If-None-Match', '"2"']), 'miss 304 ');
      for (let i = 0; i < 100 && !feed.destroyed; i++) await one.looked();
      assert.ok(feed.readableEnded);
      await one.settled();
      assert.equal(await one.get(url, origin), 'hit 200 v2');
    });

    test('never gives a variant to whoever asked for another', async () => {
      const url = newUrl();
      const gate = new Gate();
      const origin = new ScriptedOrigin(async (request) => {
        await gate.opened;
        return { fields: [...FRESH, 'Vary', 'Accept-Language'], body: `in ${request.get('accept-language')}` };
      });
      const languages = ['de', 'en', 'fr', 'de', 'en', 'fr', 'de'];
      const asked = languages.map((language) => one.ask(url, origin, { fields: ['Accept-Language', language] }));
      await one.looked();
      gate.open();
      const texts = await Promise.all(asked.map(async (answer) => (await answer).text()));
      assert.deepEqual(
        texts,
        languages.map((language) => `in ${language}`),
      );
      await one.settled();
      for (const language of ['de', 'en', 'fr']) {
        assert.match(await other.get(url, origin, ['Accept-Language', language]), new RegExp(` 200 in ${language}$`));
        assert.equal(await one.get(url, origin, ['Accept-Language', language]), `hit 200 in ${language}`);
      }
      await one.assertAtRest(url, origin);
    });

    test('does not let anybody wait for what is not shared, once it is known', async () => {
      const url = newUrl();
      const gates = [new Gate(), new Gate()];
      const origin = new ScriptedOrigin(async (_request, nth) => {
        if (nth > 1) await gates[1]?.opened;
        return { fields: ['Cache-Control', 'private'], body: `for number ${nth}` };
      });
      assert.equal(await one.get(url, origin), 'miss 200 for number 1');
      const second = [one.ask(url, origin), one.ask(url, origin), other.ask(url, origin)];
      await until(() => origin.asked === 4, 'they wait for one another');
      gates[1]?.open();
      const texts = await Promise.all(second.map(async (answer) => (await answer).text()));
      assert.equal(new Set(texts).size, 3);
      await one.assertAtRest(url, origin);
    });

    test('lets all who waited for a response that is not theirs fetch their own', async () => {
      const url = newUrl();
      const gate = new Gate();
      const origin = new ScriptedOrigin(async (_request, nth) => {
        await gate.opened;
        return { fields: ['Set-Cookie', `session=${nth}`, ...FRESH], body: `for number ${nth}` };
      });
      const asked = [1, 2, 3].map(() => one.ask(url, origin));
      await one.looked();
      gate.open();
      const answers = await Promise.all(asked);
      assert.equal(new Set(answers.map(({ fields }) => fields.get('set-cookie'))).size, 3);
      assert.equal(new Set(await Promise.all(answers.map((answer) => answer.text()))).size, 3);
      await one.assertAtRest(url, origin);
    });

    test('does not let requests with cookies wait where those keep responses from being stored', async () => {
      const url = newUrl();
      const gate = new Gate();
      const origin = new ScriptedOrigin(async (_request, nth) => {
        if (nth > 1) await gate.opened;
        return { fields: ['Last-Modified', 'Mon, 01 Jan 2024 00:00:00 GMT'], body: `for number ${nth}` };
      });
      const cookie = ['Cookie', 'session=1'];
      const first = await one.ask(url, origin, { fields: cookie });
      assert.equal(first.storage, 'cookie');
      const asked = [one.ask(url, origin, { fields: cookie }), one.ask(url, origin, { fields: cookie })];
      await until(() => origin.asked === 3, 'one waits for the other');
      gate.open();
      await Promise.all(asked);
      const anonymous = await one.ask(url, origin);
      assert.equal(anonymous.storage, 'stored');
      await one.settled();
      assert.match(await one.get(url, origin, cookie), /^hit /);
    });

    test('keeps the fields for one user from all others: those who wait, and those who come later', async () => {
      const url = newUrl();
      const gate = new Gate();
      const origin = new ScriptedOrigin(async (_request, nth) => {
        await gate.opened;
        const fields = ['Set-Cookie', `session=${nth}`, 'Cache-Control', 'max-age=60, no-cache="set-cookie"'];
        return { fields, body: Readable.from([Buffer.from('text')]) };
      });
      const asked = [one.ask(url, origin), one.ask(url, origin)];
      await one.looked();
      gate.open();
      const [leader, joiner] = await Promise.all(asked);
      assert.equal(leader?.fields.get('set-cookie'), 'session=1');
      assert.equal(joiner?.fields.has('set-cookie'), false);
      assert.deepEqual([await leader?.text(), await joiner?.text(), origin.asked], ['text', 'text', 1]);
      await one.assertAtRest(url, origin);
      assert.equal((await other.ask(url, origin)).fields.has('set-cookie'), false);
    });

    test('gives each of those who share a response a head of its own', async () => {
      const url = newUrl();
      const gate = new Gate();
      const origin = new ScriptedOrigin(async () => {
        await gate.opened;
        return { fields: FRESH, body: 'text' };
      });
      const asked = [1, 2, 3].map(() => one.ask(url, origin));
      await one.looked();
      gate.open();
      for (const [i, { fields }] of (await Promise.all(asked)).entries()) {
        assert.equal(fields.has('x-edit'), false, `number ${i} has what others were given`);
        fields.set('X-Edit', 'of this one');
      }
      await one.settled();
      assert.equal((await one.ask(url, origin)).fields.has('x-edit'), false);
    });

    test('breaks off for everybody what breaks off, and stores nothing of it', async () => {
      const url = newUrl();
      const feed = new Feed();
      const origin = new ScriptedOrigin({ fields: FRESH, body: feed });
      const answers = await Promise.all([one.ask(url, origin), one.ask(url, origin)]);
      feed.send('beginning');
      const texts = answers.map((answer) => answer.text());
      feed.breakOff();
      for (const text of texts) await assert.rejects(text);
      await one.assertAtRest(url, origin);
      origin.script = () => ({ fields: FRESH, body: 'all of it' });
      assert.equal(await one.get(url, origin), 'miss 200 all of it');
    });

    test('tells all who wait of a failure, and asks once for all of them', async () => {
      const url = newUrl();
      const gate = new Gate();
      const origin = new ScriptedOrigin(async () => {
        await gate.opened;
        return UNREACHABLE;
      });
      const asked = Array.from({ length: 10 }, () => one.ask(url, origin));
      await one.looked();
      gate.open();
      for (const answer of await Promise.all(asked)) {
        assert.deepEqual([answer.status, answer.failure], [502, 'connection_refused']);
        assert.equal(await answer.text(), 'Bad Gateway\n');
      }
      assert.equal(origin.asked, 1);
    });

    test('waits for what another process fetches, and has it from the store', async () => {
      const url = newUrl();
      const feed = new Feed();
      const origin = new ScriptedOrigin({ fields: FRESH, body: feed });
      const first = await one.ask(url, origin);
      const text = first.text();
      const second = [other.get(url, origin), other.get(url, origin)];
      await other.looked();
      feed.send('text').end();
      assert.deepEqual([await text, ...(await Promise.all(second))], ['text', 'hit 200 text', 'hit 200 text']);
      assert.equal(origin.asked, 1);
    });

    test('waits no longer than it should for a process that fetches and fetches', async () => {
      const url = newUrl();
      const feed = new Feed();
      const origin = new ScriptedOrigin((_request, nth) => ({ fields: FRESH, body: nth === 1 ? feed : 'own' }));
      const slow = await one.ask(url, origin);
      const impatient = new CachingEngine(store, { leaseWaitMs: 30 });
      assert.equal(await impatient.get(url, origin), 'miss 200 own');
      feed.send('late').end();
      assert.equal(await slow.text(), 'late');
      await one.assertAtRest(url, origin);
      assert.equal(await one.get(url, origin), 'hit 200 own');
    });

    test('shares a response that has not been asked for often enough, and stores it once it has', async () => {
      const url = newUrl();
      const gate = new Gate();
      const origin = new ScriptedOrigin(async () => {
        await gate.opened;
        return { fields: FRESH, body: feedOf('text') };
      });
      origin.rule = { minUses: 2 };
      const asked = [1, 2, 3].map(() => one.ask(url, origin));
      await one.looked();
      gate.open();
      const answers = await Promise.all(asked);
      assert.deepEqual(
        answers.map(({ storage }) => storage),
        ['min-uses', 'min-uses', 'min-uses'],
      );
      assert.deepEqual(await Promise.all(answers.map((answer) => answer.text())), ['text', 'text', 'text']);
      assert.equal(origin.asked, 1);
      await one.assertAtRest(url, origin);
      assert.equal((await one.ask(url, origin)).storage, 'stored');
    });
  });
}
