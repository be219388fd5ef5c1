import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MessageDecoder, WireError, type WireFault } from '../../src/distcache/decoder.js';
import {
  encodeMessage,
  isTrapSize,
  MAX_PAYLOAD_BYTES,
  type Message,
  type MessageKind,
  OPERATIONS,
  payloadBytesOf,
  UidSequence,
  wireBytesOf,
} from '../../src/distcache/wire.js';

function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll(' ', ''), 'hex');
}

/** All messages in a stream that comes in `chunks`. */
function decode(kind: MessageKind, chunks: readonly Buffer[]): Message[] {
  const decoder = new MessageDecoder(kind);
  const messages: Message[] = [];
  for (const chunk of chunks) {
    decoder.push(chunk);
    for (let message = decoder.next(); message !== undefined; message = decoder.next()) messages.push(message);
  }
  return messages;
}

function cut(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [...new Set(cuts.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b);
  return [0, ...places].map((from, i) => bytes.subarray(from, places[i] ?? bytes.length));
}

const kind = fc.constantFrom<MessageKind>('request', 'response');
const payload = fc.oneof(
  fc.uint8Array({ maxLength: 100 }),
  fc.tuple(fc.integer({ min: 0, max: MAX_PAYLOAD_BYTES }), fc.nat(255)).map(([n, byte]) => Buffer.alloc(n, byte)),
  fc.tuple(fc.integer({ min: 0, max: 16 }), fc.nat(255)).map(([n, byte]) => Buffer.alloc(n * 2048, byte)),
);
const uid = fc.oneof(fc.constantFrom(0, 1, 0x7fffffff, 0x80000000, 0xffffffff), fc.nat(0xffffffff));
const message = fc
  .tuple(uid, fc.constantFrom(...OPERATIONS), payload)
  .map(([one, operation, bytes]): Message => ({ uid: one, operation, payload: Buffer.from(bytes) }));

test('messages look on the wire as those of the C tools', () => {
  const id = hex('0102030405060708');
  assert.deepEqual(
    encodeMessage('request', { uid: 1, operation: 'get', payload: id }),
    hex('00110000 00 00000001 00 01 01 0008 0102030405060708'),
  );
  assert.deepEqual(
    encodeMessage('response', { uid: 0xffffffff, operation: 'have', payload: hex('02') }),
    hex('00110000 01 ffffffff 00 03 01 0001 02'),
  );
  assert.deepEqual(
    encodeMessage('request', { uid: 9, operation: 'remove', payload: hex('') }),
    hex('00110000 00 00000009 00 02 01 0000'),
  );
});

test('a full last frame has no empty one behind it', () => {
  const twoFrames = encodeMessage('request', { uid: 1, operation: 'add', payload: Buffer.alloc(4096) });
  assert.equal(twoFrames.length, 2 * 2062);
  assert.equal(twoFrames[11], 0);
  assert.equal(twoFrames[2062 + 11], 1);
  assert.equal(encodeMessage('request', { uid: 1, operation: 'add', payload: Buffer.alloc(2049) }).length, 2062 + 15);
});

test('a payload above the limit is not encoded', () => {
  const tooLong = { uid: 1, operation: 'add', payload: Buffer.alloc(MAX_PAYLOAD_BYTES + 1) } as const;
  assert.throws(() => encodeMessage('request', tooLong), RangeError);
});

test('any messages come back, however the stream is cut', () => {
  fc.assert(
    fc.property(kind, fc.array(message, { maxLength: 5 }), fc.array(fc.nat()), (which, messages, cuts) => {
      const bytes = Buffer.concat(messages.map((one) => encodeMessage(which, one)));
      assert.deepEqual(decode(which, cut(bytes, cuts)), messages);
    }),
    { numRuns: 500 },
  );
});

test('any messages come back when the whole stream is pushed before the first is taken', () => {
  fc.assert(
    fc.property(fc.array(message, { maxLength: 5 }), fc.array(fc.nat()), (messages, cuts) => {
      const decoder = new MessageDecoder('response');
      for (const chunk of cut(Buffer.concat(messages.map((one) => encodeMessage('response', one))), cuts)) {
        decoder.push(chunk);
      }
      assert.deepEqual(
        messages.map(() => decoder.next()),
        messages,
      );
      assert.equal(decoder.next(), undefined);
      assert.equal(decoder.hasBytes, false);
    }),
    { numRuns: 200 },
  );
});

test('a damaged stream gives messages within the limits, or the one error, and the same however it is cut', () => {
  const damage = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(
      fc.array(message, { minLength: 1, maxLength: 3 }),
      damage,
      fc.array(fc.nat()),
      (sent, damages, cuts) => {
        const bytes = Buffer.concat(sent.map((one) => encodeMessage('request', one)));
        for (const [place, byte] of damages) bytes[place % bytes.length] = byte;
        const whole = outcomeOf([bytes]);
        for (const { payload: got } of whole.messages) assert.ok(got.length <= MAX_PAYLOAD_BYTES);
        assert.deepEqual(outcomeOf(cut(bytes, cuts)), whole);
      },
    ),
    { numRuns: 500 },
  );
});

