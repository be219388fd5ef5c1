import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { addPayload } from '../../src/distcache/payload.js';
import { type Memcached, startMemcached } from '../support/memcached.js';
import { Command, temporaryDirectory } from './command.js';
import { Peer } from './peer.js';

const directory = temporaryDirectory();
const [OK, NOT_OK, MATCHING] = [Buffer.of(0x00), Buffer.of(0x01), Buffer.of(0x65)];
const DATA = Buffer.from('a session');

/**
 * An ADD asks the store up to twice two times, each within 100 ms; the rest is room for a machine that is busy with
 * something else.
 */
const BOUND_MS = 2000;

function idOf(text: string): Buffer {
  return Buffer.from(text);
}

function add(id: string): Buffer {
  return addPayload(idOf(id), DATA, 60_000);
}

async function start(name: string, args: readonly string[]): Promise<{ server: Command; path: string }> {
  const path = join(directory, name);
  const server = new Command('dc_server', ['-listen', `UNIX:${path}`, ...args]);
  await server.listening(path);
  return { server, path };
}

/** All four operations; each is answered in time. */
async function askAll(peer: Peer, id: string): Promise<Buffer[]> {
  const answers = [];
  for (const [operation, payload] of [
    ['add', add(id)],
    ['get', idOf(id)],
    ['have', idOf(id)],
    ['remove', idOf(id)],
  ] as const) {
    const started = performance.now();
    answers.push(await peer.ask(operation, payload));
    const tookMs = performance.now() - started;
    assert.ok(tookMs < BOUND_MS, `${operation} took ${tookMs} ms`);
  }
  return answers;
}

const ALL_WELL = [OK, DATA, OK, OK];
const ALL_NEGATIVE = [MATCHING, NOT_OK, NOT_OK, NOT_OK];

async function untilWell(peer: Peer): Promise<void> {
  const deadline = performance.now() + 15_000;
  for (let round = 0; ; round++) {
    const [answer] = await askAll(peer, `again ${round}`);
    if (answer?.equals(OK)) break;
    assert.ok(performance.now() < deadline, 'the server never got well');
    await delay(20);
  }
  assert.deepEqual(await askAll(peer, 'well'), ALL_WELL);
}

describe('two servers on one memcached', () => {
  let memcached: Memcached;
  let servers: Awaited<ReturnType<typeof start>>[] = [];
  before(async () => {
    memcached = await startMemcached();
    servers = await Promise.all(['one', 'other'].map((name) => start(name, ['--memcached', memcached.server])));
  });
  after(async () => {
    await Promise.all(servers.map(({ server }) => server.stop()));
    await memcached.stop();
  });

  test('what one adds the other finds, refuses and removes', async () => {
    const [one, other] = await Promise.all(servers.map(({ path }) => Peer.connect({ path })));
    assert.ok(one && other);
    for (let i = 0; i < 50; i++) {
      const id = `shared ${i}`;
      assert.deepEqual(await one.ask('add', add(id)), OK);
      assert.deepEqual(await other.ask('get', idOf(id)), DATA);
      assert.deepEqual(await other.ask('add', add(id)), MATCHING);
      assert.deepEqual(await other.ask('remove', idOf(id)), OK);
      assert.deepEqual(await one.ask('have', idOf(id)), NOT_OK);
      assert.deepEqual(await one.ask('remove', idOf(id)), NOT_OK);
    }
    one.leave();
    other.leave();
  });

  test('of all that add one session at a time, exactly one succeeds', async () => {
    const peers = await Promise.all([...servers, ...servers, ...servers].map(({ path }) => Peer.connect({ path })));
    for (let i = 0; i < 30; i++) {
      const answers = await Promise.all(peers.map((peer) => peer.ask('add', add(`race ${i}`))));
      assert.equal(answers.filter((answer) => answer.equals(OK)).length, 1);
      assert.equal(answers.filter((answer) => answer.equals(MATCHING)).length, peers.length - 1);
    }
    for (const peer of peers) peer.leave();
  });

  test('a server that is started anew finds what there is', async () => {
    const [, other] = servers;
    assert.ok(other);
    const before = await Peer.connect({ path: other.path });
    assert.deepEqual(await before.ask('add', add('survivor')), OK);
    before.leave();
    await other.server.stop();
    servers[1] = await start('other', ['--memcached', memcached.server]);
    const after = await Peer.connect({ path: other.path });
    assert.deepEqual(await after.ask('get', idOf('survivor')), DATA);
    after.leave();
  });
});

describe('memcached that fails under a server, and its client proxy', () => {
  let memcached: Memcached;
  let server: Awaited<ReturnType<typeof start>>;
  let proxy: Command;
  const proxyPath = join(directory, 'proxy');
  before(async () => {
    memcached = await startMemcached();
    server = await start('failing', ['--memcached', memcached.server]);
    proxy = new Command('dc_client', ['-listen', `UNIX:${proxyPath}`, '-server', `UNIX:${server.path}`]);
    await proxy.listening(proxyPath);
  });
  after(async () => {
    await proxy.stop();
    await server.server.stop();
    await memcached.stop();
  });

  for (const [what, fail, mend] of [
    ['killed', () => memcached.kill(), () => memcached.restart()],
    ['stopped', async () => memcached.pause(), async () => memcached.resume()],
  ] as const) {
    test(`${what}: every answer is negative and in time, until it is back`, async () => {
      const peers = [await Peer.connect({ path: server.path }), await Peer.connect({ path: proxyPath })];
      for (const peer of peers) await untilWell(peer);
      await fail();
      for (let round = 0; round < 10; round++) {
        for (const peer of peers) assert.deepEqual(await askAll(peer, `${what} ${round}`), ALL_NEGATIVE);
      }
      await mend();
      for (const peer of peers) await untilWell(peer);
      for (const peer of peers) peer.leave();
      assert.deepEqual([server.server.status, proxy.status], [null, null]);
    });
  }

  test('many clients at once with memcached stopped are all answered in time', async () => {
    const peers = await Promise.all(Array.from({ length: 50 }, () => Peer.connect({ path: proxyPath })));
    memcached.pause();
    const started = performance.now();
    const answers = await Promise.all(peers.map((peer, i) => peer.ask('get', idOf(`session ${i}`))));
    assert.ok(performance.now() - started < BOUND_MS);
    for (const answer of answers) assert.deepEqual(answer, NOT_OK);
    memcached.resume();
    for (const peer of peers) peer.leave();
  });
});

test('a server starts without its memcached, and uses it when it comes', async () => {
  const memcached = await startMemcached();
  await memcached.kill();
  const { server, path } = await start('alone', ['--memcached', memcached.server]);
  try {
    const peer = await Peer.connect({ path });
    assert.deepEqual(await askAll(peer, 'nowhere'), ALL_NEGATIVE);
    await memcached.restart();
    await untilWell(peer);
    peer.leave();
  } finally {
    await server.stop();
    await memcached.stop();
  }
});
