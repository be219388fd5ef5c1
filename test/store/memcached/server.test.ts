import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect as connectSocket, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Address } from '../../../src/store/memcached/address.js';
import { Server, type ServerOptions, type StateChange } from '../../../src/store/memcached/server.js';
import { StoreError, type StoreErrorCode } from '../../../src/store/store.js';
import { storeBehaviour } from '../../behaviour/store.js';
import { hit, miss, startFakeMemcached } from '../../support/fake-memcached.js';
import { type Memcached, type MemcachedOptions, rawCommand, startMemcached } from '../../support/memcached.js';

const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** A real memcached for one test. */
async function memcached(options?: MemcachedOptions): Promise<Memcached> {
  const daemon = await startMemcached(options);
  cleanups.push(() => daemon.stop());
  return daemon;
}

/** Undefined options are as good as none. */
const DEFAULT_DEADLINES = { timeoutMs: undefined, connectTimeoutMs: undefined };

/** A store on it, patient where time is not what the test is about. */
function connect(address: Address, options?: Partial<ServerOptions>): Server {
  const server = new Server(address, { timeoutMs: 2000, connectTimeoutMs: 5000, ...options });
  cleanups.push(() => server.close());
  return server;
}

async function rejects(operation: Promise<unknown>, code: StoreErrorCode): Promise<StoreError> {
  const error = await operation.then(
    () => assert.fail(`resolved, but ${code} was expected`),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof StoreError, String(error));
  assert.equal(error.code, code, error.message);
  return error;
}

/** Stops `daemon` and waits until none of its threads runs any more: a signal takes its time. */
async function pause(daemon: Memcached): Promise<void> {
  daemon.pause();
  const tasks = `/proc/${daemon.pid}/task`;
  await until(async () =>
    readdirSync(tasks).every((task) => / T /.test(readFileSync(join(tasks, task, 'stat'), 'latin1'))),
  );
}

/** Milliseconds until `attempt` resolves to something true; asks again every few milliseconds. */
async function until(attempt: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  while (!(await attempt().catch(() => false))) {
    if (performance.now() - started > 10_000) assert.fail('it never happened');
    await delay(5);
  }
  return performance.now() - started;
}

/** How many connections memcached has been asked for, this question's own left out. */
async function connectionsMade(daemon: Memcached): Promise<number> {
  const stats = await rawCommand(daemon.address, 'stats\r\n');
  return Number(/STAT total_connections (\d+)/.exec(stats)?.[1]);
}

const VALUE = Buffer.from('value');

for (const unix of [false, true]) {
  storeBehaviour(`memcached over ${unix ? 'a unix socket' : 'TCP'}`, async () => {
    const daemon = await startMemcached({ unix });
    // the suite is about answers, and runs on loaded machines
    const server = new Server(daemon.address, { timeoutMs: 5000, connectTimeoutMs: 5000 });
    const close = server.close.bind(server);
    return Object.assign(server, { close: () => close().finally(() => daemon.stop()) });
  });
}

describe('a server that restarts', () => {
  test('gives its first get an answer, without a failure', async () => {
    const daemon = await memcached();
    const server = connect(daemon.address, { breaker: { failures: 1 } });
    await server.set('a', VALUE);
    await daemon.restart();
    assert.equal(await server.get('a'), null);
    assert.equal(await server.set('a', VALUE), 'stored');
    assert.deepEqual((await server.get('a'))?.value, VALUE);
  });

  test('while gets are under way, it fails none longer than the deadline, and hits come back within a second', async () => {
    const daemon = await memcached();
    const server = connect(daemon.address, DEFAULT_DEADLINES);
    await server.set('a', VALUE);
    let slowest = 0;
    let isOver = false;
    const load = Array.from({ length: 20 }, async (_, i) => {
      while (!isOver) {
        const started = performance.now();
        await server.get(`a${i}`).catch((error) => assert.ok(error instanceof StoreError));
        slowest = Math.max(slowest, performance.now() - started);
        await delay(1);
      }
    });
    await delay(50);
    await daemon.kill();
    await delay(300);
    assert.notEqual(server.breaker, 'closed');
    await daemon.restart();
    const took = await until(async () => (await server.set('a', VALUE)) === 'stored' && server.get('a'));
    isOver = true;
    await Promise.all(load);
    assert.ok(took < 1000, `${took} ms`);
    assert.ok(slowest < 400, `${slowest} ms`);
  });
});

