import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type Memcached, startMemcached } from '../support/memcached.js';
import { CAPTURES, type Capture, SEQUENCE, SINGLES } from './captures.js';
import { Command, temporaryDirectory } from './command.js';
import { Peer } from './peer.js';

const directory = temporaryDirectory();

test('there are all of them', () => {
  assert.deepEqual([SEQUENCE.length, SINGLES.length], [19, 42]);
});

describe('dc_server, sessions in the process, answers', () => {
  replayAll('embedded', () => []);
});

describe('dc_server, sessions in memcached, answers', () => {
  let memcached: Memcached;
  before(async () => {
    memcached = await startMemcached();
  });
  after(() => memcached.stop());
  replayAll('memcached', () => ['--memcached', memcached.server]);
});

function replayAll(name: string, args: () => readonly string[]): void {
  const path = join(directory, `${name}.sock`);
  let server: Command;

  before(async () => {
    server = new Command('dc_server', ['-listen', `UNIX:${path}`, ...args()]);
    await server.listening(path);
  });
  after(() => server.stop());

  function testOf(capture: Capture): void {
    test(`${capture.name}: ${capture.title}`, async () => {
      const peer = await Peer.connect({ path });
      await peer.replay(capture);
      peer.leave();
    });
  }

  for (const capture of CAPTURES) if (!isCutInTwo(capture)) testOf(capture);

  // they wait, store nothing, and do so together
  describe('what comes in two segments', { concurrency: true }, () => {
    for (const capture of CAPTURES) if (isCutInTwo(capture)) testOf(capture);
  });
}

function isCutInTwo({ name }: Capture): boolean {
  return name.startsWith('54') || name.startsWith('55');
}
