import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addPayload, RESULT, readRequest } from '../../src/distcache/payload.js';

function add(timeoutMs: number, idLength: number, rest: number): Buffer {
  const payload = Buffer.alloc(8 + rest, 1);
  payload.writeUInt32BE(timeoutMs, 0);
  payload.writeUInt32BE(idLength, 4);
  return payload;
}

const WEEK = 604_800_000;

/** Which of several faults is answered, in the order of the C server's checks. */
const REFUSED: readonly [string, Buffer, number | undefined][] = [
  ['7 bytes are no ADD', Buffer.alloc(7), undefined],
  ['no bytes are no ADD', Buffer.alloc(0), undefined],
  ['a timeout above seven days comes first', add(WEEK + 1, 0xffffffff, 0), RESULT.addTimeoutRange],
  ['nothing behind the lengths', add(WEEK, 0, 0), RESULT.addCorrupt],
  ['an id without data behind it', add(60_000, 8, 8), RESULT.addCorrupt],
  ['an id length that would be negative', add(60_000, 0xffffffff, 30), RESULT.addCorrupt],
  ['an id of 65 bytes and no data', add(60_000, 65, 65), RESULT.addCorrupt],
  ['an id of 65 bytes', add(60_000, 65, 66), RESULT.addIdRange],
  ['an id of no bytes', add(60_000, 0, 10), RESULT.addIdRange],
];

for (const [what, payload, result] of REFUSED) {
  test(`ADD: ${what}`, () => {
    assert.equal(readRequest({ uid: 1, operation: 'add', payload }), result);
  });
}

test('an ADD says what it was made of', () => {
  for (const [idBytes, dataBytes] of [
    [1, 1],
    [64, 1],
    [1, 32_759],
    [64, 32_696],
  ] as const) {
    const [id, data] = [Buffer.alloc(idBytes, 7), Buffer.alloc(dataBytes, 9)];
    const payload = addPayload(id, data, WEEK);
    assert.deepEqual(readRequest({ uid: 1, operation: 'add', payload }), {
      operation: 'add',
      id,
      data,
      timeoutMs: WEEK,
    });
  }
});

test('what no ADD can carry is not made into one', () => {
  const [id, data] = [Buffer.alloc(8), Buffer.alloc(10)];
  assert.throws(() => addPayload(Buffer.alloc(0), data, 1), RangeError);
  assert.throws(() => addPayload(Buffer.alloc(65), data, 1), RangeError);
  assert.throws(() => addPayload(id, Buffer.alloc(0), 1), RangeError);
  assert.throws(() => addPayload(id, Buffer.alloc(32_753), 1), RangeError);
});

test('the other operations take any id', () => {
  for (const operation of ['get', 'remove', 'have'] as const) {
    for (const bytes of [0, 1, 65, 32_768]) {
      const id = Buffer.alloc(bytes, 1);
      assert.deepEqual(readRequest({ uid: 1, operation, payload: id }), { operation, id });
    }
  }
});
