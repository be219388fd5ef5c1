import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Fields } from '../../src/http/fields.js';
import { hasTooManyTags, invalidatedGroups, MAX_TAG_LENGTH, MAX_TAGS, tags } from '../../src/http/surrogate-keys.js';

const NAMES = ['Surrogate-Key', 'xkey', 'Cache-Tag', 'Cache-Groups'];

const found = (...flat: string[]) => tags(new Fields(flat), NAMES);

test('each field is read in its own way', () => {
  assert.deepEqual(found('Surrogate-Key', 'a  b,c\td '), ['a', 'b,c', 'd']);
  assert.deepEqual(found('XKey', 'a b'), ['a', 'b']);
  assert.deepEqual(found('Cache-Tag', 'a, b c ,,d'), ['a', 'b c', 'd']);
  assert.deepEqual(found('Cache-Groups', '"a b", "c\\"d";x=1, token, 5, ("e"), ""'), ['a b', 'c"d']);
  assert.deepEqual(tags(new Fields(['My-Tags', 'a, b c']), ['my-tags']), ['a', 'b', 'c']);
});

test('lines of a field and fields of the list are one set', () => {
  assert.deepEqual(found('xkey', 'a', 'Cache-Tag', 'b,c', 'xkey', 'c d', 'Surrogate-Key', 'e'), [
    'e',
    'a',
    'c',
    'd',
    'b',
  ]);
  assert.deepEqual(found('Cache-Groups', '"a"', 'Cache-Groups', '"b"'), ['a', 'b']);
});

test('only the fields asked for are read', () => {
  assert.deepEqual(tags(new Fields(['xkey', 'a', 'Cache-Tag', 'b']), ['cache-tag']), ['b']);
  assert.deepEqual(tags(new Fields(['xkey', 'a']), []), []);
});

test('an invalid Cache-Groups has no groups', () => {
  for (const value of ['"a', '"a",', 'a b', '"\xe9"']) assert.deepEqual(found('Cache-Groups', value), [], value);
});

test('a response with more tags than are kept is noticed', () => {
  const many = Array.from({ length: MAX_TAGS + 1 }, (_, i) => `t${i}`);
  const response = new Fields(['xkey', many.join(' ')]);
  assert.equal(tags(response, NAMES).length, MAX_TAGS);
  assert.equal(hasTooManyTags(response, NAMES), true);
  assert.equal(hasTooManyTags(new Fields(['xkey', many.slice(1).join(' '), 'xkey', 't5']), NAMES), false);
  assert.equal(hasTooManyTags(new Fields(['xkey', 'x'.repeat(MAX_TAG_LENGTH)]), NAMES), false);
  assert.equal(hasTooManyTags(new Fields(['xkey', 'x'.repeat(MAX_TAG_LENGTH + 1)]), NAMES), true);
});

test('the groups that an unsafe request puts out of date', () => {
  assert.deepEqual(invalidatedGroups(new Fields(['Cache-Group-Invalidation', '"a", "b c", "a"'])), ['a', 'b c']);
  assert.deepEqual(invalidatedGroups(new Fields(['Cache-Group-Invalidation', 'a, 1'])), []);
  assert.deepEqual(invalidatedGroups(new Fields()), []);
});

test('tags are not empty, have no white space around, and each occurs once', () => {
  const text = fc.string({ unit: fc.constantFrom('a', 'b', ' ', ',', '"', '\t', '(', '\\') });
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.constantFrom(...NAMES), text)), (pairs) => {
      const all = tags(new Fields(pairs.flat()), NAMES);
      assert.equal(new Set(all).size, all.length);
      for (const tag of all)
        assert.ok(tag !== '' && (tag === tag.trim() || pairs.some(([name]) => name === 'Cache-Groups')));
    }),
  );
});
