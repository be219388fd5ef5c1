import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import fc from 'fast-check';
import { DistcacheClient } from '../../src/distcache/client.js';
import { FrameSplitter } from '../../src/distcache/frame-splitter.js';
import { addPayload } from '../../src/distcache/payload.js';
import type { Direction } from '../../src/distcache/snoop.js';
import { DecodingWatcher, type Sighting } from '../../src/distcache/snoop-decoder.js';
import { jsonLine, passes, textLine } from '../../src/distcache/snoop-lines.js';
import { encodeMessage, type Operation } from '../../src/distcache/wire.js';
import { Command, isListenedOn, temporaryDirectory } from './command.js';
import { Tool, type ToolOptions } from './tools.js';

const directory = temporaryDirectory();
const id = Buffer.from('0102030405060708', 'hex');
const data = Buffer.from('hello world');
let paths = 0;

function newPath(): string {
  return join(directory, `${paths++}.sock`);
}

/** A running dc_snoop in front of `server`, a path. */
async function startSnoop(
  t: TestContext,
  server: string,
  args: readonly string[] = [],
  options?: ToolOptions,
): Promise<{ path: string; tool: Tool; lines(count: number): Promise<string[]> }> {
  const path = newPath();
  const tool = new Tool('dc_snoop', ['-listen', `UNIX:${path}`, '-server', `UNIX:${server}`, ...args], options);
  t.after(() => tool.stop());
  while (!isListenedOn(path)) {
    assert.equal(tool.child.exitCode, null, tool.output);
    await delay(5);
  }
  return {
    path,
    tool,
    async lines(count) {
      while (tool.output.split('\n').length <= count) {
        assert.equal(tool.child.exitCode, null, tool.output);
        await delay(5);
      }
      return tool.output.split('\n').slice(0, -1);
    },
  };
}

async function startServer(t: TestContext): Promise<string> {
  const path = newPath();
  const server = new Command('dc_server', ['-listen', `UNIX:${path}`]);
  await server.listening(path);
  t.after(() => server.stop());
  return path;
}

/** A server that keeps what it gets, and says nothing by itself. */
async function startRaw(
  t: TestContext,
): Promise<{ path: string; sockets: Socket[]; received(socket: Socket): Buffer }> {
  const path = newPath();
  const sockets: Socket[] = [];
  const chunks = new Map<Socket, Buffer[]>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.push(socket);
    const list: Buffer[] = [];
    chunks.set(socket, list);
    socket.on('error', () => {}).on('data', (chunk) => list.push(chunk));
  }).listen(path);
  await once(server, 'listening');
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return { path, sockets, received: (socket) => Buffer.concat(chunks.get(socket) ?? []) };
}

async function connectTo(t: TestContext, path: string): Promise<Socket> {
  const socket = connect({ path, allowHalfOpen: true });
  socket.on('error', () => {});
  t.after(() => socket.destroy());
  await once(socket, 'connect');
  return socket;
}

async function until(isSo: () => boolean, what: string): Promise<void> {
  for (let waits = 0; !isSo(); waits++) {
    assert.ok(waits < 2000, `never: ${what}`);
    await delay(5);
  }
}

