import assert from 'node:assert/strict';
import dns from 'node:dns';
import { getEventListeners, once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, mock, type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type ClientOptions, DistcacheClient } from '../../src/distcache/client.js';
import { DistcacheError, type DistcacheErrorCode } from '../../src/distcache/client-error.js';
import { encodeMessage, type Message, wireBytesOf } from '../../src/distcache/wire.js';
import { Command, temporaryDirectory } from './command.js';
import { type ScriptedConnection, ScriptedServer } from './scripted-server.js';

const id = Buffer.from('an id');
const data = Buffer.from('hello world');
const minute = 60_000;
const [OK, NOT_OK, DISCONNECTED, EXISTS] = [[0], [1], [2], [0x65]];

type LookedUp = (error: null, address: string, family: number) => void;

type Script = (request: Message, connection: ScriptedConnection) => void;

/** A server that does as it is told, and a client of it; both end with the test. */
async function pair(
  t: TestContext,
  script: Script,
  options: Partial<ClientOptions> = {},
): Promise<{ server: ScriptedServer; client: DistcacheClient }> {
  const server = await ScriptedServer.start(script);
  const client = new DistcacheClient({ address: server.address, ...options });
  t.after(async () => {
    await client.close();
    await server.stop();
  });
  return { server, client };
}

function failsWith(code: DistcacheErrorCode) {
  return (error: unknown) => error instanceof DistcacheError && error.code === code;
}

/** Answers as a server that has nothing. */
const empty: Script = (request, connection) => connection.answer(request, request.operation === 'add' ? OK : NOT_OK);

describe('connections', () => {
  test('a persistent client has one, made with the first operation', async (t) => {
    const { server, client } = await pair(t, empty);
    await delay(20);
    assert.equal(server.connections.length, 0);
    await client.has(id);
    await client.get(id);
    await Promise.all([client.remove(id), client.add(id, data, minute)]);
    assert.equal(server.connections.length, 1);
  });

  test('connect makes it before', async (t) => {
    const server = await ScriptedServer.start(empty);
    const client = await DistcacheClient.connect({ address: server.address });
    t.after(async () => {
      await client.close();
      await server.stop();
    });
    await client.has(id);
    assert.equal(server.connections.length, 1);
  });

  test('connect rejects when there is nobody', async () => {
    const options = { address: `UNIX:${temporaryDirectory()}/nobody` };
    await assert.rejects(DistcacheClient.connect(options), failsWith('connection'));
    // … but for a client that connects with each operation
    const client = await DistcacheClient.connect({ ...options, persistent: false });
    await assert.rejects(client.has(id), failsWith('connection'));
  });

  test('a temporary one carries one operation, and is closed', async (t) => {
    const { server, client } = await pair(t, empty, { persistent: false });
    await client.has(id);
    await Promise.all([client.get(id), client.get(id)]);
    assert.deepEqual(
      server.requests.map(({ uid }) => uid),
      [1, 1, 1],
    );
    assert.equal(server.connections.length, 3);
    for (const { socket } of server.connections) if (!socket.closed) await once(socket, 'close');
  });

  test('pidCheck changes nothing', async (t) => {
    const { server, client } = await pair(t, empty, { pidCheck: true });
    await client.has(id);
    await client.has(id);
    assert.equal(server.connections.length, 1);
  });

  test('one that was lost between operations is made again without anybody noticing', async (t) => {
    const { server, client } = await pair(t, empty);
    await client.has(id);
    server.connections[0]?.socket.end();
    while (server.connections[0]?.socket.closed === false) await delay(1);
    assert.equal(await client.has(id), false);
    assert.equal(server.connections.length, 2);
  });

  test('the name of the server is looked up for each', async (t) => {
    const servers = [createServer(), createServer()];
    const [first, second] = servers;
    assert.ok(first && second);
    first.listen(0, '127.0.0.1');
    await once(first, 'listening');
    const bound = first.address();
    assert.ok(bound !== null && typeof bound === 'object');
    second.listen(bound.port, '127.0.0.2');
    await once(second, 'listening');
    t.after(() => servers.map((server) => server.close()));
    const names: string[] = [];
    const lookup = mock.method(dns, 'lookup', (name: string, _options: object, found: LookedUp) => {
      names.push(name);
      found(null, `127.0.0.${names.length}`, 4);
    });
    t.after(() => lookup.mock.restore());
    const client = new DistcacheClient({ address: `IP:sessions.test:${bound.port}`, timeoutMs: 10_000 });
    t.after(() => client.close());
    for (const server of servers) {
      const connected = once(server, 'connection');
      const outcome = assert.rejects(client.has(id), failsWith('connection'));
      const [socket] = await connected;
      socket.destroy();
      await outcome;
    }
    assert.deepEqual(names, ['sessions.test', 'sessions.test']);
  });
});

