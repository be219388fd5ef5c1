import assert from 'node:assert/strict';
import { once } from 'node:events';
import { buffer } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import fc from 'fast-check';
import { BufferBudget } from '../../src/cache/buffer-budget.js';
import { Authenticator } from '../../src/cache/mac.js';
import { MAX_SEGMENTS, type SegmentLayout, segmentKey, segmentValue } from '../../src/cache/segment.js';
import { SegmentWriter, type SegmentWriterOptions } from '../../src/cache/segment-writer.js';
import { LostSegmentError, readSegments, segmentsPresent } from '../../src/cache/segments.js';
import { EmbeddedStore } from '../../src/store/embedded.js';
import { openStore } from '../../src/store/open.js';
import { type Store, StoreError } from '../../src/store/store.js';
import { FailingStore } from '../support/failing-store.js';
import { type Memcached, startMemcached } from '../support/memcached.js';
import { until } from '../support/until.js';

const MEBIBYTE = 1024 * 1024;

/** Bytes of which no two stretches are alike. */
function bytesOf(length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  let state = length + 1;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

function cut(body: Buffer, chunkBytes: number): Buffer[] {
  const chunks = [];
  for (let at = 0; at < body.length; at += chunkBytes) chunks.push(body.subarray(at, at + chunkBytes));
  return chunks;
}

function writerTo(store: Store, options: Partial<SegmentWriterOptions> = {}) {
  const budget = options.budget ?? new BufferBudget();
  const writer = new SegmentWriter(store, { inlineBytes: 0, ttlSeconds: 100, ...options, budget });
  return { writer, budget };
}

/** Writes `body` at the pace of the store, and asserts that it lies in segments afterwards. */
async function stored(store: Store, body: Buffer, options: Partial<SegmentWriterOptions> = {}): Promise<SegmentLayout> {
  const { writer, budget } = writerTo(store, options);
  for (const chunk of cut(body, 64 * 1024)) {
    writer.write(chunk);
    await writer.backlog();
  }
  const written = await writer.finish();
  assert.equal(budget.usedBytes, 0, 'the memory was given back');
  assert.ok(typeof written !== 'string' && written.kind === 'segments', JSON.stringify(written));
  return written.layout;
}

async function read(store: Store, layout: SegmentLayout, start = 0, end = layout.bytes, mac?: Authenticator) {
  return buffer(readSegments(store, layout, start, end, mac));
}

let memcached: Memcached;
let shared: Store;
before(async () => {
  memcached = await startMemcached();
  // a machine that is busy with other tests may need longer than a visitor would wait
  shared = openStore({ memcached: { servers: [{ address: memcached.address }], timeoutMs: 5000 } });
});
after(async () => {
  await shared.close();
  await memcached.stop();
});

const embedded = new EmbeddedStore({ maxBytes: 256 * MEBIBYTE });
const stores: [string, () => Store][] = [
  ['the embedded store', () => embedded],
  ['memcached', () => shared],
];

for (const [name, storeOf] of stores) {
  describe(`a body in ${name}`, () => {
    test('comes out as it went in, whole and in parts, however it was chunked', async () => {
      const store = storeOf();
      const chunks = fc.array(fc.uint8Array({ maxLength: 700 }), { minLength: 1, maxLength: 12 });
      const limits = fc.record({ segmentBytes: fc.integer({ min: 4, max: 900 }), inlineBytes: fc.nat(1500) });
      const property = fc.asyncProperty(
        chunks,
        limits,
        fc.nat(),
        fc.nat(),
        fc.boolean(),
        async (parts, limit, a, b, isSigned) => {
          const authenticator = isSigned ? new Authenticator(['secret']) : undefined;
          const body = Buffer.concat(parts);
          const { writer, budget } = writerTo(store, { ...limit, authenticator, expectedBytes: body.length });
          for (const part of parts) {
            writer.write(part);
            part.fill(0);
            await writer.backlog();
          }
          const written = await writer.finish();
          assert.ok(typeof written !== 'string', `not written: ${JSON.stringify(written)}`);
          if (written.kind === 'inline') {
            assert.ok(body.length <= limit.inlineBytes);
            assert.deepEqual(Buffer.concat(written.pieces), body);
            assert.equal(written.bytes, body.length);
            assert.equal(budget.usedBytes, body.length);
            writer.release();
          } else {
            assert.ok(body.length > limit.inlineBytes, 'what fits into one item is not cut');
            const [start = 0, end = 0] = [a % (body.length + 1), b % (body.length + 1)].sort((x, y) => x - y);
            assert.deepEqual(await read(store, written.layout, start, end, authenticator), body.subarray(start, end));
            assert.deepEqual(await read(store, written.layout, 0, body.length, authenticator), body);
            assert.ok(await segmentsPresent(store, written.layout, 0, body.length, 100));
            assert.equal(writer.storedBytes, body.length);
          }
          assert.equal(budget.usedBytes, 0);
        },
      );
      await fc.assert(property, { numRuns: 60 });
    });

    test('of many mebibytes fits into items of the default size', async () => {
      const store = storeOf();
      const body = bytesOf(9 * MEBIBYTE + 12_345);
      const layout = await stored(store, body, { inlineBytes: store.maxItemBytes - 500 });
      assert.equal(Math.ceil(layout.bytes / layout.segmentBytes), 10);
      assert.ok((await read(store, layout)).equals(body));
      const part = [3 * MEBIBYTE - 5, 4 * MEBIBYTE + 5] as const;
      assert.ok((await read(store, layout, ...part)).equals(body.subarray(...part)));
    });

    test('breaks off at a segment that is lost, and is known to', async () => {
      const store = storeOf();
      const body = bytesOf(5000);
      const layout = await stored(store, body, { segmentBytes: 1000 });
      assert.ok(await segmentsPresent(store, layout, 0, 5000, 100));
      await store.delete(segmentKey(layout.id, 2));
      assert.equal(await segmentsPresent(store, layout, 0, 5000, 100), false);
      assert.equal(await segmentsPresent(store, layout, 3000, 5000, 100), true, 'only what is asked for matters');
      assert.equal(await segmentsPresent(store, layout, 0, 2000, 100), true);
      assert.equal(await segmentsPresent(store, layout, 0, 2001, 100), false);

      const received: Buffer[] = [];
      const stream = readSegments(store, layout, 0, 5000).on('data', (chunk: Buffer) => received.push(chunk));
      const [error] = await once(stream, 'error');
      assert.ok(error instanceof LostSegmentError && error.message.endsWith('lost'));
      assert.ok(Buffer.concat(received).equals(body.subarray(0, 2000)), 'what came before it was right');
      assert.deepEqual(await read(store, layout, 3000, 4500), body.subarray(3000, 4500));
    });

    test('breaks off at a segment that is not its own', async () => {
      const store = storeOf();
      const layout = await stored(store, bytesOf(5000), { segmentBytes: 1000 });
      const other = await stored(store, bytesOf(4000), { segmentBytes: 1000 });
      const itemOf = async (index: number, of = layout) =>
        (await store.get(segmentKey(of.id, index)))?.value ?? Buffer.of();
      const right = Buffer.from(await itemOf(2));
      const foreign: [string, Buffer][] = [
        ['another segment of it', Buffer.from(await itemOf(3))],
        ['a segment of another body', Buffer.from(await itemOf(2, other))],
        ['a shorter one', Buffer.concat(segmentValue(layout.id, 2, [bytesOf(999)], undefined))],
        ['a truncated one', right.subarray(0, -1)],
        ['a longer one', Buffer.concat([right, right])],
        ['something else', Buffer.from('VALUE x 0 5\r\n')],
        ['nothing', Buffer.of()],
      ];
      for (const [what, value] of foreign) {
        await store.set(segmentKey(layout.id, 2), value);
        await assert.rejects(
          read(store, layout),
          (error) => error instanceof LostSegmentError && error.message.endsWith('not the segment'),
          what,
        );
      }
      await store.set(segmentKey(layout.id, 2), right);
      assert.deepEqual(await read(store, layout), bytesOf(5000));
    });

    test('outlives its time to live when it is looked at, and its entry in any case', async () => {
      const store = storeOf();
      const layout = await stored(store, bytesOf(2000), { segmentBytes: 1000, ttlSeconds: 50 });
      const ttlOf = async (index: number) => (await store.get(segmentKey(layout.id, index)))?.ttlSeconds ?? 0;
      assert.ok((await ttlOf(0)) > 50);
      await segmentsPresent(store, layout, 0, 500, 1000);
      assert.ok((await ttlOf(0)) > 900);
      assert.ok((await ttlOf(1)) < 900, 'the other one was not asked for');
      const lasting = await stored(store, bytesOf(10), { segmentBytes: 1000, ttlSeconds: 0 });
      assert.equal((await store.get(segmentKey(lasting.id, 0)))?.ttlSeconds, undefined);
    });

    test('that is abandoned is deleted, but not while somebody reads it', async () => {
      const store = storeOf();
      const watched = new FailingStore(store);
      const { writer } = writerTo(watched, { segmentBytes: 1000 });
      const body = bytesOf(3500);
      writer.write(body);
      await until(() => writer.storedBytes === 3000, 'the first segments are not stored');
      const reader = writer.read(500, 3000);
      const keys = watched.operations.flatMap((operation) => operation.keys);
      writer.abandon();
      writer.abandon();
      assert.deepEqual(await buffer(reader), body.subarray(500, 3000));
      assert.equal(keys.length, 3);
      await until(() => lacks(store, keys), 'the segments are still there');
      assert.equal(writer.storedBytes, 0);
    });

    test('can be taken back after it was stored', async () => {
      const store = storeOf();
      const { writer } = writerTo(store, { segmentBytes: 1000 });
      writer.write(bytesOf(2500));
      const written = await writer.finish();
      assert.ok(typeof written !== 'string' && written.kind === 'segments');
      const keys = [0, 1, 2].map((index) => segmentKey(written.layout.id, index));
      assert.equal(await lacks(store, keys), false);
      writer.abandon();
      await until(() => lacks(store, keys), 'the segments are still there');
    });
  });
}

async function lacks(store: Store, keys: readonly string[]): Promise<boolean> {
  return (await store.getMany(keys)).size === 0;
}

describe('the writer', () => {
  /** A store whose sets wait until they are let go. */
  function slowStore() {
    const store = new FailingStore(embedded);
    const sets: { readonly key: string; done(error?: Error): void }[] = [];
    store.before = ({ name, keys: [key = ''] }) => {
      if (name !== 'set') return undefined;
      return new Promise<void>((resolve, reject) => {
        sets.push({ key, done: (error) => (error === undefined ? resolve() : reject(error)) });
      });
    };
    return { store, sets };
  }

  test('hands a body back that fits into one item, and touches nothing', async () => {
    const { store, sets } = slowStore();
    const { writer, budget } = writerTo(store, { inlineBytes: 1000, segmentBytes: 1000 });
    for (const chunk of cut(bytesOf(1000), 7)) writer.write(chunk);
    const written = await writer.finish();
    assert.ok(typeof written !== 'string' && written.kind === 'inline');
    assert.deepEqual(Buffer.concat(written.pieces), bytesOf(1000));
    assert.equal(sets.length, 0);
    assert.equal(budget.usedBytes, 1000);
    writer.release();
    assert.equal(budget.usedBytes, 0);
    const empty = await writerTo(store).writer.finish();
    assert.deepEqual(empty, { kind: 'inline', pieces: [], bytes: 0 });
  });

  test('has a bounded number of segments on their way, and stores them while the body streams', async () => {
    const { store, sets } = slowStore();
    const { writer, budget } = writerTo(store, { segmentBytes: 1000, maxInFlight: 3 });
    writer.write(bytesOf(4999));
    assert.equal(sets.length, 3);
    sets[1]?.done();
    await until(() => sets.length === 4, 'the fourth does not follow');
    assert.equal(writer.storedBytes, 0, 'a gap is not stored');
    assert.equal(budget.usedBytes, 3999);
    sets[0]?.done();
    await until(() => writer.storedBytes === 2000, 'the gap is closed');
    const finished = writer.finish();
    assert.equal(sets.length, 5);
    for (const { done } of sets) done();
    assert.notEqual(typeof (await finished), 'string');
    assert.equal(writer.storedBytes, 4999);
    assert.equal(budget.usedBytes, 0);
  });

  test('gives up when the store falls behind, and holds a bounded number of bytes until then', async () => {
    const { store, sets } = slowStore();
    const { writer, budget } = writerTo(store, { segmentBytes: 1000 });
    let most = 0;
    for (const chunk of cut(bytesOf(60_000), 900)) {
      writer.write(chunk);
      most = Math.max(most, budget.usedBytes);
    }
    assert.ok(!writer.isGrowing);
    assert.ok(most < 20_000, `${most} bytes`);
    assert.equal(budget.usedBytes, 2000, 'what is on its way can not be taken back');
    assert.equal(await writer.finish(), 'busy');
    for (const { done } of sets) done();
    await until(() => budget.usedBytes === 0, 'the memory is not given back');
    await until(
      () =>
        lacks(
          embedded,
          sets.map(({ key }) => key),
        ),
      'the segments are still there',
    );
  });

  test('tells who can wait for how long', async () => {
    const { store, sets } = slowStore();
    const { writer } = writerTo(store, { segmentBytes: 1000 });
    assert.equal(writer.backlog(), undefined);
    writer.write(bytesOf(12_000));
    const backlog = writer.backlog();
    assert.ok(backlog !== undefined);
    sets[0]?.done();
    sets[1]?.done();
    await backlog;
    assert.ok(writer.isGrowing);
    writer.abandon();
    for (const { done } of sets) done();
  });

  test('does not leave who waits waiting when the store fails', async () => {
    const { store, sets } = slowStore();
    const { writer, budget } = writerTo(store, { segmentBytes: 1000 });
    writer.write(bytesOf(12_000));
    const backlog = writer.backlog();
    const finished = writer.finish();
    sets[0]?.done(new StoreError('timeout', 'too late'));
    sets[1]?.done();
    await backlog;
    assert.equal(await finished, 'timeout');
    assert.equal(sets.length, 2, 'nothing more is sent to a store that fails');
    assert.equal(budget.usedBytes, 0);
    await until(
      () =>
        lacks(
          embedded,
          sets.map(({ key }) => key),
        ),
      'the segments are still there',
    );
  });

  test('keeps within the budget of all bodies', async () => {
    const budget = new BufferBudget(2500);
    const { store, sets } = slowStore();
    const { writer } = writerTo(store, { segmentBytes: 1000, budget });
    writer.write(bytesOf(2000));
    writer.write(bytesOf(501));
    assert.ok(!writer.isGrowing);
    for (const { done } of sets) done();
    assert.equal(await writer.finish(), 'memory');
    await until(() => budget.usedBytes === 0, 'the memory is not given back');
  });

  test('refuses a body above the maximum: when it is announced, or when it has come that far', async () => {
    const { store, sets } = slowStore();
    const announced = writerTo(store, { maxBytes: 5000, expectedBytes: 5001 });
    assert.ok(!announced.writer.isGrowing);
    announced.writer.write(bytesOf(10));
    assert.equal(announced.budget.usedBytes, 0);
    assert.equal(await announced.writer.finish(), 'above-maxsize');

    const { writer, budget } = writerTo(embedded, { maxBytes: 5000, segmentBytes: 1000 });
    writer.write(bytesOf(5000));
    assert.ok(writer.isGrowing);
    writer.write(bytesOf(1));
    assert.equal(await writer.finish(), 'above-maxsize');
    await until(() => budget.usedBytes === 0, 'the memory is not given back');
    assert.equal(sets.length, 0);

    const tooMany = writerTo(store, { segmentBytes: 1, expectedBytes: MAX_SEGMENTS + 1 });
    assert.equal(await tooMany.writer.finish(), 'above-maxsize');
  });

  test('takes no body that is not as long as was announced', async () => {
    for (const expectedBytes of [2999, 3001, 0]) {
      const { writer, budget } = writerTo(embedded, { segmentBytes: 1000, expectedBytes });
      writer.write(bytesOf(3000));
      assert.equal(await writer.finish(), 'incomplete');
      await until(() => budget.usedBytes === 0, 'the memory is not given back');
    }
    const { writer } = writerTo(embedded, { inlineBytes: 5000, expectedBytes: 2999 });
    writer.write(bytesOf(3000));
    assert.equal(await writer.finish(), 'incomplete');
  });
});

describe('reading', () => {
  test('fetches only what a range needs', async () => {
    const layout = await stored(embedded, bytesOf(100_000), { segmentBytes: 1000 });
    const store = new FailingStore(embedded);
    assert.deepEqual(await read(store, layout, 41_500, 43_500), bytesOf(100_000).subarray(41_500, 43_500));
    assert.equal(store.operations.length, 3);
    assert.deepEqual(await read(store, layout, 500, 500), Buffer.of());
    assert.equal(store.operations.length, 3);
  });

  test('is at most one segment ahead of the reader, and ends with it', async () => {
    const layout = await stored(embedded, bytesOf(100_000), { segmentBytes: 1000 });
    const store = new FailingStore(embedded);
    const stream = readSegments(store, layout, 0, 100_000);
    let taken = 0;
    for await (const chunk of stream) {
      assert.equal(chunk.length, 1000);
      await delay(2);
      assert.ok(store.operations.length <= ++taken + 1, `${store.operations.length} segments for ${taken}`);
      if (taken === 10) break;
    }
    await delay(10);
    assert.ok(stream.destroyed);
    assert.ok(store.operations.length <= 11);
  });

  test('fails with the store, and looking does', async () => {
    const layout = await stored(embedded, bytesOf(5000), { segmentBytes: 1000 });
    const store = new FailingStore(embedded);
    store.fails = () => 'timeout';
    await assert.rejects(read(store, layout), StoreError);
    await assert.rejects(segmentsPresent(store, layout, 0, 5000, 10), StoreError);
    assert.throws(() => readSegments(embedded, layout, 0, 5001), RangeError);
  });

  test('looks at a bounded number of segments at a time', async () => {
    const layout = await stored(embedded, bytesOf(100_000), { segmentBytes: 1000 });
    const store = new FailingStore(embedded);
    let [now, most] = [0, 0];
    store.before = async () => {
      most = Math.max(most, ++now);
      await delay(1);
      now--;
    };
    assert.ok(await segmentsPresent(store, layout, 0, 100_000, 10));
    assert.equal(store.operations.length, 100);
    assert.ok(most <= 16, `${most} at a time`);
  });
});

describe('with a memcached that goes away', () => {
  const AWAY = new Set(['connection', 'timeout', 'breaker-open']);
  let mortal: Memcached;
  let store: Store;
  before(async () => {
    mortal = await startMemcached();
    store = openStore({ memcached: { servers: [{ address: mortal.address }], timeoutMs: 300 } });
  });
  after(async () => {
    await store.close();
    await mortal.stop();
  });

  test('a reader is told of what was flushed in the middle', async () => {
    const layout = await stored(store, bytesOf(5000), { segmentBytes: 1000 });
    const stream = readSegments(store, layout, 0, 5000);
    const chunks = stream[Symbol.asyncIterator]();
    assert.equal((await chunks.next()).value.length, 1000);
    await mortal.restart();
    await assert.rejects(async () => {
      for (;;) assert.ok(!(await chunks.next()).done, 'the body ends well, and early');
    });
  });

  test('a writer gives up when it hangs, within its deadline, and nobody waits', async () => {
    const { writer, budget } = writerTo(store, { segmentBytes: 1000 });
    mortal.pause();
    for (const chunk of cut(bytesOf(5000), 100)) writer.write(chunk);
    assert.ok(AWAY.has(String(await writer.finish())));
    mortal.resume();
    await until(() => budget.usedBytes === 0, 'the memory is not given back');
  });

  test('a writer and a reader fail when it is killed', async () => {
    let layout: SegmentLayout | undefined;
    // the breaker may still be open after the test before
    await until(async () => {
      const { writer } = writerTo(store, { segmentBytes: 1000 });
      writer.write(bytesOf(5000));
      const written = await writer.finish();
      layout = typeof written !== 'string' && written.kind === 'segments' ? written.layout : undefined;
      return layout !== undefined;
    }, 'the store does not come back');
    assert.ok(layout !== undefined);
    const stream = readSegments(store, layout, 0, 5000);
    const chunks = stream[Symbol.asyncIterator]();
    assert.equal((await chunks.next()).value.length, 1000);
    const { writer, budget } = writerTo(store, { segmentBytes: 1000 });
    writer.write(bytesOf(2500));
    await until(() => writer.storedBytes === 2000, 'nothing is stored');
    await mortal.kill();
    await assert.rejects(async () => {
      for (;;) assert.ok(!(await chunks.next()).done, 'the body ends well, and early');
    }, StoreError);
    writer.write(bytesOf(2500));
    assert.ok(AWAY.has(String(await writer.finish())));
    assert.equal(budget.usedBytes, 0);
  });
});
