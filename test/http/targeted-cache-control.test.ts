import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Fields } from '../../src/http/fields.js';
import { governingControl } from '../../src/http/targeted-cache-control.js';

const TARGETS = ['Lookaside-Cache-Control', 'CDN-Cache-Control'];

const governing = (...flat: string[]) => governingControl(new Fields(flat), TARGETS);

test('without a targeted field Cache-Control governs', () => {
  const { control, isTargeted, field } = governing('Cache-Control', 'max-age=5');
  assert.deepEqual([control.seconds('max-age'), isTargeted, field], [5, false, 'cache-control']);
  assert.equal(governing().isTargeted, false);
});

test('the first targeted field of the list governs, whatever its place in the response', () => {
  const { control, field } = governing(
    ...['Cache-Control', 'no-store', 'CDN-Cache-Control', 'max-age=5', 'lookaside-cache-control', 'max-age=7'],
  );
  assert.deepEqual([control.seconds('max-age'), control.has('no-store')], [7, false]);
  assert.equal(field, 'lookaside-cache-control');
});

test('directives are not mixed: what the targeted field does not say is not said', () => {
  const { control } = governing('Cache-Control', 'private, max-age=9', 'CDN-Cache-Control', 'must-revalidate');
  assert.deepEqual([control.has('private'), control.seconds('max-age')], [false, undefined]);
  assert.equal(control.has('must-revalidate'), true);
});

test('a field that is no dictionary of the right types is ignored', () => {
  for (const value of [
    '',
    '   ',
    'max-age=10, &&&&&',
    'max-age="10"',
    'max-age=10.5',
    'max-age',
    'max-age =10',
    'max-age= 10',
    'MaX-aGe=10',
    'max-age=1000000000000000',
    'max-age=10,',
    'no-store=1',
    'no-store="a"',
    'must-revalidate="a"',
    'private=a',
    'private=("a")',
    's-maxage=(10)',
    'stale-if-error=?1',
    "max-age='10'",
    '\xe9',
  ]) {
    const { control, isTargeted } = governing('Cache-Control', 'no-store', 'CDN-Cache-Control', value);
    assert.deepEqual([control.has('no-store'), isTargeted], [true, false], value);
  }
});

test('the next field of the list takes the place of one that is ignored', () => {
  const { field } = governing('Lookaside-Cache-Control', 'max-age="1"', 'CDN-Cache-Control', 'max-age=1');
  assert.equal(field, 'cdn-cache-control');
});

test('large values hold, negative ones are stale, parameters and unknown members do no harm', () => {
  assert.equal(governing('CDN-Cache-Control', 'max-age=99999999999').control.seconds('max-age'), 2 ** 31);
  assert.equal(governing('CDN-Cache-Control', 'max-age=-5').control.seconds('max-age'), 0);
  const { control } = governing('CDN-Cache-Control', 'foobar, x="y", z=(1 2), max-age=3600;a=b');
  assert.equal(control.seconds('max-age'), 3600);
});

test('a flag may be false, and no-cache and private may name fields', () => {
  const { control } = governing('CDN-Cache-Control', 'no-store=?0, private=?1, no-cache="Set-Cookie, a"');
  assert.deepEqual([control.has('no-store'), control.has('private')], [false, true]);
  assert.deepEqual(control.fieldNames('no-cache'), ['set-cookie', 'a']);
  assert.equal(control.fieldNames('private'), undefined);
});

test('lines of a targeted field are one dictionary', () => {
  const { control } = governing('CDN-Cache-Control', 'max-age=5', 'CDN-Cache-Control', 'no-cache');
  assert.deepEqual([control.seconds('max-age'), control.has('no-cache')], [5, true]);
});

test('whatever a targeted field holds, reading it does not throw', () => {
  const piece = fc.constantFrom(
    'max-age',
    'private',
    '=',
    ',',
    ';',
    '"',
    '(',
    ')',
    ' ',
    '1',
    '?',
    ':',
    '@',
    '%',
    '\xff',
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      const { control, isTargeted } = governing('Cache-Control', 'no-store', 'CDN-Cache-Control', pieces.join(''));
      assert.notEqual(control.has('no-store'), isTargeted);
    }),
  );
});
