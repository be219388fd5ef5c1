import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay, setImmediate as turn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { MessageDecoder } from '../../src/distcache/decoder.js';
import { MemoryCache } from '../../src/distcache/memory-cache.js';
import { addPayload } from '../../src/distcache/payload.js';
import { DistcacheServer } from '../../src/distcache/server.js';
import { encodeMessage } from '../../src/distcache/wire.js';
import { bytesOf, CAPTURES, type Capture, SEQUENCE } from './captures.js';
import { Command, temporaryDirectory } from './command.js';
import { Loopback, Peer } from './peer.js';
import { mutation, pieces, Random } from './random.js';

/** Sessions that a capture finds when it begins. */
type Sessions = readonly { readonly id: Buffer; readonly data: Buffer; readonly timeoutMs: number }[];

/** Remembers what is in it. */
class RecordingCache extends MemoryCache {
  readonly sessions = new Map<string, { id: Buffer; data: Buffer; timeoutMs: number }>();

  /** Small: there is one for every run. */
  constructor() {
    super(512, 1024 * 1024);
  }

  override add(id: Buffer, data: Buffer, timeoutMs: number, now: number): boolean {
    const isAdded = super.add(id, data, timeoutMs, now);
    const session = { id: Buffer.from(id), data: Buffer.from(data), timeoutMs };
    if (isAdded) this.sessions.set(id.toString('hex'), session);
    return isAdded;
  }

  override remove(id: Buffer, now: number): boolean {
    this.sessions.delete(id.toString('hex'));
    return super.remove(id, now);
  }
}

/** A capture sent to a server of its own, which holds `sessions`; the bytes go in the pieces that `cut` makes of them. */
class Replay {
  readonly #stream = new Loopback();
  readonly #capture: Capture;
  readonly cache = new RecordingCache();
  #now = 0;

