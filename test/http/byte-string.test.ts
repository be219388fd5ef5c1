import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { utf8ToBytes } from '../../src/http/byte-string.js';

test('text becomes its UTF-8 bytes, one character each', () => {
  assert.equal(utf8ToBytes('/café'), '/caf\xc3\xa9');
  assert.equal(utf8ToBytes('\u{1f600}'), '\xf0\x9f\x98\x80');
  assert.equal(utf8ToBytes('plain'), 'plain');
});

test('no text is lost on the way', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const bytes = utf8ToBytes(text);
      assert.doesNotMatch(bytes, /[^\0-\xff]/);
      assert.equal(Buffer.from(bytes, 'latin1').toString('utf8'), text);
    }),
  );
});