describe('answers', () => {
  const cases: {
    name: string;
    payload: readonly number[];
    of: (client: DistcacheClient) => Promise<unknown>;
    is: unknown;
  }[] = [
    { name: 'add: 00', payload: OK, of: (client) => client.add(id, data, minute), is: true },
    { name: 'add: 65', payload: EXISTS, of: (client) => client.add(id, data, minute), is: false },
    { name: 'add: 01', payload: NOT_OK, of: (client) => client.add(id, data, minute), is: false },
    { name: 'add: two bytes', payload: [0, 0], of: (client) => client.add(id, data, minute), is: false },
    { name: 'remove: 00', payload: OK, of: (client) => client.remove(id), is: true },
    { name: 'remove: 01', payload: NOT_OK, of: (client) => client.remove(id), is: false },
    { name: 'remove: two bytes', payload: [0, 0], of: (client) => client.remove(id), is: false },
    { name: 'get: five bytes', payload: [0, 0, 0, 0, 0], of: (client) => client.get(id), is: Buffer.alloc(5) },
    { name: 'get: four bytes', payload: [0, 0, 0, 0], of: (client) => client.get(id), is: undefined },
    { name: 'get: 01', payload: NOT_OK, of: (client) => client.get(id), is: undefined },
    { name: 'has: 00', payload: OK, of: (client) => client.has(id), is: true },
    { name: 'has: 01', payload: NOT_OK, of: (client) => client.has(id), is: false },
    { name: 'has: two bytes', payload: [0, 0], of: (client) => client.has(id), is: false },
    { name: 'has: 64', payload: [0x64], of: (client) => client.has(id), is: 'protocol' },
  ];
  for (const { name, payload, of, is } of cases) {
    test(name, async (t) => {
      const { client } = await pair(t, (request, connection) => connection.answer(request, payload));
      if (is === 'protocol') await assert.rejects(of(client), failsWith('protocol'));
      else assert.deepEqual(await of(client), is);
    });
  }

  for (const [name, payload] of [
    ['02', DISCONNECTED],
    ['nothing', []],
  ] as const) {
    test(`${name}, from a proxy without server, is no answer`, async (t) => {
      const { client } = await pair(t, (request, connection) => connection.answer(request, payload));
      await assert.rejects(client.add(id, data, minute), failsWith('disconnected'));
      await assert.rejects(client.get(id), failsWith('disconnected'));
      await assert.rejects(client.remove(id), failsWith('disconnected'));
      await assert.rejects(client.has(id), failsWith('disconnected'));
    });
  }
});

