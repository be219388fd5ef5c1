import assert from 'node:assert/strict';
import { Socket } from 'node:net';
import { afterEach, describe, mock, test } from 'node:test';
import { setTimeout as delay, setImmediate as turn } from 'node:timers/promises';
import { MAX_LINE_BYTES } from '../../../src/store/memcached/reply-parser.js';
import { Server, type ServerOptions } from '../../../src/store/memcached/server.js';
import { type Item, StoreError, type StoreErrorCode } from '../../../src/store/store.js';
import {
  echoOf,
  type FakeConnection,
  type FakeMemcached,
  hit,
  miss,
  type Script,
  startFakeMemcached,
} from '../../support/fake-memcached.js';

const cleanups: (() => Promise<void>)[] = [];

afterEach(async () => {
  mock.restoreAll();
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

/** A server that does as `script` says, and a store on it. */
async function start(script: Script, options: Partial<ServerOptions> = {}): Promise<[Server, FakeMemcached]> {
  const fake = await startFakeMemcached(script);
  const server = new Server(fake.address, { timeoutMs: 2000, breaker: { failures: 1000 }, ...options });
  cleanups.push(
    () => server.close(),
    () => fake.stop(),
  );
  return [server, fake];
}

/** The same, connected already, so that what comes next is not mixed with the greeting. */
async function connected(
  script: Script,
  options?: Partial<ServerOptions>,
): Promise<[Server, FakeConnection, FakeMemcached]> {
  const [server, fake] = await start((command, peer) => {
    if (command === 'mn') return undefined;
    return command.startsWith('mg warm ') ? miss(command) : script(command, peer);
  }, options);
  await server.get('warm');
  const [connection] = fake.connections;
  assert.ok(connection !== undefined);
  connection.reads.length = 0;
  return [server, connection, fake];
}

/** How an operation ended: what its item holds, or the code of the error. */
async function outcome(operation: Promise<Item | null>): Promise<string | null> {
  return operation.then(
    (item) => (item === null ? null : item.value.toString('latin1')),
    (error: unknown) => {
      assert.ok(error instanceof StoreError);
      return `!${error.code}`;
    },
  );
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

/** Counts the writes to `fake` from now on: reads would not do, as two writes in a row may be read at once. */
function countWrites(fake: FakeMemcached): () => number {
  const { address } = fake;
  const socket = Socket.prototype as Socket & Required<Pick<Socket, '_writev'>>;
  const spies = [mock.method(socket, '_write').mock, mock.method(socket, '_writev').mock];
  const isOurs = ({ this: writer }: { this: unknown }) =>
    writer instanceof Socket && address.kind === 'tcp' && writer.remotePort === address.port;
  return () => spies.reduce((sum, { calls }) => sum + calls.filter(isOurs).length, 0);
}

/** Answers every get with its own key. */
const echoKey: Script = (command) => (command.startsWith('mg') ? hit(command, command.split(' ')[1] ?? '') : undefined);

describe('one turn, one write', () => {
  test('the gets of one turn leave together, and in order', async () => {
    const [server, connection, fake] = await connected(echoKey);
    const writes = countWrites(fake);
    const keys = Array.from({ length: 200 }, (_, i) => `key-${i}`);
    assert.deepEqual(await Promise.all(keys.map((key) => outcome(server.get(key)))), keys);
    assert.equal(writes(), 1);
    assert.deepEqual(connection.reads.join('').match(/(?<=mg )\S+/g), keys);
  });

  test('so do operations of all kinds, promises in between included', async () => {
    const [server, connection, fake] = await connected(
      (command) => `${command.startsWith('mg') ? 'EN' : 'HD'} ${echoOf(command)}\r\n`,
    );
    const writes = countWrites(fake);
    const chained = async () => {
      await null;
      await null;
      return server.delete('c');
    };
    await Promise.all([server.set('a', Buffer.alloc(20_000)), chained(), server.touch('d', 5), server.get('e')]);
    assert.equal(writes(), 1);
    assert.equal(connection.reads.join('').match(/\r\n/g)?.length, 5);
  });

  test('so do operations of different callbacks of one turn', async () => {
    const [server, , fake] = await connected(echoKey);
    const writes = countWrites(fake);
    const outcomes = await new Promise<Promise<string | null>[]>((resolve) => {
      const outcomes: Promise<string | null>[] = [];
      for (const key of ['a', 'b', 'c']) {
        setImmediate(() => {
          if (outcomes.push(outcome(server.get(key))) === 3) resolve(outcomes);
        });
      }
    });
    assert.deepEqual(await Promise.all(outcomes), ['a', 'b', 'c']);
    assert.equal(writes(), 1);
  });

  test('what waited for the connection leaves in one write after the greeting', async () => {
    const [server, fake] = await start(echoKey);
    const writes = countWrites(fake);
    const early = server.get('early');
    await turn();
    const late = server.get('late');
    assert.deepEqual(await Promise.all([outcome(early), outcome(late)]), ['early', 'late']);
    assert.equal(fake.connections[0]?.reads[0], 'mn\r\n');
    assert.equal(writes(), 2);
  });

  test('operations of different turns leave apart', async () => {
    const [server, , fake] = await connected(echoKey);
    const writes = countWrites(fake);
    await server.get('a');
    await server.get('b');
    assert.equal(writes(), 2);
  });
});

describe('gets of one key', () => {
  test('share one command, as long as it has not left', async () => {
    const [server, connection] = await connected(echoKey);
    const outcomes = await Promise.all(
      [server.get('a'), server.get('a'), server.get('b'), server.get('a')].map(outcome),
    );
    assert.deepEqual(outcomes, ['a', 'a', 'b', 'a']);
    assert.equal(connection.reads.join('').match(/mg /g)?.length, 2);
  });

  test('share one command over all turns until there is a connection', async () => {
    const [server, fake] = await start(echoKey);
    const early = server.get('a');
    await turn();
    assert.deepEqual(await Promise.all([outcome(early), outcome(server.get('a'))]), ['a', 'a']);
    assert.equal(fake.connections[0]?.reads.join('').match(/mg /g)?.length, 1);
  });

  test('do not share one that has left: its reply may be older than what the caller knows', async () => {
    let value = 'old';
    const held: string[] = [];
    const [server, connection] = await connected((command, peer) => {
      held.push(hit(command, value));
      if (held.length === 2) for (const reply of held) peer.send(reply);
      return '';
    });
    const before = server.get('a');
    while (connection.reads.length === 0) await turn();
    value = 'new';
    assert.deepEqual(await Promise.all([outcome(before), outcome(server.get('a'))]), ['old', 'new']);
  });

  for (const [what, operation, reply] of [
    ['a set', (server: Server) => server.set('a', Buffer.from('new')), 'HD'],
    ['a delete', (server: Server) => server.delete('a'), 'HD'],
    ['a touch', (server: Server) => server.touch('a', 1), 'HD'],
    ['an increment', (server: Server) => server.increment('a', 1n), 'NF'],
  ] as const) {
    test(`are not shared across ${what} of that key, issued in between in the same turn`, async () => {
      let isChanged = false;
      const [server, connection] = await connected((command) => {
        if (/^mg a .* v /.test(command) || command.startsWith('mg a v'))
          return hit(command, isChanged ? 'after' : 'before');
        isChanged = true;
        return `${reply} ${echoOf(command)}\r\n`;
      });
      const before = outcome(server.get('a'));
      const change = operation(server);
      const after = outcome(server.get('a'));
      const afterwards = outcome(server.get('a'));
      await change;
      assert.deepEqual(await Promise.all([before, after, afterwards]), ['before', 'after', 'after']);
      assert.equal(connection.reads.length, 1);
      assert.equal(connection.reads[0]?.match(/mg a v/g)?.length, 2);
    });
  }
});

describe('a reply stream that is out of step', () => {
  const gets = (server: Server) => Promise.all(['a', 'b', 'c'].map((key) => outcome(server.get(key))));

  /** Holds the replies of three gets back and sends what `tamper` makes of them. */
  function tampered(tamper: (replies: string[]) => string): Script {
    const replies: string[] = [];
    return (command, peer) => {
      if (!command.startsWith('mg')) return undefined;
      replies.push(hit(command, `value of ${command.split(' ')[1]}`));
      if (replies.length === 3) peer.send(tamper(replies));
      return '';
    };
  }

  for (const [what, tamper, expected] of [
    ['with a reply left out', ([, b, c]) => `${b}${c}`, ['!protocol', '!protocol', '!protocol']],
    ['with two replies swapped', ([a, b, c]) => `${a}${c}${b}`, ['value of a', '!protocol', '!protocol']],
    ['with a reply sent twice', ([a, b, c]) => `${a}${a}${b}${c}`, ['value of a', '!protocol', '!protocol']],
    [
      'with an error line put in',
      ([a, b, c]) => `${a}SERVER_ERROR x\r\n${b}${c}`,
      ['value of a', '!server-error', '!protocol'],
    ],
    ['with a byte put in', ([a, b, c]) => `${a}\n${b}${c}`, ['value of a', '!protocol', '!protocol']],
    [
      'with a byte left out of a value',
      ([a, b, c]) => `${a}${b?.replace('value', 'valu')}${c}`,
      ['value of a', '!protocol', '!protocol'],
    ],
    [
      'with a byte put into a value',
      ([a, b, c]) => `${a}${b?.replace('value', 'values')}${c}`,
      ['value of a', '!protocol', '!protocol'],
    ],
    [
      'with the key of another in a reply',
      ([a, b, c]) => `${a}${b?.replace(' kb ', ' kc ')}${c}`,
      ['value of a', '!protocol', '!protocol'],
    ],
    [
      'with an endless line',
      ([a]) => `${a}${'V'.repeat(MAX_LINE_BYTES * 2)}`,
      ['value of a', '!protocol', '!protocol'],
    ],
    [
      'with an absurd length',
      ([a, b]) => `${a}${b?.replace(/VA \d+/, 'VA 99999999999999')}`,
      ['value of a', '!protocol', '!protocol'],
    ],
    [
      'with a length just above the item limit',
      ([a, b]) => `${a}${b?.replace(/VA \d+/, 'VA 5000')}`,
      ['value of a', '!protocol', '!protocol'],
    ],
    ['of classic replies', () => 'VALUE a 0 1\r\nx\r\nEND\r\n', ['!protocol', '!protocol', '!protocol']],
    ['of HTTP', () => 'HTTP/1.1 400 Bad Request\r\n\r\n', ['!protocol', '!protocol', '!protocol']],
    ['of zeros', () => '\0'.repeat(100_000), ['!protocol', '!protocol', '!protocol']],
  ] as readonly [string, (replies: string[]) => string, string[]][]) {
    test(`${what} never gives a wrong value, and a new one works`, async () => {
      const script = tampered(tamper);
      let isTampering = true;
      const [server, fake] = await start(
        (command, peer) => (isTampering ? script(command, peer) : echoKey(command, peer)),
        { maxItemBytes: 3000 },
      );
      assert.deepEqual(await gets(server), expected);
      isTampering = false;
      assert.equal(await outcome(server.get('next')), 'next');
      assert.equal(fake.connections.length, 2);
    });
  }

  test('with replies to the same key swapped is noticed by the opaque', async () => {
    const replies: string[] = [];
    const [server] = await start((command, peer) => {
      if (!command.startsWith('m') || command === 'mn') return undefined;
      replies.push(command.startsWith('ms') ? `HD ${echoOf(command)}\r\n` : hit(command, `${replies.length}`));
      if (replies.length === 3) peer.send(`${replies[2]}${replies[1]}${replies[0]}`);
      return '';
    });
    const before = server.get('a');
    const change = server.set('a', Buffer.from('x'));
    await Promise.all([rejects(before, 'protocol'), rejects(server.get('a'), 'protocol'), rejects(change, 'protocol')]);
  });

  test('with bytes that nobody asked for is closed, and nobody is the worse for it', async () => {
    const [server, fake] = await start(echoKey);
    await server.get('a');
    fake.connections[0]?.send('EN kb OB\r\n');
    await delay(20);
    assert.equal(await outcome(server.get('b')), 'b');
    assert.equal(fake.connections.length, 2);
  });

  test('with bytes of a value that come one at a time is none', async () => {
    const [server] = await connected(
      (command, peer) => {
        const trickle = async () => {
          for (const byte of hit(command, 'slow\r\nbut sure')) {
            peer.send(byte);
            await turn();
          }
        };
        trickle().catch(assert.fail);
        return '';
      },
      { timeoutMs: 5000 },
    );
    assert.equal(await outcome(server.get('a')), 'slow\r\nbut sure');
  });
});

describe('a greeting', () => {
  for (const [what, answer, code] of [
    ['with garbage', 'SSH-2.0-OpenSSH_9.2\r\n', 'protocol'],
    ['with an endless line', 'x'.repeat(5000), 'protocol'],
    ['with the wrong word', 'EN\r\n', 'protocol'],
    ['with a refusal', 'CLIENT_ERROR unauthenticated\r\n', 'server-error'],
    [
      'with a refusal that begins as the answer of an old server',
      'ERROR Too many open connections\r\n',
      'server-error',
    ],
  ] as const) {
    test(`that is answered ${what} fails what waited for it`, async () => {
      const [server] = await start(() => answer);
      await Promise.all([rejects(server.get('a'), code), rejects(server.delete('b'), code)]);
    });
  }

  test('that is answered twice fails', async () => {
    const [server] = await start((command) => (command === 'mn' ? 'MN\r\nMN\r\n' : ''));
    await rejects(server.get('a'), 'protocol');
  });

  test('that is not answered ends the connection after the deadline of an operation', async () => {
    const [server, fake] = await start(
      (command, peer) => (fake.connections.length === 1 ? '' : echoKey(command, peer)),
      { timeoutMs: 60 },
    );
    await rejects(server.get('a'), 'timeout');
    await delay(60);
    assert.equal(await outcome(server.get('b')), 'b');
    assert.equal(fake.connections.length, 2);
  });
});

describe('a deadline', () => {
  test('is kept, and the late reply is matched to its own slot', async () => {
    const held: string[] = [];
    const [server, connection] = await connected(
      (command, peer) => {
        held.push(hit(command, command.startsWith('mg slow') ? 'late' : 'fast'));
        // a memcached that stood still for a moment: all it owes comes at once, in order
        if (held.length === 2) setTimeout(() => peer.send(held.join('')), 50);
        return '';
      },
      { timeoutMs: 100 },
    );
    const started = performance.now();
    await rejects(server.get('slow'), 'timeout');
    const took = performance.now() - started;
    assert.ok(took >= 99 && took < 145, `${took} ms`);
    assert.equal(await outcome(server.get('fast')), 'fast');
    assert.equal(connection.reads.length, 2);
  });

  test('runs while a connection is made', async () => {
    const [server] = await start(() => '', { timeoutMs: 50, connectTimeoutMs: 5000 });
    const started = performance.now();
    await rejects(server.get('a'), 'timeout');
    assert.ok(performance.now() - started < 1000);
  });

  test('that passed before there was a connection means that nothing is sent', async () => {
    const [server, fake] = await start(
      (command, peer) => {
        if (command.startsWith('mg')) return echoKey(command, peer);
        // two slow steps of the greeting, each in time, and both together longer than an operation waits
        setTimeout(() => peer.send(command === 'mn' ? 'MN\r\n' : 'STORED\r\n'), 300);
        return '';
      },
      { timeoutMs: 500, connectTimeoutMs: 5000, auth: { user: 'u', password: 'p' } },
    );
    const [abandoned, late] = [server.set('gone', Buffer.from('x')), delay(250).then(() => server.get('late'))];
    await rejects(abandoned, 'timeout');
    assert.equal(await outcome(late), 'late');
    assert.equal(fake.connections.length, 1);
    assert.doesNotMatch(fake.connections[0]?.reads.join('') ?? '', /gone/);
  });

  test('that passed while this process was busy does not fail what was answered meanwhile', async () => {
    const [server, connection] = await connected(echoKey, { timeoutMs: 100 });
    const answered = outcome(server.get('a'));
    while (connection.reads.length === 0) await turn();
    busy(300);
    assert.equal(await answered, 'a');
  });

  test('is the same for all who share a command', async () => {
    const [server] = await connected(() => '', { timeoutMs: 50 });
    await Promise.all([rejects(server.get('a'), 'timeout'), rejects(server.get('a'), 'timeout')]);
  });
});

/** Keeps the event loop from turning. */
function busy(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

describe('a silent connection', () => {
  test('is closed when nothing comes for two deadlines, and a new one is made', async () => {
    const [server, fake] = await start(
      (command, peer) => (fake.connections.length === 1 && command !== 'mn' ? '' : echoKey(command, peer)),
      { timeoutMs: 50 },
    );
    await rejects(server.get('a'), 'timeout');
    await delay(100);
    assert.equal(await outcome(server.get('b')), 'b');
    assert.equal(fake.connections.length, 2);
  });

  test('is not one on which a reply comes, however slowly', async () => {
    let trickle: Promise<void> | undefined;
    const [server, connection] = await connected(
      (command, peer) => {
        if (!command.startsWith('mg slow')) return echoKey(command, peer);
        trickle = (async () => {
          for (const byte of hit(command, 'x'.repeat(20))) {
            peer.send(byte);
            await delay(10);
          }
        })();
        return '';
      },
      { timeoutMs: 100 },
    );
    await rejects(server.get('slow'), 'timeout');
    await trickle;
    assert.equal(await outcome(server.get('next')), 'next');
    assert.equal(connection.reads.length, 2);
  });
});

describe('a connection that is lost', () => {
  for (const how of [undefined, 'reset'] as const) {
    test(`while idle is made again${how === undefined ? '' : ', after a reset'}, and that is no failure`, async () => {
      const [server, fake] = await start(echoKey, { breaker: { failures: 1 } });
      await server.get('a');
      fake.connections[0]?.close(how);
      await delay(20);
      assert.equal(await outcome(server.get('b')), 'b');
      assert.equal(server.breaker, 'closed');
    });

    test(`with gets outstanding sends them once more${how === undefined ? '' : ', after a reset'}`, async () => {
      const [server, fake] = await start((command, peer) => {
        if (command === 'mn' || fake.connections.length > 1) return echoKey(command, peer);
        peer.close(how);
        return '';
      });
      assert.deepEqual(await Promise.all([server.get('a'), server.get('a'), server.get('b')].map(outcome)), [
        'a',
        'a',
        'b',
      ]);
      assert.equal(fake.connections.length, 2);
    });
  }

  test('sends a get once more, not twice', async () => {
    const [server, fake] = await start((command, peer) => {
      if (command === 'mn') return undefined;
      peer.close();
      return '';
    });
    await rejects(server.get('a'), 'connection');
    assert.equal(fake.connections.length, 2);
  });

  test('sends no write again', async () => {
    const [server, fake] = await start((command, peer) => {
      if (command === 'mn') return undefined;
      peer.close();
      return '';
    });
    await Promise.all([
      rejects(server.set('a', Buffer.from('x')), 'connection'),
      rejects(server.delete('a'), 'connection'),
      rejects(server.increment('a', 1n), 'connection'),
      rejects(server.touch('a', 1), 'connection'),
    ]);
    assert.equal(fake.connections.length, 1);
  });

  test('has its get keep the deadline it had', async () => {
    const [server, fake] = await start(
      (command, peer) => {
        if (command === 'mn') return undefined;
        if (fake.connections.length === 1) setTimeout(() => peer.close(), 100);
        return '';
      },
      { timeoutMs: 150 },
    );
    const started = performance.now();
    await rejects(server.get('a'), 'timeout');
    const took = performance.now() - started;
    assert.ok(took >= 149 && took < 240, `${took} ms`);
    assert.equal(fake.connections.length, 2);
  });

  test('after an error to a set fails that set only, and repeats the gets', async () => {
    const [server, fake] = await start((command, peer) => {
      if (fake.connections.length > 1 || command === 'mn') return echoKey(command, peer);
      return command.startsWith('ms') ? 'CLIENT_ERROR bad data chunk\r\nERROR\r\n' : '';
    });
    const set = rejects(server.set('a', Buffer.from('x')), 'server-error');
    assert.equal(await outcome(server.get('b')), 'b');
    await set;
    assert.equal(fake.connections.length, 2);
  });
});

describe('the limits in flight', () => {
  test('refuse the operation too many at once, and let in again what follows an answer', async () => {
    const held: string[] = [];
    const [server, connection] = await connected(
      (command) => {
        held.push(miss(command));
        return '';
      },
      { maxInFlightOperations: 2 },
    );
    const [a, b] = [server.get('a'), server.get('b')];
    await rejects(server.get('c'), 'busy');
    await rejects(server.set('c', Buffer.from('x')), 'busy');
    while (held.length < 2) await turn();
    connection.send(held.join(''));
    assert.deepEqual(await Promise.all([a, b]), [null, null]);
    const next = server.get('c');
    while (held.length < 3) await turn();
    connection.send(held[2] ?? '');
    assert.equal(await next, null);
  });

  test('count those that share a command', async () => {
    const [server] = await connected(() => '', { maxInFlightOperations: 2, timeoutMs: 30 });
    const [a, b] = [server.get('a'), server.get('a')];
    await rejects(server.get('a'), 'busy');
    await Promise.all([rejects(a, 'timeout'), rejects(b, 'timeout')]);
  });

  test('count the bytes of values', async () => {
    const [server] = await connected(() => '', { maxItemBytes: 1000, maxInFlightBytes: 2000, timeoutMs: 30 });
    const first = rejects(server.set('a', Buffer.alloc(1000)), 'timeout');
    await rejects(server.set('b', Buffer.alloc(1000)), 'busy');
    await rejects(server.set('b', [Buffer.alloc(500), Buffer.alloc(500)]), 'busy');
    const small = rejects(server.set('b', Buffer.alloc(900)), 'timeout');
    await Promise.all([first, small]);
  });

  test('give the bytes back with the answer, or the connection', async () => {
    let isWell = true;
    const [server] = await connected((command) => (isWell ? `HD ${echoOf(command)}\r\n` : ''), {
      maxItemBytes: 1000,
      maxInFlightBytes: 1500,
      timeoutMs: 40,
    });
    for (let i = 0; i < 3; i++) assert.equal(await server.set('a', Buffer.alloc(1000)), 'stored');
    isWell = false;
    await rejects(server.set('a', Buffer.alloc(1000)), 'timeout');
    await delay(100);
    isWell = true;
    assert.equal(await server.set('a', Buffer.alloc(1000)), 'stored');
  });

  test('hold what ran out of time as long as its reply may come, and not longer', async () => {
    const [server] = await connected(() => '', { maxInFlightOperations: 1, timeoutMs: 40 });
    await rejects(server.get('a'), 'timeout');
    await rejects(server.get('a'), 'busy');
    await delay(100);
    await rejects(server.get('a'), 'timeout');
  });
});

test('with several connections a key always takes the same one', async () => {
  const [server, fake] = await start(echoKey, { connections: 3 });
  const keys = Array.from({ length: 60 }, (_, i) => `key-${i}`);
  for (let round = 0; round < 3; round++) {
    assert.deepEqual(await Promise.all(keys.map((key) => outcome(server.get(key)))), keys);
  }
  assert.equal(fake.connections.length, 3);
  const sets = fake.connections.map(({ reads }) => new Set(reads.join('').match(/(?<=mg )\S+/g)));
  assert.equal(
    sets.reduce((sum, { size }) => sum + size, 0),
    keys.length,
  );
  for (const { size } of sets) assert.ok(size > 5);
});

describe('closed', () => {
  test('what is outstanding fails, and so does what follows', async () => {
    const [server] = await connected(() => '');
    const outstanding = [rejects(server.get('a'), 'closed'), rejects(server.set('b', Buffer.from('x')), 'closed')];
    await turn();
    await server.close();
    await Promise.all(outstanding);
    await rejects(server.get('a'), 'closed');
    await rejects(server.delete('a'), 'closed');
    const [{ report } = {}] = await server.stats();
    assert.ok(report instanceof StoreError && report.code === 'closed');
    await server.close();
  });

  test('it probes no more', async () => {
    const [server, fake] = await start(() => 'nonsense\r\n', { breaker: { failures: 1, initialBackoffMs: 30 } });
    await rejects(server.get('a'), 'protocol');
    assert.equal(server.breaker, 'open');
    await server.close();
    await delay(100);
    assert.equal(fake.connections.length, 1);
  });

  test('while it connects, too', async () => {
    const [server] = await start(echoKey);
    const outstanding = rejects(server.get('a'), 'closed');
    await server.close();
    await outstanding;
  });
});
