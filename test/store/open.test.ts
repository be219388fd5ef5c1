import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EmbeddedStore } from '../../src/store/embedded.js';
import { parseAddress } from '../../src/store/memcached/address.js';
import { MemcachedPool } from '../../src/store/memcached/pool.js';
import { Server } from '../../src/store/memcached/server.js';
import { openStore } from '../../src/store/open.js';

const servers = (...texts: string[]) => texts.map((text) => ({ address: parseAddress(text) }));

test('without servers the store is the embedded one', async () => {
  const store = openStore();
  assert.ok(store instanceof EmbeddedStore);
  await store.close();
});

test('the embedded store gets its options', async () => {
  const store = openStore({ embedded: { maxItemBytes: 1234 } });
  assert.equal(store.maxItemBytes, 1234);
  await store.close();
});

test('one server is a store by itself, and gets the options', async () => {
  const store = openStore({ memcached: { servers: servers('127.0.0.1:1'), maxItemBytes: 4321 } });
  assert.ok(store instanceof Server);
  assert.equal(store.maxItemBytes, 4321);
  await store.close();
});

test('several servers are a pool, and each gets the options', async () => {
  const store = openStore({ memcached: { servers: servers('127.0.0.1:1', 'unix:/nowhere'), maxItemBytes: 4321 } });
  assert.ok(store instanceof MemcachedPool);
  assert.equal(store.maxItemBytes, 4321);
  assert.deepEqual(
    (await store.stats()).map(({ server }) => server),
    ['127.0.0.1:1', 'unix:/nowhere'],
  );
  await store.close();
});

test('no server is named twice, and a list of servers is not empty', () => {
  assert.throws(() => openStore({ memcached: { servers: servers('10.0.0.1', '10.0.0.1:11211') } }), /named twice/);
  assert.throws(() => openStore({ memcached: { servers: [] } }), /at least one server/);
});
