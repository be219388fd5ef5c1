import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { ask, askAndStore, isHit, type Reply } from '../support/ask.js';
import { type CountingOrigin, patterned, startCountingOrigin } from '../support/counting-origin.js';
import { type Fleet, startFleet } from '../support/fleet.js';
import { rawCommand } from '../support/memcached.js';
import { until } from '../support/until.js';

const BIG = patterned(3 * 1024 * 1024);
const HALF = BIG.length / 2;
/** Each process gets half of them. */
const CLIENTS = 200;

/** How long the origin thinks about a page that nobody may store. */
const SLOW_MS = 200;
const CROWD = 50;

const LEASE_WAIT_MS = 300;
/** What a machine that is busy with other tests may add to that. */
const PATIENCE_MS = 2500;

const FRESH = { 'Cache-Control': 'max-age=60' };

/** A client that checks what comes instead of keeping it. Resolves to the number of right bytes, and the reply. */
async function readBig(url: string, target: string, onPiece?: (bytes: number, message: IncomingMessage) => void) {
  let bytes = 0;
  let isRight = true;
  const reply = await ask(url, target, {
    onPiece(piece, message) {
      isRight &&= piece.equals(BIG.subarray(bytes, bytes + piece.length));
      bytes += piece.length;
      onPiece?.(bytes, message);
    },
  });
  assert.ok(isRight, 'a byte is wrong');
  return { bytes, reply };
}

describe('many clients at once', () => {
  let origin: CountingOrigin;
  let fleet: Fleet;
  /** Lets the second half of a big answer come. */
  const finish = new Map<string, () => void>();

  before(async () => {
    origin = await startCountingOrigin({
      '/big': ({ url = '' }, response) => {
        response.writeHead(200, { ...FRESH, 'Content-Length': String(BIG.length), ETag: '"big"' });
        response.write(BIG.subarray(0, HALF));
        finish.set(url, () => response.end(BIG.subarray(HALF)));
      },
      '/uncacheable': (_request, response, n) => {
        setTimeout(() => response.writeHead(200, { 'Cache-Control': 'no-store' }).end(`${n}`), SLOW_MS);
      },
    });
    fleet = await startFleet({ upstream: origin.url, processes: 2, cache: { leaseWait: '30s' } });
  });
  after(async () => {
    await fleet?.stop();
    await origin?.close();
  });

  const url = (client: number) => fleet.urls[client % fleet.urls.length] ?? '';

  test('200 of one cold 3 MiB object cause one request, though one is slow and one leaves', async () => {
    const slow = readBig(url(0), '/big?crowd', (bytes, message) => {
      if (bytes > HALF) return;
      message.pause();
      setTimeout(() => message.resume(), 10);
    });
    const leaving = readBig(url(1), '/big?crowd', (_bytes, message) => void message.destroy());
    const others = Array.from({ length: CLIENTS - 2 }, (_, client) => readBig(url(client), '/big?crowd'));
    await until(() => finish.has('/big?crowd'), 'the origin was not asked');
    finish.get('/big?crowd')?.();
    for (const { bytes, reply } of await Promise.all([slow, ...others])) {
      assert.deepEqual(
        { status: reply.status, isWhole: reply.isWhole, bytes },
        { status: 200, isWhole: true, bytes: BIG.length },
        reply.cacheStatus,
      );
    }
    assert.equal((await leaving).reply.isWhole, false);
    assert.equal(origin.count('/big?crowd'), 1);
  });

  test('parts are served out of the segments they lie in, and no others are read', async () => {
    const written = async () =>
      Number(/STAT bytes_written (\d+)/.exec(await rawCommand(fleet.memcached.address, 'stats\r\n'))?.[1]);
    for (const [range, start, end] of [
      ['bytes=0-0', 0, 1],
      ['bytes=1047000-1049999', 1_047_000, 1_050_000],
      ['bytes=-5', BIG.length - 5, BIG.length],
      ['bytes=3145727-9999999', BIG.length - 1, BIG.length],
    ] as const) {
      const before = await written();
      for (const client of [0, 1]) {
        const part = await ask(url(client), '/big?crowd', { fields: ['Range', range] });
        assert.equal(part.status, 206);
        assert.ok(isHit(part.cacheStatus), part.cacheStatus);
        assert.equal(part.headers['content-range'], `bytes ${start}-${end - 1}/${BIG.length}`);
        assert.equal(part.headers['content-length'], String(end - start));
        assert.deepEqual(part.body, BIG.subarray(start, end));
      }
      // two segments each at the most
      assert.ok((await written()) - before < 4.5 * 1024 * 1024, range);
    }
    const beyond = await ask(url(0), '/big?crowd', { fields: ['Range', 'bytes=3145728-'] });
    assert.equal(beyond.status, 416);
    assert.equal(beyond.headers['content-range'], `bytes */${BIG.length}`);
    assert.equal(origin.count('/big?crowd'), 1);
  });

  test('the one whose request went to the origin leaves in the middle: the others get all, and it is stored', async () => {
    const target = '/big?leader-leaves';
    let leave: (() => void) | undefined;
    const leader = readBig(url(0), target, (_bytes, message) => {
      leave = () => void message.destroy();
    });
    await until(() => leave !== undefined && finish.has(target), 'nothing came');
    const followers = [readBig(url(0), target), readBig(url(1), target)];
    leave?.();
    assert.equal((await leader).reply.isWhole, false);
    finish.get(target)?.();
    for (const { bytes, reply } of await Promise.all(followers)) {
      assert.equal(bytes, BIG.length);
      assert.ok(reply.isWhole);
    }
    assert.equal(origin.count(target), 1);
  });

  test('the only one leaves in the middle: the rest is stored whole, or nothing is', async () => {
    const target = '/big?lone';
    const lone = await readBig(url(0), target, (bytes, message) => {
      if (bytes > HALF / 2) message.destroy();
    });
    assert.equal(lone.reply.isWhole, false);
    finish.get(target)?.();
    finish.delete(target);
    const next = readBig(url(1), target);
    let isOver = false;
    void next.finally(() => {
      isOver = true;
    });
    // should it have to be fetched again
    await until(() => isOver || finish.has(target), 'the next client is not served');
    finish.get(target)?.();
    const { bytes, reply } = await next;
    assert.deepEqual({ bytes, isWhole: reply.isWhole }, { bytes: BIG.length, isWhole: true });
  });

  test('50 of a slow page that nobody may store do not queue, and none gets another’s answer', async () => {
    const asking = Array.from({ length: CROWD }, (_, client) => ask(url(client), '/uncacheable'));
    const replies = await Promise.all(asking);
    assert.equal(new Set(replies.map(({ text }) => text)).size, CROWD);
    assert.equal(origin.count('/uncacheable'), CROWD);
    // the first one finds out, then all others go at once
    const worst = Math.max(...replies.map(({ tookMs }) => tookMs));
    assert.ok(worst < 2 * SLOW_MS + PATIENCE_MS, `one waited for ${Math.round(worst)} ms`);
    assert.match((await ask(url(1), '/uncacheable')).cacheStatus, /hit-for-miss/);
  });
});

