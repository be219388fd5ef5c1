import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { storeKey } from '../../src/cache/key.js';
import { Purger } from '../../src/cache/purger.js';
import { Fields } from '../../src/http/fields.js';
import { EmbeddedStore } from '../../src/store/embedded.js';
import type { StoreErrorCode } from '../../src/store/store.js';
import { bodyOf, CachingProcess, newUrl, PLAN, type Response } from '../support/cached.js';
import { FailingStore, type Operation } from '../support/failing-store.js';
import { until } from '../support/until.js';

const ITEM_BYTES = 20_000;
const VARYING: Response = { fields: ['Vary', 'Accept'], request: ['Accept', 'a'] };
const RESPONSES: { readonly [what: string]: Response } = {
  'an entry': {},
  'a variant': VARYING,
  'an entry in segments': { body: Buffer.alloc(3 * ITEM_BYTES, 'long body') },
  'a tagged entry': { plan: { tags: ['news'] } },
};

/** A lookup, a fill and another lookup, however far they get. Returns what the last lookup read. */
async function run(process: CachingProcess, url: string, response: Response): Promise<string> {
  const request = new Fields(response.request);
  const { entries } = process;
  const found = await entries.find(url, url, request);
  const leased = found.slot === undefined ? undefined : await entries.lease(found.slot);
  if (leased !== undefined && leased.kind !== 'failed') {
    if (found.kind === 'entry') {
      await bodyOf(found.entry).catch(() => undefined);
      await entries.freshen(leased.slot, found.entry, found.entry, PLAN);
    } else {
      await process.fill(leased.slot, response);
    }
    await entries.release(leased.slot);
    await entries.pass(leased.slot);
    await entries.awaitEntry(leased.slot, 1);
  }
  return process.read(url, response.request).catch(() => 'broken off');
}

/** What may come of it: the right body or none. */
function isRight(text: string, { body = 'body' }: Response): boolean {
  const right = body.toString();
  const codes: readonly string[] = ['timeout', 'absent', 'pass', 'leased', 'lost', 'vary', 'purged', 'broken off'];
  return text === right || text === `stale ${right}` || codes.includes(text);
}

describe('a store that fails', () => {
  for (const [what, response] of Object.entries(RESPONSES)) {
    test(`at any one operation, or from then on, makes no exception and no wrong body of ${what}`, async () => {
      for (const isStored of [false, true]) {
        for (const forGood of [false, true]) {
          for (let failing = 1, operations = Number.POSITIVE_INFINITY; failing <= operations; failing++) {
            const store = new FailingStore(new EmbeddedStore({ maxItemBytes: ITEM_BYTES }));
            const [process, other] = [new CachingProcess(store), new CachingProcess(store)];
            const url = newUrl();
            if (isStored) {
              assert.equal(await other.store(url, response), 'stored');
              await new Purger(store).purge({ kind: 'tag', tag: 'other' });
            }
            store.operations.length = 0;
            store.fails = ({ count }) => ((forGood ? count >= failing : count === failing) ? 'timeout' : undefined);
            const text = await run(process, url, response);
            operations = store.operations.length;
            store.fails = () => undefined;
            for (const outcome of [text, await other.read(url, response.request)]) {
              assert.ok(isRight(outcome, response), `operation ${failing}: ${outcome.slice(0, 60)}`);
            }
            await until(() => process.budget.usedBytes === 0, `operation ${failing}: memory is not given back`);
          }
        }
      }
    });
  }

  test('says why nothing was found, and nothing can be stored', async () => {
    const store = new FailingStore(new EmbeddedStore());
    const process = new CachingProcess(store);
    store.fails = () => 'breaker-open';
    const found = await process.find(newUrl());
    assert.deepEqual(found, { kind: 'none', reason: 'breaker-open', slot: undefined });
  });

  test('says why a lease can not be had, and an entry not be stored', async () => {
    const store = new FailingStore(new EmbeddedStore());
    const process = new CachingProcess(store);
    const found = await process.find(newUrl());
    assert.ok(found.slot !== undefined);
    const slot = await process.slot(newUrl());
    store.fails = () => 'busy';
    assert.deepEqual(await process.entries.lease(found.slot), { kind: 'failed', reason: 'busy' });
    assert.equal(await process.fill(slot), 'busy');
  });

  test('to keep what is too large is not asked again for a while', async () => {
    const store = new FailingStore(new EmbeddedStore());
    const process = new CachingProcess(store);
    const url = newUrl();
    const slot = await process.slot(url);
    let left: StoreErrorCode | undefined = 'too-large';
    store.fails = () => {
      const code = left;
      left = undefined;
      return code;
    };
    assert.equal(await process.fill(slot), 'too-large');
    assert.equal(await process.read(url), 'pass');
  });

  test('only for the counters costs what was stored before a purge, and nothing after it', async () => {
    const store = new FailingStore(new EmbeddedStore());
    const [one, other] = [new CachingProcess(store), new CachingProcess(store)];
    const [url, later] = [newUrl(), newUrl()];
    await one.store(url);
    const isCounter = ({ keys }: Operation) =>
      keys.some((key) => key === 'lookaside:all' || key.startsWith('lookaside:prefix:'));
    store.fails = (operation) => (isCounter(operation) ? 'connection' : undefined);
    assert.equal(await other.read(url), 'body', 'nothing was purged: the counters are not needed');
    await new Purger(store).purge({ kind: 'tag', tag: 'other' });
    assert.equal(await other.read(url), 'connection');
    assert.equal(await other.store(url, { body: 'new' }), 'stored');
    assert.equal(await one.store(later, { body: 'later' }), 'stored');
    assert.deepEqual([await one.read(url), await other.read(later)], ['new', 'later']);
    await new Purger(store).purge({ kind: 'tag', tag: 'other' });
    store.fails = () => undefined;
    assert.deepEqual([await one.read(url), await other.read(later)], ['purged', 'purged']);
  });
});