  constructor(capture: Capture, sessions: Sessions) {
    this.#capture = capture;
    for (const { id, data, timeoutMs } of sessions) this.cache.add(id, data, timeoutMs, 0);
    new DistcacheServer({ cache: this.cache, now: () => this.#now }).serve(this.#stream);
  }

  /** To be called a turn of the event loop later, when the server reads. */
  run(cut: (bytes: Buffer, from: number) => readonly Buffer[]): void {
    let sent = 0;
    for (const step of this.#capture.steps) {
      if (step.kind === 'wait') this.#now += step.ms;
      if (step.kind !== 'send') continue;
      for (const piece of cut(step.bytes, sent)) if (piece.length > 0) this.#stream.push(piece);
      sent += step.bytes.length;
    }
  }

  /** The answers are those of the capture. */
  async check(what: string): Promise<void> {
    const expected = bytesOf(this.#capture, 'expect');
    const deadline = performance.now() + 1000;
    while (this.#written.length < expected.length && performance.now() < deadline) await delay(1);
    if (!this.#written.equals(expected)) assert.equal(this.#written.toString('hex'), expected.toString('hex'), what);
    assert.equal(this.#stream.writableEnded, this.#capture.isClosed, what);
    this.#stream.destroy();
  }

  get #written(): Buffer {
    return Buffer.concat(this.#stream.written);
  }
}

const sessionsBefore = new Map<Capture, Sessions>();

before(async () => {
  let sessions: Sessions = [];
  for (const capture of SEQUENCE) {
    sessionsBefore.set(capture, sessions);
    const replay = new Replay(capture, sessions);
    await turn();
    replay.run((bytes) => [bytes]);
    await replay.check(capture.name);
    sessions = [...replay.cache.sessions.values()];
  }
});

async function replayed(capture: Capture, count: number, cut: (run: number) => Parameters<Replay['run']>[0]) {
  const atOnce = 200;
  for (let first = 0; first < count; first += atOnce) {
    const runs = Array.from({ length: Math.min(atOnce, count - first) }, () => {
      return new Replay(capture, sessionsBefore.get(capture) ?? []);
    });
    await turn();
    for (const [i, replay] of runs.entries()) replay.run(cut(first + i));
    for (const [i, replay] of runs.entries()) await replay.check(`${capture.name}, run ${first + i}`);
  }
}

describe('every capture is answered the same', () => {
  for (const capture of CAPTURES) {
    const length = bytesOf(capture, 'send').length;
    test(`${capture.name} in two parts, wherever it is cut`, async () => {
      await replayed(capture, length + 1, (place) => (bytes, from) => [
        bytes.subarray(0, Math.max(0, place - from)),
        bytes.subarray(Math.max(0, place - from)),
      ]);
    });

    test(`${capture.name} byte by byte`, async () => {
      await replayed(capture, 1, () => (bytes) => Array.from(bytes, (byte) => Buffer.of(byte)));
    });
  }
});

const STREAMS = CAPTURES.map((capture) => bytesOf(capture, 'send'));
const SHORT_STREAMS = STREAMS.filter(({ length }) => length < 3000);
const MUTATIONS = 100_000;
const SEED = 0x11;

function randomMutation(random: Random): Buffer {
  // the long ones hold little but data
  const stream = random.pick(random.below(50) === 0 ? STREAMS : SHORT_STREAMS);
  return mutation(stream, random.pick(SHORT_STREAMS), random);
}

const ID = Buffer.from('a good client');
const ADD = addPayload(ID, Buffer.from('its session'), 60_000);

function usedBytes(): number {
  setFlagsFromString('--expose_gc');
  runInNewContext('gc')();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

test(`a server takes ${MUTATIONS} damaged streams, serves a good client after each hundred, and does not grow`, async () => {
  const random = new Random(SEED);
  const server = new DistcacheServer({ cache: new MemoryCache(64) });
  let usedBefore = 0;
  for (let done = 0; done < MUTATIONS; done += 100) {
    const streams = Array.from({ length: 101 }, () => new Loopback());
    for (const stream of streams) server.serve(stream);
    await turn();
    for (const stream of streams.slice(1)) {
      for (const piece of pieces(randomMutation(random), random)) stream.push(piece);
      if (random.below(2) === 0) stream.push(null);
    }
    const [good] = streams;
    assert.ok(good);
    for (const [uid, operation, payload] of [
      [1, 'remove', ID],
      [2, 'add', ADD],
      [3, 'get', ID],
    ] as const) {
      good.push(encodeMessage('request', { uid, operation, payload }));
    }
    assert.deepEqual(responsesIn(good).slice(1), [
      { uid: 2, operation: 'add', payload: Buffer.of(0) },
      { uid: 3, operation: 'get', payload: Buffer.from('its session') },
    ]);
    await turn();
    for (const stream of streams) {
      responsesIn(stream);
      stream.destroy();
    }
    if (done === 10_000) usedBefore = usedBytes();
  }
  await turn();
  assert.equal((await server.metrics()).connections, 0);
  assert.ok(server.counters.faults_total > MUTATIONS / 10, 'most damages are noticed');
  const grownBytes = usedBytes() - usedBefore;
  assert.ok(grownBytes < 16 * 1024 * 1024, `grown by ${grownBytes} bytes`);
});

/** All that was answered, which is nothing but whole responses, or those whose frames are still on their way. */
function responsesIn(stream: Loopback) {
  const decoder = new MessageDecoder('response');
  const responses = [];
  for (const bytes of stream.written) {
    decoder.push(bytes);
    for (let response = decoder.next(); response !== undefined; response = decoder.next()) responses.push(response);
  }
  return responses;
}

describe('dc_server', () => {
  const path = join(temporaryDirectory(), 'fuzz.sock');
  let server: Command;
  before(async () => {
    server = new Command('dc_server', ['-listen', `UNIX:${path}`]);
    await server.listening(path);
  });
  after(() => server.stop());

  test('stays up and serves a good client among 2000 damaged streams', async () => {
    const random = new Random(SEED + 1);
    for (let done = 0; done < 2000; done += 50) {
      const bad = await Promise.all(Array.from({ length: 50 }, () => Peer.connect({ path })));
      for (const peer of bad) for (const piece of pieces(randomMutation(random), random)) peer.send(piece);
      const good = await Peer.connect({ path });
      await good.ask('remove', ID);
      assert.deepEqual(await good.ask('add', ADD), Buffer.of(0));
      assert.deepEqual(await good.ask('get', ID), Buffer.from('its session'));
      for (const peer of [good, ...bad]) peer.leave();
    }
    assert.equal(server.status, null);
  });
});
