import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { EPOCH_KEYS, storeKey } from '../../src/cache/key.js';
import { Purger } from '../../src/cache/purger.js';
import { Fields } from '../../src/http/fields.js';
import { EmbeddedStore } from '../../src/store/embedded.js';
import { openStore } from '../../src/store/open.js';
import { nearest } from '../../src/store/store.js';
import { CachingProcess, newUrl } from '../support/cached.js';
import { FailingStore } from '../support/failing-store.js';
import { startMemcached } from '../support/memcached.js';
import { until } from '../support/until.js';

function setUp(options: ConstructorParameters<typeof Purger>[1] = {}) {
  const store = new FailingStore(new EmbeddedStore());
  return { store, process: new CachingProcess(store), purger: new Purger(store, options) };
}

describe('a purge that does not reach the store', () => {
  test('is pending, and repeated until it does', async () => {
    const { store, process, purger } = setUp();
    const url = newUrl();
    await process.store(url);
    store.fails = ({ name }) => (name === 'delete' ? 'connection' : undefined);
    assert.equal(await purger.purge({ kind: 'key', key: url }), 'pending');
    assert.equal(await purger.purge({ kind: 'key', key: url }), 'pending');
    assert.equal(purger.pending, 1);
    assert.equal(await process.read(url), 'body');
    store.fails = () => undefined;
    await until(() => purger.pending === 0, 'it is still pending');
    assert.equal(await process.read(url), 'absent');
    purger.close();
  });

  test('softly is repeated as well', async () => {
    const { store, process, purger } = setUp();
    const url = newUrl();
    await process.store(url);
    store.fails = () => 'breaker-open';
    assert.equal(await purger.purge({ kind: 'key', key: url }, { soft: true }), 'pending');
    assert.equal(await purger.purge({ kind: 'key', key: url }, { dryRun: true }), 'pending');
    store.fails = () => undefined;
    await until(() => purger.pending === 0, 'it is still pending');
    assert.equal(await process.read(url), 'stale body');
    purger.close();
  });

  test('with any one of its operations is complete in the end, and costs others little meanwhile', async () => {
    const withFailing = async (failing: number) => {
      const { store, process, purger } = setUp();
      const [url, bystander] = [newUrl(), newUrl()];
      await process.store(url, { plan: { tags: ['news'] } });
      store.operations.length = 0;
      let failed: string | undefined;
      store.fails = ({ count, keys: [key] }) => {
        if (count === failing) failed = key;
        return count >= failing && key === failed ? 'timeout' : undefined;
      };
      assert.equal(await purger.purge({ kind: 'tag', tag: 'news' }), 'pending');
      await until(() => store.operations.filter(({ keys: [key] }) => key === failed).length > 3, 'it is not repeated');
      const others = store.operations.filter(({ keys: [key] }) => key !== failed);
      assert.ok(others.length <= 32, 'only what has failed is tried again');
      store.fails = () => undefined;
      await process.store(bystander);
      await until(() => purger.pending === 0, 'it is still pending');
      assert.deepEqual([await process.read(url), await process.read(bystander)], ['purged', 'body']);
      purger.close();
    };
    await Promise.all([1, 5, 9, 13, 17, 21, 25, 29, 33].map(withFailing));
  });

  test('is one of a bounded number: above it, everything is purged once', async () => {
    const { store, process, purger } = setUp({ maxPending: 3 });
    const url = newUrl();
    await process.store(url);
    store.fails = () => 'connection';
    for (let i = 1; i <= 4; i++) await purger.purge({ kind: 'key', key: newUrl() });
    assert.equal(purger.pending, 1);
    store.fails = () => undefined;
    await until(() => purger.pending === 0, 'it is still pending');
    assert.equal(await process.read(url), 'purged');
    purger.close();
  });

  test('is given up after a time, and with the purger', async () => {
    const { store, purger } = setUp({ maxPendingMs: 50 });
    store.fails = () => 'connection';
    await purger.purge({ kind: 'all' });
    await until(() => purger.pending === 0, 'it is not given up');
    await purger.purge({ kind: 'all' });
    purger.close();
    assert.equal(purger.pending, 0);
    assert.equal(await purger.purge({ kind: 'all' }), 'pending');
    assert.equal(purger.pending, 0);
  });

  test('keeps no process alive', async () => {
    const purgerModule = new URL('../../src/cache/purger.js', import.meta.url).href;
    const storeModule = new URL('../../src/store/embedded.js', import.meta.url).href;
    const script = `
      const { Purger } = await import('${purgerModule}');
      const { EmbeddedStore } = await import('${storeModule}');
      const store = new EmbeddedStore();
      await store.close();
      console.log(await new Purger(store).purge({ kind: 'all' }));`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let out = '';
    child.stdout.on('data', (chunk) => {
      out += String(chunk);
    });
    const [code] = await once(child, 'close');
    assert.deepEqual([out, code], ['pending\n', 0]);
  });
});

