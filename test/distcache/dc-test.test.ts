import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { RESULT, readRequest, resultPayload } from '../../src/distcache/payload.js';
import type { Message, Operation } from '../../src/distcache/wire.js';
import { lookaside } from '../support/command.js';
import { Command, temporaryDirectory } from './command.js';
import { ScriptedServer } from './scripted-server.js';
import { runTool } from './tools.js';

const directory = temporaryDirectory();
const address = `UNIX:${directory}/server.sock`;
const OK = resultPayload(RESULT.ok);
const NOT_OK = resultPayload(RESULT.notOk);
const EXISTS = resultPayload(RESULT.addMatchingSession);

function dcTest(...args: string[]) {
  return runTool('dc_test', args);
}

describe('against a server that is right', () => {
  let server: Command;
  before(async () => {
    server = new Command('dc_server', ['-listen', address]);
    await server.listening(`${directory}/server.sock`);
  });
  after(() => server.stop());

  test('a test says what it does, and how fast it went', async () => {
    const { status, stdout, stderr } = await dcTest('-connect', address);
    assert.match(
      stderr,
      new RegExp(
        [
          '^Info, 10 sessions generated, will run 1000 random tests',
          'Info, all tests complete',
          'Info, [0-9]+ operations per second, latency [0-9.]+ ms \\(median\\), [0-9.]+ \\(90%\\), [0-9.]+ \\(99%\\), [0-9.]+ \\(max\\)\n$',
        ].join('\n'),
      ),
    );
    assert.equal(stdout, '');
    assert.equal(status, 0);
  });

  test('it is also a command of lookaside', async () => {
    const { exitCode, stderr } = await lookaside(['distcache', 'test', '-connect', address, '--persistent']);
    assert.match(stderr, /^Info, all tests complete$/m);
    assert.equal(exitCode, 0);
    assert.match((await lookaside(['distcache', 'snoop', '-help'])).stderr, /^Usage: {2}dc_snoop /);
  });

  for (const args of [
    ['-persistent'],
    ['--persistent', '--datamin', '4069', '--datamax', '4073'],
    ['-persistent', '-datamin', '30000', '-datamax', '32697'],
    ['-persistent', '-sessions', '40', '-concurrency', '40', '-ops', '5000'],
    ['-concurrency', '8'],
    ['-persistent', '-timeout', '1', '-timevar', '0', '-expiry', '-ops', '20000'],
  ]) {
    test(`a test succeeds with ${args.join(' ')}`, async () => {
      const { status, stderr } = await dcTest('-connect', address, ...args);
      assert.match(stderr, /^Info, all tests complete$/m);
      assert.equal(status, 0, stderr);
    });
  }

  test('a persistent test uses one connection, or one for each that is under way', async () => {
    for (const [concurrency, connections] of [
      ['1', 1],
      ['5', 5],
    ] as const) {
      const counting = await ScriptedServer.start(rightServer());
      const { status, stderr } = await dcTest('-connect', counting.address, '-persistent', '-concurrency', concurrency);
      await counting.stop();
      assert.equal(status, 0, stderr);
      assert.equal(counting.connections.length, connections);
    }
  });

  test('progress is reported each time so many operations were done', async () => {
    const { stderr } = await dcTest('-connect', address, '-progress', '100', '-ops', '250', '-sessions', '3');
    const [first, ...lines] = stderr.split('\n');
    assert.equal(first, 'Info, 3 sessions generated, will run 250 random tests');
    assert.deepEqual(lines.slice(0, 3), [
      'Info, total operations =     100',
      'Info, total operations =     200',
      'Info, all tests complete',
    ]);
  });

  test('there is a bar on a terminal, and only there', async () => {
    const args = ['-connect', address, '-ops', '2000', '-sessions', '3', '-persistent'];
    const { status, stdout } = await runTool('dc_test', args, { terminal: true });
    assert.match(stdout, /\r\[#*-*\] +[0-9]+% {2}[0-9]+ of 2000, [0-9]+\/s/);
    assert.ok(stdout.includes('\r\x1b[KInfo, all tests complete\r\n'), JSON.stringify(stdout));
    assert.equal(status, 0);
    const { stderr } = await dcTest(...args);
    assert.ok(!stderr.includes('\r') && !stderr.includes('\x1b'), JSON.stringify(stderr));
    const withProgress = await runTool('dc_test', [...args, '-progress', '1000'], { terminal: true });
    assert.ok(!withProgress.stdout.includes('['), JSON.stringify(withProgress.stdout));
  });

  test('data that is too short for any client fails the test', async () => {
    const { status, stderr } = await dcTest('-connect', address, '-datamin', '4', '-datamax', '4');
    assert.match(stderr, /^Error, add failed!$/m);
    assert.equal(status, 1);
  });
});

/** Answers a request; by default rightly, which is `payload`. */
type Wrong = (operation: Operation, payload: Buffer) => Buffer;

function rightServer(wrong: Wrong = (_operation, payload) => payload) {
  const sessions = new Map<string, Buffer>();
  return (message: Message, connection: { answer(request: Message, payload: Buffer): void }) =>
    connection.answer(message, wrong(message.operation, rightAnswer(sessions, message)));
}

function rightAnswer(sessions: Map<string, Buffer>, message: Message): Buffer {
  const request = readRequest(message);
  assert.ok(typeof request === 'object');
  const key = request.id.toString('hex');
  const found = sessions.get(key);
  switch (request.operation) {
    case 'add':
      if (found !== undefined) return EXISTS;
      sessions.set(key, Buffer.from(request.data));
      return OK;
    case 'get':
      return found ?? NOT_OK;
    case 'remove':
      return sessions.delete(key) ? OK : NOT_OK;
    case 'have':
      return found === undefined ? NOT_OK : OK;
  }
}

describe('a server that is wrong is found out', () => {
  const faults: { text: string; wrong: Wrong }[] = [
    { text: 'add failed!', wrong: (operation, payload) => (operation === 'add' ? EXISTS : payload) },
    { text: "add succeeded and shouldn't have!", wrong: (operation, payload) => (operation === 'add' ? OK : payload) },
    { text: 'remove failed!', wrong: (operation, payload) => (operation === 'remove' ? NOT_OK : payload) },
    {
      text: "remove succeeded and shouldn't have!",
      wrong: (operation, payload) => (operation === 'remove' ? OK : payload),
    },
    { text: 'get failed!', wrong: (operation, payload) => (operation === 'get' ? NOT_OK : payload) },
    {
      text: "get succeeded and shouldn't have!",
      wrong: (operation, payload) => (operation === 'get' && payload.length === 1 ? Buffer.from('found') : payload),
    },
    {
      text: 'received mismatched session',
      wrong: (operation, payload) => (operation === 'get' && payload.length > 1 ? payload.subarray(1) : payload),
    },
    { text: 'have failed!', wrong: (operation, payload) => (operation === 'have' ? NOT_OK : payload) },
    {
      text: "have succeeded and shouldn't have!",
      wrong: (operation, payload) => (operation === 'have' ? OK : payload),
    },
  ];
  for (const { text, wrong } of faults) {
    for (const mode of [[], ['-persistent']]) {
      test(`${text} ${mode}`, async () => {
        const server = await ScriptedServer.start(rightServer(wrong));
        const { status, stderr } = await dcTest('-connect', server.address, '-sessions', '1', '-ops', '300', ...mode);
        await server.stop();
        const [, error, info, seed] = stderr.split('\n');
        assert.equal(error, `Error, ${text}`);
        const [, succeeded] = /^Info, ([0-9]+) tests succeeded before the first failure$/.exec(info ?? '') ?? [];
        assert.equal(Number(succeeded), server.requests.length - 1);
        assert.match(seed ?? '', /^Info, -seed [0-9]+ repeats this test$/);
        assert.equal(status, 1);
      });
    }
  }

  test('transaction failure', async () => {
    const right = rightServer();
    const server = await ScriptedServer.start((request, connection) => {
      if (server.requests.length > 10) connection.socket.destroy();
      else right(request, connection);
    });
    const { status, stderr } = await dcTest('-connect', server.address, '-persistent');
    await server.stop();
    assert.match(
      stderr,
      /\nError, transaction failure\nInfo, 10 tests succeeded before the first failure\nInfo, the reason: lost the server: .*\n/,
    );
    assert.equal(status, 1);
  });

  test('is none to a lossy test, which tells how much there was of it', async () => {
    const right = rightServer();
    const server = await ScriptedServer.start((request, connection) => {
      if (server.requests.length % 10 === 0) connection.socket.destroy();
      else right(request, connection);
    });
    const { status, stderr } = await dcTest('-connect', server.address, '-persistent', '-lossy');
    await server.stop();
    assert.match(stderr, /\nInfo, all tests complete\nInfo, 100 without an answer, [0-9]+ as if sessions were lost\n/);
    assert.equal(status, 0);
  });

  test('wrong data is a failure to a lossy test, too', async () => {
    const wrong: Wrong = (operation, payload) =>
      operation === 'get' && payload.length > 1 ? Buffer.alloc(50) : payload;
    const server = await ScriptedServer.start(rightServer(wrong));
    const { status, stderr } = await dcTest('-connect', server.address, '-lossy');
    await server.stop();
    assert.match(stderr, /\nError, received mismatched session\n/);
    assert.equal(status, 1);
  });

  test('a failure is repeated with its seed', async () => {
    const outcomes = [];
    for (const seed of ['11', '11', '12']) {
      const wrong: Wrong = (operation, payload) => (operation === 'have' ? OK : payload);
      const server = await ScriptedServer.start(rightServer(wrong));
      const { stderr } = await dcTest('-connect', server.address, '-seed', seed);
      await server.stop();
      outcomes.push(server.requests.map(({ operation }) => operation).join());
      assert.match(stderr, new RegExp(`^Info, -seed ${seed} repeats this test$`, 'm'));
    }
    const [first, again, other] = outcomes;
    assert.equal(first, again);
    assert.notEqual(first, other);
  });
});

describe('a wrong command line', () => {
  const cases: [args: string[], text: string][] = [
    [[], 'Error, must provide -connect'],
    [['-sessions', '0'], 'Error, must provide -connect'],
    [['-connect', 'UNIX:/x', '-sessions', '0', '-timevar', '60'], 'Error, -sessions should be from 1 to 512'],
    [['-connect', 'UNIX:/x', '-sessions', '513'], 'Error, -sessions should be from 1 to 512'],
    [
      ['-connect', 'UNIX:/x', '-timevar', '60', '-datamin', '3'],
      'Error, -timevar must be strictly smaller than -timeout',
    ],
    [
      ['-connect', 'UNIX:/x', '-timeout', '0', '-timevar', '0'],
      'Error, -timevar must be strictly smaller than -timeout',
    ],
    [['-connect', 'UNIX:/x', '-datamin', '3', '-datamax', '40000'], 'Error, -datamin should be at least 4'],
    [['-connect', 'UNIX:/x', '-datamax', '32698'], 'Error, -datamax should be at most 32697'],
    [['-connect', 'UNIX:/x', '-concurrency', '11'], 'Error, -concurrency should be at most -sessions'],
    [['-connect'], 'Error, --connect requires an argument'],
    [['-ops', 'many'], 'Error, --ops given an invalid argument'],
    [['-ops', '1000001'], 'Error, --ops given an invalid argument'],
    [['-progress', '1000001'], 'Error, --progress given an invalid argument'],
    [['-timeout', '3601'], 'Error, --timeout given an invalid argument'],
  ];
  for (const [args, text] of cases) {
    test(args.join(' ') || 'nothing', async () => {
      const { status, stderr } = await dcTest(...args);
      assert.equal(stderr, `${text}\n`);
      assert.equal(status, 1);
    });
  }

  test('an unknown option is named, with the usage', async () => {
    for (const option of ['-withcert', 'stray']) {
      const { status, stderr } = await dcTest(option);
      assert.match(stderr, new RegExp(`^Error, "${option}" not recognised\nUsage: `));
      assert.equal(status, 1);
    }
  });

  test('help is no mistake', async () => {
    for (const option of ['-h', '-help', '-?', '--help']) {
      const { status, stderr, stdout } = await dcTest(option);
      for (const flag of [
        'connect',
        'progress',
        'sessions',
        'datamin',
        'datamax',
        'timeout',
        'timevar',
        'ops',
        'persistent',
      ]) {
        assert.match(stderr, new RegExp(`^  -${flag} `, 'm'));
      }
      assert.equal(stdout, '');
      assert.equal(status, 0);
    }
  });

  for (const [what, args] of [
    ['nobody is there', ['-connect', `UNIX:${directory}/nobody`, '-persistent']],
    ['the address is none', ['-connect', 'nowhere']],
    ['the address says where to listen only', ['-connect', 'IP:9001']],
  ] as const) {
    test(`there is no client when ${what}`, async () => {
      const { status, stderr } = await dcTest(...args);
      assert.match(stderr, /^Error, 'DC_CTX' creation failed\nInfo, the reason: .+\n$/);
      assert.equal(status, 1);
    });
  }

  test('with a connection for each operation, the first one fails when nobody is there', async () => {
    const { status, stderr } = await dcTest('-connect', `UNIX:${directory}/nobody`);
    assert.match(stderr, /\nError, transaction failure\nInfo, 0 tests succeeded before the first failure\n/);
    assert.equal(status, 1);
  });
});
