import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type GenerationRecord, labelsOf } from '../../src/cache/generation-record.js';
import { Generations, type Moment } from '../../src/cache/generations.js';
import { ALL_KEY, EPOCH_KEYS } from '../../src/cache/key.js';
import { Purger, type PurgeTarget } from '../../src/cache/purger.js';
import { EmbeddedStore } from '../../src/store/embedded.js';
import { FailingStore } from '../support/failing-store.js';

const LABELS = labelsOf({ key: 'http://host/a/b', url: 'http://host/a/b' }, ['news', 'sport']);
const ALL: PurgeTarget = { kind: 'all' };
const NEWS: PurgeTarget = { kind: 'tag', tag: 'news' };
const DIRECTORY: PurgeTarget = { kind: 'prefix', prefix: 'http://host/a/' };

function setUp() {
  const store = new FailingStore(new EmbeddedStore());
  return { store, generations: new Generations(store), purger: new Purger(store) };
}

async function momentOf(store: FailingStore, generations: Generations): Promise<Moment> {
  const epochKey = generations.epochKey('key');
  return { epochKey, epoch: await generations.epoch(epochKey, await store.get(epochKey)) };
}

/** What an entry records whose fetch begins and ends with nothing in between. */
async function recorded(store: FailingStore, generations: Generations): Promise<GenerationRecord> {
  const moment = await momentOf(store, generations);
  const record = await generations.record(LABELS, moment, performance.now());
  assert.ok(typeof record !== 'string', String(record));
  return record;
}

async function checked(store: FailingStore, generations: Generations, record: GenerationRecord): Promise<string> {
  return generations.check(record, await momentOf(store, generations));
}

describe('generations', () => {
  test('are valid until something that concerns them is purged', async () => {
    const { store, generations, purger } = setUp();
    const record = await recorded(store, generations);
    assert.equal(record.counters.length, 5);
    assert.equal(await checked(store, generations, record), 'valid');
    await purger.purge({ kind: 'tag', tag: 'weather' });
    await purger.purge({ kind: 'prefix', prefix: 'http://host/b/' });
    await purger.purge({ kind: 'prefix', prefix: 'http://host/a/b/' });
    assert.equal(await checked(store, generations, record), 'valid');
  });

  for (const target of [ALL, NEWS, DIRECTORY]) {
    test(`a hard purge of ${target.kind} leaves nothing, a soft one something stale`, async () => {
      const { store, generations, purger } = setUp();
      const record = await recorded(store, generations);
      assert.equal(await purger.purge(target, { soft: true }), 'purged');
      assert.equal(await checked(store, generations, record), 'soft-purged');
      assert.equal(await purger.purge(target), 'purged');
      assert.equal(await checked(store, generations, record), 'purged');
      const next = await recorded(store, generations);
      assert.equal(await checked(store, generations, next), 'valid');
    });
  }

  test('what has been stored before a counter was lost is not found again', async () => {
    for (const key of [ALL_KEY, 'lookaside:tag:news', 'lookaside:prefix:http://host/']) {
      const { store, generations } = setUp();
      const record = await recorded(store, generations);
      await store.delete(key);
      await store.delete(generations.epochKey('key'));
      assert.equal(await checked(store, generations, record), 'purged', key);
    }
  });

  test('a lost epoch costs nothing', async () => {
    const { store, generations } = setUp();
    const record = await recorded(store, generations);
    for (const key of EPOCH_KEYS) await store.delete(key);
    assert.equal(await checked(store, generations, record), 'valid');
  });

  test('a counter is created with a value of its own, by several at once as one', async () => {
    const { store } = setUp();
    const seen = new Set<string>();
    for (let i = 0; i < 20; i++) {
      const records = await Promise.all(Array.from({ length: 5 }, () => recorded(store, new Generations(store))));
      assert.equal(new Set(records.map(({ counters }) => counters.join())).size, 1);
      const value = (await store.get('lookaside:tag:news'))?.value.toString() ?? '';
      assert.equal(BigInt(value) & 0xf_ffffn, 0n);
      seen.add(value);
      await store.delete('lookaside:tag:news');
    }
    assert.equal(seen.size, 20);
  });

  test('what is no number is not counted on, and replaced', async () => {
    const { store, generations } = setUp();
    const record = await recorded(store, generations);
    await store.set('lookaside:tag:news', Buffer.from('news'));
    await store.set(generations.epochKey('key'), Buffer.from('-1'));
    assert.equal(await checked(store, generations, record), 'purged');
    assert.equal(await checked(store, generations, await recorded(store, generations)), 'valid');
  });

  test('are read once an epoch', async () => {
    const { store, generations, purger } = setUp();
    const record = await recorded(store, generations);
    await purger.purge({ kind: 'tag', tag: 'weather' });
    const moment = await momentOf(store, generations);
    assert.equal(await generations.check(record, moment), 'valid');
    store.operations.length = 0;
    assert.equal(await generations.check(record, moment), 'valid');
    assert.ok(typeof (await generations.record(LABELS, moment, performance.now())) !== 'string');
    assert.deepEqual(store.operations, []);
  });

  test('whose server does not answer are reason not to use an entry', async () => {
    const { store, generations, purger } = setUp();
    const record = await recorded(store, generations);
    await purger.purge({ kind: 'tag', tag: 'weather' });
    const moment = await momentOf(store, generations);
    store.fails = () => 'timeout';
    assert.equal(await generations.check(record, moment), 'timeout');
  });
});

