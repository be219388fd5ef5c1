import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { EmbeddedStore, ENTRY_OVERHEAD_BYTES } from '../../src/store/embedded.js';
import { type Store, StoreError } from '../../src/store/store.js';

async function reported(store: Store, name: string): Promise<number> {
  const [stats] = await store.stats();
  assert.ok(stats !== undefined && !(stats.report instanceof StoreError));
  return Number(stats.report.get(name));
}

test('items, keys and overhead together never take more than maxBytes', async () => {
  const maxBytes = 100_000;
  const store = new EmbeddedStore({ maxBytes });
  const write = fc.record({
    key: fc.stringMatching(/^[!-~]{1,20}$/),
    bytes: fc.nat(20_000),
    mode: fc.constantFrom('set', 'add', 'replace'),
  });
  await fc.assert(
    fc.asyncProperty(write, async ({ key, bytes, mode }) => {
      await store.set(key, Buffer.alloc(bytes), { mode });
      assert.ok((await reported(store, 'bytes')) <= maxBytes);
    }),
    { numRuns: 300 },
  );
});

test('a full store drops the least recently used item', async () => {
  const itemBytes = 1000;
  const store = new EmbeddedStore({ maxBytes: 3 * (itemBytes + 1 + ENTRY_OVERHEAD_BYTES) });
  for (const key of ['a', 'b', 'c']) await store.set(key, Buffer.alloc(itemBytes));
  await store.get('a');
  await store.set('b', Buffer.alloc(itemBytes));
  await store.get('c');
  await store.set('d', Buffer.alloc(itemBytes));
  assert.deepEqual([...(await store.getMany(['a', 'b', 'c', 'd'])).keys()], ['b', 'c', 'd']);
  await store.delete('b');
  assert.equal(await reported(store, 'evictions'), 1);
});

test('the item limit is never above what the store can hold', async () => {
  const store = new EmbeddedStore({ maxBytes: 10_000 });
  const key = 'k'.repeat(250);
  assert.equal(await store.set(key, Buffer.alloc(store.maxItemBytes)), 'stored');
  assert.equal((await store.get(key))?.value.length, store.maxItemBytes);
});

test('an append above the item limit is too large and leaves the item', async () => {
  const store = new EmbeddedStore({ maxItemBytes: 10 });
  await store.set('key', Buffer.from('12345678'));
  await assert.rejects(store.set('key', Buffer.from('9ab'), { mode: 'append' }), { code: 'too-large' });
  assert.equal((await store.get('key'))?.value.toString(), '12345678');
});

test('time to live follows the clock that was given, to the second', async () => {
  let now = 5_000;
  const store = new EmbeddedStore({ now: () => now });
  await store.set('key', Buffer.from('value'), { ttlSeconds: 2 });
  const ttl = async () => (await store.get('key'))?.ttlSeconds;
  assert.equal(await ttl(), 2);
  now += 1;
  assert.equal(await ttl(), 2);
  now += 1000;
  assert.equal(await ttl(), 1);
  now += 998;
  assert.equal(await ttl(), 1);
  now += 1;
  assert.equal(await store.get('key'), null);
  assert.equal(await reported(store, 'curr_items'), 0);
});

test('counts hits, misses and writes', async () => {
  const store = new EmbeddedStore();
  await store.set('key', Buffer.from('value'));
  await store.getMany(['key', 'absent', 'absent']);
  await store.get('key');
  assert.deepEqual(
    [await reported(store, 'get_hits'), await reported(store, 'get_misses'), await reported(store, 'cmd_set')],
    [2, 1, 1],
  );
});

test('a counter shows the number and nothing else after it got shorter', async () => {
  const store = new EmbeddedStore();
  await store.set('counter', Buffer.from('10'));
  await store.increment('counter', -1n);
  assert.equal((await store.get('counter'))?.value.toString(), '9');
});

test('a counter that memcached has padded is still a number', async () => {
  const store = new EmbeddedStore();
  await store.set('counter', Buffer.from('9  '));
  assert.equal(await store.increment('counter', 1n), 10n);
});
