import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import { setTimeout as delay, setImmediate as turn } from 'node:timers/promises';
import { MessageSender } from '../../src/distcache/sender.js';
import { encodeMessage, isTrapSize } from '../../src/distcache/wire.js';

/** Remembers each write, and when it came. */
class Sink extends Writable {
  readonly writes: Buffer[] = [];
  readonly times: number[] = [];
  isStuck = false;
  #release: () => void = () => {};

  constructor() {
    // the default differs between versions of Node
    super({ highWaterMark: 16 * 1024 });
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.writes.push(chunk);
    this.times.push(performance.now());
    if (this.isStuck) this.#release = done;
    else done();
  }

  release(): void {
    this.isStuck = false;
    this.#release();
  }
}

function message(payloadBytes: number, uid = 1): Buffer {
  return encodeMessage('response', { uid, operation: 'get', payload: Buffer.alloc(payloadBytes, uid) });
}

function open(onReady = () => {}): { sink: Sink; sender: MessageSender } {
  const sink = new Sink();
  return { sink, sender: new MessageSender(sink, onReady) };
}

async function until(isSo: () => boolean): Promise<void> {
  for (let waited = 0; !isSo(); waited++) {
    assert.ok(waited < 2000, 'it never came to that');
    await delay(1);
  }
}

for (const payloadBytes of [0, 1, 2048, 2049, 4068, 4073, 8000, 32_768]) {
  test(`a message of ${payloadBytes} bytes is one write`, () => {
    const { sink, sender } = open();
    sender.send(message(payloadBytes));
    sender.flush();
    assert.deepEqual(sink.writes, [message(payloadBytes)]);
  });
}

for (const payloadBytes of [4069, 4072, 4135, 6120, 16_580]) {
  test(`a message of ${payloadBytes} bytes, a trap size, is a write for each frame, with pauses`, async () => {
    assert.ok(isTrapSize(payloadBytes));
    const { sink, sender } = open();
    sender.send(message(payloadBytes));
    const frames = Math.ceil(payloadBytes / 2048);
    await until(() => sink.writes.length === frames);
    assert.deepEqual(Buffer.concat(sink.writes), message(payloadBytes));
    for (const frame of sink.writes.slice(0, -1)) assert.equal(frame.length, 2062);
    for (const [i, at] of sink.times.slice(1).entries()) assert.ok(at - (sink.times[i] ?? 0) >= 1);
  });
}

test('what is sent behind a message of a trap size waits for its turn, and the end as well', async () => {
  const { sink, sender } = open();
  const sizes = [10, 4069, 20, 5000, 4070, 4071, 30];
  const messages = sizes.map((size, uid) => message(size, uid));
  for (const one of messages) sender.send(one);
  sender.end();
  assert.ok(sender.isFull);
  await until(() => sink.writableFinished);
  assert.deepEqual(Buffer.concat(sink.writes), Buffer.concat(messages));
});

test('short messages of one turn go together, and no more of them than a C peer reads at a time', async () => {
  const { sink, sender } = open();
  for (let uid = 0; uid < 300; uid++) sender.send(message(30, uid & 0xff));
  sender.flushSoon();
  await turn();
  assert.ok(sink.writes.length <= 4, `${sink.writes.length} writes`);
  for (const write of sink.writes) {
    assert.ok(write.length <= 4096);
    assert.equal(write.length % 44, 0, 'no message is in two writes');
  }
});

test('a full stream says so, and when it can take more', async () => {
  let isReady = false;
  const { sink, sender } = open(() => {
    isReady = true;
  });
  sink.isStuck = true;
  sender.send(message(30_000));
  sender.flush();
  assert.ok(sender.isFull);
  sink.release();
  await turn();
  assert.ok(isReady);
  assert.equal(sender.isFull, false);
});

test('nothing is written to a stream that is gone', async () => {
  const { sink, sender } = open();
  sender.send(message(4069));
  sink.destroy();
  sender.send(message(10));
  await delay(20);
  assert.equal(sink.writes.length, 1);
});
