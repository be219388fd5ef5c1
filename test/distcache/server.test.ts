import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { parseAddress } from '../../src/distcache/address.js';
import type { SessionCache } from '../../src/distcache/cache.js';
import { listen, socketServer } from '../../src/distcache/listener.js';
import { MemoryCache } from '../../src/distcache/memory-cache.js';
import { addPayload, MAX_TIMEOUT_MS } from '../../src/distcache/payload.js';
import { DistcacheServer, type ServerOptions } from '../../src/distcache/server.js';
import { encodeMessage, type Operation } from '../../src/distcache/wire.js';
import { temporaryDirectory } from './command.js';
import { Peer } from './peer.js';
import { Random } from './random.js';

const directory = temporaryDirectory();
let sockets = 0;

/** A server that listens, and what it is asked through. `sockets` are its own ends of the connections. */
async function open(context: TestContext, options: Partial<ServerOptions> = {}) {
  const path = join(directory, `${sockets++}.sock`);
  const server = new DistcacheServer({ cache: new MemoryCache(), ...options });
  const ends: Socket[] = [];
  const serve = (socket: Socket) => {
    ends.push(socket);
    server.serve(socket);
  };
  const listener = await listen(socketServer(serve), parseAddress(`UNIX:${path}`));
  const close = () => Promise.all([listener.close(), server.close()]);
  context.after(close);
  return { server, ends, close, connect: () => Peer.connect({ path }) };
}

/** A cache that takes its time, and tells in which order it was asked and answered. */
class SlowCache implements SessionCache {
  readonly inner = new MemoryCache();
  readonly log: string[] = [];
  readonly #random = new Random(1);

  add(id: Buffer, data: Buffer, timeoutMs: number, now: number) {
    return this.#later('add', id, () => this.inner.add(id, data, timeoutMs, now));
  }
  get(id: Buffer, now: number) {
    return this.#later('get', id, () => this.inner.get(id, now));
  }
  remove(id: Buffer, now: number) {
    return this.#later('remove', id, () => this.inner.remove(id, now));
  }
  have(id: Buffer, now: number) {
    return this.#later('have', id, () => this.inner.have(id, now));
  }
  count(now: number) {
    return this.inner.count(now);
  }
  close() {}

  async #later<Answer>(what: string, id: Buffer, answer: () => Answer): Promise<Answer> {
    this.log.push(`${what} ${id}`);
    await delay(this.#random.below(8));
    this.log.push(`${what} ${id} done`);
    return answer();
  }
}

function request(uid: number, operation: Operation, payload: Buffer): Buffer {
  return encodeMessage('request', { uid, operation, payload });
}

function add(id: string, data: string | Buffer, timeoutMs = 60_000): Buffer {
  return addPayload(Buffer.from(id), Buffer.from(data), timeoutMs);
}

const OK = Buffer.of(0x00);
const NOT_OK = Buffer.of(0x01);
const MATCHING = Buffer.of(0x65);

describe('order', () => {
  test('answers come in the order of the requests while the cache answers in any order', async (context) => {
    const cache = new SlowCache();
    const { connect } = await open(context, { cache });
    const peer = await connect();
    for (let uid = 0; uid < 200; uid++) {
      const id = `session ${uid}`;
      peer.send(uid % 3 === 0 ? request(uid, 'add', add(id, id)) : request(uid, 'get', Buffer.from(`none ${uid}`)));
    }
    for (let uid = 0; uid < 200; uid++) {
      const response = await peer.response();
      assert.equal(response.uid, uid);
      assert.deepEqual(response.payload, uid % 3 === 0 ? OK : NOT_OK);
    }
    const answered = cache.log.filter((line) => line.endsWith('done'));
    assert.notDeepEqual(
      answered,
      cache.log.filter((line) => !line.endsWith('done')).map((line) => `${line} done`),
    );
    peer.leave();
  });

  test('requests on one id are done one after the other', async (context) => {
    const cache = new SlowCache();
    const { connect } = await open(context, { cache });
    const peer = await connect();
    for (let round = 0; round < 20; round++) {
      peer.send(request(1, 'add', add('id', `data ${round}`)));
      peer.send(request(2, 'get', Buffer.from('id')));
      peer.send(request(3, 'remove', Buffer.from('id')));
      peer.send(request(4, 'have', Buffer.from('id')));
    }
    for (let round = 0; round < 20; round++) {
      const payloads = [];
      for (let i = 0; i < 4; i++) payloads.push((await peer.response()).payload);
      assert.deepEqual(payloads, [OK, Buffer.from(`data ${round}`), OK, NOT_OK]);
    }
    for (let i = 0; i < cache.log.length; i += 2) assert.equal(cache.log[i + 1], `${cache.log[i]} done`);
    peer.leave();
  });

  test('a refused ADD waits for the answers before it', async (context) => {
    const { connect } = await open(context, { cache: new SlowCache() });
    const peer = await connect();
    peer.send(Buffer.concat([request(1, 'have', Buffer.from('id')), request(2, 'add', Buffer.alloc(8))]));
    assert.deepEqual([(await peer.response()).uid, (await peer.response()).payload], [1, Buffer.of(0x64)]);
    peer.leave();
  });
});

