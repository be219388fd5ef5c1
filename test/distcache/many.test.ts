import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { addPayload } from '../../src/distcache/payload.js';
import { encodeMessage } from '../../src/distcache/wire.js';
import { Command, temporaryDirectory } from './command.js';
import { Peer } from './peer.js';

const IDLE_CONNECTIONS = 2000;
const SESSIONS = 50_000;

const DATA = randomBytes(150);

/** Adds sessions as fast as the server takes them. */
async function fill(peer: Peer, count: number): Promise<void> {
  const atOnce = 500;
  for (let done = 0; done < count; done += atOnce) {
    const burst = Array.from({ length: atOnce }, (_, uid) => {
      const payload = addPayload(randomBytes(32), DATA, 60_000 + uid);
      return encodeMessage('request', { uid, operation: 'add', payload });
    });
    peer.send(Buffer.concat(burst));
    for (let i = 0; i < atOnce; i++) assert.equal((await peer.response()).payload[0], 0);
  }
}

describe('a server with much to keep', () => {
  const path = join(temporaryDirectory(), 'many.sock');
  let server: Command;
  before(async () => {
    server = new Command('dc_server', ['-listen', `UNIX:${path}`, '-sessions', '60000']);
    await server.listening(path);
  });
  after(() => server.stop());

  test(`${SESSIONS} sessions and ${IDLE_CONNECTIONS} idle connections are kept, and all of them are answered`, async () => {
    const active = await Peer.connect({ path });
    const id = randomBytes(32);
    await active.ask('add', addPayload(id, DATA, 3_600_000));

    const idle = [];
    for (let i = 0; i < IDLE_CONNECTIONS; i += 50) {
      const more = await Promise.all(Array.from({ length: 50 }, () => Peer.connect({ path })));
      // the server has taken them when it answers, and its backlog is free for the next
      await Promise.all(more.map((peer) => peer.ask('have', id)));
      idle.push(...more);
    }
    await fill(active, SESSIONS);

    for (const peer of [active, ...idle]) {
      assert.deepEqual(await peer.ask('get', id), DATA);
      peer.leave();
    }
  });
});
