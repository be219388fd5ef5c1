import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EmbeddedStore } from '../../../src/store/embedded.js';
import { parseAddress } from '../../../src/store/memcached/address.js';
import { MemcachedPool } from '../../../src/store/memcached/pool.js';
import { RING_KINDS } from '../../../src/store/memcached/ring.js';
import { nearest, type Store } from '../../../src/store/store.js';

const NAMES = Array.from({ length: 16 }, (_, i) => `name-${i}`);
const KEYS = Array.from({ length: 200 }, (_, i) => `key-${i}`);

/** Which of `stores` holds `key`, after it was set through the pool. */
async function placeOf(key: string, pool: Store, stores: readonly Store[]): Promise<number> {
  await pool.set(key, Buffer.from('here'));
  const found = await Promise.all(stores.map((store) => store.get(key)));
  return found.findIndex((item) => item !== null);
}

for (const ring of RING_KINDS) {
  test(`${ring}: near is the first name that lies on the key's server`, async () => {
    const stores = [new EmbeddedStore(), new EmbeddedStore(), new EmbeddedStore()];
    const servers = stores.map((store, i) => ({ address: parseAddress(`10.0.0.${i + 1}`), store }));
    const pool = new MemcachedPool(servers, { ring, timeoutMs: 100 });
    const places = await Promise.all(NAMES.map((name) => placeOf(name, pool, stores)));
    assert.equal(new Set(places).size, 3, 'the names must reach every server for this test to mean anything');
    for (const key of KEYS) {
      const place = await placeOf(key, pool, stores);
      assert.equal(nearest(pool, key, NAMES), NAMES[places.indexOf(place)]);
      const elsewhere = NAMES.filter((_, i) => places[i] !== place);
      assert.equal(nearest(pool, key, elsewhere), elsewhere[0]);
    }
  });
}

test('serverOf names the server of the pool that a key lies on', async () => {
  const stores = [new EmbeddedStore(), new EmbeddedStore(), new EmbeddedStore()];
  const servers = stores.map((store, i) => ({ address: parseAddress(`10.0.0.${i + 1}:1121${i}`), store }));
  const pool = new MemcachedPool(servers, { timeoutMs: 100 });
  for (const key of KEYS.slice(0, 20)) {
    const place = await placeOf(key, pool, stores);
    assert.equal(pool.serverOf(key), `10.0.0.${place + 1}:1121${place}`);
  }
});

test('a store of a user’s own without it is taken for one server', () => {
  const { get, getMany, set, delete: remove, touch, increment, stats, close, maxItemBytes } = new EmbeddedStore();
  const store: Store = { get, getMany, set, delete: remove, touch, increment, stats, close, maxItemBytes };
  assert.equal(nearest(store, 'key', ['a', 'b']), 'a');
  assert.throws(() => nearest(store, 'key', []), RangeError);
});