describe('a server that dies', () => {
  /** Cuts the first connections off when a request has come, and then answers. */
  const dying =
    (times: number, then: Script = empty): Script =>
    (request, connection) =>
      connection.number < times ? connection.socket.destroy() : then(request, connection);

  test('fails the operation, and the next one has a new connection', async (t) => {
    const { client } = await pair(t, dying(1));
    await assert.rejects(client.has(id), failsWith('connection'));
    assert.equal(await client.has(id), false);
  });

  test('with retry, the operation is sent once more', async (t) => {
    const { server, client } = await pair(t, dying(1), { retry: true });
    assert.equal(await client.remove(id), false);
    assert.deepEqual(
      server.requests.map(({ operation }) => operation),
      ['remove', 'remove'],
    );
    const second = server.connections[1]?.socket;
    assert.ok(second);
    await Promise.all([client.close(), once(second, 'close')]);
  });

  test('with retry, an operation that nobody waits for any more is not sent again', async (t) => {
    const { server, client } = await pair(
      t,
      dying(0, () => {}),
      { retry: true },
    );
    const controller = new AbortController();
    const aborted = assert.rejects(client.has(id, { signal: controller.signal }), { name: 'AbortError' });
    while (server.requests.length === 0) await delay(1);
    controller.abort();
    await aborted;
    server.connections[0]?.socket.destroy();
    await delay(30);
    assert.equal(server.requests.length, 1);
  });

  test('… and not a third time', async (t) => {
    const { server, client } = await pair(t, dying(2), { retry: true });
    await assert.rejects(client.has(id), failsWith('connection'));
    assert.equal(server.requests.length, 2);
    assert.equal(await client.has(id), false);
  });

  test('with retry, a failure to connect is final', async (t) => {
    const { server, client } = await pair(t, () => {}, { retry: true });
    const outcome = assert.rejects(client.has(id), failsWith('connection'));
    while (server.requests.length === 0) await delay(1);
    await server.stop();
    await outcome;
    assert.equal(server.connections.length, 1);
  });

  test('with retry and temporary connections, the operation is sent once more', async (t) => {
    const { server, client } = await pair(t, dying(1), { retry: true, persistent: false });
    assert.equal(await client.has(id), false);
    assert.equal(server.connections.length, 2);
  });

  for (const { what, stored, is } of [
    { what: 'this data lies there', stored: data, is: true },
    { what: 'other data lies there', stored: Buffer.from('other data'), is: false },
    { what: 'it is gone again', stored: Buffer.from(NOT_OK), is: false },
  ]) {
    test(`an ADD that was sent twice and found the id taken succeeded: ${is}, when ${what}`, async (t) => {
      const script = dying(1, (request, connection) =>
        connection.answer(request, request.operation === 'add' ? EXISTS : stored),
      );
      const { server, client } = await pair(t, script, { retry: true });
      assert.equal(await client.add(id, data, minute), is);
      assert.deepEqual(
        server.requests.map(({ operation }) => operation),
        ['add', 'add', 'get'],
      );
    });
  }

  test('an ADD that was sent once and found the id taken failed', async (t) => {
    const { server, client } = await pair(t, (request, connection) => connection.answer(request, EXISTS), {
      retry: true,
    });
    assert.equal(await client.add(id, data, minute), false);
    assert.equal(server.requests.length, 1);
  });

  test('with several operations in flight: what only reads is asked once more, one at a time', async (t) => {
    let most = 0;
    let newcomer: Promise<boolean> | undefined;
    const script: Script = (request, connection) => {
      if (connection.number === 0) {
        if (connection.open.length === 4) connection.socket.destroy();
        return;
      }
      newcomer ??= client.remove(id);
      most = Math.max(most, connection.open.length);
      setTimeout(() => empty(request, connection), 10);
    };
    const { server, client } = await pair(t, script);
    const results = await Promise.allSettled([
      client.get(id),
      client.add(id, data, minute),
      client.has(id),
      client.remove(id),
    ]);
    assert.deepEqual(
      results.map((result) => (result.status === 'fulfilled' ? result.value : result.reason.code)),
      [undefined, 'connection', false, 'connection'],
    );
    assert.deepEqual(
      server.requests.slice(4, 6).map(({ operation }) => operation),
      ['get', 'have'],
    );
    assert.equal(await newcomer, false);
    assert.equal(most, 1);
    // and afterwards they go together again
    await Promise.all([client.get(id), client.get(id), client.get(id)]);
    assert.equal(most, 3);
  });

  test('a lone GET is not asked again without retry', async (t) => {
    const { server, client } = await pair(t, dying(1));
    await assert.rejects(client.get(id), failsWith('connection'));
    assert.equal(server.requests.length, 1);
  });

  test('a real one, killed and started again', async (t) => {
    const path = join(temporaryDirectory(), 'server.sock');
    const client = new DistcacheClient({ address: `UNIX:${path}`, timeoutMs: 5000 });
    t.after(() => client.close());
    for (let life = 1; life <= 2; life++) {
      const server = new Command('dc_server', ['-listen', `UNIX:${path}`]);
      await server.listening(path);
      // the socket of the killed one lies there until the new one takes its place
      while (await client.has(id).catch(() => true)) await delay(5);
      assert.equal(await client.add(id, data, minute), true);
      assert.deepEqual(await client.get(id), data);
      await server.stop('SIGKILL');
      await assert.rejects(client.get(id), failsWith('connection'));
    }
  });
});