test('a server that is absent at first is used as soon as it is there', async () => {
  const daemon = await memcached();
  await daemon.kill();
  const server = connect(daemon.address);
  await rejects(server.get('a'), 'connection');
  await rejects(server.set('a', VALUE), 'connection');
  await rejects(server.get('a'), 'connection');
  await rejects(server.get('a'), 'breaker-open');
  await delay(500);
  await daemon.restart();
  const took = await until(async () => (await server.set('a', VALUE)) === 'stored');
  assert.ok(took < 1000, `${took} ms`);
});

test('a server that refuses says so, by every name it has', async () => {
  const daemon = await memcached();
  await daemon.kill();
  assert.ok(daemon.address.kind === 'tcp');
  for (const host of ['127.0.0.1', 'localhost']) {
    const error = await rejects(connect({ ...daemon.address, host }).get('a'), 'connection');
    assert.match(error.message, new RegExp(`^${host}:${daemon.address.port}: .*ECONNREFUSED`));
    assert.equal(error.server, `${host}:${daemon.address.port}`);
  }
});

describe('a server that hangs', () => {
  test('costs a few deadlines, then nothing, and is used again within a second of its return', async () => {
    const daemon = await memcached();
    const changes: string[] = [];
    const server = connect(daemon.address, {
      ...DEFAULT_DEADLINES,
      onStateChange: ({ server: name, state, cause }: StateChange) =>
        changes.push(`${name} ${state} ${cause?.code ?? ''}`),
    });
    await server.set('a', VALUE);
    await pause(daemon);
    for (let i = 0; server.breaker === 'closed'; i++) {
      assert.ok(i < 5, 'the breaker does not open');
      await rejects(server.get('a'), 'timeout');
    }
    const started = performance.now();
    for (let i = 0; i < 100; i++) await rejects(server.get('a'), 'breaker-open');
    assert.ok(performance.now() - started < 50);
    await delay(600);
    assert.notEqual(server.breaker, 'closed');
    daemon.resume();
    const took = await until(async () => (await server.get('a'))?.value.equals(VALUE));
    assert.ok(took < 1000, `${took} ms`);
    assert.deepEqual(changes, [`${daemon.server} open timeout`, `${daemon.server} closed `]);
  });

  test('for a moment only keeps its connection, and owes no wrong answer', async () => {
    const daemon = await memcached();
    const server = connect(daemon.address, { timeoutMs: 200, breaker: { failures: 1000 } });
    await server.set('a', Buffer.from('A'));
    await server.set('b', Buffer.from('B'));
    const before = await connectionsMade(daemon);
    await pause(daemon);
    await Promise.all([rejects(server.get('a'), 'timeout'), rejects(server.get('c'), 'timeout')]);
    daemon.resume();
    assert.equal((await server.get('b'))?.value.toString(), 'B');
    assert.equal((await connectionsMade(daemon)) - before, 1);
  });
});

