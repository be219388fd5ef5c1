import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openStore, StoreError } from '../../src/index.js';
import { rawCommand, startMemcached } from '../support/memcached.js';
import { appWith, HIT, STORED, statusOf, testWithEachStore } from './app.js';

testWithEachStore('get, set, add and delete work on the store', async (t, options) => {
  const { memcached } = await appWith(t, options);
  assert.equal(await memcached.get('greeting'), null);
  assert.equal(await memcached.set('greeting', 'grüß dich', { flags: 7 }), 'stored');
  const item = await memcached.get('greeting');
  assert.equal(item?.value.toString(), 'grüß dich');
  assert.equal(item.flags, 7);
  assert.equal(item.ttlSeconds, 300);

  assert.equal(await memcached.add('greeting', 'another'), false);
  assert.equal(await memcached.add('new', Buffer.from([0, 255]), { ttlSeconds: 0 }), true);
  assert.deepEqual((await memcached.get('new'))?.value, Buffer.from([0, 255]));
  assert.equal((await memcached.get('new'))?.ttlSeconds, undefined);
  assert.equal(await memcached.set('greeting', 'x', { cas: '1234567' }), 'exists');

  assert.equal(await memcached.delete('greeting'), true);
  assert.equal(await memcached.delete('greeting'), false);
});

testWithEachStore('setq says nothing, whether it works or not', async (t, options) => {
  const { memcached } = await appWith(t, options);
  assert.equal(memcached.setq('quiet', 'value', { ttlSeconds: 60 }), undefined);
  assert.equal(memcached.setq('not a key', 'value'), undefined);
  assert.equal((await memcached.get('quiet'))?.value.toString(), 'value');
});

testWithEachStore(
  'keys are taken as they are, but purge makes them what responses are stored under',
  async (t, options) => {
    const app = await appWith(t, options);
    const { memcached } = app;
    for (const operation of [
      () => memcached.get('two words'),
      () => memcached.set('', 'value'),
      () => memcached.add('a'.repeat(251), 'value'),
      () => memcached.delete('line\r\nbreak'),
    ]) {
      await assert.rejects(operation, (error) => error instanceof StoreError && error.code === 'bad-key');
    }

    app.get('/*', { config: { memcached: { key: '%{req.path}' } } }, async () => 'text');
    const paths = ['/plain', '/two words', '/grüße', `/${'long'.repeat(80)}`];
    for (const path of paths) assert.equal(statusOf(await app.inject(encodeURI(path))), STORED);
    for (const path of paths) assert.equal(statusOf(await app.inject(encodeURI(path))), HIT);
    assert.equal(await memcached.purge(...paths, '/nothing'), 4);
    for (const path of paths) assert.equal(statusOf(await app.inject(encodeURI(path))), STORED);
    assert.equal(await memcached.purge(), 0);
  },
);

test('operations reject when the store can not answer; setq does not', async (t) => {
  const server = await startMemcached();
  t.after(() => server.stop());
  const { memcached } = await appWith(t, { servers: [server.server], timeout: '50ms' });
  await memcached.set('key', 'value');
  await server.kill();
  for (const operation of [
    () => memcached.get('key'),
    () => memcached.set('key', 'value'),
    () => memcached.add('key', 'value'),
    () => memcached.delete('key'),
    () => memcached.purge('key', 'other'),
  ]) {
    await assert.rejects(operation, StoreError);
  }
  memcached.setq('key', 'value');
});

test('a store of the app’s own is used and not closed', async (t) => {
  const store = openStore();
  t.after(() => store.close());
  const app = await appWith(t, { store });
  await app.memcached.set('key', 'value');
  await app.close();
  assert.equal((await store.get('key'))?.value.toString(), 'value');
});

test('a store that the plugin made is closed with the app', async (t) => {
  const app = await appWith(t);
  const { memcached } = app;
  await memcached.set('key', 'value');
  await app.close();
  await assert.rejects(
    () => memcached.get('key'),
    (error) => error instanceof StoreError && error.code === 'closed',
  );
});

test('the option server takes another memcached than the app’s', async (t) => {
  const [own, other] = await Promise.all([startMemcached(), startMemcached({ unix: true })]);
  t.after(() => Promise.all([own.stop(), other.stop()]));
  const app = await appWith(t, { servers: [own.server] });
  app.get('/', { config: { memcached: { key: 'page', server: other.server, headers: false } } }, async () => 'text');
  await app.inject('/');
  assert.equal(statusOf(await app.inject('/')), HIT);
  assert.equal(await rawCommand(own.address, 'get page\r\n'), 'END\r\n');
  assert.match(await rawCommand(other.address, 'get page\r\n'), /^VALUE page 0 4\r\ntext/);
});
