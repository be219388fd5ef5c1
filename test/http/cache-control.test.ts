import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MAX_DELTA_SECONDS, parseCacheControl } from '../../src/http/cache-control.js';

test('an absent or empty field has no directives', () => {
  for (const value of [undefined, '', ' ', ',', ' , ,']) {
    const cacheControl = parseCacheControl(value);
    assert.equal(cacheControl.has('no-store'), false);
    assert.equal(cacheControl.has(''), false);
    assert.equal(cacheControl.seconds('max-age'), undefined);
    assert.equal(cacheControl.fieldNames('private'), undefined);
  }
});

test('names are compared without regard to case', () => {
  const cacheControl = parseCacheControl('No-Store, MaX-AgE=3600');
  assert.equal(cacheControl.has('no-store'), true);
  assert.equal(cacheControl.seconds('max-age'), 3600);
});

test('delta-seconds are digits, quoted or not, and anything else is 0', () => {
  const cases: readonly (readonly [string, number])[] = [
    ['max-age=3600', 3600],
    ['max-age=003600', 3600],
    ['max-age="3600"', 3600],
    ['max-age=0', 0],
    ['max-age=-3600', 0],
    ["max-age='3600'", 0],
    ['max-age=3600.0', 0],
    ['max-age=a3600', 0],
    ['max-age=3600a', 0],
    ['max-age=', 0],
    ['max-age', 0],
    ['max-age=""', 0],
    ['max-age="3600', 0],
    ['max-age="3600"x', 0],
    ['max-age= 3600', 0],
    ['max-age=3600;', 0],
    ['max-age=1e9', 0],
    ['max-age=\u0663', 0],
  ];
  for (const [value, seconds] of cases) assert.equal(parseCacheControl(value).seconds('max-age'), seconds, value);
});

test('a space in front of the equals sign does not hide a directive', () => {
  assert.equal(parseCacheControl('private ="x"').has('private'), true);
});

test('larger delta-seconds than 2^31 are as good as 2^31', () => {
  for (const digits of ['2147483648', '2147483649', '99999999999', '9'.repeat(400)]) {
    assert.equal(parseCacheControl(`max-age=${digits}`).seconds('max-age'), MAX_DELTA_SECONDS);
  }
  assert.equal(parseCacheControl('max-age=2147483647').seconds('max-age'), 2147483647);
});

test('of several values the smallest holds', () => {
  assert.equal(parseCacheControl('max-age=1800, max-age=1').seconds('max-age'), 1);
  assert.equal(parseCacheControl('max-age=1, max-age=1800').seconds('max-age'), 1);
  assert.equal(parseCacheControl('max-age=1800, max-age=x').seconds('max-age'), 0);
});

test('a directive within the quoted value of another does not count', () => {
  for (const value of ['extension="max-age=3600", max-age=1', 'max-age=1, extension="max-age=0"']) {
    assert.equal(parseCacheControl(value).seconds('max-age'), 1);
  }
  const nested = parseCacheControl('a="no-store, \\", private, \\\\", public');
  assert.equal(nested.has('no-store'), false);
  assert.equal(nested.has('private'), false);
  assert.equal(nested.has('public'), true);
});

test('a quote that does not open a value, or is never closed, hides nothing', () => {
  for (const value of [
    'a="b, no-store',
    'a="b\\", no-store',
    '"a, no-store, b"',
    'a=b="c, no-store, d"',
    'a= "b, no-store"',
  ]) {
    assert.equal(parseCacheControl(value).has('no-store') || parseCacheControl(value).has('no-store"'), true, value);
  }
  const late = parseCacheControl('a="b", c="d, no-store');
  assert.equal(late.has('no-store'), true);
});

test('a qualified directive is confined to the fields it names', () => {
  assert.deepEqual(parseCacheControl('no-cache="Set-Cookie, X-A"').fieldNames('no-cache'), ['set-cookie', 'x-a']);
  assert.deepEqual(parseCacheControl('private=x-a').fieldNames('private'), ['x-a']);
  assert.deepEqual(parseCacheControl('private="a", private="b,a"').fieldNames('private'), ['a', 'b']);
});

test('a directive that is not properly qualified concerns the whole response', () => {
  for (const value of [
    'private',
    'private=""',
    'private="a,"',
    'private="a b"',
    'private="a", private',
    'private=" "',
    "private='a'",
  ]) {
    const cacheControl = parseCacheControl(value);
    assert.equal(cacheControl.has('private'), true, value);
    assert.equal(cacheControl.fieldNames('private'), undefined, value);
  }
});

test('names of object properties are names like others', () => {
  const empty = parseCacheControl('public');
  for (const name of ['__proto__', 'constructor', 'tostring', 'hasownproperty']) {
    assert.equal(empty.has(name), false);
    assert.equal(empty.seconds(name), undefined);
    assert.equal(parseCacheControl(`${name}=5`).seconds(name), 5);
  }
});

test('the directives of a list are found, and nothing but them', () => {
  const token = fc.stringMatching(/^[a-c]{1,2}$/);
  const argument = fc.option(fc.string({ unit: fc.constantFrom('a', 'b', ',', '=', '"', '\\', ' ') }), {
    nil: undefined,
  });
  fc.assert(
    fc.property(fc.array(fc.tuple(token, argument)), token, (directives, name) => {
      const value = directives
        .map(([name, text]) => (text === undefined ? name : `${name}="${text.replace(/["\\]/g, '\\$&')}"`))
        .join(' , ');
      const cacheControl = parseCacheControl(value);
      const found = directives.filter(([written]) => written === name);
      assert.equal(cacheControl.has(name), found.length > 0);
      const listed = found.flatMap(([, text]) => (text ?? '').split(',').map((one) => one.trim()));
      const names = listed.every((one) => /^[ab]+$/.test(one)) ? [...new Set(listed)] : undefined;
      assert.deepEqual(cacheControl.fieldNames(name), found.length === 0 ? undefined : names);
    }),
  );
});

test('any text is read, in time that grows with its length only', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom('a', '=', '"', '\\', ',', ' ', '1') }), (value) => {
      const cacheControl = parseCacheControl(value);
      assert.equal(typeof cacheControl.has('a'), 'boolean');
      const seconds = cacheControl.seconds('a');
      assert.ok(seconds === undefined || Number.isInteger(seconds));
    }),
  );
  const started = performance.now();
  parseCacheControl('a="\\",'.repeat(50_000));
  // Quadratic, this would be 10^10 steps.
  assert.ok(performance.now() - started < 5_000);
});
