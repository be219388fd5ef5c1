import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Fields } from '../../src/http/fields.js';
import { contentRange, type RangeSelection, selectRange } from '../../src/http/range.js';

const NOW = Date.UTC(2026, 6, 1);
const MODIFIED = 'Sun, 06 Nov 1994 08:49:37 GMT';
const A_SECOND_LATER = 'Sun, 06 Nov 1994 08:49:38 GMT';

function select(
  range: string,
  {
    size = 10,
    condition,
    response = {},
  }: { size?: number; condition?: string; response?: { [name: string]: string } } = {},
): RangeSelection {
  const request = Fields.from({ Range: range, 'If-Range': condition });
  return selectRange(request, Fields.from(response), size, NOW);
}

const part = (start: number, end: number): RangeSelection => ({ kind: 'part', start, end });

test('without a Range the whole is asked for', () => {
  assert.deepEqual(selectRange(new Fields(), new Fields(), 10, NOW), { kind: 'whole' });
});

test('a single range selects its bytes, as far as there are any', () => {
  assert.deepEqual(select('bytes=0-4'), part(0, 4));
  assert.deepEqual(select('bytes=9-9'), part(9, 9));
  assert.deepEqual(select('bytes=5-'), part(5, 9));
  assert.deepEqual(select('bytes=0-9999999999999999999999'), part(0, 9));
  assert.deepEqual(select('bytes=-3'), part(7, 9));
  assert.deepEqual(select('bytes=-99'), part(0, 9));
  assert.deepEqual(select('Bytes= 0-4 '), part(0, 4));
});

test('a range that begins behind the end, or has no bytes, can not be satisfied', () => {
  for (const range of ['bytes=10-', 'bytes=10-20', `bytes=${'9'.repeat(400)}-`, 'bytes=-0']) {
    assert.deepEqual(select(range), { kind: 'unsatisfiable' }, range);
  }
});

test('other units, several ranges and malformed ones are answered with the whole', () => {
  for (const range of [
    ...[
      '',
      'bytes',
      'bytes=',
      'bytes=-',
      'bytes=a-b',
      'bytes=4-0',
      'bytes=0 -4',
      'bytes=0-4x',
      'bytes:0-4',
      'bytes =0-4',
    ],
    ...[
      'lines=0-4',
      'bytes=0-1,3-4',
      'bytes=0-1,',
      'bytes=--1',
      'bytes=-1-2',
      'bytes=+1-2',
      'bytes=1.0-2',
      'bytes=0x1-2',
    ],
    ...['0-4', 'xbytes=0-4'],
  ]) {
    assert.deepEqual(select(range), { kind: 'whole' }, range);
  }
});

test('several Range lines are several ranges', () => {
  const request = new Fields(['Range', 'bytes=0-1', 'Range', 'bytes=2-3']);
  assert.deepEqual(selectRange(request, new Fields(), 10, NOW), { kind: 'whole' });
});

test('an empty body has no ranges', () => {
  for (const range of ['bytes=0-', 'bytes=0-0', 'bytes=-5'])
    assert.deepEqual(select(range, { size: 0 }), { kind: 'whole' });
});

test('If-Range holds for the same strong tag only', () => {
  const cases: readonly (readonly [condition: string, tag: string, RangeSelection['kind']])[] = [
    ['"a"', '"a"', 'part'],
    ['"b"', '"a"', 'whole'],
    ['W/"a"', '"a"', 'whole'],
    ['"a"', 'W/"a"', 'whole'],
    ['W/"a"', 'W/"a"', 'whole'],
    ['"a", "b"', '"a"', 'whole'],
    ['*', '"a"', 'whole'],
    ['', '"a"', 'whole'],
  ];
  for (const [condition, ETag, kind] of cases) {
    assert.equal(select('bytes=0-4', { condition, response: { ETag } }).kind, kind, `${condition} against ${ETag}`);
  }
  assert.equal(select('bytes=0-4', { condition: '"a"' }).kind, 'whole');
});

test('If-Range holds for the exact Last-Modified of a response made at least a second later', () => {
  const kind = (condition: string, response: { [name: string]: string }) =>
    select('bytes=0-4', { condition, response }).kind;
  const response = { 'Last-Modified': MODIFIED, Date: A_SECOND_LATER };
  assert.equal(kind(MODIFIED, response), 'part');
  assert.equal(kind('Sunday, 06-Nov-94 08:49:37 GMT', response), 'part');
  assert.equal(kind(A_SECOND_LATER, response), 'whole');
  assert.equal(kind('Sun, 06 Nov 1994 08:49:36 GMT', response), 'whole');
  assert.equal(kind(MODIFIED, { 'Last-Modified': MODIFIED, Date: MODIFIED }), 'whole');
  assert.equal(kind(MODIFIED, { 'Last-Modified': MODIFIED }), 'whole');
  assert.equal(kind(MODIFIED, { Date: A_SECOND_LATER }), 'whole');
});

test('an If-Range that does not hold puts an impossible range out of force', () => {
  assert.equal(select('bytes=99-', { condition: '"b"', response: { ETag: '"a"' } }).kind, 'whole');
});

test('Content-Range says which part of how much, or how much there is', () => {
  assert.equal(contentRange({ kind: 'part', start: 0, end: 4 }, 10), 'bytes 0-4/10');
  assert.equal(contentRange({ kind: 'unsatisfiable' }, 10), 'bytes */10');
});

test('a selected part lies within the body', () => {
  const position = fc.option(fc.nat({ max: 30 }), { nil: undefined });
  fc.assert(
    fc.property(position, position, fc.nat({ max: 20 }), (first, last, size) => {
      const selection = select(`bytes=${first ?? ''}-${last ?? ''}`, { size });
      const body = Array.from({ length: size }, (_, i) => i);
      const wanted = first === undefined ? body.slice(-(last ?? 0)) : body.slice(first, (last ?? size) + 1);
      if (selection.kind === 'part') assert.deepEqual(body.slice(selection.start, selection.end + 1), wanted);
      if (selection.kind === 'unsatisfiable') assert.ok(last === 0 || (first ?? 0) >= size);
      if (selection.kind === 'whole')
        assert.ok(size === 0 || (last ?? size) < (first ?? 0) || (first ?? last) === undefined);
    }),
  );
});