describe('--classic', () => {
  test('says a line for each frame, as dc_snoop did', async (t) => {
    const { path, lines, tool } = await startSnoop(t, await startServer(t), ['-classic']);
    const client = await DistcacheClient.connect({ address: `UNIX:${path}` });
    t.after(() => client.close());
    assert.equal(await client.add(id, data, 60_000), true);
    assert.equal(await client.add(Buffer.from('x'), Buffer.alloc(5000), 60_000), true);
    assert.equal((await client.get(Buffer.from('x')))?.length, 5000);
    const second = await DistcacheClient.connect({ address: `UNIX:${path}` });
    t.after(() => second.close());
    assert.equal(await second.has(id), true);
    assert.deepEqual(await lines(12), [
      'SNOOP_DBG_MSG: connection 0, client->server, message completed (request_uid = 1), total_len=41',
      'SNOOP_DBG_MSG: connection 0, server->client, message completed (request_uid = 1), total_len=15',
      'SNOOP_DBG_MSG: connection 0, client->server, message completed (request_uid = 2), total_len=2062',
      'SNOOP_DBG_MSG: connection 0, client->server, message completed (request_uid = 2), total_len=2062',
      'SNOOP_DBG_MSG: connection 0, client->server, message completed (request_uid = 2), total_len=927',
      'SNOOP_DBG_MSG: connection 0, server->client, message completed (request_uid = 2), total_len=15',
      'SNOOP_DBG_MSG: connection 0, client->server, message completed (request_uid = 3), total_len=15',
      'SNOOP_DBG_MSG: connection 0, server->client, message completed (request_uid = 3), total_len=2062',
      'SNOOP_DBG_MSG: connection 0, server->client, message completed (request_uid = 3), total_len=2062',
      'SNOOP_DBG_MSG: connection 0, server->client, message completed (request_uid = 3), total_len=918',
      'SNOOP_DBG_MSG: connection 1, client->server, message completed (request_uid = 1), total_len=22',
      'SNOOP_DBG_MSG: connection 1, server->client, message completed (request_uid = 1), total_len=15',
    ]);
    const { stdout, stderr, status } = await tool.stop();
    assert.equal(stdout, '');
    assert.equal(stderr.split('\n').length, 13);
    assert.equal(status, 0);
  });

  test('closes both sides when a frame is too long', async (t) => {
    for (const direction of ['client->server', 'server->client']) {
      const raw = await startRaw(t);
      const { path, lines } = await startSnoop(t, raw.path, ['--classic']);
      const client = await connectTo(t, path);
      client.resume();
      await until(() => raw.sockets.length === 1, 'the server is connected to');
      const [server] = raw.sockets;
      assert.ok(server);
      // nothing but the length is looked at
      const header = Buffer.from('ffffffffff0000002aff ffff0801'.replace(' ', ''), 'hex');
      (direction === 'client->server' ? client : server).write(header);
      assert.deepEqual(await lines(2), [
        `SNOOP_DBG_MSG: connection 0, ${direction}, message has illegal 'data_len' (2049)`,
        `[TODO: change me] ${direction} error`,
      ]);
      await Promise.all([client, server].map(async (socket) => socket.readableEnded || once(socket, 'end')));
    }
  });

  test('passes on garbage whose lengths are legal', async (t) => {
    const raw = await startRaw(t);
    const { path, lines } = await startSnoop(t, raw.path, ['-classic']);
    const client = await connectTo(t, path);
    const frame = Buffer.from('ffffffffffffffffffffffff0002abcd', 'hex');
    client.write(frame);
    assert.deepEqual(await lines(1), [
      'SNOOP_DBG_MSG: connection 0, client->server, message completed (request_uid = 4294967295), total_len=16',
    ]);
    await until(() => raw.sockets[0] !== undefined && raw.received(raw.sockets[0]).equals(frame), 'the frame is there');
  });
});

