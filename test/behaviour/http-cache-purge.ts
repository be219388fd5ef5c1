import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { PurgeTarget } from '../../src/cache/purger.js';
import type { Store } from '../../src/store/store.js';
import { newUrl } from '../support/cached.js';
import { CachingEngine } from '../support/engine.js';
import { Gate } from '../support/gate.js';
import { Feed, ScriptedOrigin } from '../support/scripted-origin.js';

const TAGGED = ['Cache-Control', 'max-age=60', 'ETag', '"1"', 'Cache-Tag', 'news'];

/** What purges mean for the HTTP cache while it fetches, over any store. */
export function purgeBehaviour(name: string, open: () => Promise<Store>): void {
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

    const ways: readonly [way: string, purge: (url: string) => Promise<unknown>][] = [
      ['by its key', (url) => other.purge(url)],
      ['by a plain delete', (url) => store.delete(url)],
      ['by a tag', () => other.purge({ kind: 'tag', tag: 'news' })],
      ['by a prefix', (url) => other.purge({ kind: 'prefix', prefix: new URL('.', url).href })],
      ['with everything', () => other.purge({ kind: 'all' })],
    ];

    for (const [way, purge] of ways) {
      test(`answers nobody with what was purged ${way}, in any process`, async () => {
        const url = newUrl();
        const origin = new ScriptedOrigin((_request, nth) => ({ fields: TAGGED, body: `v${nth}` }));
        assert.equal(await one.get(url, origin), 'miss 200 v1');
        await purge(url);
        assert.equal(await one.get(url, origin), 'miss 200 v2');
        assert.equal(await other.get(url, origin), 'hit 200 v2');
      });

      test(`does not store what was purged ${way} while it was fetched`, async () => {
        const url = newUrl();
        const feed = new Feed();
        const origin = new ScriptedOrigin((_request, nth) => ({ fields: TAGGED, body: nth === 1 ? feed : `v${nth}` }));
        const first = await one.ask(url, origin);
        feed.send('v1');
        await purge(url);
        feed.end();
        assert.equal(await first.text(), 'v1');
        await one.assertAtRest(url, origin);
        assert.equal(await other.get(url, origin), 'miss 200 v2');
        assert.equal(await one.get(url, origin), 'hit 200 v2');
      });

      for (const isThere of [false, true]) {
        test(`does not give what was purged ${way} to who comes after, ${isThere ? 'with its body on the way' : 'while it is waited for'}`, async () => {
          const url = newUrl();
          const gate = new Gate();
          const feed = new Feed();
          const origin = new ScriptedOrigin(async (_request, nth) => {
            if (nth === 1 && !isThere) await gate.opened;
            return { fields: TAGGED, body: nth === 1 ? feed : `v${nth}` };
          });
          const impatient = new CachingEngine(store, { leaseWaitMs: 30 });
          const before = impatient.ask(url, origin);
          await impatient.looked();
          if (isThere) await before;
          await purge(url);
          const after = await impatient.ask(url, origin);
          assert.equal(await after.text(), 'v2');
          gate.open();
          feed.send('v1').end();
          assert.equal(await (await before).text(), 'v1');
          await impatient.assertAtRest(url, origin);
          assert.match(await one.get(url, origin), /^(?:hit 200 v2|miss 200 v3)$/);
        });
      }

      test(`does not give to those who come after what was purged ${way} while it was revalidated`, async (t) => {
        t.mock.timers.enable({ apis: ['Date'], now: Date.now() });
        const url = newUrl();
        const origin = new ScriptedOrigin({ fields: TAGGED, body: 'v1' });
        const impatient = new CachingEngine(store, { leaseWaitMs: 30 });
        assert.equal(await impatient.get(url, origin), 'miss 200 v1');
        t.mock.timers.tick(61_000);
        const gate = new Gate();
        origin.script = async (request) => {
          if (!request.has('if-none-match')) return { fields: TAGGED, body: 'v2' };
          await gate.opened;
          return { status: 304, fields: TAGGED };
        };
        const before = impatient.get(url, origin);
        await impatient.looked();
        await purge(url);
        assert.equal(await impatient.get(url, origin), 'miss 200 v2');
        gate.open();
        assert.equal(await before, 'revalidated 200 v1');
        assert.match(await one.get(url, origin), /v2$/);
      });
    }

    test('purges all variants of a key at once', async () => {
      const url = newUrl();
      const fields = [...TAGGED, 'Vary', 'Accept-Language'];
      const origin = new ScriptedOrigin((request, nth) => ({
        fields,
        body: `${request.get('accept-language')} ${nth}`,
      }));
      for (const language of ['de', 'en']) await one.get(url, origin, ['Accept-Language', language]);
      assert.equal(await other.get(url, origin, ['Accept-Language', 'de']), 'hit 200 de 1');
      await other.purge(url);
      assert.equal(await one.get(url, origin, ['Accept-Language', 'de']), 'miss 200 de 3');
      assert.equal(await one.get(url, origin, ['Accept-Language', 'en']), 'miss 200 en 4');
    });

    for (const vary of [[], ['Vary', 'Accept-Language']]) {
      for (const target of ['its key', 'a tag'] as const) {
        test(`marks a response${vary.length > 0 ? ' with variants' : ''} stale by ${target}: it is revalidated then`, async () => {
          const url = newUrl();
          const fields = [...TAGGED, ...vary];
          const origin = new ScriptedOrigin({ fields, body: 'v1' });
          await one.get(url, origin);
          const purged: PurgeTarget = target === 'a tag' ? { kind: 'tag', tag: 'news' } : { kind: 'key', key: url };
          await other.purge(purged, true);
          origin.script = (request) =>
            request.has('if-none-match') ? { status: 304, fields } : { fields, body: 'v2' };
          assert.equal(await one.get(url, origin), 'revalidated 200 v1');
          assert.equal(await other.get(url, origin), 'hit 200 v1');
        });
      }

      test(`does not take a response${vary.length > 0 ? ' with variants' : ''} for fresh that was marked stale while it was revalidated`, async (t) => {
        t.mock.timers.enable({ apis: ['Date'], now: Date.now() });
        const url = newUrl();
        const fields = [...TAGGED, ...vary];
        const origin = new ScriptedOrigin({ fields, body: 'v1' });
        await one.get(url, origin);
        t.mock.timers.tick(61_000);
        const gate = new Gate();
        origin.script = async (_request, nth) => {
          if (nth > 2) return { fields, body: 'v2' };
          await gate.opened;
          return { status: 304, fields };
        };
        const impatient = new CachingEngine(store, { leaseWaitMs: 30 });
        const before = impatient.get(url, origin);
        await impatient.looked();
        await other.purge(url, true);
        assert.equal(await impatient.get(url, origin), 'miss 200 v2');
        gate.open();
        assert.equal(await before, 'revalidated 200 v1');
        assert.match(await one.get(url, origin), /v2$/);
      });
    }

    test('lets all who come after a purge share one fetch again', async () => {
      const url = newUrl();
      const gates = [new Gate(), new Gate()];
      const origin = new ScriptedOrigin(async (_request, nth) => {
        await gates[nth - 1]?.opened;
        return { fields: TAGGED, body: `v${nth}` };
      });
      const before = one.ask(url, origin);
      await one.looked();
      await one.purge(url);
      const after = [1, 2, 3].map(() => one.ask(url, origin));
      await one.looked();
      for (const gate of gates) gate.open();
      const texts = await Promise.all([before, ...after].map(async (answer) => (await answer).text()));
      assert.deepEqual(texts, ['v1', 'v2', 'v2', 'v2']);
      await one.assertAtRest(url, origin);
      assert.equal(await other.get(url, origin), 'hit 200 v2');
    });
  });
}