describe('what a fetch records', () => {
  test('is out of date when something was purged that nobody knew the counter of before', async () => {
    const { store, generations, purger } = setUp();
    const moment = await momentOf(store, generations);
    const begunMs = performance.now();
    await purger.purge(NEWS);
    assert.equal(await generations.record(LABELS, moment, begunMs), 'purged');
  });

  test('is good when the counters are what they were before, whatever else was purged', async () => {
    const { store, generations, purger } = setUp();
    const moment = await momentOf(store, generations);
    await generations.warm(LABELS, moment);
    const begunMs = performance.now();
    await purger.purge({ kind: 'tag', tag: 'weather' });
    // another lookup sees the purge
    await momentOf(store, generations);
    const record = await generations.record(LABELS, moment, begunMs);
    assert.ok(typeof record !== 'string');
    assert.equal(await checked(store, generations, record), 'valid');
  });

  test('is not what somebody else has read since', async () => {
    const { store, generations, purger } = setUp();
    const record = await recorded(store, generations);
    const moment = await momentOf(store, generations);
    const begunMs = performance.now();
    await purger.purge(NEWS);
    assert.equal(await checked(store, generations, record), 'purged');
    assert.equal(await generations.record(LABELS, moment, begunMs), 'purged');
  });

  test('does not outlive a purge, whenever in the course of it the fetch ends', async () => {
    // one purge is 33 operations; the fetch ends in front of each of them, or behind the last
    for (let end = 1; end <= 34; end++) {
      for (const isWarm of [false, true]) {
        const { store, generations } = setUp();
        await recorded(store, new Generations(store));
        const moment = await momentOf(store, generations);
        if (isWarm) await generations.warm(LABELS, moment);
        const begunMs = performance.now();
        const purged = new FailingStore(store);
        let result: GenerationRecord | string = '';
        purged.before = async ({ count }) => {
          if (count === end) result = await generations.record(LABELS, moment, begunMs);
        };
        await new Purger(purged).purge(NEWS);
        assert.equal(purged.operations.length, 33);
        if (end === 34) result = await generations.record(LABELS, moment, begunMs);
        const outcome = typeof result === 'string' ? result : await checked(store, generations, result);
        assert.equal(outcome, 'purged', `ended at ${end}, ${isWarm ? 'warm' : 'cold'}`);
      }
    }
  });

  test('holds until the first purge of anything when a counter could not be read', async () => {
    const { store, generations, purger } = setUp();
    const moment = await momentOf(store, generations);
    store.fails = ({ keys }) => (keys.some((key) => !key.startsWith('lookaside:epoch:')) ? 'connection' : undefined);
    const record = await generations.record(LABELS, moment, performance.now());
    assert.ok(typeof record !== 'string');
    assert.deepEqual(record.counters, ['-', '-', '-', '-', '-']);
    store.fails = () => undefined;
    await purger.purge({ kind: 'tag', tag: 'weather' });
    assert.equal(await checked(store, generations, record), 'purged');
  });

  test('is nothing when the epoch can not be read', async () => {
    const { store, generations } = setUp();
    const moment = await momentOf(store, generations);
    store.fails = ({ name }) => (name === 'get' ? 'busy' : undefined);
    assert.equal(await generations.record(LABELS, moment, performance.now()), 'busy');
  });

  test('is nothing when the epoch was lost', async () => {
    const { store, generations } = setUp();
    const moment = await momentOf(store, generations);
    await store.delete(moment.epochKey);
    assert.equal(await generations.record(LABELS, moment, performance.now()), 'purged');
  });
});