describe('hostile values', () => {
  test('of any kind under the base key are reasons, and are replaced', async () => {
    const store = new EmbeddedStore();
    const process = new CachingProcess(store);
    const index = `lookaside-variants: 1 mac=- id=${'0'.repeat(32)} mark=0 key=`;
    const values: readonly (readonly [reason: string, value: (url: string) => string])[] = [
      ['malformed', () => ''],
      ['malformed', () => '\0'.repeat(1000)],
      ['malformed', () => 'HTTP/1.1 200 OK'],
      ['malformed', () => 'HTTP/1.1 200 \r\nlookaside: 2 mac=- at=1\r\n\r\n'],
      ['malformed', () => 'lookaside-lease: 1 mac=- token=x\r\n'],
      ['malformed', () => 'lookaside-pass: 1 mac=- \r\n'],
      ['malformed', (url) => `${index}${url}\r\nx`],
      ['wrong-key', (url) => `${index}${url}x\r\n- 0 -\r\n`],
      ['wrong-key', () => `lookaside-lease: 1 mac=- token=${'0'.repeat(32)} key=k\r\n`],
      ['wrong-key', () => 'lookaside-pass: 1 mac=- key=k\r\n'],
      ['absent', (url) => `${index}${url}\r\n- 0 -\r\n`],
      ['vary', (url) => `${index}${url}\r\n`],
    ];
    for (const [reason, value] of values) {
      const url = newUrl();
      await store.set(storeKey(url), Buffer.from(value(url), 'latin1'));
      assert.equal(await process.read(url), reason, value(url));
      assert.equal(await process.store(url), 'stored', value(url));
      assert.equal(await process.read(url), 'body');
    }
  });

  test('that name segments of others, or more than there can be, are lost or malformed', async () => {
    const store = new EmbeddedStore();
    const process = new CachingProcess(store);
    const [url, victim] = [newUrl(), newUrl()];
    await process.store(victim, { body: Buffer.alloc(2 * store.maxItemBytes, 'v') });
    await process.store(url, { body: Buffer.alloc(2 * store.maxItemBytes, 'u') });
    const value = (await store.get(storeKey(url)))?.value.toString('latin1') ?? '';
    const huge = value.replace(/body=\d+ seg=(\w+)\/\d+\/\d+/, 'body=999999999999 seg=$1/999999999999/1');
    await store.set(storeKey(url), Buffer.from(huge, 'latin1'));
    assert.equal(await process.read(url), 'malformed');
    const unknown = value.replace(/seg=\w{32}/, `seg=${'0'.repeat(32)}`);
    await store.set(storeKey(url), Buffer.from(unknown, 'latin1'));
    assert.equal(await process.read(url), 'lost');
  });

  test('of the key are what they are: names of the cache’s own items reach none of them', async () => {
    const store = new EmbeddedStore();
    const process = new CachingProcess(store);
    for (const key of ['lookaside:all', 'lookaside:epoch:0', '', 'x'.repeat(10_000), 'a\r\nb', '\xff\0', '__proto__']) {
      await store.set('lookaside:all', Buffer.from('1'));
      assert.equal(await process.store(key, { body: key }), 'stored');
      assert.equal(await process.read(key), key);
      assert.equal((await store.get('lookaside:all'))?.value.toString(), '1');
    }
  });
});
