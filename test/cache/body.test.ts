import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Pieces } from '../../src/cache/body.js';

describe('pieces', () => {
  test('are what was added, whatever becomes of it afterwards', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 50 })), (chunks) => {
        const pieces = new Pieces();
        const expected = Buffer.concat(chunks);
        for (const chunk of chunks) {
          pieces.add(chunk);
          chunk.fill(0);
        }
        assert.equal(pieces.bytes, expected.length);
        assert.deepEqual(Buffer.concat(pieces.take()), expected);
        assert.equal(pieces.bytes, 0);
        assert.deepEqual(pieces.take(), []);
      }),
    );
  });

  test('are few, however small the chunks', () => {
    const pieces = new Pieces();
    for (let i = 0; i < 1_000_000; i++) pieces.add(Buffer.of(i & 0xff));
    const taken = pieces.take();
    assert.ok(taken.length < 40, `${taken.length} pieces`);
    const memory = taken.reduce((sum, piece) => sum + piece.buffer.byteLength, 0);
    assert.ok(memory < 1_100_000, `${memory} bytes of memory`);
  });

  test('of one chunk take no more than the chunk', () => {
    const pieces = new Pieces();
    pieces.add(Buffer.alloc(1000));
    assert.deepEqual(
      pieces.take().map((piece) => piece.buffer.byteLength),
      [1000],
    );
  });
});