describe('the process that holds the lease dies', () => {
  let origin: CountingOrigin;
  let fleet: Fleet;
  const finish = new Map<string, () => void>();

  before(async () => {
    origin = await startCountingOrigin({
      // the first answer to each target never comes by itself
      '/page': ({ url = '' }, response, n) => {
        const answer = () => response.writeHead(200, FRESH).end(`answer ${n}`);
        if (n === 1) finish.set(url, answer);
        else answer();
      },
      '/body': (_request, response, n) => {
        response.writeHead(200, { ...FRESH, 'Content-Length': '8' });
        if (n === 1) response.write('1');
        else response.end(`answer ${n}`);
      },
    });
    fleet = await startFleet({ upstream: origin.url, processes: 2, cache: { leaseWait: `${LEASE_WAIT_MS}ms` } });
  });
  after(async () => {
    for (const process of fleet?.processes ?? []) process.signal('SIGCONT');
    await fleet?.stop();
    await origin?.close();
  });

  const [dying, living] = [() => fleet.urls[0] ?? '', () => fleet.urls[1] ?? ''];

  async function assertNobodyIsHeldUp(target: string): Promise<void> {
    const replies = await Promise.all(Array.from({ length: 20 }, () => ask(living(), target)));
    assertInTime(replies);
    assert.deepEqual([...new Set(replies.map(({ text }) => text))], ['answer 2']);
    assert.equal((await askAndStore(living(), target)).text, 'answer 2');
    assert.equal(origin.count(target), 2);
  }

  function assertInTime(replies: readonly Reply[]): void {
    for (const { status, tookMs, cacheStatus } of replies) {
      assert.equal(status, 200, cacheStatus);
      assert.ok(tookMs < LEASE_WAIT_MS + PATIENCE_MS, `held up for ${Math.round(tookMs)} ms`);
    }
  }

  test('it is stopped in the middle of a fetch: the others go themselves, and what it brings later is not stored', async () => {
    const stopped = ask(dying(), '/page?stopped');
    await until(() => finish.has('/page?stopped'), 'the origin was not asked');
    fleet.processes[0]?.signal('SIGSTOP');
    await assertNobodyIsHeldUp('/page?stopped');
    finish.get('/page?stopped')?.();
    fleet.processes[0]?.signal('SIGCONT');
    assert.equal((await stopped).text, 'answer 1');
    for (const url of fleet.urls) assert.equal((await ask(url, '/page?stopped')).text, 'answer 2');
  });

  test('it is killed in the middle of two fetches, one before the head came and one after', async () => {
    const killed = [ask(dying(), '/page?killed'), ask(dying(), '/body?killed')];
    await until(() => origin.count('/page?killed') + origin.count('/body?killed') === 2, 'the origin was not asked');
    fleet.processes[0]?.signal('SIGKILL');
    for (const { isWhole } of await Promise.all(killed)) assert.equal(isWhole, false);
    await Promise.all([assertNobodyIsHeldUp('/page?killed'), assertNobodyIsHeldUp('/body?killed')]);
  });
});
