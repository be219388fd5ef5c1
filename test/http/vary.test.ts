import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Fields } from '../../src/http/fields.js';
import { languageDigest, preferredLanguage, variantDigest, varyNames } from '../../src/http/vary.js';

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
  assert.equal(digest(['foo'], 'Foo', 'gzip, br'), 'e85a26a946618ce3e279f8c919100ef6');
});

const same = (name: string, values: string[]) =>
  assert.equal(new Set(values.map((value) => digest([name], name, value))).size, 1, values.join(' | '));
const different = (name: string, values: string[]) =>
  assert.equal(new Set(values.map((value) => digest([name], name, value))).size, values.length, values.join(' | '));

test('languages are compared by what the client prefers, not by how it writes it', () => {
  same('accept-language', ['en, de', 'de, en', 'eN,De', ' en ,   de', 'en;q=1, de;q=1.000', 'de,,en,', 'en, de, en']);
  same('accept-language', ['en;q=0.5, de', 'de, EN ; q=0.50', 'de,en;Q=0.5']);
  different('accept-language', ['en, de', 'en, de;q=0.9', 'en;q=0.9, de', 'en', 'en, de;q=0', 'en, *', '']);
});

test('encodings are compared in the same way, and none passes for another', () => {
  same('accept-encoding', ['gzip, br', 'br,GZIP', 'x-gzip, br;q=1.0']);
  different('accept-encoding', [
    'gzip',
    'br',
    'gzip, br',
    'gzip, br, dcb',
    'gzip, br, dcz',
    'gzip;q=0',
    'identity',
    '*',
  ]);
});

test('what can not be understood is compared letter by letter', () => {
  for (const name of ['accept-language', 'accept-encoding']) {
    different(name, [
      'en, de;q=2',
      'de;q=2, en',
      'EN, de;q=2',
      'en;q=0.5, en;q=0.6',
      'en;q=0.6, en;q=0.5',
      'e n',
      'en;x=1',
    ]);
    same(name, ['en , de;q=2', 'en,de;q=2']);
  }
});

test('of other fields letter case and order count', () => {
  different('accept', ['a, b', 'b, a', 'A, b']);
});

test('the preferred language is the one that the client likes best', () => {
  const preferred = (value?: string) => preferredLanguage(Fields.from({ 'Accept-Language': value }));
  assert.equal(preferred('fr;q=0.5, DE;q=1.0'), 'de');
  assert.equal(preferred('en'), 'en');
  for (const value of ['en, de', '*', 'en;q=0', 'en;q=x', '', undefined])
    assert.equal(preferred(value), undefined, value);
});

test('a variant in a language is found by a request for that language, when all else is the same', () => {
  const names = ['accept-language', 'foo'];
  const filed = languageDigest(names, new Fields(['Accept-Language', 'en, de', 'Foo', '1']), 'de');
  assert.equal(filed, languageDigest(names, new Fields(['Accept-Language', 'fr;q=0.5, de', 'Foo', '1']), 'DE'));
  assert.notEqual(filed, languageDigest(names, new Fields(['Accept-Language', 'de', 'Foo', '2']), 'de'));
  assert.equal(filed, digest(names, 'Accept-Language', 'de', 'Foo', '1'));
  assert.equal(languageDigest(['foo'], new Fields(['Foo', '1']), 'de'), undefined);
});

test('any request with a selecting field has a digest, the same for the same list in another order', () => {
  const tag = fc.constantFrom('en', 'de', 'fr', 'gzip', 'br', '*', 'x-gzip', 'e n', '');
  const quality = fc.constantFrom('', ';q=0', ';q=0.5', ';q=1', '; Q=0.25', ';q=7');
  const member = fc.tuple(tag, quality).map((pair) => pair.join(''));
  fc.assert(
    fc.property(fc.uniqueArray(member, { selector: (text) => text.split(';')[0] }), (members) => {
      const valid = members.every((text) => !text.includes('e n') && !text.includes('q=7') && !text.startsWith(';'));
      fc.pre(valid && !(members.some((m) => m.startsWith('x-gzip')) && members.some((m) => m.startsWith('gzip'))));
      same('accept-language', [members.join(', '), members.toReversed().join(',')]);
    }),
  );
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
