import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import type { SessionCache } from '../../src/distcache/cache.js';

/** A cache whose time is the test's. */
export interface CacheUnderTest {
  readonly cache: SessionCache;
  now(): number;
  /** Lets time pass: for the cache's clock. */
  advance(ms: number): void | Promise<void>;
}

/** What every {@link SessionCache} promises. `open` makes an empty one, or one in which nobody uses the same ids. */
export function sessionCacheBehaviour(name: string, open: () => Promise<CacheUnderTest>): void {
  describe(`${name} keeps sessions`, () => {
    let under: CacheUnderTest;
    before(async () => {
      under = await open();
    });
    after(() => under.cache.close());

    const add = (id: Buffer, data: Buffer, timeoutMs: number) => under.cache.add(id, data, timeoutMs, under.now());
    const get = (id: Buffer) => under.cache.get(id, under.now());
    const have = (id: Buffer) => under.cache.have(id, under.now());
    const remove = (id: Buffer) => under.cache.remove(id, under.now());

    test('what is added is found, whole and by its id alone', async () => {
      const [one, other] = [randomBytes(32), randomBytes(32)];
      assert.equal(await add(one, Buffer.from('first session'), 60_000), true);
      assert.equal(await add(other, Buffer.from('second session'), 60_000), true);
      assert.deepEqual(await get(one), Buffer.from('first session'));
      assert.deepEqual(await get(other), Buffer.from('second session'));
      assert.equal(await have(one), true);
    });

    for (const [what, id, data] of [
      ['an id of one byte', randomBytes(1), randomBytes(100)],
      ['an id of 64 bytes', randomBytes(64), randomBytes(100)],
      ['any bytes in an id', Buffer.from(Array.from({ length: 64 }, (_, i) => i * 4)), randomBytes(100)],
      ['data of one byte', randomBytes(20), randomBytes(1)],
      ['all the data that an ADD can carry', randomBytes(1), randomBytes(32_759)],
    ] as const) {
      test(`${what} can be kept`, async () => {
        await remove(id);
        assert.equal(await add(id, data, 60_000), true);
        assert.deepEqual(await get(id), data);
        assert.equal(await remove(id), true);
      });
    }

    test('an id is not the one it begins with', async () => {
      const id = randomBytes(16);
      await add(id, Buffer.from('session'), 60_000);
      assert.equal(await have(id.subarray(0, 15)), false);
      assert.equal(await have(Buffer.concat([id, Buffer.of(0)])), false);
    });

    test('an absent session is not found and not removed', async () => {
      const id = randomBytes(32);
      assert.equal(await get(id), undefined);
      assert.equal(await have(id), false);
      assert.equal(await remove(id), false);
    });

    test('a second one with the same id is refused, and changes nothing', async () => {
      const id = randomBytes(32);
      assert.equal(await add(id, Buffer.from('first'), 5000), true);
      assert.equal(await add(id, Buffer.from('second'), 60_000), false);
      assert.equal(await add(id, Buffer.from('third'), 0), false);
      assert.deepEqual(await get(id), Buffer.from('first'));
      await under.advance(5002);
      assert.equal(await have(id), false);
    });

    test('what is removed is gone, and can be added anew', async () => {
      const id = randomBytes(32);
      await add(id, Buffer.from('first'), 60_000);
      assert.equal(await remove(id), true);
      assert.equal(await remove(id), false);
      assert.equal(await get(id), undefined);
      assert.equal(await add(id, Buffer.from('second'), 60_000), true);
      assert.deepEqual(await get(id), Buffer.from('second'));
    });

    test('a session is there until its time is over, to the millisecond, and then for nobody', async () => {
      const id = randomBytes(32);
      await add(id, Buffer.from('session'), 1500);
      await under.advance(1499);
      assert.equal(await have(id), true);
      await under.advance(2);
      assert.equal(await get(id), undefined);
      assert.equal(await have(id), false);
      assert.equal(await remove(id), false);
      assert.equal(await add(id, Buffer.from('again'), 60_000), true);
      assert.deepEqual(await get(id), Buffer.from('again'));
    });

    test('looking at a session does not make it live longer', async () => {
      const id = randomBytes(32);
      await add(id, Buffer.from('session'), 1000);
      for (let i = 0; i < 5; i++) {
        await under.advance(150);
        assert.ok(await get(id));
      }
      await under.advance(251);
      assert.equal(await get(id), undefined);
    });

    test('a timeout of 0 is accepted, and the session gone at once', async () => {
      const id = randomBytes(32);
      assert.equal(await add(id, Buffer.from('session'), 0), true);
      assert.equal(await have(id), false);
    });

    test('seven days are accepted', async () => {
      const id = randomBytes(32);
      assert.equal(await add(id, Buffer.from('session'), 604_800_000), true);
      assert.equal(await have(id), true);
    });

    test('once added, the memory that the session came in is free', async () => {
      const id = randomBytes(32);
      const data = Buffer.from('session');
      const idInUse = Buffer.from(id);
      await add(idInUse, data, 60_000);
      idInUse.fill(0);
      data.fill(0);
      assert.deepEqual(await get(id), Buffer.from('session'));
    });

    test('it counts its sessions', async () => {
      const before = await under.cache.count(under.now());
      await add(randomBytes(32), Buffer.from('session'), 60_000);
      await add(randomBytes(32), Buffer.from('session'), 60_000);
      assert.equal(await under.cache.count(under.now()), before + 2);
    });
  });
}
