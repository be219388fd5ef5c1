import assert from 'node:assert/strict';
import { test } from 'node:test';
import { closest, didYouMean } from '../../src/actions/suggest.js';

const KNOWN = ['memcached.lookup', 'memcached.store', 'proxy', 'key', 'ttl', 'header.add'];

test('a slip of the finger is recognised', () => {
  assert.equal(closest('memcached.lokup', KNOWN), 'memcached.lookup');
  assert.equal(closest('memcache.store', KNOWN), 'memcached.store');
  assert.equal(closest('porxy', KNOWN), 'proxy');
  assert.equal(closest('kye', KNOWN), 'key');
  assert.equal(closest('TTL', KNOWN), 'ttl');
  assert.equal(closest('headers.add', KNOWN), 'header.add');
});

test('another word is no slip', () => {
  for (const word of ['static', 'x', '', 'lookup', 'tls', 'k']) {
    assert.equal(closest(word, ['memcached.lookup', 'proxy']), undefined, word);
  }
});

test('the nearest candidate is taken, of equal ones the first', () => {
  assert.equal(closest('store', ['stare', 'store', 'stork']), 'store');
  assert.equal(closest('stoke', ['stare', 'store', 'stork']), 'store');
});

test('the end of a message names the candidate, when there is one', () => {
  assert.equal(didYouMean('prxy', KNOWN), ', did you mean "proxy"?');
  assert.equal(didYouMean('static', KNOWN), '');
});