describe('an open breaker', () => {
  test('is probed by one mn at a time, and by no operation', async () => {
    let isWell = true;
    const fake = await startFakeMemcached((command) => (isWell ? (command === 'mn' ? undefined : miss(command)) : ''));
    cleanups.push(() => fake.stop());
    const server = connect(fake.address, { timeoutMs: 40 });
    await server.get('a');
    isWell = false;
    while (server.breaker === 'closed') await rejects(server.get('a'), 'timeout');
    const before = fake.connections.length;
    const stopAt = performance.now() + 700;
    while (performance.now() < stopAt) {
      await Promise.all(Array.from({ length: 10 }, (_, i) => rejects(server.get(`k${i}`), 'breaker-open')));
      await delay(2);
    }
    const probes = fake.connections.slice(before);
    for (const { reads } of probes) assert.equal(reads.join(''), 'mn\r\n');
    assert.ok(probes.length >= 2 && probes.length <= 12, `${probes.length} probes`);
    isWell = true;
    const took = await until(() => server.get('a').then(() => true));
    assert.ok(took < 1000, `${took} ms`);
    // the connection of the probe goes on to carry operations
    assert.match(fake.connections.at(-1)?.reads.join('') ?? '', /^mn\r\nmg a /);
  });

  test('does not come from one moment in which many operations run out of time', async () => {
    const fake = await startFakeMemcached(() => undefined);
    cleanups.push(() => fake.stop());
    const server = connect(fake.address, { timeoutMs: 40 });
    await Promise.all(Array.from({ length: 50 }, (_, i) => rejects(server.get(`k${i}`), 'timeout')));
    assert.equal(server.breaker, 'closed');
  });

  test('shows in stats, which do not fail', async () => {
    const daemon = await memcached();
    await daemon.kill();
    const server = connect(daemon.address, { breaker: { failures: 1, initialBackoffMs: 10_000 } });
    await rejects(server.get('a'), 'connection');
    const [stats, ...others] = await server.stats();
    assert.equal(others.length, 0);
    assert.deepEqual([stats?.server, stats?.breaker], [daemon.server, 'open']);
    assert.ok(stats?.report instanceof StoreError && stats.report.code === 'breaker-open');
  });
});

test('stats are those of memcached', async () => {
  const daemon = await memcached();
  const [stats] = await connect(daemon.address).stats();
  assert.deepEqual([stats?.server, stats?.breaker], [daemon.server, 'closed']);
  assert.ok(stats !== undefined && !(stats.report instanceof StoreError));
  assert.equal(stats.report.get('pid'), String(daemon.pid));
});

describe('items', () => {
  test("above the server's own limit are too large, and the connection stays", async () => {
    const daemon = await memcached();
    const server = connect(daemon.address, { maxItemBytes: 4 * 1024 * 1024 });
    await server.set('a', VALUE);
    const before = await connectionsMade(daemon);
    const [refused, after] = await Promise.allSettled([
      rejects(server.set('big', Buffer.alloc(2 * 1024 * 1024)), 'too-large'),
      server.get('a'),
    ]);
    assert.equal(refused.status, 'fulfilled');
    assert.ok(after.status === 'fulfilled' && after.value?.value.equals(VALUE));
    assert.equal((await connectionsMade(daemon)) - before, 1);
  });

  test('may be as large as both sides are told', async () => {
    const daemon = await memcached({ args: ['-I', '8m'] });
    const server = connect(daemon.address, { maxItemBytes: 6_000_000, maxInFlightBytes: 20_000_000, timeoutMs: 5000 });
    const pieces = [
      Buffer.from('head'),
      Buffer.alloc(3_000_000, 'abc'),
      Buffer.alloc(0),
      Buffer.alloc(2_000_000, 'xyz'),
    ];
    const writes = [server.set('a', pieces), server.set('b', VALUE), server.set('c', [...pieces, VALUE])];
    assert.deepEqual(await Promise.all(writes), ['stored', 'stored', 'stored']);
    const [a, b, c] = await Promise.all(['a', 'b', 'c'].map((key) => server.get(key)));
    assert.ok(a?.value.equals(Buffer.concat(pieces)));
    assert.ok(b?.value.equals(VALUE));
    assert.ok(c?.value.equals(Buffer.concat([...pieces, VALUE])));
  });

  test('of another client, as large as memcached takes by default, are read', async () => {
    const daemon = await memcached();
    const large = 'x'.repeat(1024 * 1024 - 100);
    assert.equal(await rawCommand(daemon.address, `set a 5 0 ${large.length}\r\n${large}\r\n`), 'STORED\r\n');
    const item = await connect(daemon.address).get('a');
    assert.deepEqual([item?.value.length, item?.flags], [large.length, 5]);
  });

  test('that another client keeps under a binary key, or has marked stale, are read', async () => {
    const daemon = await memcached();
    await rawCommand(daemon.address, 'ms Zm9v 1 b\r\nB\r\nms a 1\r\nA\r\nmd a I T30\r\n');
    const items = await connect(daemon.address).getMany(['foo', 'a']);
    assert.deepEqual([items.get('foo')?.value.toString(), items.get('a')?.value.toString()], ['B', 'A']);
  });
});