describe('by default', () => {
  test('each request is shown with its response', async (t) => {
    const { path, lines } = await startSnoop(t, await startServer(t));
    const client = await DistcacheClient.connect({ address: `UNIX:${path}` });
    await client.add(id, data, 60_000);
    await client.add(id, data, 60_000);
    await client.get(id);
    await client.has(id);
    await client.remove(id);
    await client.get(id);
    await client.close();
    const time = '[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}';
    const expected = [
      'connected',
      'add    0102030405060708 11 bytes for 60000 ms: ok, MS',
      'add    0102030405060708 11 bytes for 60000 ms: exists, MS',
      'get    0102030405060708: ok, 11 bytes, MS',
      'have   0102030405060708: ok, MS',
      'remove 0102030405060708: ok, MS',
      'get    0102030405060708: not-found, MS',
      'closed',
    ];
    for (const [index, line] of (await lines(expected.length)).entries()) {
      const pattern = (expected[index] ?? 'nothing more').replace('MS', '[0-9]+\\.[0-9]{3} ms');
      assert.match(line, new RegExp(`^${time} #0 ${pattern}$`));
    }
  });

  test('in colour on a terminal, unless NO_COLOR says otherwise', async (t) => {
    const server = await startServer(t);
    for (const [NO_COLOR, isColoured] of [
      ['', true],
      ['1', false],
    ] as const) {
      const { path, lines } = await startSnoop(t, server, [], { terminal: true, env: { NO_COLOR } });
      const client = await DistcacheClient.connect({ address: `UNIX:${path}` });
      await client.has(id);
      await client.close();
      const text = (await lines(3)).join('\n');
      assert.match(text, /not-found/);
      assert.equal(text.includes('\x1b[33mnot-found\x1b[0m'), isColoured);
      assert.equal(text.includes('\x1b'), isColoured);
    }
  });

  test('--json says it as objects', async (t) => {
    const { path, lines } = await startSnoop(t, await startServer(t), ['--json']);
    const client = await DistcacheClient.connect({ address: `UNIX:${path}` });
    await client.add(id, data, 60_000);
    await client.get(id);
    await client.close();
    const objects = (await lines(4)).map((line) => JSON.parse(line));
    const now = Date.now();
    for (const { time } of objects) assert.ok(Math.abs(Date.parse(time) - now) < 60_000, time);
    for (const { roundTripMs } of objects.slice(1, 3)) assert.ok(roundTripMs > 0 && roundTripMs < 10_000);
    assert.deepEqual(
      objects.map(({ time, roundTripMs, ...rest }) => rest),
      [
        { connection: 0, event: 'open' },
        {
          connection: 0,
          event: 'exchange',
          uid: 1,
          operation: 'add',
          requestBytes: 27,
          id: '0102030405060708',
          timeoutMs: 60_000,
          dataBytes: 11,
          result: 'ok',
          responseBytes: 1,
        },
        {
          connection: 0,
          event: 'exchange',
          uid: 2,
          operation: 'get',
          requestBytes: 8,
          id: '0102030405060708',
          dataBytes: 11,
          result: 'ok',
          responseBytes: 11,
        },
        { connection: 0, event: 'close' },
      ],
    );
  });

  test('filters leave out what does not fit', async (t) => {
    const { path, tool } = await startSnoop(t, await startServer(t), ['-op', 'get,have', '-result', 'ok', '-id', '01']);
    const client = await DistcacheClient.connect({ address: `UNIX:${path}` });
    await client.has(id);
    for (const key of [id, Buffer.from('another')]) {
      await client.add(key, data, 60_000);
      await client.get(key);
    }
    await client.close();
    const { stdout } = await tool.stop();
    assert.match(stdout, /^\S+ #0 get {4}0102030405060708: ok, 11 bytes, \S+ ms\n$/);
  });

  test('garbage is told, and passed on with all that follows', async (t) => {
    const raw = await startRaw(t);
    const { path, lines } = await startSnoop(t, raw.path);
    const client = await connectTo(t, path);
    client.resume();
    // it is not held back until it would be a frame
    client.write('GET /');
    await until(() => raw.sockets[0] !== undefined && raw.received(raw.sockets[0]).length === 5, 'it is there');
    client.end(' HTTP/1.1\r\n\r\n');
    const [server] = raw.sockets;
    assert.ok(server);
    if (!server.readableEnded) await once(server, 'end');
    assert.equal(raw.received(server).toString(), 'GET / HTTP/1.1\r\n\r\n');
    server.end('no');
    const [, fault, second, closed] = await lines(4);
    assert.match(fault ?? '', /#0 the client sends another protocol version, or no distcache at all$/);
    assert.match(second ?? '', /#0 the server sends another protocol version, or no distcache at all$/);
    assert.match(closed ?? '', /#0 closed$/);
  });

  test('a server that can not be reached closes the connection', async (t) => {
    const { path, lines } = await startSnoop(t, newPath());
    const client = await connectTo(t, path);
    client.resume();
    await once(client, 'end');
    assert.match((await lines(2))[1] ?? '', /#0 closed: connect ENOENT /);
  });

  test('a client that leaves is no trouble, and its request is shown as unanswered', async (t) => {
    const raw = await startRaw(t);
    const { path, lines } = await startSnoop(t, raw.path);
    const client = await connectTo(t, path);
    client.write(encodeMessage('request', { uid: 1, operation: 'have', payload: id }));
    await until(() => raw.sockets[0] !== undefined && raw.received(raw.sockets[0]).length > 0, 'it is there');
    client.destroy();
    const [server] = raw.sockets;
    assert.ok(server);
    if (!server.readableEnded) await once(server, 'end');
    server.end();
    assert.match((await lines(3))[1] ?? '', /#0 have {3}0102030405060708: unanswered$/);
  });
});

describe('what passes', () => {
  test('is the same on both sides, whatever it is, however it is cut', async (t) => {
    const raw = await startRaw(t);
    const { path } = await startSnoop(t, raw.path);
    const classic = await startSnoop(t, raw.path, ['-classic']);
    const message = fc
      .record({ uid: fc.nat(), size: fc.nat({ max: 9000 }) })
      .map(({ uid, size }) => encodeMessage('request', { uid, operation: 'get', payload: Buffer.alloc(size, uid) }));
    // for the classic one lengths must be legal
    const input = fc.tuple(fc.array(message, { maxLength: 4 }), fc.uint8Array({ maxLength: 40 }));
    let connections = 0;
    await fc.assert(
      fc.asyncProperty(input, fc.array(fc.nat({ max: 30_000 }), { maxLength: 4 }), async ([messages, tail], cuts) => {
        for (const { to, bytes } of [
          { to: path, bytes: Buffer.concat([...messages, tail]) },
          { to: classic.path, bytes: Buffer.concat([...messages, tail.subarray(0, 13)]) },
        ]) {
          const client = await connectTo(t, to);
          const ends = [...cuts.toSorted((a, b) => a - b), bytes.length];
          let at = 0;
          for (const end of ends) {
            client.write(bytes.subarray(at, end));
            at = Math.max(at, end);
            await delay(1);
          }
          client.end();
          await until(() => raw.sockets.length > connections, 'the server is connected to');
          const server = raw.sockets[connections++];
          assert.ok(server);
          if (!server.readableEnded) await once(server, 'end');
          assert.ok(raw.received(server).equals(bytes));
          server.destroy();
          client.destroy();
        }
      }),
      { numRuns: 25 },
    );
  });

  test('comes in whole frames, those of a burst in one piece', async (t) => {
    const raw = await startRaw(t);
    const { path } = await startSnoop(t, raw.path);
    const client = await connectTo(t, path);
    await until(() => raw.sockets.length === 1, 'the server is connected to');
    const [server] = raw.sockets;
    assert.ok(server);
    const sizes: number[] = [];
    server.on('data', (chunk) => sizes.push(chunk.length));
    const frame = encodeMessage('request', { uid: 1, operation: 'have', payload: id });
    client.write(frame.subarray(0, 13));
    await delay(20);
    client.write(Buffer.concat([frame.subarray(13), frame, frame.subarray(0, 20)]));
    await until(() => sizes.length === 1, 'two frames are there');
    await delay(20);
    assert.deepEqual(sizes, [2 * frame.length]);
    client.write(frame.subarray(20));
    await until(() => sizes.length === 2, 'the third frame is there');
    assert.deepEqual(sizes, [2 * frame.length, frame.length]);
  });

  test('waits at its sender while nobody takes it', async (t) => {
    const raw = await startRaw(t);
    const { path, tool } = await startSnoop(t, raw.path, ['-classic']);
    const client = await connectTo(t, path);
    await until(() => raw.sockets.length === 1, 'the server is connected to');
    const [server] = raw.sockets;
    assert.ok(server);
    server.pause();
    const message = encodeMessage('request', { uid: 1, operation: 'get', payload: Buffer.alloc(32_768) });
    const total = 300;
    for (let i = 0; i < total; i++) client.write(message);
    await delay(300);
    assert.ok(client.writableLength > (total * message.length) / 2, `${client.writableLength} bytes wait`);
    server.resume();
    await until(() => raw.received(server).length === total * message.length, 'all is there');
    await tool.stop();
  });
});

describe('a watcher', () => {
  function watch(): { watcher: DecodingWatcher; sightings: Sighting[] } {
    const sightings: Sighting[] = [];
    return { watcher: new DecodingWatcher(3, (sighting) => sightings.push(sighting)), sightings };
  }
  const bytes = (direction: Direction, uid: number, operation: Operation, payload: Buffer | number[]) =>
    [
      direction,
      encodeMessage(direction === 'client->server' ? 'request' : 'response', {
        uid,
        operation,
        payload: Buffer.from(payload),
      }),
    ] as const;

  test('pairs by uid and operation, equal uids in their order', () => {
    const { watcher, sightings } = watch();
    watcher.bytes(...bytes('client->server', 7, 'have', Buffer.from('first')));
    watcher.bytes(...bytes('client->server', 7, 'have', Buffer.from('second')));
    watcher.bytes(...bytes('client->server', 7, 'get', Buffer.from('third')));
    watcher.bytes(...bytes('server->client', 7, 'get', [1]));
    watcher.bytes(...bytes('server->client', 7, 'have', [0]));
    watcher.bytes(...bytes('server->client', 7, 'have', [1]));
    watcher.bytes(...bytes('server->client', 7, 'have', [1]));
    const seen = sightings.map((sighting) =>
      sighting.event === 'exchange' ? `${sighting.id} ${sighting.result}` : sighting.event,
    );
    assert.deepEqual(seen, ['open', 'third not-found', 'first ok', 'second not-found', 'stray']);
  });

  test('names what responses say', () => {
    const results = (operation: Operation, payload: number[]) => {
      const { watcher, sightings } = watch();
      watcher.bytes(...bytes('client->server', 1, operation, addPayload(id, data, 1)));
      watcher.bytes(...bytes('server->client', 1, operation, payload));
      const [, exchange] = sightings;
      assert.ok(exchange?.event === 'exchange');
      return exchange.result;
    };
    assert.deepEqual(
      [0, 1, 2, 0x64, 0x65, 0x66, 0x67, 0x68].map((code) => results('add', [code])),
      ['ok', 'not-found', 'disconnected', 'corrupt', 'exists', 'timeout-range', 'id-range', 'other'],
    );
    assert.deepEqual(
      [[], [0], [1], [2], [0, 0, 0, 0], [0, 0, 0, 0, 0]].map((payload) => results('get', payload)),
      ['other', 'other', 'not-found', 'disconnected', 'other', 'ok'],
    );
  });

  test('keeps a bounded number of requests, and a bounded part of their ids', () => {
    const { watcher, sightings } = watch();
    for (let uid = 0; uid < 5000; uid++) watcher.bytes(...bytes('client->server', uid, 'get', Buffer.alloc(100)));
    watcher.closed(undefined);
    const unanswered = sightings.filter((sighting) => sighting.event === 'exchange');
    assert.equal(unanswered.length, 4096);
    assert.ok(unanswered.every((sighting) => sighting.id?.length === 64));
  });

  test('shows an ADD that is none without id', () => {
    const { watcher, sightings } = watch();
    watcher.bytes(...bytes('client->server', 1, 'add', Buffer.alloc(20)));
    watcher.bytes(...bytes('server->client', 1, 'add', [0x67]));
    const [, exchange] = sightings;
    assert.ok(exchange);
    assert.match(textLine(exchange, false), /#3 add {4}\(no legal request\): id-range, [0-9.]+ ms$/);
    assert.equal(JSON.parse(jsonLine(exchange)).id, undefined);
  });
});

test('a filter lets the exchanges pass that fit all of it', () => {
  const exchange = {
    event: 'exchange',
    connection: 0,
    time: 0,
    uid: 1,
    operation: 'get',
    id: Buffer.from('00ff12', 'hex'),
    requestBytes: 3,
    result: 'ok',
    roundTripMs: 5,
  } as const;
  assert.equal(passes(exchange, {}), true);
  assert.equal(passes(exchange, { operations: ['get', 'have'], results: ['ok'], idPrefix: '00f', minMs: 5 }), true);
  assert.equal(passes(exchange, { operations: ['have'] }), false);
  assert.equal(passes(exchange, { results: ['not-found'] }), false);
  assert.equal(passes(exchange, { idPrefix: 'ff' }), false);
  assert.equal(passes(exchange, { minMs: 5.1 }), false);
  const { roundTripMs, ...unanswered } = exchange;
  assert.equal(passes(unanswered, { minMs: roundTripMs + 1 }), true);
  const opened = { event: 'open', connection: 0, time: 0 } as const;
  assert.equal(passes(opened, {}), true);
  assert.equal(passes(opened, { minMs: 0 }), false);
});

test('frames are cut out of any chunks', () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 2048 }), { maxLength: 5 }), fc.array(fc.nat({ max: 10_000 })), (sizes, cuts) => {
      const frames = sizes.map((size) =>
        encodeMessage('request', { uid: size, operation: 'get', payload: Buffer.alloc(size) }),
      );
      const bytes = Buffer.concat(frames);
      const splitter = new FrameSplitter();
      const found: Buffer[] = [];
      let at = 0;
      for (const end of [...cuts.toSorted((a, b) => a - b), bytes.length]) {
        found.push(...splitter.push(bytes.subarray(at, end)));
        at = Math.max(at, Math.min(end, bytes.length));
      }
      assert.deepEqual(found, frames);
      assert.equal(splitter.takeRest().length, 0);
      assert.equal(splitter.illegalLength, undefined);
    }),
  );
});

describe('a wrong command line', () => {
  for (const [args, text] of [
    [[], 'Error, must provide -listen'],
    [['-listen', 'UNIX:/x'], 'Error, no server specified!'],
    [['-listen', 'UNIX:/x', '-server', 'IP:1'], 'Error, IP:1 says where to listen only'],
    [['-listen', 'UNIX:/x', '-op', 'put', '-server', 'IP::1'], 'Error, -op given an invalid argument'],
    [['-listen', 'UNIX:/x', '-id', 'xyz', '-server', 'IP::1'], 'Error, -id given an invalid argument'],
    [['-listen'], 'Error, -listen requires an argument'],
  ] as const) {
    test(args.join(' ') || 'nothing', async () => {
      const { status, stderr } = await new Tool('dc_snoop', args).ended;
      assert.equal(stderr, `${text}\n`);
      assert.equal(status, 1);
    });
  }

  test('a place that can not be listened on', async () => {
    const { status, stderr } = await new Tool('dc_snoop', ['-listen', 'UNIX:/nowhere/x', '-connect', 'UNIX:/y']).ended;
    assert.match(stderr, /^Error, can't listen: /);
    assert.equal(status, 1);
  });
});