describe('a server that is silent', () => {
  test('fails the operation in time, and the next one has a new connection', async (t) => {
    const script: Script = (request, connection) => {
      if (connection.number > 0) empty(request, connection);
    };
    const { server, client } = await pair(t, script, { timeoutMs: 100 });
    const startedAt = performance.now();
    await assert.rejects(client.has(id), failsWith('timeout'));
    const elapsedMs = performance.now() - startedAt;
    assert.ok(elapsedMs >= 95 && elapsedMs < 2000, `it took ${elapsedMs} ms`);
    // nothing that is not repeated goes out on the old one
    assert.equal(await client.add(id, data, minute), true);
    assert.equal(server.connections.length, 2);
  });

  test('also while it is being connected to', async (t) => {
    // its part of the TLS handshake never comes
    const path = join(temporaryDirectory(), 'silent.sock');
    const sockets: Socket[] = [];
    const server = createServer((socket) => sockets.push(socket.resume())).listen(path);
    await once(server, 'listening');
    t.after(() => {
      server.close();
      for (const socket of sockets) socket.destroy();
    });
    const options = { address: `UNIX:${path}`, tls: {}, timeoutMs: 100 };
    await assert.rejects(DistcacheClient.connect(options), failsWith('timeout'));
    const client = new DistcacheClient(options);
    t.after(() => client.close());
    await assert.rejects(Promise.all([client.has(id), client.get(id)]), failsWith('timeout'));
  });

  test('a real one, stopped', async (t) => {
    const path = join(temporaryDirectory(), 'server.sock');
    const server = new Command('dc_server', ['-listen', `UNIX:${path}`]);
    await server.listening(path);
    const client = await DistcacheClient.connect({ address: `UNIX:${path}`, timeoutMs: 300 });
    t.after(async () => {
      await client.close();
      await server.stop('SIGKILL');
    });
    await client.add(id, data, minute);
    server.child.kill('SIGSTOP');
    await assert.rejects(client.get(id), failsWith('timeout'));
    server.child.kill('SIGCONT');
    assert.deepEqual(await client.get(id), data);
  });
});

describe('a signal', () => {
  test('that is aborted already rejects without a request', async (t) => {
    const { server, client } = await pair(t, empty);
    const signal = AbortSignal.abort(new Error('enough'));
    await assert.rejects(client.has(id, { signal }), /enough/);
    await client.has(id);
    assert.equal(server.requests.length, 1);
  });

  test('is let go of with the operation', async (t) => {
    const { client } = await pair(t, empty);
    const { signal } = new AbortController();
    await Promise.all([client.has(id, { signal }), client.get(id, { signal })]);
    assert.equal(getEventListeners(signal, 'abort').length, 0);
  });

  test('rejects an operation in flight, and its late response disturbs nobody', async (t) => {
    const { server, client } = await pair(t, (request, connection) => {
      if (server.requests.length === 2) for (const open of [...connection.open]) empty(open, connection);
      else if (server.requests.length > 2) empty(request, connection);
    });
    const controller = new AbortController();
    const aborted = assert.rejects(client.get(id, { signal: controller.signal }), { name: 'AbortError' });
    while (server.requests.length === 0) await delay(1);
    controller.abort();
    await aborted;
    assert.equal(await client.has(id), false);
    assert.equal(await client.has(id), false);
    assert.equal(server.connections.length, 1);
  });

  test('rejects an operation that waits its turn, which is never sent', async (t) => {
    const { server, client } = await pair(t, () => {}, { maxOutstandingBytes: 1 });
    const first = client.has(id);
    const controller = new AbortController();
    const second = assert.rejects(client.get(id, { signal: controller.signal }), { name: 'AbortError' });
    const third = client.remove(id);
    controller.abort();
    await second;
    while (server.requests.length === 0) await delay(1);
    const [connection] = server.connections;
    assert.ok(connection);
    for (const expected of ['have', 'remove']) {
      while (connection.open.length === 0) await delay(1);
      const request: Message | undefined = connection.open[0];
      assert.ok(request);
      assert.equal(request.operation, expected);
      connection.answer(request, OK);
    }
    assert.deepEqual(await Promise.all([first, third]), [true, true]);
  });

  test('a time limit of one operation does not end the connection of others', async (t) => {
    const { server, client } = await pair(t, (request, connection) => {
      if (request.operation === 'have') empty(request, connection);
    });
    await assert.rejects(client.get(id, { signal: AbortSignal.timeout(20) }), { name: 'TimeoutError' });
    assert.equal(await client.has(id), false);
    assert.equal(server.connections.length, 1);
  });
});