describe('a server without meta commands', () => {
  /** A relay in front of memcached that knows only the classic commands. */
  async function classicRelay(target: Memcached): Promise<Address> {
    const relay = createServer((socket) => {
      const { address } = target;
      const upstream = connectSocket(address.kind === 'unix' ? { path: address.path } : address);
      socket.on('data', (chunk) => {
        assert.doesNotMatch(chunk.toString('latin1'), /^(?:mg|ms|md|ma) /m);
        if (chunk.toString('latin1') === 'mn\r\n') socket.write('ERROR\r\n');
        else upstream.write(chunk);
      });
      upstream.pipe(socket);
      for (const end of [socket, upstream]) {
        end.on('error', () => undefined);
        end.on('close', () => {
          socket.destroy();
          upstream.destroy();
        });
      }
    });
    relay.listen(0, '127.0.0.1');
    await once(relay, 'listening');
    cleanups.push(() => relay.close());
    const bound = relay.address();
    assert.ok(bound !== null && typeof bound === 'object');
    return { kind: 'tcp', host: '127.0.0.1', port: bound.port };
  }

  test('is spoken to in classic ones', async () => {
    const server = connect(await classicRelay(await memcached()));
    assert.equal(await server.get('a'), null);
    assert.equal(await server.set('a', Buffer.from('1'), { flags: 9, ttlSeconds: 100 }), 'stored');
    const item = await server.get('a');
    assert.deepEqual([item?.value.toString(), item?.flags, item?.ttlSeconds], ['1', 9, undefined]);
    assert.equal(await server.set('a', VALUE, { mode: 'add' }), 'not-stored');
    assert.equal(await server.set('b', VALUE, { mode: 'replace' }), 'not-stored');
    assert.equal(await server.set('a', Buffer.from('0'), { mode: 'append' }), 'stored');
    assert.equal(await server.set('a', Buffer.from('2'), { mode: 'prepend' }), 'stored');
    assert.equal(await server.set('a', VALUE, { cas: item?.cas ?? '' }), 'exists');
    assert.equal(await server.set('b', VALUE, { cas: item?.cas ?? '' }), 'not-found');
    assert.equal(await server.increment('a', 5n), 215n);
    assert.equal(await server.increment('a', -300n), 0n);
    assert.equal(await server.touch('a', 50), true);
    assert.equal(await server.touch('b', 50), false);
    assert.deepEqual([...(await server.getMany(['a', 'b'])).keys()], ['a']);
    await rejects(server.delete('a', { cas: '1' }), 'server-error');
    assert.equal(await server.delete('a'), true);
    assert.equal(await server.delete('a'), false);
    const [stats] = await server.stats();
    assert.ok(stats !== undefined && !(stats.report instanceof StoreError) && stats.report.has('version'));
  });

  test('has counters made in two steps, by one client only', async () => {
    const address = await classicRelay(await memcached());
    const servers = Array.from({ length: 5 }, () => connect(address));
    const counts = await Promise.all(servers.map((server) => server.increment('n', 1n, { initial: 10n })));
    assert.deepEqual(
      counts.toSorted((a, b) => Number((a ?? 0n) - (b ?? 0n))),
      [10n, 11n, 12n, 13n, 14n],
    );
    assert.equal(await servers[0]?.increment('absent', 1n), null);
  });

  test('has its connection closed at a reply that no get can have', async () => {
    const fake = await startFakeMemcached((command) =>
      command === 'mn' ? 'ERROR\r\n' : 'VALUE other 0 1 1\r\nx\r\nEND\r\n',
    );
    cleanups.push(() => fake.stop());
    await rejects(connect(fake.address).get('a'), 'protocol');
  });
});

