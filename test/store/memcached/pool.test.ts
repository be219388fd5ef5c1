import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { EmbeddedStore } from '../../../src/store/embedded.js';
import { parseAddress } from '../../../src/store/memcached/address.js';
import { FAILOVERS, MemcachedPool, type PoolOptions } from '../../../src/store/memcached/pool.js';
import { RING_KINDS } from '../../../src/store/memcached/ring.js';
import { type Item, StoreError, type StoreErrorCode } from '../../../src/store/store.js';

/** A server whose answers to reads and writes can be kept from coming. */
class FlakyStore extends EmbeddedStore {
  failure: StoreErrorCode | undefined;
  isSilent = false;
  operations = 0;

  override async get(key: string): Promise<Item | null> {
    await this.#answer();
    return super.get(key);
  }

  override async getMany(keys: readonly string[]): Promise<Map<string, Item>> {
    await this.#answer();
    return super.getMany(keys);
  }

  override async set(...args: Parameters<EmbeddedStore['set']>): ReturnType<EmbeddedStore['set']> {
    await this.#answer();
    return super.set(...args);
  }

  async #answer(): Promise<void> {
    this.operations++;
    if (this.isSilent) await new Promise(() => {});
    if (this.failure !== undefined) throw new StoreError(this.failure, 'as the test wants it');
  }
}

const ADDRESSES = ['10.0.0.1', '10.0.0.2', '10.0.0.3'].map(parseAddress);
const KEYS = Array.from({ length: 300 }, (_, i) => `key-${i}`);
const VALUE = Buffer.from('value');

function poolOf(stores: readonly FlakyStore[], options: Partial<PoolOptions> = {}): MemcachedPool {
  const servers = stores.map((store, i) => ({ address: ADDRESSES[i] ?? parseAddress(`10.0.1.${i}`), store }));
  return new MemcachedPool(servers, { timeoutMs: 100, ...options });
}

function threeStores(): [FlakyStore, FlakyStore, FlakyStore] {
  return [new FlakyStore(), new FlakyStore(), new FlakyStore()];
}

/** The keys of `KEYS` that lie in each store. */
async function keysIn(stores: readonly FlakyStore[]): Promise<string[][]> {
  return Promise.all(stores.map(async (store) => [...(await store.getMany(KEYS)).keys()]));
}

async function fill(pool: MemcachedPool): Promise<void> {
  for (const key of KEYS) await pool.set(key, Buffer.from(`value of ${key}`));
}

for (const ring of RING_KINDS) {
  test(`${ring}: every server keeps its part of the keys, and each key is kept once`, async () => {
    const stores = threeStores();
    const pool = poolOf(stores, { ring });
    await fill(pool);
    const parts = await keysIn(stores);
    for (const part of parts) assert.ok(part.length > KEYS.length / 10);
    assert.deepEqual(parts.flat().toSorted(), KEYS.toSorted());
    for (const key of KEYS) assert.equal((await pool.get(key))?.value.toString(), `value of ${key}`);
  });
}

test('every operation goes to the server of its key', async () => {
  const stores = threeStores();
  const pool = poolOf(stores);
  for (const key of KEYS.slice(0, 30)) {
    await pool.set(key, Buffer.from('1'), { flags: 5 });
    const [home] = (await Promise.all(stores.map(async (store) => ((await store.get(key)) ? store : [])))).flat();
    assert.ok(home !== undefined);
    assert.equal(await pool.increment(key, 4n), 5n);
    assert.equal((await home.get(key))?.value.toString(), '5');
    assert.equal(await pool.touch(key, 100), true);
    assert.equal((await home.get(key))?.ttlSeconds, 100);
    assert.equal(await pool.delete(key, { cas: '0' }), false);
    assert.equal(await pool.delete(key), true);
    assert.equal(await home.get(key), null);
  }
});

test('a weight gives a server its share of the keys', async () => {
  const stores = threeStores();
  const weights = [1, 1, 8];
  const servers = stores.map((store, i) => ({ address: parseAddress(`10.0.0.${i}`), weight: weights[i] ?? 1, store }));
  await fill(new MemcachedPool(servers, { timeoutMs: 100 }));
  const [, , heavy] = await keysIn(stores);
  assert.ok((heavy?.length ?? 0) > KEYS.length / 2);
});

test('getMany asks every server once for all of its keys', async () => {
  const stores = threeStores();
  const pool = poolOf(stores);
  await fill(pool);
  for (const store of stores) store.operations = 0;
  const items = await pool.getMany([...KEYS, 'absent', ...KEYS]);
  assert.deepEqual([...items.keys()].toSorted(), KEYS.toSorted());
  assert.deepEqual(
    stores.map((store) => store.operations),
    [1, 1, 1],
  );
});

describe('with failover "miss"', () => {
  test("a failing server's keys fail and the others' do not", async () => {
    const stores = threeStores();
    const pool = poolOf(stores);
    await fill(pool);
    const [first = []] = await keysIn(stores);
    stores[0].failure = 'connection';
    for (const key of KEYS) {
      if (first.includes(key)) await assert.rejects(pool.get(key), { code: 'connection' });
      else assert.ok((await pool.get(key)) !== null);
    }
  });

  test("getMany counts a failing server's keys as absent", async () => {
    const stores = threeStores();
    const pool = poolOf(stores);
    await fill(pool);
    const [, second = [], third = []] = await keysIn(stores);
    stores[0].failure = 'timeout';
    assert.deepEqual([...(await pool.getMany(KEYS)).keys()].toSorted(), [...second, ...third].toSorted());
  });
});

