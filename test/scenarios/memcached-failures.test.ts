import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Served, startLookaside } from '../support/lookaside.js';
import { type Memcached, startMemcached } from '../support/memcached.js';
import { fetchRaw, play } from '../support/transcript.js';

/** The proxy's deadline for memcached is 100 ms; this is what a machine that is busy with other tests may add to it. */
const PATIENCE_MS = 1500;

describe('memcached fails', () => {
  const origin = createServer((request, response) => response.end(`origin answers ${request.url}\n`));
  let memcached: Memcached;
  let lookaside: Served;

  before(async () => {
    await new Promise<void>((resolve) => origin.listen(0, '127.0.0.1', resolve));
    memcached = await startMemcached();
    await memcached.kill();
    const upstream = `http://127.0.0.1:${(origin.address() as AddressInfo).port}`;
    lookaside = await startLookaside({
      args: ['--upstream', upstream, '--memcached', memcached.server, '--ttl', '60s'],
    });
  });
  after(async () => {
    await lookaside?.stop();
    await memcached?.stop();
    origin.close();
    origin.closeAllConnections();
  });

  /** Requests by many clients at once, for a while: every answer must be a 200, in time. */
  async function underLoad(milliseconds: number, during: () => Promise<void> | void): Promise<void> {
    const end = performance.now() + milliseconds;
    let worst = 0;
    let answers = 0;
    const client = async (number: number) => {
      while (performance.now() < end) {
        const asked = performance.now();
        const { message } = await fetchRaw(lookaside.url, 'GET', `/page/${number % 5}`);
        assert.equal(message.statusCode, 200);
        worst = Math.max(worst, performance.now() - asked);
        answers++;
        await sleep(10);
      }
    };
    await Promise.all([
      ...Array.from({ length: 10 }, (_, number) => client(number)),
      sleep(milliseconds / 3).then(during),
    ]);
    assert.ok(answers > 20, `only ${answers} answers`);
    assert.ok(worst < PATIENCE_MS, `one answer took ${Math.round(worst)} ms`);
  }

  /** Asks until a request is a hit; they resume by themselves, within a second of the server's return. */
  async function hitsResume(): Promise<void> {
    const end = performance.now() + 5000;
    for (let path = 0; performance.now() < end; path++) {
      await fetchRaw(lookaside.url, 'GET', `/resume/${path % 2}`);
      const { message } = await fetchRaw(lookaside.url, 'GET', `/resume/${path % 2}`);
      if (/; hit/.test(String(message.headers['cache-status']))) return;
      await sleep(50);
    }
    assert.fail('no hit within 5 s');
  }

  test('absent at start: requests go to the origin', () =>
    play(
      lookaside.url,
      `
      > GET /first
      < 200
      < Cache-Status: /fwd=miss; fwd-status=200.*detail="?(connection|timeout|breaker-open)/
      << origin answers /first\\n
      `,
    ));

  test('comes up: hits begin', async () => {
    await memcached.restart();
    await hitsResume();
  });

  test('killed under load: no error, no hang', () => underLoad(1500, () => memcached.kill()));

  test('restarted, empty: hits resume', async () => {
    await memcached.restart();
    await hitsResume();
  });

  test('stopped with its connections open: no error, no hang', async () => {
    await underLoad(2000, () => memcached.pause());
    memcached.resume();
    await hitsResume();
  });

  test('says in the log what happened, once for each change', () => {
    const changes = lookaside
      .log()
      .split('\n')
      .filter((line) => line.includes('breaker'));
    assert.ok(changes.length > 0, lookaside.log());
    assert.ok(changes.length < 60, `${changes.length} lines about the breaker`);
  });
});
