import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fields } from '../../src/http/fields.js';
import { areOfOneRepresentation, missingRange, selectWithinPart, storedPart } from '../../src/http/partial.js';

const NOW = Date.UTC(2026, 6, 1);

const part = (range: string, ...more: string[]) =>
  storedPart({ status: 206, fields: new Fields(['Content-Range', range, ...more]) });

test('a 206 says which bytes of how many it holds', () => {
  assert.deepEqual(part('bytes 0-4/10'), { start: 0, end: 4, sizeBytes: 10 });
  assert.deepEqual(part('Bytes 9-9/10', 'Content-Length', '1'), { start: 9, end: 9, sizeBytes: 10 });
});

test('a part that is no part, or that can not be placed, is none', () => {
  for (const range of [
    'bytes 0-4/*',
    'bytes */10',
    'bytes 5-4/10',
    'bytes 0-10/10',
    'bytes 0-4',
    'bytes=0-4/10',
    'bytes -4/10',
    'items 0-4/10',
    'bytes 0-4/10, bytes 5-9/10',
    'bytes 0-4/99999999999999999999',
    'bytes 0-1/9999999999999999',
    '',
  ]) {
    assert.equal(part(range), undefined, range);
  }
  assert.equal(part('bytes 4-9/10', 'Content-Length', '5'), undefined);
  assert.equal(part('bytes 0-4/10', 'Content-Length', '5', 'Content-Length', '5'), undefined);
  assert.equal(storedPart({ status: 206, fields: new Fields() }), undefined);
  assert.equal(storedPart({ status: 200, fields: new Fields(['Content-Range', 'bytes 0-4/10']) }), undefined);
});

test('a part answers the ranges within it', () => {
  const stored = { start: 4, end: 9, sizeBytes: 10 };
  const select = (range: string) => selectWithinPart(new Fields(['Range', range]), new Fields(), stored, NOW);
  assert.deepEqual(select('bytes=6-8'), { kind: 'part', start: 6, end: 8 });
  assert.deepEqual(select('bytes=6-'), { kind: 'part', start: 6, end: 9 });
  assert.deepEqual(select('bytes=-1'), { kind: 'part', start: 9, end: 9 });
  assert.deepEqual(select('bytes=4-99'), { kind: 'part', start: 4, end: 9 });
  for (const range of ['bytes=3-5', 'bytes=-7', 'bytes=0-', 'bytes=10-', 'bytes=4-5,6-7', 'items=4-5']) {
    assert.equal(select(range), undefined, range);
  }
  assert.equal(selectWithinPart(new Fields(), new Fields(), stored, NOW), undefined);
});

test('a range under a condition that does not hold is not answered from a part', () => {
  const request = new Fields(['Range', 'bytes=6-8', 'If-Range', '"a"']);
  const stored = { start: 4, end: 9, sizeBytes: 10 };
  assert.equal(selectWithinPart(request, new Fields(['ETag', '"b"']), stored, NOW), undefined);
  assert.ok(selectWithinPart(request, new Fields(['ETag', '"a"']), stored, NOW));
});

test('what a part lacks is asked for when it is one range', () => {
  assert.equal(missingRange({ start: 0, end: 4, sizeBytes: 10 }), 'bytes=5-');
  assert.equal(missingRange({ start: 4, end: 9, sizeBytes: 10 }), 'bytes=0-3');
  assert.equal(missingRange({ start: 1, end: 8, sizeBytes: 10 }), undefined);
  assert.equal(missingRange({ start: 0, end: 9, sizeBytes: 10 }), undefined);
});

test('parts belong together when they share a strong tag', () => {
  const together = (a: string[], b: string[]) => areOfOneRepresentation(new Fields(a), new Fields(b));
  assert.equal(together(['ETag', '"a"'], ['ETag', '"a"']), true);
  assert.equal(together(['ETag', '"a"'], ['ETag', '"b"']), false);
  assert.equal(together(['ETag', 'W/"a"'], ['ETag', 'W/"a"']), false);
  assert.equal(together([], []), false);
});