describe('with failover "next"', () => {
  for (const failure of ['connection', 'breaker-open', 'protocol'] as const) {
    test(`keys of a server that fails with ${failure} are kept by the next`, async () => {
      const stores = threeStores();
      const pool = poolOf(stores, { failover: 'next' });
      stores[0].failure = failure;
      await fill(pool);
      for (const key of KEYS) assert.equal((await pool.get(key))?.value.toString(), `value of ${key}`);
      assert.equal((await pool.getMany(KEYS)).size, KEYS.length);
    });
  }

  test('only the keys of the server that is away move', async () => {
    const stores = threeStores();
    const pool = poolOf(stores, { failover: 'next' });
    await fill(pool);
    const [first = [], second = [], third = []] = await keysIn(stores);
    stores[0].failure = 'connection';
    const items = await pool.getMany(KEYS);
    assert.deepEqual([...items.keys()].toSorted(), [...second, ...third].toSorted());
    for (const key of first) assert.equal(await pool.get(key), null);
  });

  test('two servers may be away', async () => {
    const stores = threeStores();
    const pool = poolOf(stores, { failover: 'next' });
    stores[0].failure = 'breaker-open';
    stores[2].failure = 'connection';
    await fill(pool);
    assert.equal((await pool.getMany(KEYS)).size, KEYS.length);
    assert.ok((await pool.get('key-1')) !== null);
  });

  for (const failure of ['timeout', 'busy', 'server-error', 'too-large', 'closed'] as const) {
    test(`an operation that failed with ${failure} goes nowhere else`, async () => {
      const stores = threeStores();
      const pool = poolOf(stores, { failover: 'next' });
      await fill(pool);
      const [[key = ''] = []] = await keysIn(stores);
      stores[0].failure = failure;
      const before = stores[1].operations + stores[2].operations;
      await assert.rejects(pool.get(key), { code: failure });
      await assert.rejects(pool.set(key, VALUE), { code: failure });
      assert.equal(stores[1].operations + stores[2].operations, before);
    });
  }

  test('an operation that went on has no more time than one that did not', async () => {
    const stores = threeStores();
    const pool = poolOf(stores, { failover: 'next', timeoutMs: 30 });
    await fill(pool);
    const [[key = ''] = []] = await keysIn(stores);
    stores[0].failure = 'connection';
    stores[1].isSilent = true;
    stores[2].isSilent = true;
    await assert.rejects(pool.get(key), { code: 'timeout' });
    await assert.rejects(pool.getMany([key]), StoreError);
  });
});

for (const failover of FAILOVERS) {
  describe(`with failover "${failover}", whichever`, () => {
    test('a call fails when no server answered', async () => {
      const stores = threeStores();
      const pool = poolOf(stores, { failover });
      for (const store of stores) store.failure = 'breaker-open';
      await assert.rejects(pool.get('key'), { code: 'breaker-open' });
      await assert.rejects(pool.set('key', VALUE), { code: 'breaker-open' });
      await assert.rejects(pool.getMany(KEYS), { code: 'breaker-open' });
    });

    test('a bug in a server does not pass for a failure', async () => {
      const stores = threeStores();
      const pool = poolOf(stores, { failover });
      for (const store of stores) {
        store.get = () => Promise.reject(new TypeError('a bug'));
        store.getMany = () => Promise.reject(new TypeError('a bug'));
      }
      await assert.rejects(pool.get('key'), TypeError);
      await assert.rejects(pool.getMany(KEYS), TypeError);
    });
  });
}

test('one bad key fails a getMany before any server is asked', async () => {
  const stores = threeStores();
  await assert.rejects(poolOf(stores).getMany([...KEYS, 'bad key']), { code: 'bad-key' });
  assert.deepEqual(
    stores.map((store) => store.operations),
    [0, 0, 0],
  );
});

test('stats come in the order of the configuration', async () => {
  const stores = threeStores();
  const [a, b, c] = stores;
  await Promise.all([a.set('1', VALUE), b.set('1', VALUE), b.set('2', VALUE)]);
  await c.close();
  const items = (await poolOf(stores).stats()).map(({ report }) =>
    report instanceof StoreError ? report.code : report.get('curr_items'),
  );
  assert.deepEqual(items, ['1', '2', 'closed']);
});

test('the item limit is the smallest of its servers', () => {
  const servers = [5000, 3000, 4000].map((maxItemBytes, i) => ({
    address: parseAddress(`10.0.0.${i}`),
    store: new EmbeddedStore({ maxItemBytes }),
  }));
  assert.equal(new MemcachedPool(servers, { timeoutMs: 100 }).maxItemBytes, 3000);
});

test('a server named twice is refused, however it is written', () => {
  const store = new EmbeddedStore();
  for (const [one, other] of [
    ['10.0.0.1', '10.0.0.1:11211'],
    ['unix:/run/a.sock', 'unix:/run/a.sock'],
    ['[::1]', '[::1]:11211'],
  ] as const) {
    const servers = [one, '10.0.0.9', other].map((text) => ({ address: parseAddress(text), store }));
    assert.throws(() => new MemcachedPool(servers, { timeoutMs: 100 }), /named twice/);
  }
});

test('a pool needs a server', () => {
  assert.throws(() => new MemcachedPool([], { timeoutMs: 100 }), /at least one server/);
});