function outcomeOf(chunks: readonly Buffer[]): { messages: Message[]; fault: WireFault | undefined } {
  const decoder = new MessageDecoder('request');
  const messages: Message[] = [];
  try {
    for (const chunk of chunks) {
      decoder.push(chunk);
      for (let got = decoder.next(); got !== undefined; got = decoder.next()) messages.push(got);
    }
    return { messages, fault: undefined };
  } catch (error) {
    assert.ok(error instanceof WireError);
    assert.throws(() => decoder.next(), error, 'the decoder does not go on after an error');
    return { messages, fault: error.fault };
  }
}

/** A stream that is wrong in its last byte, and what is wrong. */
const FAULTS: readonly [string, WireFault][] = [
  ['01', 'version'],
  ['47', 'version'],
  ['0010', 'version'],
  ['0012', 'version'],
  ['00110000 01', 'direction'],
  ['00110000 02', 'direction'],
  ['00110000 00 00000001 01', 'class'],
  ['00110000 00 00000001 00 04', 'operation'],
  ['00110000 00 00000001 00 ff', 'operation'],
  ['00110000 00 00000001 00 00 02', 'complete'],
  ['00110000 00 00000001 00 00 01 09', 'length'],
  ['00110000 00 00000001 00 00 01 0801', 'length'],
  ['00110000 00 00000001 00 00 00 07', 'length'],
  ['00110000 00 00000001 00 00 00 0801', 'length'],
];

for (const [bytes, fault] of FAULTS) {
  test(`${bytes} is refused with its last byte: ${fault}`, () => {
    const stream = hex(bytes);
    const decoder = new MessageDecoder('request');
    for (const byte of stream.subarray(0, -1)) {
      decoder.push(Buffer.of(byte));
      assert.equal(decoder.next(), undefined);
    }
    decoder.push(stream.subarray(-1));
    assert.throws(() => decoder.next(), { name: 'WireError', fault });
  });
}

const FIRST_FRAME = Buffer.concat([hex('00110000 00 00000005 00 00 00 0800'), Buffer.alloc(2048, 1)]);

for (const [what, header] of [
  ['another uid', '00110000 00 00000006'],
  ['another operation', '00110000 00 00000005 00 01'],
] as const) {
  test(`a frame of ${what} in the middle of a message is refused`, () => {
    const decoder = new MessageDecoder('request');
    decoder.push(Buffer.concat([FIRST_FRAME, hex(header).subarray(0, -1)]));
    assert.equal(decoder.next(), undefined);
    decoder.push(hex(header).subarray(-1));
    assert.throws(() => decoder.next(), { fault: 'follow-up' });
  });
}

test('a message above 32768 bytes is refused as soon as its length is known', () => {
  const decoder = new MessageDecoder('request');
  for (let frame = 0; frame < 16; frame++) decoder.push(FIRST_FRAME);
  assert.equal(decoder.next(), undefined);
  decoder.push(hex('00110000 00 00000005 00 00 01 0001'));
  assert.throws(() => decoder.next(), { fault: 'total' });
});

test('a newer patch level is as good', () => {
  const [got] = decode('request', [hex('00110007 00 01020304 00 03 01 0002 0102')]);
  assert.deepEqual(got, { uid: 0x01020304, operation: 'have', payload: hex('0102') });
});

/**
 * How the C tools read a burst through a buffer of `bufferBytes`: whether they ever look at a frame of which the last
 * one to four bytes are missing, and take it for complete.
 */
function isMisread(payloadBytes: number, bufferBytes: number): boolean {
  let left = wireBytesOf(payloadBytes);
  let frame = Math.min(left, 2062);
  let inBuffer = Math.min(left, bufferBytes);
  while (left > 0) {
    if (inBuffer < frame && inBuffer >= frame - 4) return true;
    if (inBuffer < frame) inBuffer = Math.min(left, bufferBytes);
    else {
      left -= frame;
      inBuffer -= frame;
      frame = Math.min(left, 2062);
    }
  }
  return false;
}

test('the trap sizes are those that the C tools misread', () => {
  const buffers = [4096, 4176, 16704];
  for (let bytes = 0; bytes <= MAX_PAYLOAD_BYTES; bytes++) {
    assert.equal(
      isTrapSize(bytes),
      buffers.some((size) => isMisread(bytes, size)),
      `${bytes} bytes`,
    );
  }
});

test('the payload of a message follows from its size on the wire', () => {
  for (let bytes = 0; bytes <= MAX_PAYLOAD_BYTES; bytes++) assert.equal(payloadBytesOf(wireBytesOf(bytes)), bytes);
});

test('uids go round after 2^32, and leave out those that are outstanding', () => {
  const uids = new UidSequence(0xfffffffe);
  const outstanding = new Set([0xffffffff, 0, 2]);
  assert.deepEqual([uids.next(outstanding), uids.next(outstanding), uids.next(outstanding)], [0xfffffffe, 1, 3]);
  assert.equal(new UidSequence().next(new Set()), 1);
});
