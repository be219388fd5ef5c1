import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Fields } from '../../src/http/fields.js';
import { variantDigest, varyNames } from '../../src/http/vary.js';

test('a response without Vary has one variant', () => {
  assert.deepEqual(varyNames(new Fields()), []);
  assert.deepEqual(varyNames(new Fields(['Vary', ''])), []);
});

test('the names of all lines are read, in lower case, sorted and once each', () => {
  const response = new Fields(['Vary', 'Foo , accept-encoding,,', 'vary', 'Accept,FOO']);
  assert.deepEqual(varyNames(response), ['accept', 'accept-encoding', 'foo']);
});

test('a * anywhere is a variant that fits no other request', () => {
  for (const flat of [
    ['Vary', '*'],
    ['Vary', '*, *'],
    ['Vary', ', *'],
    ['Vary', 'Foo, *'],
    ['Vary', 'Foo', 'Vary', '*'],
  ]) {
    assert.equal(varyNames(new Fields(flat)), '*', flat.join());
  }
  assert.deepEqual(varyNames(new Fields(['Vary', 'x-*'])), ['x-*']);
});

const digest = (names: string[], ...flat: string[]) => variantDigest(names, new Fields(flat));

test('requests with the same selecting fields have the same digest, whatever else they carry', () => {
  assert.equal(digest(['foo'], 'Foo', '1', 'Bar', '2'), digest(['foo'], 'bar', '3', 'foo', '1'));
  assert.notEqual(digest(['foo'], 'Foo', '1'), digest(['foo'], 'Foo', '2'));
  assert.notEqual(digest(['foo'], 'Foo', 'a'), digest(['foo'], 'Foo', 'A'));
});

test('lines are one list, and white space around commas does not count', () => {
  const one = digest(['foo'], 'Foo', '1,2');
  assert.equal(digest(['foo'], 'Foo', '1 ,\t2 '), one);
  assert.equal(digest(['foo'], 'Foo', '1', 'Foo', '2'), one);
  assert.notEqual(digest(['foo'], 'Foo', '2,1'), one);
  assert.notEqual(digest(['foo'], 'Foo', '1 2'), digest(['foo'], 'Foo', '12'));
});

test('an absent field is another value than an empty one, and as good as an absent one', () => {
  assert.notEqual(digest(['foo']), digest(['foo'], 'Foo', ''));
  assert.equal(digest(['foo']), digest(['foo'], 'Bar', ''));
});

test('the digest is 32 hexadecimal digits, and of stable value: it lies in the store', () => {
  assert.equal(digest(['accept-encoding'], 'Accept-Encoding', 'gzip, br'), '5a31ffb3ed314bf6ee2b9877955304a3');
});

test('a value can not pass for the values of two fields', () => {
  const text = fc.string({ unit: fc.constantFrom('"', ',', ':', 'a', 'b', '\\', ']', '[', '\0') });
  const option = fc.option(text, { nil: undefined });
  const sent = (a?: string, b?: string) => Fields.from({ a, b });
  const plain = (value?: string) =>
    value
      ?.split(',')
      .map((member) => member.trim())
      .join();
  fc.assert(
    fc.property(option, option, option, option, (a, b, c, d) => {
      const same = plain(a) === plain(c) && plain(b) === plain(d);
      assert.equal(variantDigest(['a', 'b'], sent(a, b)) === variantDigest(['a', 'b'], sent(c, d)), same);
    }),
  );
});
