import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Failover } from '../../../src/store/memcached/pool.js';
import { openStore } from '../../../src/store/open.js';
import { type Store, storeFailure } from '../../../src/store/store.js';
import { type Memcached, startMemcached } from '../../support/memcached.js';

const KEYS = Array.from({ length: 60 }, (_, i) => `key-${i}`);

/** A pool over three memcacheds, filled, and the one of them that the test does something to. */
async function fleet(context: TestContext, failover: Failover): Promise<{ pool: Store; victim: Memcached }> {
  const servers = await Promise.all([startMemcached(), startMemcached(), startMemcached()]);
  const pool = openStore({ memcached: { servers, failover, timeoutMs: 200 } });
  context.after(async () => {
    await pool.close();
    await Promise.all(servers.map((server) => server.stop()));
  });
  for (const key of KEYS) await pool.set(key, Buffer.from(key));
  assert.equal(await found(pool), KEYS.length);
  return { pool, victim: servers[1] };
}

/** How many of the keys are found, a failure counting as a miss. */
async function found(pool: Store): Promise<number> {
  let items = 0;
  for (const key of KEYS) {
    try {
      if ((await pool.get(key)) !== null) items++;
    } catch (error) {
      storeFailure(error);
    }
  }
  return items;
}

/** Waits until every key can be kept and found: the breaker of a server that came back needs a moment. */
async function untilWhole(pool: Store): Promise<void> {
  const deadline = performance.now() + 10_000;
  for (;;) {
    for (const key of KEYS) await pool.set(key, Buffer.from(key)).catch(storeFailure);
    const items = await found(pool);
    if (items === KEYS.length) return;
    assert.ok(performance.now() < deadline, `only ${items} of ${KEYS.length} keys work`);
    await delay(50);
  }
}

test('a killed server takes its keys along and no others, until it is back', async (context) => {
  const { pool, victim } = await fleet(context, 'miss');
  await victim.kill();
  const left = await found(pool);
  assert.ok(left > 0 && left < KEYS.length);
  assert.equal((await pool.getMany(KEYS)).size, left);
  await victim.restart();
  await untilWhole(pool);
});

test('with failover "next" the others keep the keys of a killed server', async (context) => {
  const { pool, victim } = await fleet(context, 'next');
  await victim.kill();
  for (const key of KEYS) assert.equal(await pool.set(key, Buffer.from('again')), 'stored');
  for (const key of KEYS) assert.equal((await pool.get(key))?.value.toString(), 'again');
  assert.equal((await pool.getMany(KEYS)).size, KEYS.length);
});

for (const failover of ['miss', 'next'] as const) {
  test(`with failover "${failover}" a silent server costs a few deadlines, not one an operation`, async (context) => {
    const { pool, victim } = await fleet(context, failover);
    victim.pause();
    const start = performance.now();
    const left = await found(pool);
    await pool.getMany(KEYS);
    assert.ok(left >= KEYS.length / 3 && left < KEYS.length);
    // some 20 keys are the silent server's: at 200 ms each they would take 4 s
    assert.ok(performance.now() - start < 3_000);
    if (failover === 'next') await untilWhole(pool);
    victim.resume();
    await untilWhole(pool);
  });
}

test('stats name every server, and say which can not be asked', async (context) => {
  const { pool, victim } = await fleet(context, 'miss');
  await victim.kill();
  await found(pool);
  const stats = await pool.stats();
  assert.deepEqual(
    stats.map(({ server, report }) => [server === victim.server, report instanceof Error]),
    [
      [false, false],
      [true, true],
      [false, false],
    ],
  );
  assert.notEqual(stats[1]?.breaker, 'closed');
});
