import assert from 'node:assert/strict';
import { Readable, Writable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { describe, test } from 'node:test';
import { setTimeout as delay, setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { BrokenBodyError } from '../../src/cache/body.js';
import { BufferBudget } from '../../src/cache/buffer-budget.js';
import { SegmentWriter } from '../../src/cache/segment-writer.js';
import { LostSegmentError } from '../../src/cache/segments.js';
import { SharedBody, type SharedBodyOptions } from '../../src/cache/shared-body.js';
import { EmbeddedStore } from '../../src/store/embedded.js';
import { openStore } from '../../src/store/open.js';
import { FailingStore } from '../support/failing-store.js';
import { startMemcached } from '../support/memcached.js';
import { until } from '../support/until.js';

const KIBIBYTE = 1024;
const MEBIBYTE = 1024 * KIBIBYTE;

/** A source that has what it is fed, and knows whether more is wanted. */
class FedSource extends Readable {
  fed = 0;
  isThirsty = false;

  constructor() {
    super({ highWaterMark: 1 });
  }

  feed(bytes: Buffer | number): void {
    const chunk = typeof bytes === 'number' ? pattern(this.fed, this.fed + bytes) : bytes;
    this.fed += chunk.length;
    this.isThirsty = false;
    this.push(chunk);
  }

  finish(): void {
    this.push(null);
  }

  override _read(): void {
    this.isThirsty = true;
  }
}

/** The bytes from `start` to `end` of a body that every test knows. */
function pattern(start: number, end: number): Buffer {
  const bytes = Buffer.allocUnsafe(end - start);
  for (let i = 0; i < bytes.length; i++) bytes[i] = (Math.imul(start + i, 2654435761) >>> 13) & 0xff;
  return bytes;
}

/** A source that gives as much as is asked for, up to `bytes`, a chunk a turn of the event loop, as a socket does. */
function flowing(bytes: number, chunkBytes = 64 * KIBIBYTE) {
  let given = 0;
  const source = new Readable({
    highWaterMark: 1,
    read() {
      const end = Math.min(given + chunkBytes, bytes);
      const chunk = pattern(given, end);
      given = end;
      setImmediate(() => this.push(chunk.length === 0 ? null : chunk));
    },
  });
  return { source, given: () => given };
}

function shared(source: Readable, options: Partial<SharedBodyOptions> = {}) {
  const budget = options.budget ?? new BufferBudget();
  const body = new SharedBody(source, { ...options, budget });
  const join = (start?: number, end?: number) => {
    const reader = body.join(start, end);
    assert.ok(reader !== undefined, 'too late to join');
    return reader;
  };
  return { body, budget, join };
}

function deferred() {
  let resolve = () => {};
  const promise = new Promise<void>((fulfil) => {
    resolve = fulfil;
  });
  return { promise, resolve };
}

const whole = (reader: Readable): Promise<Buffer> => buffer(reader);

/** Reads `bytes` and no more. */
async function take(reader: Readable, bytes: number): Promise<Buffer> {
  const taken: Buffer[] = [];
  let missing = bytes;
  while (missing > 0) {
    const chunk: Buffer | null = reader.read(Math.min(missing, reader.readableLength || missing)) ?? reader.read();
    if (chunk === null) {
      assert.ok(!reader.destroyed && !reader.readableEnded, `broken off ${missing} bytes early`);
      await turn();
    } else {
      taken.push(chunk);
      missing -= chunk.length;
    }
  }
  if (missing < 0) assert.fail('more was read than asked for');
  return Buffer.concat(taken);
}

/** A writer to a store of its own, in segments of 64 KiB. */
function writing(options: { maxBytes?: number } = {}) {
  const store = new FailingStore(new EmbeddedStore({ maxBytes: 256 * MEBIBYTE }));
  const limits = { inlineBytes: 0, ttlSeconds: 100, budget: new BufferBudget(), segmentBytes: 64 * KIBIBYTE };
  const writer = new SegmentWriter(store, { ...limits, ...options });
  const sharing = { tap: (chunk: Uint8Array) => writer.write(chunk), beginning: writer };
  return { store, writer, sharing };
}

describe('a shared body', () => {
  test('is not read before somebody reads it', async () => {
    const { source, given } = flowing(MEBIBYTE);
    const { join } = shared(source);
    await delay(5);
    const reader = join();
    await delay(5);
    assert.equal(given(), 0);
    assert.deepEqual(await whole(reader), pattern(0, MEBIBYTE));
  });

  test('streams as it comes in, to one and to many, each from where it wants it', async () => {
    const source = new FedSource();
    const { join } = shared(source);
    const [first, second] = [join(), join()];
    source.feed(10);
    assert.deepEqual(await take(first, 10), pattern(0, 10));
    assert.deepEqual(await take(second, 10), pattern(0, 10));
    const late = join();
    const part = join(5, 25);
    const tail = join(25);
    assert.deepEqual(await take(late, 10), pattern(0, 10));
    source.feed(20);
    source.finish();
    assert.deepEqual(await whole(first), pattern(10, 30));
    assert.deepEqual(await whole(second), pattern(10, 30));
    assert.deepEqual(await whole(late), pattern(10, 30));
    assert.deepEqual(await whole(part), pattern(5, 25));
    assert.deepEqual(await whole(tail), pattern(25, 30));
  });

  test('shows each chunk once to the tap', async () => {
    const seen: Uint8Array[] = [];
    const { join } = shared(flowing(MEBIBYTE).source, { tap: (chunk) => seen.push(chunk) });
    await Promise.all([whole(join()), whole(join()), whole(join(5, 10))]);
    assert.deepEqual(Buffer.concat(seen), pattern(0, MEBIBYTE));
  });

  test('comes right to every reader that it comes to at all, whatever they do', async () => {
    const step = fc.oneof(
      {
        weight: 4,
        arbitrary: fc.record({ kind: fc.constant('feed' as const), bytes: fc.integer({ min: 1, max: 400 }) }),
      },
      {
        weight: 2,
        arbitrary: fc.record({ kind: fc.constant('join' as const), start: fc.nat(900), length: fc.nat(2000) }),
      },
      { weight: 3, arbitrary: fc.record({ kind: fc.constant('read' as const), who: fc.nat(9), bytes: fc.nat(500) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('leave' as const), who: fc.nat(9) }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant('turn' as const) }) },
    );
    const scenario = fc.record({
      steps: fc.array(step, { maxLength: 40 }),
      windowBytes: fc.constantFrom(500, 2000, 100_000),
      storing: fc.constantFrom('not', 'all', 'in vain' as const),
      isCut: fc.boolean(),
    });
    const property = fc.asyncProperty(scenario, async ({ steps, windowBytes, storing, isCut }) => {
      const source = new FedSource();
      const store = new EmbeddedStore();
      const limits = { inlineBytes: 0, ttlSeconds: 9, budget: new BufferBudget(), segmentBytes: 97 };
      const writer = new SegmentWriter(store, { ...limits, maxBytes: storing === 'all' ? 100_000 : 1500 });
      const keeping = storing === 'not' ? {} : { tap: (chunk: Uint8Array) => writer.write(chunk), beginning: writer };
      const { body, budget } = shared(source, {
        windowBytes,
        keepFilling: () => true,
        maxHoldMs: storing === 'all' ? 60_000 : 0,
        ...keeping,
      });
      const readers: { reader: Readable; start: number; end: number; chunks: Buffer[]; isGone: boolean }[] = [];
      const join = (start: number, end: number) => {
        const reader = body.join(start, end);
        if (reader !== undefined) readers.push({ reader, start, end, chunks: [], isGone: false });
        return reader !== undefined;
      };
      assert.ok(join(0, Number.POSITIVE_INFINITY));
      for (const step of steps) {
        const who = step.kind === 'read' || step.kind === 'leave' ? readers[step.who % readers.length] : undefined;
        if (step.kind === 'feed') source.feed(step.bytes);
        else if (step.kind === 'turn') await turn();
        else if (step.kind === 'join') {
          const isHad = join(step.start, step.start + step.length);
          assert.ok(isHad || windowBytes < 100_000, 'what lies in the window can be had');
        } else if (who !== undefined && step.kind === 'leave') {
          who.isGone = true;
          who.reader.destroy();
        } else if (who !== undefined && step.kind === 'read') {
          const chunk = who.reader.read(Math.min(step.bytes, who.reader.readableLength));
          if (chunk !== null) who.chunks.push(chunk);
        }
      }
      if (isCut) source.destroy(new Error('cut'));
      else source.finish();
      const isRightToAll = storing === 'all' || windowBytes === 100_000;
      for (const { reader, start, end, chunks, isGone } of readers) {
        if (isGone) continue;
        const expected = pattern(start, Math.max(start, Math.min(end, source.fed)));
        const isWhole = await whole(reader).then(
          (rest) => {
            chunks.push(rest);
            return true;
          },
          () => false,
        );
        const received = Buffer.concat(chunks);
        assert.ok(received.equals(expected.subarray(0, received.length)), 'wrong bytes');
        if (isWhole) assert.equal(received.length, expected.length, 'a short body ended well');
        // who had got all it wanted before the cut was served well
        if (!isCut && isRightToAll) assert.ok(isWhole, 'broken off without need');
      }
      await body.over;
      assert.equal(budget.usedBytes, 0, 'the window was given back');
    });
    await fc.assert(property, { numRuns: 200, timeout: 10_000 });
  });
});

describe('readers of a shared body', () => {
  test('keep it slow when they are slow: a body of 200 MiB takes no more memory than a small one', async () => {
    const bytes = 200 * MEBIBYTE;
    const { source, given } = flowing(bytes);
    const { join, budget } = shared(source);
    let [taken, mostAhead, mostUsed] = [0, 0, 0];
    const client = new Writable({
      highWaterMark: 16 * KIBIBYTE,
      write(chunk: Buffer, _encoding, done) {
        taken += chunk.length;
        mostAhead = Math.max(mostAhead, given() - taken);
        mostUsed = Math.max(mostUsed, budget.usedBytes);
        setImmediate(done);
      },
    });
    const reader = join();
    reader.pipe(client);
    await new Promise((resolve) => client.once('finish', resolve));
    assert.equal(taken, bytes);
    assert.ok(mostAhead <= 512 * KIBIBYTE, `${mostAhead} bytes ahead of the reader`);
    assert.ok(mostUsed <= 2 * MEBIBYTE, `${mostUsed} bytes in the window`);
    assert.equal(budget.usedBytes, 0);
  });

  test('that stop reading stop the source', async () => {
    const { source, given } = flowing(200 * MEBIBYTE);
    const { join } = shared(source);
    join().once('readable', () => {});
    join().once('readable', () => {});
    await delay(20);
    assert.ok(given() <= 256 * KIBIBYTE, `${given()} bytes for nobody`);
  });

  test('that fall behind go on from the store, and hold nobody back', async () => {
    const bytes = 8 * MEBIBYTE;
    const { sharing } = writing();
    const isStored = deferred();
    const onEnd = () => isStored.promise;
    const options = { ...sharing, onEnd, windowBytes: 512 * KIBIBYTE, maxHoldMs: 60_000 };
    const { body, join, budget } = shared(flowing(bytes).source, options);
    const [slow, fast] = [join(), join()];
    assert.deepEqual(await take(slow, 10), pattern(0, 10));
    let mostUsed = 0;
    fast.on('data', () => {
      mostUsed = Math.max(mostUsed, budget.usedBytes);
    });
    await new Promise((resolve) => fast.once('end', resolve));
    assert.ok(mostUsed <= 4 * 512 * KIBIBYTE + 64 * KIBIBYTE, `${mostUsed} bytes`);
    const late = join(MEBIBYTE);
    isStored.resolve();
    await body.over;
    assert.deepEqual(await whole(slow), pattern(10, bytes));
    assert.deepEqual(await whole(late), pattern(MEBIBYTE, bytes));
    assert.equal(budget.usedBytes, 0);
  });

  test('that have gone to the store go on even when the store takes no more', async () => {
    const bytes = 4 * MEBIBYTE;
    const { writer, sharing } = writing({ maxBytes: 2 * MEBIBYTE });
    const onEnd = () => writer.finish();
    const { join } = shared(flowing(bytes).source, {
      ...sharing,
      onEnd,
      windowBytes: 256 * KIBIBYTE,
      maxHoldMs: 60_000,
    });
    const [slow, fast] = [join(), join()];
    let received = 0;
    fast.on('data', (chunk: Buffer) => {
      received += chunk.length;
    });
    await until(() => !writer.isGrowing, 'the body is not too large');
    assert.deepEqual(await whole(slow), pattern(0, bytes));
    await until(() => received === bytes, 'the other one does not get it all');
  });

  test('that can go nowhere hold the others for a bounded time, and are broken off then', async () => {
    const bytes = 4 * MEBIBYTE;
    const { join, budget } = shared(flowing(bytes).source, { windowBytes: 256 * KIBIBYTE, maxHoldMs: 100 });
    const [slow, fast] = [join(), join()];
    assert.deepEqual(await take(slow, 10), pattern(0, 10));
    const began = performance.now();
    assert.deepEqual(await whole(fast), pattern(0, bytes));
    assert.ok(performance.now() - began >= 90, 'nobody was waited for');
    await assert.rejects(whole(slow), BrokenBodyError);
    assert.equal(budget.usedBytes, 0);
  });

  test('that are held back for a moment only lose nothing', async () => {
    const bytes = 4 * MEBIBYTE;
    const { join } = shared(flowing(bytes).source, { windowBytes: 256 * KIBIBYTE, maxHoldMs: 60_000 });
    const [slow, fast] = [join(), join()];
    const all = whole(fast);
    await delay(60);
    const taken: Buffer[] = [];
    for await (const chunk of slow) {
      taken.push(chunk);
      if (taken.length % 16 === 0) await delay(1);
    }
    assert.deepEqual(Buffer.concat(taken), pattern(0, bytes));
    assert.deepEqual(await all, pattern(0, bytes));
  });

  test('are not charged for the time when nobody waits for them', async () => {
    const source = new FedSource();
    const { join } = shared(source, { windowBytes: 100 * KIBIBYTE, maxHoldMs: 50 });
    const [slow, fast] = [join(), join()];
    slow.read(0);
    fast.read(0);
    for (let i = 0; i < 4; i++) {
      source.feed(64 * KIBIBYTE);
      await turn();
    }
    // both are full by now; neither reads
    await delay(150);
    assert.ok(!slow.destroyed && !fast.destroyed);
    const all = [slow, fast].map(whole);
    source.finish();
    assert.deepEqual(await Promise.all(all), [pattern(0, source.fed), pattern(0, source.fed)]);
  });

  test('are served when there is no memory for a window, though late ones are not', async () => {
    const budget = new BufferBudget(10);
    const { body, join } = shared(flowing(4 * MEBIBYTE).source, { budget });
    const reader = join();
    assert.deepEqual(await take(reader, MEBIBYTE), pattern(0, MEBIBYTE));
    assert.equal(body.join(), undefined);
    assert.deepEqual(await whole(reader), pattern(MEBIBYTE, 4 * MEBIBYTE));
    assert.equal(budget.usedBytes, 0);
  });

  test('can not come too late: the beginning is gone', async () => {
    const { body, join } = shared(flowing(8 * MEBIBYTE).source, { windowBytes: MEBIBYTE });
    const reader = join();
    await take(reader, 4 * MEBIBYTE);
    assert.equal(body.join(), undefined);
    const start = body.receivedBytes - 1000;
    const late = join(start);
    reader.resume();
    assert.deepEqual(await whole(late), pattern(start, 8 * MEBIBYTE));
  });

  test('may come after the end as long as it is being stored, and not after that', async () => {
    const stored = deferred();
    const { body, join, budget } = shared(flowing(1000).source, { onEnd: () => stored.promise });
    await whole(join());
    assert.deepEqual(await whole(join()), pattern(0, 1000));
    assert.ok(budget.usedBytes > 0);
    stored.resolve();
    await body.over;
    assert.equal(body.join(), undefined);
    assert.equal(budget.usedBytes, 0);
  });
});

describe('when readers leave', () => {
  test('the others go on', async () => {
    const source = new FedSource();
    const { join } = shared(source);
    const [first, second] = [join(), join()];
    source.feed(10);
    await take(first, 10);
    first.destroy();
    source.feed(10);
    source.finish();
    assert.deepEqual(await whole(second), pattern(0, 20));
  });

  test('and nobody remains, the source is let go, and that is no good end', async () => {
    const { source, given } = flowing(100 * MEBIBYTE);
    const ends: (Error | undefined)[] = [];
    const onEnd = (failure: Error | undefined) => {
      ends.push(failure);
      return undefined;
    };
    const { body, join, budget } = shared(source, { onEnd });
    const reader = join();
    await take(reader, 1000);
    reader.destroy();
    await body.over;
    assert.ok(source.destroyed);
    assert.ok(given() < MEBIBYTE);
    assert.ok(ends.length === 1 && ends[0] instanceof BrokenBodyError);
    assert.equal(body.join(), undefined);
    assert.equal(budget.usedBytes, 0);
  });

  test('having got the range they wanted, the source is let go as well', async () => {
    const { source } = flowing(100 * MEBIBYTE);
    const { body, join } = shared(source);
    assert.deepEqual(await whole(join(10, 20)), pattern(10, 20));
    await body.over;
    assert.ok(source.destroyed);
  });

  test('it is read to its end for the store, and can still be joined', async () => {
    const bytes = 8 * MEBIBYTE;
    const { writer, sharing } = writing();
    let written: unknown;
    const onEnd = async (failure: Error | undefined) => {
      written = failure ?? (await writer.finish());
    };
    const filling = { keepFilling: () => writer.isGrowing, backlog: () => writer.backlog() };
    const { body, join } = shared(flowing(bytes).source, { ...sharing, ...filling, onEnd });
    const reader = join();
    await take(reader, 1000);
    reader.destroy();
    await turn();
    const late = join();
    await take(late, 1000);
    late.destroy();
    await body.over;
    assert.equal(writer.storedBytes, bytes, String(written));
    assert.deepEqual(await whole(writer.read(0, bytes)), pattern(0, bytes));
  });

  test('it is read on only as long as that is of use', async () => {
    const { source, given } = flowing(100 * MEBIBYTE);
    const { body, join } = shared(source, { keepFilling: (bytes) => bytes < 3 * MEBIBYTE });
    const reader = join();
    await take(reader, 1000);
    reader.destroy();
    await body.over;
    assert.ok(source.destroyed);
    assert.ok(given() <= 3 * MEBIBYTE + 256 * KIBIBYTE, `${given()} bytes`);
  });

  test('it is read on only for so long', async () => {
    const source = new FedSource();
    const { body, join } = shared(source, { keepFilling: () => true, maxFillMs: 50 });
    join().destroy();
    const again = join();
    await delay(100);
    assert.ok(!source.destroyed, 'somebody had joined');
    again.destroy();
    await until(() => source.destroyed, 'the source is still read');
    await body.over;
  });
});

describe('without readers', () => {
  test('a body is filled when that is asked for', async () => {
    const { writer, sharing } = writing();
    const filling = { keepFilling: () => writer.isGrowing, backlog: () => writer.backlog() };
    const { body } = shared(flowing(40 * MEBIBYTE, 64 * KIBIBYTE).source, {
      ...sharing,
      ...filling,
      onEnd: () => writer.finish(),
    });
    body.fill();
    await body.over;
    assert.equal(writer.storedBytes, 40 * MEBIBYTE);
  });

  test('no source is left hanging', async () => {
    const unwanted = flowing(1000);
    const { body } = shared(unwanted.source);
    const wanted = flowing(1000);
    const kept = shared(wanted.source, { keepFilling: () => true });
    await until(() => unwanted.source.destroyed && wanted.source.destroyed, 'a source is left hanging');
    await Promise.all([body.over, kept.body.over]);
    assert.ok(unwanted.source.destroyed);
    assert.equal(kept.body.receivedBytes, 1000);
  });
});

describe('when the source breaks', () => {
  async function broken(breaking: (source: FedSource) => void, expectedBytes?: number) {
    const source = new FedSource();
    const failures: (Error | undefined)[] = [];
    const onEnd = (failure: Error | undefined) => {
      failures.push(failure);
      return undefined;
    };
    const { body, join, budget } = shared(source, { onEnd, expectedBytes });
    const readers = [join(), join(), join(3, 8), join(50)];
    source.feed(20);
    const results = readers.map((reader) =>
      whole(reader).then(
        () => 'well',
        (error: Error) => error.message,
      ),
    );
    await turn();
    breaking(source);
    await body.over;
    assert.equal(failures.length, 1);
    assert.ok(failures[0] instanceof Error);
    assert.equal(body.join(), undefined);
    assert.equal(budget.usedBytes, 0);
    assert.ok(source.destroyed);
    return Promise.all(results);
  }

  test('no reader comes to a good end, but one that has all it wanted', async () => {
    const results = await broken((source) => source.destroy(new Error('reset')));
    assert.deepEqual(results, ['reset', 'reset', 'well', 'reset']);
  });

  test('closing early is breaking', async () => {
    const [first = ''] = await broken((source) => source.destroy());
    assert.match(first, /broke off/);
  });

  test('ending before the announced end is breaking', async () => {
    const [first = ''] = await broken((source) => source.finish(), 21);
    assert.match(first, /20 of the 21 bytes/);
  });

  test('not ending at the announced end is breaking, before a byte too many is passed on', async () => {
    const [first = ''] = await broken((source) => source.feed(2), 21);
    assert.match(first, /more than the 21 bytes/);
  });

  test('a body that is broken already can not be joined', async () => {
    const source = new FedSource();
    source.destroy();
    const { body } = shared(source);
    await body.over;
    assert.equal(body.join(), undefined);
  });

  test('while nobody listens to a reader yet, nothing else breaks', async () => {
    const source = new FedSource();
    const { join } = shared(source);
    const reader = join();
    source.destroy(new Error('reset'));
    await delay(5);
    assert.equal(reader.errored?.message, 'reset');
  });

  test('or a segment of its beginning is lost, who needs that is broken off, and nobody else', async () => {
    const bytes = 4 * MEBIBYTE;
    const { store, sharing } = writing();
    const { join } = shared(flowing(bytes).source, { ...sharing, windowBytes: 256 * KIBIBYTE });
    const [slow, fast] = [join(), join()];
    slow.read(0);
    assert.deepEqual(await whole(fast), pattern(0, bytes));
    const set = store.operations.filter(({ name }) => name === 'set')[20];
    assert.ok(await store.delete(set?.keys[0] ?? ''));
    await assert.rejects(whole(slow), LostSegmentError);
  });
});

describe('over a memcached', () => {
  for (const isKilled of [false, true]) {
    test(`readers of all paces get nothing wrong${isKilled ? ', though it is killed in the middle' : ''}`, async () => {
      const memcached = await startMemcached();
      const store = openStore({ memcached: { servers: [{ address: memcached.address }], timeoutMs: 5000 } });
      try {
        const bytes = 12 * MEBIBYTE;
        const budget = new BufferBudget();
        const writer = new SegmentWriter(store, {
          inlineBytes: 0,
          ttlSeconds: 9,
          budget,
          segmentBytes: 128 * KIBIBYTE,
        });
        let written: unknown;
        const { body, join } = shared(flowing(bytes).source, {
          budget,
          windowBytes: 256 * KIBIBYTE,
          expectedBytes: bytes,
          maxHoldMs: isKilled ? 200 : 60_000,
          tap: (chunk) => {
            writer.write(chunk);
            if (isKilled && body.receivedBytes === bytes / 2) void memcached.kill();
          },
          beginning: writer,
          onEnd: async () => {
            written = await writer.finish();
          },
        });
        const readers = [0, 1, 3, 40].map(async (pauseEvery) => {
          const chunks: Buffer[] = [];
          try {
            for await (const chunk of join()) {
              chunks.push(chunk);
              if (pauseEvery > 0 && chunks.length % pauseEvery === 0) await delay(1);
            }
            return { isWhole: true, received: Buffer.concat(chunks) };
          } catch {
            return { isWhole: false, received: Buffer.concat(chunks) };
          }
        });
        const results = await Promise.all(readers);
        for (const { isWhole, received } of results) {
          assert.ok(received.equals(pattern(0, received.length)), 'wrong bytes');
          assert.equal(isWhole, received.length === bytes);
        }
        assert.ok(results[0]?.isWhole, 'the fastest depends on nobody');
        await body.over;
        if (isKilled) assert.equal(typeof written, 'string');
        else assert.ok(results.every(({ isWhole }) => isWhole) && writer.storedBytes === bytes);
        await until(() => budget.usedBytes === 0, 'the memory is not given back');
      } finally {
        await store.close();
        await memcached.stop();
      }
    });
  }
});
