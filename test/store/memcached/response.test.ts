import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { EmbeddedStore } from '../../../src/store/embedded.js';
import { connect, ScriptConnection } from '../../../src/store/memcached/connect.js';
import {
  type GetResponse,
  ResponseCode,
  type SetResponse,
  setResponse,
} from '../../../src/store/memcached/response.js';
import { type Memcached, rawCommand, startMemcached } from '../../support/memcached.js';

describe('a connection for scripts, to a real memcached', () => {
  let memcached: Memcached;
  let connection: ScriptConnection;
  before(async () => {
    memcached = await startMemcached();
    connection = connect(memcached.server);
  });
  after(async () => {
    await connection.close();
    await memcached.stop();
  });

  test('get finds what another client has set', async () => {
    await rawCommand(memcached.address, 'set theirs 77 0 5\r\n\r\n\0\xff!\r\n');
    const response = await connection.get('theirs');
    assert.ok(response.code === ResponseCode.Ok && 'data' in response);
    const { cas, ...rest } = response;
    assert.deepEqual(rest, { code: 1, key: 'theirs', flags: 77, ttl: 0, data: Buffer.from('\r\n\0\xff!', 'latin1') });
    assert.match(cas, /^\d+$/);
  });

  test('another client finds what set has kept', async () => {
    assert.deepEqual(await connection.set('ours', 'grüße', { flags: 12 }), { code: 1, key: 'ours' });
    const reply = await rawCommand(memcached.address, 'get ours\r\n');
    assert.equal(reply, `VALUE ours 12 7\r\n${Buffer.from('grüße').toString('latin1')}\r\nEND\r\n`);
  });

  test('a set without a ttl is for 300 seconds', async () => {
    await connection.set('default', 'value');
    const response = await connection.get('default');
    assert.ok('ttl' in response && response.ttl <= 301 && response.ttl > 280);
  });

  test('a get that finds nothing has code 4', async () => {
    assert.deepEqual(await connection.get('absent'), { code: 4 });
  });

  test('setq keeps a value', async () => {
    assert.equal(connection.setq('quiet', 'value', 1000), undefined);
    assert.equal((await connection.get('quiet')).code, ResponseCode.Ok);
  });
});

test('without a server every outcome has code 5 and says why', async () => {
  const memcached = await startMemcached();
  await memcached.kill();
  const connection = connect(memcached.server);
  const responses = [await connection.get('key'), await connection.set('key', 'value')];
  connection.setq('key', 'value');
  for (const response of responses) {
    assert.equal(response.code, ResponseCode.Error);
    assert.ok('error' in response && response.error.length > 0);
  }
  await connection.close();
});

test('an address that is none is refused at once', () => {
  assert.throws(() => connect('127.0.0.1:memcached'), /not the address of a memcached server/);
});

describe('a connection for scripts', () => {
  const connection = new ScriptConnection(new EmbeddedStore({ maxItemBytes: 100 }));

  test('an invalid key has code 5, and is not rewritten', async () => {
    for (const key of ['', 'a b', 'x'.repeat(251), 'caf\xe9', 'a\r\nb']) {
      assert.deepEqual(await connection.get(key), { code: 5, error: `Invalid key: '${key}'` });
      assert.deepEqual(await connection.set(key, 'value'), { code: 5, error: `Invalid key: '${key}'` });
      connection.setq(key, 'value');
    }
  });

  test('a value that is too large has code 5', async () => {
    const response = await connection.set('large', Buffer.alloc(101));
    assert.ok(response.code === 5);
    assert.match(response.error, /101 bytes/);
  });

  test('a ttl of 0 is for ever, and shown as 0', async () => {
    await connection.set('key', 'value', { ttl: 0 });
    const response = await connection.get('key');
    assert.equal('ttl' in response && response.ttl, 0);
  });

  test('callbacks get what promises resolve to', async () => {
    const stored = await new Promise<SetResponse>((resolve) => connection.set('called', 'value', resolve, 60));
    assert.deepEqual(stored, { code: 1, key: 'called' });
    const found = await new Promise<GetResponse>((resolve) => connection.get('called', resolve));
    assert.deepEqual(found, await connection.get('called'));
    assert.equal('ttl' in found && found.ttl, 60);
    const failed = await new Promise<GetResponse>((resolve) => connection.get('', resolve));
    assert.deepEqual(failed, { code: 5, error: "Invalid key: ''" });
  });

  test('a ttl that no server could take has code 5, and setq says nothing about it', async () => {
    const connection = new ScriptConnection(new EmbeddedStore());
    assert.deepEqual(await connection.set('k', 'v', { ttl: -1 }), { code: 5, error: 'ttlSeconds: -1' });
    connection.setq('k', 'v', -1);
    assert.equal((await connection.get('k')).code, 4);
  });

  test('closed, it gives code 5', async () => {
    const closed = new ScriptConnection(new EmbeddedStore());
    await closed.close();
    assert.equal((await closed.get('key')).code, ResponseCode.Error);
    assert.equal((await closed.set('key', 'value')).code, ResponseCode.Error);
    closed.setq('key', 'value');
  });
});

test('every outcome of a set has its code', () => {
  const codes = (['stored', 'not-stored', 'exists', 'not-found'] as const).map(
    (result) => setResponse('k', result).code,
  );
  assert.deepEqual(codes, [1, 2, 3, 4]);
});
