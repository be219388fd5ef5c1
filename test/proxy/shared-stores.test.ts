import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SharedStores } from '../../src/proxy/shared-stores.js';
import { EmbeddedStore } from '../../src/store/embedded.js';
import type { StoreOptions } from '../../src/store/open.js';

test('equal settings share a store, which is closed by the last who lets go of it', async () => {
  const opened: EmbeddedStore[] = [];
  const stores = new SharedStores(({ embedded }: StoreOptions) => {
    const store = new EmbeddedStore(embedded);
    opened.push(store);
    return store;
  });
  const embedded = { maxBytes: 1_000_000 };
  const first = stores.take({ embedded });
  const second = stores.take({ embedded: { ...embedded } });
  const other = stores.take({ embedded: { maxBytes: 2_000_000 } });
  assert.equal(first.store, second.store);
  assert.notEqual(first.store, other.store);
  assert.equal(opened.length, 2);

  await first.release();
  assert.equal(await second.store.get('k'), null);
  await second.release();
  await assert.rejects(second.store.get('k'), { code: 'closed' });
  assert.equal(await other.store.get('k'), null);

  const again = stores.take({ embedded });
  assert.notEqual(again.store, first.store);
  assert.equal(await again.store.get('k'), null);
});