describe('authentication', () => {
  async function guarded(): Promise<Memcached> {
    const directory = mkdtempSync(join(tmpdir(), 'lookaside-auth-'));
    cleanups.push(() => rmSync(directory, { recursive: true, force: true }));
    const file = join(directory, 'users');
    writeFileSync(file, 'other:secret\ncache:sésame\n');
    // memcached reads it as another user
    chmodSync(directory, 0o755);
    return memcached({ args: ['-Y', file] });
  }

  test('is the first thing on each connection', async () => {
    const daemon = await guarded();
    const server = connect(daemon.address, { auth: { user: 'cache', password: 'sésame' }, connections: 3 });
    const keys = Array.from({ length: 20 }, (_, i) => `key-${i}`);
    for (const key of keys) assert.equal(await server.set(key, VALUE), 'stored');
    assert.equal((await server.getMany(keys)).size, keys.length);
    await daemon.restart();
    assert.equal(await server.get('key-1'), null);
  });

  for (const [what, auth] of [
    ['a wrong password', { user: 'cache', password: 'wrong' }],
    ['no password', undefined],
  ] as const) {
    test(`with ${what} is a server-error, and opens the breaker`, async () => {
      const server = connect((await guarded()).address, { auth });
      for (let i = 0; i < 3; i++) await rejects(server.get('a'), 'server-error');
      const error = await rejects(server.get('a'), 'breaker-open');
      assert.match(error.message, /CLIENT_ERROR (?:unauthenticated|authentication failure)/);
      assert.doesNotMatch(error.message, /wrong/);
    });
  }

  test('takes nothing that would be read as other words than name and password', () => {
    const address: Address = { kind: 'tcp', host: '127.0.0.1', port: 1 };
    for (const auth of [
      { user: 'a b', password: 'c' },
      { user: '', password: 'c' },
      { user: 'a', password: 'b c' },
      { user: 'a\r\n', password: 'c' },
      { user: 'a', password: 'c\r\nflush_all' },
    ]) {
      assert.throws(() => new Server(address, { auth }), RangeError);
    }
  });
});

describe('TLS', () => {
  async function certificate(): Promise<{ key: string; cert: string }> {
    const directory = mkdtempSync(join(tmpdir(), 'lookaside-tls-'));
    cleanups.push(() => rmSync(directory, { recursive: true, force: true }));
    const files = { key: join(directory, 'key.pem'), cert: join(directory, 'cert.pem') };
    const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
    const algorithm = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
    await promisify(execFile)('openssl', [
      'req',
      '-x509',
      ...algorithm,
      '-keyout',
      files.key,
      '-out',
      files.cert,
      ...subject,
    ]);
    chmodSync(directory, 0o755);
    chmodSync(files.key, 0o644);
    return files;
  }

  async function secured(): Promise<[Memcached, ca: Buffer]> {
    const { key, cert } = await certificate();
    return [await memcached({ args: ['-Z', '-o', `ssl_chain_cert=${cert},ssl_key=${key}`] }), readFileSync(cert)];
  }

  test('carries operations', async () => {
    const [daemon, ca] = await secured();
    const server = connect(daemon.address, { tls: { ca } });
    const large = Buffer.alloc(500_000, 'large');
    assert.deepEqual(await Promise.all([server.set('a', VALUE), server.set('b', large)]), ['stored', 'stored']);
    const items = await server.getMany(['a', 'b', 'c']);
    assert.ok(items.size === 2 && items.get('a')?.value.equals(VALUE) && items.get('b')?.value.equals(large));
  });

  test('with a certificate that is not trusted carries none', async () => {
    const [daemon] = await secured();
    const server = connect(daemon.address, { tls: {} });
    const error = await rejects(server.set('a', VALUE), 'connection');
    assert.match(error.message, /certificate/);
  });

  test('is not spoken by a plain server, and that is a failure within the deadline', async () => {
    const daemon = await memcached();
    const server = connect(daemon.address, { ...DEFAULT_DEADLINES, tls: {} });
    const started = performance.now();
    const error = await server.get('a').catch((reason: unknown) => reason);
    assert.ok(error instanceof StoreError && ['connection', 'timeout'].includes(error.code));
    assert.ok(performance.now() - started < 400);
  });

  test('with a handshake that stands still ends at the connect deadline', async () => {
    const mute = createServer();
    mute.listen(0, '127.0.0.1');
    await once(mute, 'listening');
    cleanups.push(() => mute.close());
    const closed = once(mute, 'connection').then(([socket]) => {
      socket.on('error', () => undefined).resume();
      return once(socket, 'close');
    });
    const bound = mute.address();
    assert.ok(bound !== null && typeof bound === 'object');
    const address: Address = { kind: 'tcp', host: '127.0.0.1', port: bound.port };
    const server = connect(address, { tls: {}, timeoutMs: 50, connectTimeoutMs: 100, breaker: { failures: 1000 } });
    const started = performance.now();
    await rejects(server.get('a'), 'timeout');
    await closed;
    assert.ok(performance.now() - started < 500);
  });

  test('with contents that are no certificate is refused at once', () => {
    assert.throws(
      () => new Server({ kind: 'tcp', host: '127.0.0.1', port: 1 }, { tls: { ca: 'x', cert: 'x', key: 'x' } }),
    );
  });
});

