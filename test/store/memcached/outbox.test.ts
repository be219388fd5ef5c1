import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import { Outbox, UNCOPIED_BYTES } from '../../../src/store/memcached/outbox.js';

/** What reached the system, one entry a write, each a list of its pieces. */
function flushed(outbox: Outbox): Buffer[][] {
  const writes: Buffer[][] = [];
  const socket = new Writable({
    write(chunk: Buffer, _encoding, done) {
      writes.push([chunk]);
      done();
    },
    writev(chunks, done) {
      writes.push(chunks.map(({ chunk }) => chunk));
      done();
    },
  });
  outbox.flush(socket);
  return writes;
}

test('commands and small values leave in one write of one piece', () => {
  const outbox = new Outbox();
  outbox.text('ms a 3\r\n');
  outbox.block(Buffer.from([0xff, 0x0d, 0x00]));
  outbox.text('mg b\r\n');
  assert.deepEqual(flushed(outbox), [[Buffer.from('ms a 3\r\n\xff\r\0\r\nmg b\r\n', 'latin1')]]);
});

test('large values leave in the same write, uncopied', () => {
  const outbox = new Outbox();
  const [large, largest] = [Buffer.alloc(UNCOPIED_BYTES, 1), new Uint8Array(UNCOPIED_BYTES + 1)];
  outbox.text('ms a\r\n');
  outbox.block([Buffer.from('head'), large, largest, Buffer.from('tail')]);
  outbox.text('mg b\r\n');
  const [pieces = [], ...others] = flushed(outbox);
  assert.equal(others.length, 0);
  assert.equal(
    Buffer.concat(pieces).toString('latin1'),
    `ms a\r\nhead${large.toString('latin1')}${'\0'.repeat(UNCOPIED_BYTES + 1)}tail\r\nmg b\r\n`,
  );
  for (const value of [large, largest]) {
    assert.ok(pieces.some((piece) => piece.buffer === value.buffer && piece.byteOffset === value.byteOffset));
  }
});

test('a small view of a large buffer is only that view', () => {
  const outbox = new Outbox();
  outbox.block(new Uint8Array(Buffer.from('abcdef')).subarray(2, 4));
  assert.deepEqual(flushed(outbox), [[Buffer.from('cd\r\n')]]);
});

test('what was flushed is gone', () => {
  const outbox = new Outbox();
  outbox.block(Buffer.alloc(UNCOPIED_BYTES));
  flushed(outbox);
  assert.deepEqual(flushed(outbox), []);
  outbox.text('mn\r\n');
  assert.deepEqual(flushed(outbox), [[Buffer.from('mn\r\n')]]);
});