describe('the end of a connection', () => {
  for (const [what, cache] of [
    ['at once', () => new MemoryCache()],
    ['later', () => new SlowCache()],
  ] as const) {
    test(`a peer that sends its end behind its requests gets all answers, when they come ${what}`, async (context) => {
      const { connect } = await open(context, { cache: cache() });
      for (let round = 0; round < 50; round++) {
        const peer = await connect();
        for (let uid = 0; uid < 100; uid++) peer.send(request(uid, 'have', Buffer.from(`id ${uid}`)));
        peer.socket.end();
        for (let uid = 0; uid < 100; uid++) assert.equal((await peer.response()).uid, uid);
        await peer.expectClosed();
      }
    });

    test(`requests before garbage are answered, then the connection is closed, when answers come ${what}`, async (context) => {
      const { connect, server } = await open(context, { cache: cache() });
      const peer = await connect();
      peer.send(Buffer.concat([request(1, 'have', Buffer.from('id')), Buffer.from('GET / HTTP/1.0\r\n\r\n')]));
      assert.equal((await peer.response()).uid, 1);
      await peer.expectClosed();
      assert.equal(server.counters.faults_total, 1);
    });
  }

  test('half a request is dropped with the connection', async (context) => {
    const { connect, server } = await open(context);
    const peer = await connect();
    peer.send(request(1, 'have', Buffer.from('id')).subarray(0, 15));
    peer.socket.end();
    await peer.expectClosed();
    assert.equal(server.counters.operations_total, 0);
  });

  test('a peer that leaves before its answers hurts nobody', async (context) => {
    const { connect } = await open(context, { cache: new SlowCache() });
    for (let i = 0; i < 20; i++) {
      const peer = await connect();
      peer.send(request(1, 'add', add(`id ${i}`, 'data')));
      peer.leave();
    }
    const good = await connect();
    assert.deepEqual(await good.ask('have', Buffer.from('none')), NOT_OK);
    good.leave();
  });

  test('a server that closes answers what is open, and disconnects', async (context) => {
    const { connect, close } = await open(context, { cache: new SlowCache() });
    const [busy, idle] = [await connect(), await connect()];
    busy.send(request(7, 'have', Buffer.from('id')));
    await delay(3);
    const closed = close();
    assert.equal((await busy.response()).uid, 7);
    await Promise.all([busy.expectClosed(), idle.expectClosed()]);
    busy.leave();
    idle.leave();
    await closed;
  });
});

describe('a peer that does not read', () => {
  const BIG = Buffer.alloc(32_000, 5);

  for (const [what, requests, cache] of [
    ['at once', 3000, () => new MemoryCache()],
    ['later', 300, () => new SlowCache()],
  ] as const) {
    test(`is not read from either, when answers come ${what}, and gets them all when it reads`, async (context) => {
      const { connect, ends } = await open(context, { cache: cache() });
      const peer = await connect();
      assert.deepEqual(await peer.ask('add', add('id', BIG)), OK);
      peer.socket.pause();
      const burst = Array.from({ length: requests }, (_, uid) => request(uid, 'get', Buffer.from('id')));
      peer.send(Buffer.concat(burst));
      await delay(100);
      const [end] = ends;
      assert.ok(end);
      assert.ok(end.isPaused());
      assert.ok(end.writableLength < 33 * 33_000, `${end.writableLength} bytes wait`);
      peer.socket.resume();
      for (let uid = 0; uid < requests; uid++) {
        const response = await peer.response();
        assert.equal(response.uid, uid);
        assert.equal(response.payload.length, BIG.length);
      }
      peer.leave();
    });
  }
});

