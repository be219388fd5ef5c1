import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { EmbeddedStore } from '../../src/store/embedded.js';
import { newUrl } from '../support/cached.js';
import { CachingEngine } from '../support/engine.js';
import { FailingStore } from '../support/failing-store.js';
import { Gate } from '../support/gate.js';
import { Feed, ScriptedOrigin, UNREACHABLE } from '../support/scripted-origin.js';
import { until } from '../support/until.js';

const TAGGED = ['Cache-Control', 'max-age=10, stale-while-revalidate=10', 'ETag', '"1"'];

describe('while the store fails, the HTTP cache', () => {
  /** A cache over a store that fails from the beginning. */
  function failing(): CachingEngine {
    const store = new FailingStore(new EmbeddedStore());
    store.fails = () => 'timeout';
    return new CachingEngine(store);
  }

  test('answers with what the origin says, stores nothing, and says why', async () => {
    const one = failing();
    const origin = new ScriptedOrigin((_request, nth) => ({ fields: TAGGED, body: `v${nth}` }));
    for (const nth of [1, 2]) {
      const answer = await one.ask('http://h/', origin);
      assert.deepEqual([answer.outcome.verdict, answer.storage, await answer.text()], ['miss', 'timeout', `v${nth}`]);
    }
    assert.equal(one.budget.usedBytes, 0);
  });

  test('still fetches once for all who ask at the same time', async () => {
    const one = failing();
    const feed = new Feed();
    const gate = new Gate();
    const origin = new ScriptedOrigin(async () => {
      await gate.opened;
      return { fields: TAGGED, body: feed };
    });
    const asked = Array.from({ length: 20 }, () => one.ask('http://h/', origin));
    await one.looked();
    gate.open();
    const answers = await Promise.all(asked);
    feed.send('text').end();
    const texts = await Promise.all(answers.map((answer) => answer.text()));
    assert.deepEqual([new Set(texts), origin.asked], [new Set(['text']), 1]);
    await origin.letGo();
  });

  test('remembers by itself for what nobody needs to wait', async () => {
    const one = failing();
    const gate = new Gate();
    const origin = new ScriptedOrigin(async (_request, nth) => {
      if (nth > 1) await gate.opened;
      return { fields: ['Cache-Control', 'private'], body: `for number ${nth}` };
    });
    assert.equal(await one.get('http://h/', origin), 'miss 200 for number 1');
    const asked = [one.ask('http://h/', origin), one.ask('http://h/', origin)];
    await until(() => origin.asked === 3, 'one waits for the other');
    gate.open();
    const texts = await Promise.all(asked.map(async (answer) => (await answer).text()));
    assert.equal(new Set(texts).size, 2);
  });

  test('tells of an origin that fails as well', async () => {
    const one = failing();
    assert.match(await one.get('http://h/', new ScriptedOrigin(UNREACHABLE)), /^miss 502 /);
  });
});

describe('whichever operation of the store fails, the HTTP cache', () => {
  for (const [what, vary] of [
    ['responses', []],
    ['variants', ['Vary', 'Accept-Language']],
  ] as const) {
    test(`answers with the right ${what}, and holds on to no memory and no body`, async (t) => {
      t.mock.timers.enable({ apis: ['Date'], now: Date.now() });
      let operations = 1;
      for (let failed = 1; failed <= operations; failed++) {
        const store = new FailingStore(new EmbeddedStore());
        store.fails = ({ count }) => (count === failed ? 'timeout' : undefined);
        // A lease that could not be given back is waited for, but not for long.
        const [one, other] = [1, 2].map(() => new CachingEngine(store, { leaseWaitMs: 5 }));
        assert.ok(one !== undefined && other !== undefined);
        const url = newUrl();
        let version = 1;
        const origin = new ScriptedOrigin((request) => {
          const fields = [...TAGGED.slice(0, 3), `"${version}"`, ...vary];
          const isSame = request.get('if-none-match') === `"${version}"`;
          return isSame ? { status: 304, fields } : { fields, body: `v${version} ${request.get('accept-language')}` };
        });
        const german = ['Accept-Language', 'de'];
        const ask = async (engine: CachingEngine) => (await engine.get(url, origin, german)).replace(/^.* 200 /, '');
        assert.equal(await ask(one), 'v1 de', `${failed}`);
        assert.equal(await ask(other), 'v1 de', `${failed}`);
        t.mock.timers.tick(25_000);
        assert.equal(await ask(one), 'v1 de', `${failed}`);
        version = 2;
        t.mock.timers.tick(25_000);
        assert.equal(await ask(other), 'v2 de', `${failed}`);
        version = 3;
        t.mock.timers.tick(15_000);
        assert.match(await ask(one), /^v[23] de$/, `${failed}`);
        for (const { budget } of [one, other]) assert.equal(budget.usedBytes, 0, `${failed}`);
        await origin.letGo();
        operations = store.operations.length;
      }
    });
  }
});
