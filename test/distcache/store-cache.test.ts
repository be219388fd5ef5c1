import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Seal, secretsOf } from '../../src/distcache/seal.js';
import { StoreCache, type StoreCacheOptions } from '../../src/distcache/store-cache.js';
import { EmbeddedStore } from '../../src/store/embedded.js';
import { openStore } from '../../src/store/open.js';
import { type SetOptions, type Store, StoreError, type Value } from '../../src/store/store.js';
import { type CacheUnderTest, sessionCacheBehaviour } from '../behaviour/session-cache.js';
import { type Memcached, startMemcached } from '../support/memcached.js';

const SECRET = Buffer.from('a secret of enough bytes');
const NOW = 1_763_640_000_000;

/** Over a store in the process, whose seconds pass as those of the cache do. */
async function openEmbedded(options: StoreCacheOptions = {}): Promise<CacheUnderTest> {
  let passedMs = 0;
  const store = new EmbeddedStore({ now: () => passedMs });
  return {
    cache: new StoreCache(store, { now: () => NOW + passedMs, ...options }),
    now: () => 0,
    advance(ms) {
      passedMs += ms;
    },
  };
}

sessionCacheBehaviour('the cache over a store', () => openEmbedded());
sessionCacheBehaviour('the sealed cache over a store', () => openEmbedded({ seal: new Seal([SECRET]) }));

describe('over memcached', () => {
  let memcached: Memcached;
  before(async () => {
    memcached = await startMemcached();
  });
  after(() => memcached.stop());

  function openMemcached(options: StoreCacheOptions = {}): StoreCache {
    return new StoreCache(openStore({ memcached: { servers: [{ address: memcached.address }] } }), options);
  }

  // memcached's seconds pass by themselves: the cache's clock may run a little ahead of them before it counts as wrong
  sessionCacheBehaviour('the cache over memcached', async () => {
    let now = Date.now();
    const cache = openMemcached({ now: () => now });
    return {
      cache,
      now: () => 0,
      async advance(ms) {
        now += ms;
        if (ms > 2000) await delay(ms);
      },
    };
  });

  test('what one adds the other finds, refuses and removes', async () => {
    const [one, other] = [openMemcached(), openMemcached()];
    const id = randomBytes(32);
    assert.equal(await one.add(id, Buffer.from('session'), 60_000), true);
    assert.deepEqual(await other.get(id), Buffer.from('session'));
    assert.equal(await other.add(id, Buffer.from('another'), 60_000), false);
    assert.equal(await other.remove(id), true);
    assert.equal(await one.have(id), false);
    await Promise.all([one.close(), other.close()]);
  });

  test('of many that add the same session at once, one succeeds', async () => {
    const caches = Array.from({ length: 8 }, () => openMemcached());
    for (const state of ['absent', 'expired'] as const) {
      const id = randomBytes(32);
      if (state === 'expired') await openAndAddExpired(id);
      const added = await Promise.all(caches.map((cache, i) => cache.add(id, Buffer.from(`session ${i}`), 60_000)));
      assert.equal(added.filter(Boolean).length, 1, state);
      assert.deepEqual(await caches[0]?.get(id), Buffer.from(`session ${added.indexOf(true)}`));
    }
    await Promise.all(caches.map((cache) => cache.close()));
  });

  async function openAndAddExpired(id: Buffer): Promise<void> {
    const past = openMemcached({ now: () => Date.now() - 1500 });
    assert.equal(await past.add(id, Buffer.from('expired'), 1000), true);
    await past.close();
  }

  test('an item is the hexadecimal id, the expiry in milliseconds and the data', async () => {
    const cache = openMemcached({ now: () => NOW });
    const store = openStore({ memcached: { servers: [{ address: memcached.address }] } });
    await cache.add(Buffer.from('0a0bff', 'hex'), Buffer.from('session'), 4321);
    const item = await store.get('distcache:0a0bff');
    assert.equal(item?.value.readBigUInt64BE(), BigInt(NOW + 4321));
    assert.equal(item?.value.subarray(8).toString(), 'session');
    assert.ok(item?.ttlSeconds !== undefined && item.ttlSeconds >= 5 && item.ttlSeconds <= 6);
    await Promise.all([cache.close(), store.close()]);
  });
});

test('an idle cache counts without asking the store', async () => {
  class Asked extends EmbeddedStore {
    times = 0;
    override stats() {
      this.times++;
      return super.stats();
    }
  }
  const store = new Asked();
  const cache = new StoreCache(store);
  for (const round of [1, 2]) {
    await cache.add(randomBytes(8), Buffer.from('session'), 60_000);
    assert.deepEqual([await cache.count(), await cache.count()], [round, round]);
    assert.equal(store.times, round);
  }
});

describe('clocks that differ', () => {
  for (const [what, skewMs] of [
    ['an hour behind', -3_600_000],
    ['an hour ahead', 3_600_000],
  ] as const) {
    test(`a server whose clock is ${what} finds the sessions of the others as long as they last`, async () => {
      let passedMs = 0;
      const store = new EmbeddedStore({ now: () => passedMs });
      const right = new StoreCache(store, { now: () => NOW + passedMs });
      const wrong = new StoreCache(store, { now: () => NOW + passedMs + skewMs });
      for (const [writer, reader] of [
        [right, wrong],
        [wrong, right],
      ] as const) {
        const id = randomBytes(32);
        await writer.add(id, Buffer.from('session'), 60_000);
        assert.deepEqual(await reader.get(id), Buffer.from('session'));
        assert.equal(await reader.add(id, Buffer.from('another'), 60_000), false);
        passedMs += 59_000;
        assert.equal(await reader.have(id), true);
        passedMs += 2500;
        assert.equal(await reader.have(id), false);
      }
    });
  }
});

