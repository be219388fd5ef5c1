import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BLOCK_BYTES } from '../../src/distcache/block-memory.js';
import { MemoryCache } from '../../src/distcache/memory-cache.js';
import { sessionCacheBehaviour } from '../behaviour/session-cache.js';

sessionCacheBehaviour('the cache in the process', async () => {
  let now = 1000.25;
  return {
    cache: new MemoryCache(),
    now: () => now,
    advance(ms) {
      now += ms;
    },
  };
});

function idOf(number: number): Buffer {
  return Buffer.from(`session ${number}`);
}

const DATA = Buffer.from('data');

for (const max of [0, 63, 60_001, Number.NaN]) {
  test(`a cache of ${max} sessions is refused`, () => {
    assert.throws(() => new MemoryCache(max), RangeError);
  });
}

test('a cache that could not hold the largest session is refused', () => {
  assert.throws(() => new MemoryCache(64, 32_767), RangeError);
  const cache = new MemoryCache(64, 32_768);
  const [id, largest] = [idOf(1), Buffer.alloc(32_768 - idOf(1).length)];
  for (let i = 0; i < 3; i++) assert.equal(cache.add(idOf(i), largest, 60_000, 0), true);
  assert.deepEqual([cache.count(0), cache.have(id, 0), cache.have(idOf(2), 0)], [1, false, true]);
});

test('a full cache of 64 throws out the two that expire soonest, and never the new one', () => {
  const cache = new MemoryCache(64);
  for (let i = 0; i < 64; i++) cache.add(idOf(i), DATA, 100_000 + 1000 * i, 0);
  assert.equal(cache.add(idOf(64), DATA, 1000, 0), true);
  assert.equal(cache.count(0), 63);
  const gone = Array.from({ length: 65 }, (_, i) => i).filter((i) => !cache.have(idOf(i), 0));
  assert.deepEqual(gone, [0, 1]);
});

test('a full cache of 512 throws out 17', () => {
  const cache = new MemoryCache(512);
  for (let i = 0; i < 513; i++) cache.add(idOf(i), DATA, 60_000, 0);
  assert.equal(cache.count(0), 512 - 17 + 1);
  assert.equal(cache.have(idOf(16), 0), false, 'of those that expire together, the first added goes first');
  assert.equal(cache.have(idOf(17), 0), true);
});

test('expired sessions make room before any other is thrown out', () => {
  const cache = new MemoryCache(64);
  for (let i = 0; i < 64; i++) cache.add(idOf(i), DATA, i < 1 ? 1000 : 60_000, 0);
  cache.add(idOf(64), DATA, 60_000, 1001);
  assert.equal(cache.count(1001), 64);
});

test('an id that is there, or gone at once, makes nobody leave a full cache', () => {
  const cache = new MemoryCache(64);
  for (let i = 0; i < 64; i++) cache.add(idOf(i), DATA, 60_000, 0);
  assert.equal(cache.add(idOf(5), DATA, 60_000, 0), false);
  assert.equal(cache.add(idOf(64), DATA, 0, 0), true);
  assert.equal(cache.count(0), 64);
});

test('being looked at does not save a session', () => {
  const cache = new MemoryCache(64);
  for (let i = 0; i < 64; i++) cache.add(idOf(i), DATA, 60_000 + i, 0);
  for (let i = 0; i < 100; i++) cache.get(idOf(0), 0);
  cache.add(idOf(64), DATA, 60_000, 0);
  assert.equal(cache.have(idOf(0), 0), false);
});

const MAX_BLOCKS = 130;

/** The same, the slow way: a list in the order of expiry. */
class Model {
  #sessions: { id: number; expiresAt: number; blocks: number }[] = [];

  add(id: number, dataBytes: number, timeoutMs: number, now: number): boolean {
    this.#sessions = this.#sessions.filter(({ expiresAt }) => expiresAt >= now);
    if (this.have(id, now)) return false;
    if (timeoutMs === 0) return true;
    const blocks = Math.ceil((idOf(id).length + dataBytes) / BLOCK_BYTES);
    if (this.#sessions.length >= 64) this.#sessions.splice(0, 2);
    while (this.blocks + blocks > MAX_BLOCKS) this.#sessions.shift();
    this.#sessions.push({ id, expiresAt: Math.floor(now) + timeoutMs, blocks });
    this.#sessions.sort((one, other) => one.expiresAt - other.expiresAt);
    return true;
  }

  get blocks(): number {
    return this.#sessions.reduce((sum, { blocks }) => sum + blocks, 0);
  }

  remove(id: number, now: number): boolean {
    const isThere = this.have(id, now);
    this.#sessions = this.#sessions.filter((session) => session.id !== id);
    return isThere;
  }

  have(id: number, now: number): boolean {
    return this.#sessions.some((session) => session.id === id && session.expiresAt >= now);
  }

  count(now: number): number {
    return this.#sessions.filter(({ expiresAt }) => expiresAt >= now).length;
  }
}

test('any operations in any order have the effect of the slow way', () => {
  const operation = fc.record({
    what: fc.constantFrom('add', 'add', 'add', 'add', 'remove', 'have'),
    id: fc.nat(90),
    // the blocks are used up by a few of the larger ones, and by 64 of the smaller ones they are not
    dataBytes: fc.oneof(fc.constant(4), fc.nat(1500)),
    timeoutMs: fc.nat(3000),
    passMs: fc.double({ min: 0, max: 30, noNaN: true }),
  });
  fc.assert(
    fc.property(fc.array(operation, { minLength: 100, maxLength: 400, size: 'max' }), (operations) => {
      const [cache, model] = [new MemoryCache(64, MAX_BLOCKS * BLOCK_BYTES), new Model()];
      let now = 0;
      for (const { what, id, dataBytes, timeoutMs, passMs } of operations) {
        now += passMs;
        if (what === 'add') {
          const isAdded = cache.add(idOf(id), Buffer.alloc(dataBytes), timeoutMs, now);
          assert.equal(isAdded, model.add(id, dataBytes, timeoutMs, now));
        } else if (what === 'remove') assert.equal(cache.remove(idOf(id), now), model.remove(id, now));
        else assert.equal(cache.have(idOf(id), now), model.have(id, now));
        assert.equal(cache.count(now), model.count(now));
      }
    }),
    { numRuns: 100 },
  );
});