test('a purge by URL reaches what is stored for it under any key, and nothing else', async () => {
  const { store, process, purger } = setUp();
  const [url, neighbour] = [newUrl(), newUrl()];
  const placed = async (key: string, at: string) => {
    const found = await process.entries.find(key, at, new Fields());
    assert.ok(found.slot !== undefined);
    const leased = await process.entries.lease(found.slot);
    assert.ok(leased.kind === 'held');
    assert.equal(await process.fill(leased.slot), 'stored');
  };
  const kinds = async () => {
    const places = [
      [url, url],
      [`${url}#device=phone`, url],
      ['/pattern', url],
      [`${neighbour}#device=phone`, neighbour],
    ] as const;
    return Promise.all(
      places.map(async ([key, at]) => {
        const found = await process.entries.find(key, at, new Fields());
        return found.kind === 'entry' ? found.entry.freshness.isSoftPurged : found.kind;
      }),
    );
  };
  await placed(url, url);
  await placed(`${url}#device=phone`, url);
  await placed('/pattern', url);
  await placed(`${neighbour}#device=phone`, neighbour);
  assert.equal(await purger.purge({ kind: 'url', url }, { dryRun: true }), 'purged');
  assert.deepEqual(await kinds(), [false, false, false, false]);
  assert.equal(await purger.purge({ kind: 'url', url }, { soft: true }), 'purged');
  assert.deepEqual(await kinds(), [true, true, true, false]);
  assert.equal(await purger.purge({ kind: 'url', url }), 'purged');
  assert.deepEqual(await kinds(), ['none', 'none', 'none', false]);
  store.fails = ({ keys: [key] }) => (key?.startsWith('lookaside:url:') ? 'timeout' : undefined);
  assert.equal(await purger.purge({ kind: 'url', url: neighbour }), 'pending');
  store.fails = () => undefined;
  await until(() => purger.pending === 0, 'it is still pending');
  assert.deepEqual(await kinds(), ['none', 'none', 'none', 'none']);
  purger.close();
});

describe('a server that is away', () => {
  test('takes its own entries with it, and no purge is forgotten when it is back', async (t) => {
    const memcacheds = await Promise.all([startMemcached(), startMemcached(), startMemcached()]);
    t.after(() => Promise.all(memcacheds.map((memcached) => memcached.stop())));
    const store = openStore({
      memcached: { servers: memcacheds, timeoutMs: 1000 },
    });
    t.after(() => store.close());
    const process = new CachingProcess(store);
    const purger = new Purger(store);
    t.after(() => purger.close());
    const victim = memcacheds[1];
    assert.ok(victim !== undefined);
    const urls = Array.from({ length: 30 }, newUrl);
    for (const url of urls) assert.equal(await process.store(url, { plan: { tags: ['news'] } }), 'stored');
    assert.ok(urls.every((url) => EPOCH_KEYS.includes(nearest(store, storeKey(url), EPOCH_KEYS))));

    victim.pause();
    t.after(() => victim.resume());
    const during = await Promise.all(urls.map((url) => process.read(url)));
    const reached = during.filter((text) => text === 'body').length;
    assert.ok(reached > 0 && reached < urls.length, `${reached} of ${urls.length} entries are reached`);
    assert.equal(await purger.purge({ kind: 'tag', tag: 'news' }), 'pending');
    for (const text of await Promise.all(urls.map((url) => process.read(url)))) assert.notEqual(text, 'body');

    victim.resume();
    await until(() => purger.pending === 0, 'the purge is still pending');
    for (const text of await Promise.all(urls.map((url) => process.read(url)))) assert.equal(text, 'purged');
  });
});