describe('what lies in the store is not trusted', () => {
  const id = Buffer.from('0102', 'hex');
  const expiry = Buffer.alloc(8);
  expiry.writeBigUInt64BE(BigInt(NOW + 60_000));

  for (const [what, value] of [
    ['nothing', Buffer.alloc(0)],
    ['less than an expiry', Buffer.alloc(7)],
    ['an expiry without data', expiry],
    ['more than a message can carry', Buffer.concat([expiry, Buffer.alloc(32_760)])],
  ] as const) {
    test(`${what} is no session, and is replaced by one`, async () => {
      const store = new EmbeddedStore();
      const cache = new StoreCache(store, { now: () => NOW });
      await store.set('distcache:0102', value);
      assert.equal(await cache.get(id), undefined);
      assert.equal(await cache.remove(id), false);
      assert.equal(await cache.add(id, Buffer.from('session'), 60_000), true);
      assert.deepEqual(await cache.get(id), Buffer.from('session'));
    });
  }

  test('an expiry that is nearly for ever ends with the item', async () => {
    let passedMs = 0;
    const store = new EmbeddedStore({ now: () => passedMs });
    const cache = new StoreCache(store, { now: () => NOW + passedMs });
    await store.set('distcache:0102', Buffer.concat([Buffer.alloc(8, 0xff), Buffer.from('session')]), {
      ttlSeconds: 60,
    });
    passedMs = 61_000;
    assert.equal(await cache.have(id), false);
  });
});

describe('a seal', () => {
  const id = Buffer.from('0102', 'hex');
  const data = Buffer.from('master secret of a session');

  function open(store: Store, ...secrets: readonly string[]): StoreCache {
    return new StoreCache(store, { seal: new Seal(secrets.map((secret) => Buffer.from(secret))), now: () => NOW });
  }

  test('hides the session', async () => {
    const store = new EmbeddedStore();
    await open(store, 'the first secret').add(id, data, 60_000);
    const item = await store.get('distcache:0102');
    assert.ok(item);
    assert.equal(item.value.includes('master'), false);
    assert.equal(item.value.length, 12 + 8 + data.length + 16);
  });

  test('gives nothing to another secret, nor to a server without', async () => {
    const store = new EmbeddedStore();
    await open(store, 'the first secret').add(id, data, 60_000);
    assert.equal(await open(store, 'the other secret').get(id), undefined);
    assert.notDeepEqual(await new StoreCache(store, { now: () => NOW }).get(id), data);
  });

  test('opens what an older secret has sealed', async () => {
    const store = new EmbeddedStore();
    await open(store, 'the first secret').add(id, data, 60_000);
    assert.deepEqual(await open(store, 'the newer secret', 'the first secret').get(id), data);
  });

  test('refuses a session under another id, and one with any bit changed', async () => {
    const store = new EmbeddedStore();
    const cache = open(store, 'the first secret');
    await cache.add(id, data, 60_000);
    const sealed = (await store.get('distcache:0102'))?.value;
    assert.ok(sealed);
    await store.set('distcache:0103', sealed);
    assert.equal(await cache.get(Buffer.from('0103', 'hex')), undefined);
    for (let bit = 0; bit < sealed.length * 8; bit++) {
      const changed = Buffer.from(sealed);
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      await store.set('distcache:0102', changed);
      assert.equal(await cache.get(id), undefined, `bit ${bit}`);
    }
  });

  test('wants a secret, and one that can not be guessed', () => {
    assert.throws(() => new Seal([]), RangeError);
    assert.throws(() => new Seal([Buffer.from('short')]), RangeError);
    assert.deepEqual(secretsOf('new secret\r\n\n  old secret  \n').map(String), ['new secret', 'old secret']);
  });
});

describe('a store that does not do what it is asked', () => {
  const id = Buffer.from('01', 'hex');

  test('rejects what it does not answer', async () => {
    const store = new EmbeddedStore();
    await store.close();
    const cache = new StoreCache(store);
    const isFailure = (error: unknown) => error instanceof StoreError;
    await assert.rejects(cache.add(id, Buffer.from('session'), 60_000), isFailure);
    await assert.rejects(cache.get(id), isFailure);
    await assert.rejects(cache.have(id), isFailure);
    await assert.rejects(cache.remove(id), isFailure);
    assert.equal(await cache.count(), 0);
  });

  test('does not keep an ADD busy when its items vanish again and again', async () => {
    class Vanishing extends EmbeddedStore {
      sets = 0;
      override async set(_key: string, _value: Value, _options?: SetOptions) {
        this.sets++;
        return 'not-stored' as const;
      }
    }
    const store = new Vanishing();
    assert.equal(await new StoreCache(store).add(id, Buffer.from('session'), 60_000), false);
    assert.ok(store.sets <= 2);
  });
});
