import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { memcachedSchema } from '../../src/config/memcached.js';
import { type Address, formatAddress, parseAddress } from '../../src/distcache/address.js';
import type { SessionCache } from '../../src/distcache/cache.js';
import { DistcacheClient } from '../../src/distcache/client.js';
import { type Listener, listen, socketServer } from '../../src/distcache/listener.js';
import { MemoryCache } from '../../src/distcache/memory-cache.js';
import { DistcacheServer } from '../../src/distcache/server.js';
import { StoreCache } from '../../src/distcache/store-cache.js';
import { openStore } from '../../src/store/open.js';
import { type Memcached, startMemcached } from '../support/memcached.js';
import { temporaryDirectory } from './command.js';

const directory = temporaryDirectory();
const data = Buffer.from('hello world');
const minute = 60_000;

describe('over a unix socket, sessions in the server', () => {
  suite(`UNIX:${directory}/memory`, () => new MemoryCache());
});

describe('over TCP, sessions in the server', () => {
  suite('IP:127.0.0.1:0', () => new MemoryCache());
});

describe('over TCP with IPv6, sessions in memcached', () => {
  let memcached: Memcached;
  before(async () => {
    memcached = await startMemcached();
  });
  after(() => memcached.stop());
  suite('IP:[::1]:0', () =>
    new StoreCache(openStore({ memcached: memcachedSchema.parse({ servers: [memcached.server] }) })));
});

function suite(where: string, openCache: () => SessionCache): void {
  let server: DistcacheServer;
  let listener: Listener;
  let address: Address;
  before(async () => {
    server = new DistcacheServer({ cache: openCache() });
    listener = await listen(
      socketServer((socket) => server.serve(socket)),
      parseAddress(where),
    );
    address = listener.address;
  });
  after(async () => {
    await Promise.all([listener.close(), server.close()]);
  });

  for (const persistent of [true, false]) {
    describe(persistent ? 'one connection' : 'a connection for each operation', () => {
      let client: DistcacheClient;
      before(async () => {
        client = await DistcacheClient.connect({ address, persistent });
      });
      after(() => client.close());

      test('what is added is there, once, until it is removed', async () => {
        const id = randomBytes(32);
        assert.equal(await client.has(id), false);
        assert.equal(await client.get(id), undefined);
        assert.equal(await client.remove(id), false);
        assert.equal(await client.add(id, data, minute), true);
        assert.equal(await client.add(id, Buffer.from('other data'), minute), false);
        assert.equal(await client.has(id), true);
        assert.deepEqual(await client.get(id), data);
        assert.equal(await client.remove(id), true);
        assert.equal(await client.has(id), false);
      });

      test('a session is gone after its time', async () => {
        const id = randomBytes(16);
        assert.equal(await client.add(id, data, 600), true);
        assert.equal(await client.has(id), true);
        await delay(700);
        assert.equal(await client.get(id), undefined);
        assert.equal(await client.add(id, data, 600), true);
      });

      test('ids have 1 to 64 bytes, of any value', async () => {
        for (const id of [Buffer.of(0), Buffer.alloc(64, 0xff), Buffer.from('\r\n\0 ')]) {
          assert.equal(await client.add(id, data, minute), true);
          assert.deepEqual(await client.get(id), data);
          assert.equal(await client.remove(id), true);
        }
      });

      test('data of every size class comes back as it was', async () => {
        const id = randomBytes(40);
        // one frame and several, their borders, the sizes that are paced, and the longest
        for (const size of [5, 2000, 2001, 4048, 4069, 4070, 4135, 8165, 16_579, 32_768 - 8 - 40]) {
          const large = randomBytes(size);
          assert.equal(await client.add(id, large, minute), true, `adding ${size}`);
          assert.deepEqual(await client.get(id), large, `getting ${size}`);
          assert.equal(await client.remove(id), true);
        }
      });

      test('data that no message can carry is not added, nor sent', async () => {
        const operations = server.counters.operations_total;
        assert.equal(await client.add(randomBytes(40), Buffer.alloc(32_768 - 8 - 40 + 1), minute), false);
        assert.equal(server.counters.operations_total, operations);
      });

      test('what no server can be asked is refused here', async () => {
        const operations = server.counters.operations_total;
        const id = Buffer.from('id');
        for (const wrong of [Buffer.alloc(0), Buffer.alloc(65)]) {
          await assert.rejects(client.add(wrong, data, minute), RangeError);
          await assert.rejects(client.get(wrong), RangeError);
          await assert.rejects(client.remove(wrong), RangeError);
          await assert.rejects(client.has(wrong), RangeError);
        }
        await assert.rejects(client.add(id, Buffer.alloc(4), minute), /no client could read 4 bytes/);
        for (const timeoutMs of [500, 0, -1, Number.NaN, 2 ** 32]) {
          await assert.rejects(client.add(id, data, timeoutMs), /a timeout of/);
        }
        assert.equal(server.counters.operations_total, operations);
      });

      test('a timeout above seven days is refused by the server', async () => {
        const id = randomBytes(8);
        assert.equal(await client.add(id, data, 604_800_001), false);
        assert.equal(await client.add(id, data, 604_800_000), true);
      });

      test('operations that overlap each get their own answer', async () => {
        const ids = Array.from({ length: 100 }, () => randomBytes(20));
        const added = await Promise.all(ids.map((id, index) => client.add(id, Buffer.from(`data ${index}`), minute)));
        assert.ok(added.every((result) => result));
        const answers = await Promise.all(
          ids.flatMap((id) => [client.get(id), client.has(id), client.get(Buffer.concat([id, id]))]),
        );
        for (const index of ids.keys()) {
          assert.equal(String(answers[3 * index]), `data ${index}`);
          assert.equal(answers[3 * index + 1], true);
          assert.equal(answers[3 * index + 2], undefined);
        }
      });
    });
  }

  test('reget gives again what the latest operation got', async () => {
    const client = await DistcacheClient.connect({ address });
    const [id, other] = [randomBytes(16), randomBytes(16)];
    assert.equal(await client.reget(id), undefined);
    await client.add(id, data, minute);
    assert.equal(await client.reget(id), undefined);
    await client.get(id);
    const operations = server.counters.operations_total;
    assert.deepEqual(await client.reget(id), data);
    assert.deepEqual(await client.reget(id), data);
    assert.equal(await client.reget(other), undefined);
    assert.equal(server.counters.operations_total, operations);

    assert.equal(await client.has(id), true);
    assert.equal(await client.reget(id), undefined, 'after another operation');
    await client.get(id);
    await client.get(other);
    assert.equal(await client.reget(id), undefined, 'after a miss');
    assert.equal(await client.reget(other), undefined, 'of a miss');
    await client.get(id);
    await assert.rejects(client.get(Buffer.alloc(0)));
    assert.equal(await client.reget(id), undefined, 'after an operation that was refused');
    await Promise.all([client.get(id), client.has(other)]);
    assert.equal(await client.reget(id), undefined, 'when another operation began meanwhile');
    await client.close();
  });

  test('the address may be given as text', async () => {
    const client = new DistcacheClient({ address: formatAddress(address) });
    assert.equal(await client.has(Buffer.from('nothing')), false);
    await client.close();
  });
}

test('an address that can not be connected to is refused at once', () => {
  assert.throws(() => new DistcacheClient({ address: 'IP:9001' }), RangeError);
  assert.throws(() => new DistcacheClient({ address: 'nowhere' }), /is not a distcache address/);
});
