import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type Memcached, startMemcached } from '../support/memcached.js';
import { Command, temporaryDirectory } from './command.js';
import { type Ended, runTool, Tool } from './tools.js';

const directory = temporaryDirectory();
const serverPath = join(directory, 'server.sock');
const proxyPath = join(directory, 'proxy.sock');

/** The proxy waits so long for its server. */
const RESPONSE_TIMEOUT_MS = 500;

/** How long an operation may take at worst: twice that, when it is asked again, and a loaded machine. */
const BOUND_MS = 2 * RESPONSE_TIMEOUT_MS + 2000;

/** For everything to be as before after a failure. */
const RECOVERY_MS = 10_000;

let memcached: Memcached;
let server: Command;
let proxy: Command;

before(async () => {
  memcached = await startMemcached();
  await startServer();
  const times = ['-retry', '100', '-timeout', String(RESPONSE_TIMEOUT_MS)];
  proxy = new Command('dc_client', ['-listen', `UNIX:${proxyPath}`, '-server', `UNIX:${serverPath}`, ...times]);
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

async function startServer(): Promise<void> {
  server = new Command('dc_server', ['-listen', `UNIX:${serverPath}`, '--memcached', memcached.server]);
  await server.listening(serverPath);
}

function testArguments(operations: number): string[] {
  const size = ['-sessions', '100', '-ops', String(operations)];
  return ['-connect', `UNIX:${proxyPath}`, '-persistent', '-concurrency', '4', ...size];
}

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
    const test = new Tool('dc_test', [...testArguments(1_000_000), '-progress', '200']);
    while (test.child.exitCode === null) {
      if (test.output.includes('total operations')) return test;
      await delay(5);
    }
    assert.ok(performance.now() < deadline, test.output);
  }
}

/** A test during a failure. */
async function testNow(): Promise<Ended> {
  const startedAt = performance.now();
  const ended = await runTool('dc_test', testArguments(10_000));
  const elapsedMs = performance.now() - startedAt;
  assert.ok(elapsedMs < BOUND_MS, `the test took ${elapsedMs} ms: ${ended.stderr}`);
  return ended;
}

/** Soon tests succeed again. */
async function recovered(): Promise<void> {
  const deadline = performance.now() + RECOVERY_MS;
  for (;;) {
    const { status, stderr } = await runTool('dc_test', testArguments(2000));
    if (status === 0) return;
    assert.doesNotMatch(stderr, /mismatch/);
    assert.ok(performance.now() < deadline, stderr);
  }
}

/** What a test says when there was no answer, or the proxy had to give one. */
const NO_SERVER = /^Error, transaction failure$/m;

/** What a test says when the server can not reach what it keeps: nothing is there, and nothing can be added. */
const NO_MEMCACHED = /^Error, (add|get|remove|have) failed!$/m;

test('a server that is killed, and started again', async () => {
  assert.match((await disturbed(() => server.stop('SIGKILL'))).stderr, NO_SERVER);
  assert.match((await testNow()).stderr, NO_SERVER);
  await startServer();
  await recovered();
});

test('a server that is stopped, and goes on', async () => {
  assert.match((await disturbed(() => server.child.kill('SIGSTOP'))).stderr, NO_SERVER);
  assert.match((await testNow()).stderr, NO_SERVER);
  server.child.kill('SIGCONT');
  await recovered();
});

test('a memcached that is killed, and started again', async () => {
  assert.match((await disturbed(() => memcached.kill())).stderr, NO_MEMCACHED);
  assert.match((await testNow()).stderr, /^Error, add failed!$/m);
  await memcached.restart();
  await recovered();
});

test('a memcached that is stopped, and goes on', async () => {
  assert.match((await disturbed(() => memcached.pause())).stderr, NO_MEMCACHED);
  assert.match((await testNow()).stderr, /^Error, add failed!$/m);
  memcached.resume();
  await recovered();
});

test('a memcached that loses everything', async () => {
  assert.match((await disturbed(() => memcached.restart())).stderr, NO_MEMCACHED);
  await recovered();
});
