import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { BLOCK_BYTES, BlockMemory } from '../../src/distcache/block-memory.js';

const BLOCKS = 40;

test('pieces are what was written, whatever else was written and released', () => {
  const operation = fc.record({ isWrite: fc.boolean(), bytes: fc.nat(4 * BLOCK_BYTES), which: fc.nat() });
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 200, size: 'max' }), (operations) => {
      const memory = new BlockMemory(BLOCKS * BLOCK_BYTES + BLOCK_BYTES - 1);
      const pieces: { first: number; head: Buffer; rest: Buffer }[] = [];
      const used = () => pieces.reduce((sum, { head, rest }) => sum + blocksOf(head.length + rest.length), 0);
      for (const { isWrite, bytes, which } of operations) {
        const [head, rest] = [randomBytes(1 + (which % 64)), randomBytes(bytes)];
        const hasRoom = used() + blocksOf(head.length + bytes) <= BLOCKS;
        assert.equal(memory.fits(head.length + bytes), hasRoom);
        if (isWrite && hasRoom) pieces.push({ first: memory.write(head, rest), head, rest });
        else if (pieces.length > 0) memory.release(pieces.splice(which % pieces.length, 1)[0]?.first ?? -1);
        for (const piece of pieces) {
          assert.ok(memory.beginsWith(piece.first, piece.head));
          assert.deepEqual(memory.read(piece.first, piece.head.length, piece.rest.length), piece.rest);
        }
      }
    }),
    { numRuns: 50 },
  );
});

test('a piece is told from others by how it begins', () => {
  const memory = new BlockMemory(10_000);
  const piece = memory.write(Buffer.from('head'), Buffer.from('rest'));
  assert.equal(memory.beginsWith(piece, Buffer.from('hea')), true);
  assert.equal(memory.beginsWith(piece, Buffer.from('heat')), false);
});

test('more blocks than a page has are used', () => {
  const memory = new BlockMemory(2 ** 20);
  const data = randomBytes(32_000);
  const pieces = [];
  while (memory.fits(32_000)) pieces.push(memory.write(Buffer.of(), data));
  assert.equal(pieces.length, Math.floor(4096 / 125));
  for (const piece of pieces) assert.deepEqual(memory.read(piece, 0, 32_000), data);
});

test('a piece of nothing takes a block all the same', () => {
  const memory = new BlockMemory(BLOCK_BYTES);
  assert.equal(memory.fits(0), true);
  memory.write(Buffer.of(), Buffer.of());
  assert.equal(memory.fits(0), false);
});

test('what is read is a copy', () => {
  const memory = new BlockMemory(1000);
  const piece = memory.write(Buffer.of(1), Buffer.from('one'));
  const read = memory.read(piece, 1, 3);
  memory.release(piece);
  memory.write(Buffer.of(2), Buffer.from('two'));
  assert.equal(read.toString(), 'one');
});

function blocksOf(bytes: number): number {
  return Math.ceil(bytes / BLOCK_BYTES);
}
