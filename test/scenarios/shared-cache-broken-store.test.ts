import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { ask, askAndStore, isHit } from '../support/ask.js';
import { type CountingOrigin, patterned, startCountingOrigin } from '../support/counting-origin.js';
import { type Fleet, startFleet } from '../support/fleet.js';
import { readItem, segmentKeys, writeItem } from '../support/items.js';
import { rawCommand } from '../support/memcached.js';
import { until } from '../support/until.js';

/** More than the sockets between a proxy and a client that does not read take up. */
const HUGE = patterned(16 * 1024 * 1024);
const PART = 6 * 1024 * 1024;

const FRESH = { 'Cache-Control': 'max-age=60' };

describe('memcached loses what it has, while it is being written and read', () => {
  let origin: CountingOrigin;
  let fleet: Fleet;
  /** Lets the rest of an answer come, by target. */
  const finish = new Map<string, () => void>();

  before(async () => {
    origin = await startCountingOrigin({
      '/huge': (_request, response) => response.writeHead(200, FRESH).end(HUGE),
      '/halting': ({ url = '' }, response) => {
        response.writeHead(200, { ...FRESH, 'Content-Length': String(HUGE.length) });
        response.write(HUGE.subarray(0, PART));
        finish.set(url, () => response.end(HUGE.subarray(PART)));
      },
      '/two': (_request, response, n) => {
        const seed = n === 1 ? 0 : 1;
        response.writeHead(200, FRESH).end(HUGE.subarray(seed, seed + 3 * 1024 * 1024));
      },
      '/small': (_request, response, n) => response.writeHead(200, FRESH).end(`${n}`),
    });
    fleet = await startFleet({
      upstream: origin.url,
      processes: 2,
      store: { timeout: '1s' },
      memcached: { args: ['-m', '256'] },
    });
  });
  after(async () => {
    await fleet?.stop();
    await origin?.close();
  });

  const [one, two] = [() => fleet.urls[0] ?? '', () => fleet.urls[1] ?? ''];
  const memcached = (text: string) => rawCommand(fleet.memcached.address, text);

  /** Reads an answer that must be HUGE as far as it goes. */
  async function readHuge(url: string, target: string, onPiece?: (bytes: number, message: IncomingMessage) => void) {
    let bytes = 0;
    const reply = await ask(url, target, {
      onPiece(piece, message) {
        assert.ok(piece.equals(HUGE.subarray(bytes, bytes + piece.length)), `wrong bytes at ${bytes}`);
        bytes += piece.length;
        onPiece?.(bytes, message);
      },
    });
    assert.equal(reply.status, 200);
    assert.equal(reply.isWhole, bytes === HUGE.length, `${bytes} bytes`);
    return reply;
  }

  /** Has the first process fetch an answer, until that is stored. */
  async function storeHuge(target: string): Promise<void> {
    await until(async () => isHit((await readHuge(one(), target)).cacheStatus), 'it is not stored');
    assert.equal(origin.count(target), 1);
  }

  async function hitsResume(): Promise<void> {
    let round = 0;
    await until(async () => {
      round++;
      const answers = [];
      for (const url of [one(), one(), two(), two()]) answers.push(await ask(url, `/small?${round}`));
      for (const { status } of answers) assert.equal(status, 200);
      return isHit(answers[3]?.cacheStatus ?? '');
    }, 'no hits after memcached has come back');
  }

  const LOSSES = {
    'is killed': async () => {
      await fleet.memcached.kill();
    },
    'is flushed': async () => {
      assert.equal(await memcached('flush_all\r\n'), 'OK\r\n');
    },
  };

  for (const [name, lose] of Object.entries(LOSSES)) {
    test(`it ${name} while segments are written: the client gets all, and nothing is kept that is not whole`, async () => {
      const target = `/halting?${name.replace(' ', '-')}`;
      let hasBegun = false;
      const reading = readHuge(one(), target, (bytes) => {
        hasBegun ||= bytes >= PART;
      });
      await until(() => hasBegun && finish.has(target), 'nothing came');
      await lose();
      finish.get(target)?.();
      finish.delete(target);
      assert.ok((await reading).isWhole);
      if (name === 'is killed') {
        for (let n = 0; n < 10; n++) assert.equal((await ask(two(), `/small?away-${n}`)).text, '1');
        await fleet.memcached.restart();
        await hitsResume();
      }
      const next = readHuge(two(), target);
      await until(() => finish.has(target), 'the origin was not asked');
      finish.get(target)?.();
      assert.ok((await next).isWhole);
      assert.equal(origin.count(target), 2);
    });

    test(`it ${name} while segments are read: the client sees that there is no more`, async () => {
      const target = `/huge?${name.replace(' ', '-')}`;
      await storeHuge(target);
      let reader: IncomingMessage | undefined;
      const reading = readHuge(two(), target, (_bytes, message) => {
        if (reader === undefined) message.pause();
        reader = message;
      });
      await until(() => reader !== undefined, 'nothing came');
      await lose();
      reader?.resume();
      const cut = await reading;
      assert.ok(isHit(cut.cacheStatus), cut.cacheStatus);
      assert.equal(cut.isWhole, false);
      if (name === 'is killed') {
        await fleet.memcached.restart();
        await hitsResume();
      }
      assert.ok((await readHuge(two(), target)).isWhole);
      assert.equal(origin.count(target), 2);
    });
  }

  const segmentsOf = (target: string) => segmentKeys(fleet.memcached, `http://site.test${target}`);

  test('a segment is dropped before anybody reads: it is a miss', async () => {
    const target = '/huge?dropped-before';
    await storeHuge(target);
    const segments = await segmentsOf(target);
    assert.equal(await memcached(`delete ${segments.at(-1)}\r\n`), 'DELETED\r\n');
    const first = await ask(two(), target, { fields: ['Range', 'bytes=1-3'] });
    assert.deepEqual(first.body, HUGE.subarray(1, 4));
    assert.ok(isHit(first.cacheStatus), 'what is there of it is as good as before');
    const whole = await readHuge(two(), target);
    assert.ok(whole.isWhole);
    assert.match(whole.cacheStatus, /lost-segment/);
    assert.equal(origin.count(target), 2);
    await until(async () => isHit((await readHuge(one(), target)).cacheStatus), 'it is not stored again');
  });

  test('a segment is dropped while somebody reads: that is seen, and the next request is a miss', async () => {
    const target = '/huge?dropped-while';
    await storeHuge(target);
    const segments = await segmentsOf(target);
    let reader: IncomingMessage | undefined;
    const reading = readHuge(two(), target, (_bytes, message) => {
      if (reader === undefined) message.pause();
      reader = message;
    });
    await until(() => reader !== undefined, 'nothing came');
    assert.equal(await memcached(`delete ${segments.at(-2)}\r\n`), 'DELETED\r\n');
    reader?.resume();
    assert.equal((await reading).isWhole, false);
    assert.ok((await readHuge(two(), target)).isWhole);
    assert.equal(origin.count(target), 2);
  });

  test('segments of two entries are swapped: no byte of one goes out for the other, and the next request is a miss', async () => {
    const targets = ['/two?first', '/two?second'];
    const right = HUGE.subarray(0, 3 * 1024 * 1024);
    for (const target of targets) assert.deepEqual((await askAndStore(one(), target)).body, right);
    const [mine = '', other = ''] = await Promise.all(targets.map(async (target) => (await segmentsOf(target))[1]));
    const [mineValue, otherValue] = [await readItem(fleet.memcached, mine), await readItem(fleet.memcached, other)];
    await writeItem(fleet.memcached, mine, otherValue);
    await writeItem(fleet.memcached, other, mineValue);
    const changed = HUGE.subarray(1, 1 + right.length);
    for (const target of targets) {
      const cut = await ask(two(), target);
      assert.equal(cut.isWhole, false);
      assert.deepEqual(cut.body, right.subarray(0, cut.body.length));
      const next = await ask(two(), target);
      assert.ok(next.isWhole, 'what is known to be foreign must not break the next one off as well');
      assert.deepEqual(next.body, changed);
    }
  });
});