describe('getMany', () => {
  test('leaves out the keys that got no answer, and fails when none did', async () => {
    const fake = await startFakeMemcached((command) => (command.startsWith('mg a ') ? hit(command, 'A') : undefined));
    cleanups.push(() => fake.stop());
    const server = connect(fake.address, { timeoutMs: 50, breaker: { failures: 1000 } });
    assert.deepEqual([...(await server.getMany(['a', 'b'])).keys()], ['a']);
    await rejects(server.getMany(['b', 'c']), 'timeout');
  });
});

describe('the process', () => {
  /** Runs `script` with a server `store` on it, and resolves to what it wrote, once it has ended by itself. */
  async function run(address: Address, script: string): Promise<string> {
    const module = new URL('../../../src/store/memcached/server.js', import.meta.url);
    const source = `import { Server } from ${JSON.stringify(module)};
      const store = new Server(${JSON.stringify(address)}, { timeoutMs: 2000, connectTimeoutMs: 2000 });
      ${script}`;
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', source], {
      timeout: 20_000,
    });
    return stdout;
  }

  test('waits for what is outstanding, and is not kept by an idle connection', async () => {
    const daemon = await memcached();
    const script = `store.set('a', Buffer.from('x')).then(() => store.get('a')).then(({ value }) => console.log(String(value)));`;
    assert.equal(await run(daemon.address, script), 'x\n');
  });

  test('is not kept by an operation that was not sent', async () => {
    const fake = await startFakeMemcached((command) => (command === 'mn' ? 'ERROR\r\n' : 'END\r\n'));
    cleanups.push(() => fake.stop());
    const script = `await store.get('a'); store.delete('a', { cas: '1' }).catch((error) => console.log(error.code));`;
    assert.equal(await run(fake.address, script), 'server-error\n');
  });

  test('is not kept by an open breaker', async () => {
    const daemon = await memcached();
    await daemon.kill();
    const script = `for (let i = 0; i < 5; i++) await store.get('a').catch((error) => console.log(error.code));`;
    assert.equal(await run(daemon.address, script), 'connection\nconnection\nconnection\nbreaker-open\nbreaker-open\n');
  });
});

test('limits that contradict each other are refused', () => {
  const address: Address = { kind: 'tcp', host: '127.0.0.1', port: 1 };
  assert.throws(() => new Server(address, { maxItemBytes: 1000, maxInFlightBytes: 1000 }), RangeError);
  assert.throws(() => new Server(address, { connections: 0 }), RangeError);
});
