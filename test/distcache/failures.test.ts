import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type Memcached, startMemcached } from '../support/memcached.js';
import { Command, temporaryDirectory } from './command.js';
import { type Ended, Tool } from './tools.js';

const directory = temporaryDirectory();
const serverPath = join(directory, 'server.sock');
const proxyPath = join(directory, 'proxy.sock');

/** The proxy waits so long for its server. */
const RESPONSE_TIMEOUT_MS = 500;

/** How long an operation may take at worst: twice that, when it is asked again, and a loaded machine. */
const BOUND_MS = 2 * RESPONSE_TIMEOUT_MS + 2000;

/** How long a failure lasts at least. */
const OUTAGE_MS = 2 * RESPONSE_TIMEOUT_MS;

/** For everything to be as before after a failure. */
const RECOVERY_MS = 10_000;

let memcached: Memcached;
let server: Command;
let proxy: Command;

before(async () => {
  memcached = await startMemcached();
  await startServer();
  const times = ['-retry', '100', '-timeout', String(RESPONSE_TIMEOUT_MS)];
  proxy = daemon('client', '-listen', `UNIX:${proxyPath}`, '-server', `UNIX:${serverPath}`, ...times);
  await proxy.listening(proxyPath);
});

after(async () => {
  // neither has crashed, nor hangs
  for (const daemon of [proxy, server]) {
    assert.equal(daemon.child.exitCode, null, daemon.stderr);
    await daemon.stop();
    assert.equal(daemon.status, 0, daemon.stderr);
  }
  await memcached.stop();
});

function daemon(...args: string[]): Command {
  return new Command('lookaside', ['distcache', ...args]);
}

async function startServer(): Promise<void> {
  server = daemon('server', '-listen', `UNIX:${serverPath}`, '--memcached', memcached.server);
  await server.listening(serverPath);
}

function startTest(operations: number, ...more: string[]): Tool {
  const size = ['-sessions', '100', '-ops', String(operations), '-concurrency', '4'];
  return new Tool('lookaside', ['distcache', 'test', '-connect', `UNIX:${proxyPath}`, '-persistent', ...size, ...more]);
}

/** More operations than are done in the time. */
const UNENDING = 1_000_000;

/** A test through the proxy that `disturb` comes in the middle of; resolves when it has failed, in time. */
async function disturbed(disturb: () => unknown): Promise<Ended> {
  const test = await underWay();
  await disturb();
  const disturbedAt = performance.now();
  const ended = await test.ended;
  const elapsedMs = performance.now() - disturbedAt;
  assert.ok(elapsedMs < BOUND_MS, `the test ended after ${elapsedMs} ms only: ${ended.stderr}`);
  assert.equal(ended.status, 1, ended.stderr);
  return ended;
}

/** A test that has done a part of its work. On a loaded machine memcached may be late once, and a test fails by that. */
async function underWay(): Promise<Tool> {
  const deadline = performance.now() + RECOVERY_MS;
  for (;;) {
    const test = startTest(UNENDING, '-progress', '200');
    while (test.child.exitCode === null) {
      if (operationsOf(test) > 0) return test;
      await delay(5);
    }
    assert.ok(performance.now() < deadline, test.output);
  }
}

/** A test during a failure. */
async function testNow(): Promise<Ended> {
  const startedAt = performance.now();
  const ended = await startTest(10_000).ended;
  const elapsedMs = performance.now() - startedAt;
  assert.ok(elapsedMs < BOUND_MS, `the test took ${elapsedMs} ms: ${ended.stderr}`);
  return ended;
}

/** Soon tests succeed again. */
async function recovered(): Promise<void> {
  const deadline = performance.now() + RECOVERY_MS;
  for (;;) {
    const { status, stderr } = await startTest(2000).ended;
    if (status === 0) return;
    assert.doesNotMatch(stderr, /mismatch/);
    assert.ok(performance.now() < deadline, stderr);
  }
}

/** What a test has reported so far. */
function operationsOf({ output }: Tool): number {
  return Number(/.*total operations = +([0-9]+)/s.exec(output)?.[1] ?? 0);
}

async function goesOn(test: Tool): Promise<void> {
  const before = operationsOf(test);
  const deadline = performance.now() + BOUND_MS;
  while (operationsOf(test) <= before) {
    assert.equal(test.child.exitCode, null, test.output);
    assert.ok(performance.now() < deadline, `it stands still: ${test.output.slice(-200)}`);
    await delay(5);
  }
}

/** What a test says when there was no answer, or the proxy had to give one. */
const NO_SERVER = /^Error, transaction failure$/m;

/** What a test says when the server can not reach what it keeps: nothing is there, and nothing can be added. */
const NO_MEMCACHED = /^Error, (add|get|remove|have) failed!$/m;
const NOTHING_ADDED = /^Error, add failed!$/m;

interface Failure {
  readonly what: string;
  begin(): unknown;
  end(): unknown;
  /** What a test says that it hits. */
  readonly says: RegExp;
  /** What a test says that begins while it lasts; not given when it does not. */
  readonly saysDuring?: RegExp;
}

const FAILURES: readonly Failure[] = [
  {
    what: 'a server that is killed, and started again',
    begin: () => server.stop('SIGKILL'),
    end: startServer,
    says: NO_SERVER,
    saysDuring: NO_SERVER,
  },
  {
    what: 'a server that is stopped, and goes on',
    begin: () => server.child.kill('SIGSTOP'),
    end: () => server.child.kill('SIGCONT'),
    says: NO_SERVER,
    saysDuring: NO_SERVER,
  },
  {
    what: 'a memcached that is killed, and started again',
    begin: () => memcached.kill(),
    end: () => memcached.restart(),
    says: NO_MEMCACHED,
    saysDuring: NOTHING_ADDED,
  },
  {
    what: 'a memcached that is stopped, and goes on',
    begin: () => memcached.pause(),
    end: () => memcached.resume(),
    says: NO_MEMCACHED,
    saysDuring: NOTHING_ADDED,
  },
  {
    what: 'a memcached that loses everything',
    begin: () => memcached.restart(),
    end: () => {},
    says: NO_MEMCACHED,
  },
];

for (const { what, begin, end, says, saysDuring } of FAILURES) {
  test(`${what}, fails a test soon, and no test after it`, async () => {
    assert.match((await disturbed(begin)).stderr, says);
    if (saysDuring !== undefined) assert.match((await testNow()).stderr, saysDuring);
    await end();
    await recovered();
  });
}

test('all of them together make no answer late or wrong', async () => {
  const long = startTest(UNENDING, '-progress', '500', '-lossy');
  for (const { begin, end } of FAILURES) {
    await goesOn(long);
    await begin();
    await delay(OUTAGE_MS);
    await goesOn(long);
    await end();
    await recovered();
  }
  const { status, stderr } = await long.stop('SIGINT');
  assert.equal(status, 0, stderr);
  assert.match(stderr, /^Info, interrupted after [0-9]+ of 1000000 tests$/m);
  assert.match(stderr, /^Info, [1-9][0-9]* without an answer, [1-9][0-9]* as if sessions were lost$/m);
  const [, longestMs] = /([0-9.]+) \(max\)$/m.exec(stderr) ?? [];
  assert.ok(Number(longestMs) < BOUND_MS, `an operation took ${longestMs} ms`);
});