describe('the cache', () => {
  const failing: SessionCache = {
    add: () => Promise.reject(new Error('no add')),
    get: () => Promise.reject(new Error('no get')),
    remove: () => {
      throw new Error('no remove');
    },
    have: () => {
      throw new Error('no have');
    },
    count: () => 0,
    close: () => {},
  };

  test('that fails, at once or later, is a negative answer', async (context) => {
    const lines: string[] = [];
    const { connect, server } = await open(context, { cache: failing, log: (line) => lines.push(line) });
    const peer = await connect();
    assert.deepEqual(await peer.ask('add', add('id', 'data')), MATCHING);
    for (const operation of ['get', 'remove', 'have'] as const) {
      assert.deepEqual(await peer.ask(operation, Buffer.from('id')), NOT_OK);
    }
    assert.equal(server.counters.failures_total, 4);
    assert.deepEqual(lines, ['Warning, the cache failed: no add']);
    peer.leave();
  });

  for (const bytes of [0, 32_769]) {
    test(`that gives ${bytes} bytes has no session`, async (context) => {
      const { connect } = await open(context, { cache: { ...failing, get: () => Buffer.alloc(bytes) } });
      const peer = await connect();
      assert.deepEqual(await peer.ask('get', Buffer.from('id')), NOT_OK);
      peer.leave();
    });
  }

  test('is never asked for an id that no session has', async (context) => {
    const { connect, server } = await open(context, { cache: failing });
    const peer = await connect();
    for (const operation of ['get', 'remove', 'have'] as const) {
      for (const bytes of [0, 65, 2000, 32_768]) {
        assert.deepEqual(await peer.ask(operation, Buffer.alloc(bytes)), NOT_OK);
      }
    }
    assert.equal(server.counters.failures_total, 0);
    peer.leave();
  });
});

describe('small timeouts', () => {
  test('are raised to the minimum, and others are not', async (context) => {
    const timeouts: number[] = [];
    class Watched extends MemoryCache {
      override add(id: Buffer, data: Buffer, timeoutMs: number, now: number): boolean {
        timeouts.push(timeoutMs);
        return super.add(id, data, timeoutMs, now);
      }
    }
    const { connect } = await open(context, { cache: new Watched(), minTimeoutMs: 300_000 });
    const peer = await connect();
    for (const [i, timeoutMs] of [0, 808, 299_999, 300_000, 300_001, MAX_TIMEOUT_MS].entries()) {
      assert.deepEqual(await peer.ask('add', add(`id ${i}`, 'data', timeoutMs)), OK);
    }
    assert.deepEqual(timeouts, [300_000, 300_000, 300_000, 300_000, 300_001, MAX_TIMEOUT_MS]);
    assert.deepEqual(await peer.ask('add', add('id', 'data', MAX_TIMEOUT_MS + 1)), Buffer.of(0x66));
    peer.leave();
  });
});

describe('what is written', () => {
  test('a response of a trap size comes frame by frame, and those behind it wait', async (context) => {
    const { connect } = await open(context);
    const peer = await connect();
    assert.deepEqual(await peer.ask('add', add('id', Buffer.alloc(4069, 3))), OK);
    let chunks = 0;
    peer.socket.on('data', () => {
      chunks++;
    });
    peer.send(Buffer.concat([request(1, 'get', Buffer.from('id')), request(2, 'have', Buffer.from('id'))]));
    const response = await peer.response();
    assert.deepEqual([response.uid, response.payload], [1, Buffer.alloc(4069, 3)]);
    assert.ok(chunks >= 2, 'both frames came in one piece');
    assert.equal((await peer.response()).uid, 2);
    peer.leave();
  });
});

describe('what is said', () => {
  test('a thousand bad connections are one line', async (context) => {
    const lines: string[] = [];
    const { connect, server } = await open(context, { log: (line) => lines.push(line) });
    for (let i = 0; i < 1000; i++) {
      const peer = await connect();
      peer.send(Buffer.from('GET / HTTP/1.0\r\n\r\n'));
      await peer.expectClosed();
      peer.leave();
    }
    assert.deepEqual(lines, ['Warning, closed a connection: another protocol version, or no distcache at all']);
    assert.equal(server.counters.faults_total, 1000);
  });

  test('the counters tell what happened', async (context) => {
    const { connect, server } = await open(context);
    const peer = await connect();
    await peer.ask('add', add('id', 'data'));
    await peer.ask('add', add('id', 'data'));
    await peer.ask('get', Buffer.from('id'));
    await peer.ask('have', Buffer.from('none'));
    await peer.ask('remove', Buffer.from('id'));
    assert.deepEqual(await server.metrics(), {
      connections_total: 1,
      connections: 1,
      sessions: 0,
      operations_total: 5,
      added_total: 1,
      refused_total: 1,
      hits_total: 1,
      misses_total: 1,
      removed_total: 1,
      failures_total: 0,
      faults_total: 0,
    });
    peer.leave();
  });
});
