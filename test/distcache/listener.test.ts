import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type Address, connectTo, parseAddress } from '../../src/distcache/address.js';
import { listen, socketServer } from '../../src/distcache/listener.js';
import { temporaryDirectory } from './command.js';

const directory = temporaryDirectory();

/** Says one word to whoever connects. */
function greet(socket: Socket): void {
  socket.on('error', () => {});
  socket.end('hello');
}

async function greetingFrom(address: Address): Promise<string> {
  let text = '';
  const socket = connectTo(address);
  for await (const chunk of socket) text += chunk;
  socket.destroy();
  return text;
}

async function open(context: TestContext, text: string) {
  const listener = await listen(socketServer(greet), parseAddress(text));
  context.after(() => listener.close());
  return listener;
}

/** Why the address can not be listened on. */
async function refusal(context: TestContext, address: Address): Promise<NodeJS.ErrnoException> {
  try {
    const listener = await listen(socketServer(greet), address);
    context.after(() => listener.close());
  } catch (error) {
    assert.ok(error instanceof Error);
    return error;
  }
  return assert.fail(`${JSON.stringify(address)} was listened on`);
}

/** A socket file that nobody listens on: what a server leaves that was killed. */
function leaveSocket(path: string): void {
  const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
  spawnSync(process.execPath, ['-e', script]);
  assert.ok(existsSync(path));
}

for (const text of ['IP:127.0.0.1:0', 'IP:0', 'IP:localhost:0', 'IP:[::1]:0', 'IPv6:0', `UNIX:${directory}/plain`]) {
  test(`${text} can be listened on and connected to`, async (context) => {
    const { address } = await open(context, text);
    const reachable =
      address.kind === 'tcp' ? { ...address, host: address.family === 4 ? '127.0.0.1' : '::1' } : address;
    assert.equal(await greetingFrom(reachable), 'hello');
  });
}

test('the socket is removed at the end', async () => {
  const path = join(directory, 'removed');
  const listener = await listen(socketServer(greet), parseAddress(`UNIX:${path}`));
  assert.ok(existsSync(path));
  await listener.close();
  assert.equal(existsSync(path), false);
});

test('a socket that was left behind is replaced', async (context) => {
  const path = join(directory, 'stale');
  leaveSocket(path);
  const { address } = await open(context, `UNIX:${path}`);
  assert.equal(await greetingFrom(address), 'hello');
});

test('a socket that somebody listens on is left alone', async (context) => {
  const path = join(directory, 'live');
  const { address } = await open(context, `UNIX:${path}`);
  assert.match((await refusal(context, address)).message, /something listens on/);
  assert.equal(await greetingFrom(address), 'hello');
});

test('a file that is no socket is left alone', async (context) => {
  const path = join(directory, 'file');
  writeFileSync(path, 'precious');
  assert.match((await refusal(context, { kind: 'unix', path })).message, /is no socket/);
  assert.equal(readFileSync(path, 'utf8'), 'precious');
});

test('a relative path is told as an absolute one', async (context) => {
  const before = process.cwd();
  process.chdir(directory);
  context.after(() => process.chdir(before));
  const { address } = await open(context, 'UNIX:relative');
  assert.deepEqual(address, { kind: 'unix', path: join(directory, 'relative') });
});

test('a path that would be cut short is refused', async (context) => {
  const before = process.cwd();
  process.chdir(directory);
  context.after(() => process.chdir(before));
  const tooLong = { kind: 'unix', path: 'p'.repeat(100) } as const;
  assert.match((await refusal(context, tooLong)).message, /longer than the 107 bytes/);
});

test('a port that is taken is refused', async (context) => {
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  context.after(() => taken.close());
  const bound = taken.address();
  assert.ok(bound !== null && typeof bound === 'object');
  assert.equal((await refusal(context, parseAddress(`IP:127.0.0.1:${bound.port}`))).code, 'EADDRINUSE');
});

test('an address without a place is refused', async (context) => {
  assert.match((await refusal(context, parseAddress('UNIX:'))).message, /can not be listened on/);
});
