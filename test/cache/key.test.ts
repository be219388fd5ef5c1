import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { EPOCH_KEYS, internalKey, storeKey } from '../../src/cache/key.js';
import { utf8ToBytes } from '../../src/http/byte-string.js';
import { parseTarget } from '../../src/http/path.js';
import { isStoreKey } from '../../src/store/store.js';

test('a key of 1 to 250 printable bytes is used as it is', () => {
  for (const key of ['a', '!~', 'http://example.com/a?b=c', 'x'.repeat(250)]) assert.equal(storeKey(key), key);
});

test('an empty key becomes the SHA-1 of nothing', () => {
  assert.equal(storeKey(''), 'da39a3ee5e6b4b0d3255bfef95601890afd80709');
});

test('a key above 250 bytes becomes its SHA-1', () => {
  assert.equal(storeKey('x'.repeat(251)), 'a53812fbfbe6b474ef3f0c529e58ccb705dfafe8');
  assert.equal(storeKey('x'.repeat(255)), '63aa1abaadbb5698f2527c5cfcce7becf0465f97');
  assert.equal(storeKey('x'.repeat(256)), '53dab551701657356ed8b75653865a2e7a9c2f42');
});

test('a key with a byte outside 0x21 to 0x7e becomes its SHA-1', () => {
  assert.equal(storeKey('hello world'), '2aae6c35c94fcfb415dbe95f408b9ce91ee846ed');
  assert.equal(storeKey('a\x7f'), '887047c079883da758859993a5c01dc1451642cd');
  assert.equal(storeKey('a\r\nflush_all\r\n'), '5c7b8770142c3005aa433ad5fea37ef2303e60b2');
});

test('a path in UTF-8 is hashed as the bytes that were sent', () => {
  const { path } = parseTarget('/caf%C3%A9');
  assert.equal(storeKey(path), 'f6aebd903d4b0310a93831074db006a20f8ff668');
  assert.equal(storeKey(utf8ToBytes('/café')), storeKey(path));
});

test('a key in the name of the cache’s own items is hashed', () => {
  assert.match(storeKey('lookaside:all'), /^[0-9a-f]{40}$/);
  assert.match(storeKey('lookaside:'), /^[0-9a-f]{40}$/);
  assert.equal(storeKey('lookaside'), 'lookaside');
  assert.equal(storeKey('http://host/lookaside:all'), 'http://host/lookaside:all');
});

test('a key of the cache’s own is never longer than a store takes', () => {
  assert.equal(internalKey('tag', 'news'), 'lookaside:tag:news');
  for (const part of ['', 'a b', 'x'.repeat(250), 'caf\xe9']) {
    assert.match(internalKey('lease', part), /^lookaside:lease:[0-9a-f]{40}$/);
  }
  assert.equal(new Set(EPOCH_KEYS).size, 16);
  assert.equal(EPOCH_KEYS[15], 'lookaside:epoch:15');
});

test('a character that is not a byte is refused', () => {
  assert.throws(() => storeKey('/caf\u0119'), RangeError);
});

test('every byte string gets a key that a store takes, its own or its SHA-1', () => {
  const byteString = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes).toString('latin1'));
  fc.assert(
    fc.property(byteString, (key) => {
      const made = storeKey(key);
      assert.ok(isStoreKey(made));
      const digest = createHash('sha1').update(key, 'latin1').digest('hex');
      assert.equal(made, isStoreKey(key) ? key : digest);
    }),
  );
});