describe('a server that sends what it must not', () => {
  const wrong: Record<string, (request: Message) => Buffer> = {
    garbage: () => Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'),
    'a request': ({ uid }) => encodeMessage('request', { uid, operation: 'have', payload: Buffer.from(OK) }),
    'an unknown uid': ({ uid }) =>
      encodeMessage('response', { uid: uid + 1, operation: 'have', payload: Buffer.from(OK) }),
    'another operation': ({ uid }) => encodeMessage('response', { uid, operation: 'get', payload: Buffer.from(OK) }),
    'two responses': ({ uid }) => {
      const response = encodeMessage('response', { uid: uid - 1, operation: 'have', payload: Buffer.from(OK) });
      return Buffer.concat([response, response]);
    },
  };
  for (const [what, bytesFor] of Object.entries(wrong)) {
    test(`${what}: the operation fails, and the next one has a new connection`, async (t) => {
      const { server, client } = await pair(t, (request, connection) => {
        if (connection.number > 0) empty(request, connection);
        else connection.socket.write(bytesFor(request));
      });
      await assert.rejects(client.has(id), failsWith('protocol'));
      assert.equal(await client.has(id), false);
      assert.equal(server.connections.length, 2);
    });
  }
});

describe('requests on the way to a server that is not known', () => {
  /** Lets requests pile up, and answers what there is every few ms. */
  async function pileUp(t: TestContext, options: Partial<ClientOptions>, sizes: readonly number[]): Promise<number[]> {
    const piles: number[] = [];
    const { client } = await pair(
      t,
      (_request, connection) => {
        if (connection.open.length > 1) return;
        setTimeout(() => {
          piles.push(connection.open.reduce((sum, { payload }) => sum + wireBytesOf(payload.length), 0));
          for (const request of [...connection.open]) connection.answer(request, OK);
        }, 30);
      },
      options,
    );
    const results = await Promise.all(sizes.map((size) => client.add(id, Buffer.alloc(size), minute)));
    assert.ok(results.every((result) => result));
    return piles;
  }

  test('are 4096 bytes at most', async (t) => {
    const piles = await pileUp(t, {}, new Array(100).fill(300));
    assert.ok(piles.length >= 9, `all went in ${piles.length} piles`);
    assert.ok(Math.max(...piles) <= 4096, `a pile of ${Math.max(...piles)} bytes`);
    assert.ok(Math.max(...piles) > 3000, `the largest pile is ${Math.max(...piles)} bytes`);
  });

  test('or one that is larger', async (t) => {
    const piles = await pileUp(t, {}, [20_000, 100, 20_000]);
    assert.deepEqual(
      piles.map((bytes) => (bytes > 4096 ? 'large' : 'small')),
      ['large', 'small', 'large'],
    );
  });

  test('or as many as one says', async (t) => {
    const piles = await pileUp(t, { maxOutstandingBytes: Number.POSITIVE_INFINITY }, new Array(100).fill(300));
    assert.equal(piles.length, 1);
  });
});

describe('a client', () => {
  test('that is closed fails what is outstanding, and what comes later', async (t) => {
    for (const persistent of [true, false]) {
      const { server, client } = await pair(t, () => {}, { persistent });
      const outstanding = [client.has(id), client.get(id)].map((operation) =>
        assert.rejects(operation, failsWith('closed')),
      );
      while (server.requests.length < 2) await delay(1);
      await client.close();
      await Promise.all(outstanding);
      await assert.rejects(client.has(id), failsWith('closed'));
      await client.close();
      for (const { socket } of server.connections) if (!socket.closed) await once(socket, 'close');
    }
  });

  test('that has 10000 operations waiting takes no more', async (t) => {
    const { client } = await pair(t, () => {});
    const outcomes = Array.from({ length: 10_001 }, () => client.has(id).catch((error) => error.code));
    assert.equal(await outcomes.at(-1), 'busy');
    await client.close();
    assert.equal(await outcomes[0], 'closed');
  });
});
