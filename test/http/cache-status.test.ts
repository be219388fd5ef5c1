import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatCacheStatus } from '../../src/http/cache-status.js';

test('a hit says how long it is fresh, and why it is one', () => {
  assert.equal(
    formatCacheStatus('lookaside', { hit: true, ttl: 12, detail: 'fresh' }),
    'lookaside; hit; ttl=12; detail=fresh',
  );
});

test('a stale hit has a negative ttl', () => {
  assert.equal(formatCacheStatus('lookaside', { hit: true, ttl: -30 }), 'lookaside; hit; ttl=-30');
});

test('a forwarded request says why it was forwarded, what came of it and whether that was stored', () => {
  const status = formatCacheStatus('lookaside', {
    hit: false,
    fwd: 'uri-miss',
    fwdStatus: 200,
    stored: true,
    collapsed: true,
    detail: 'absent',
  });
  assert.equal(status, 'lookaside; fwd=uri-miss; fwd-status=200; stored; collapsed; detail=absent');
});

test('what is false or unknown is left out', () => {
  const unknown = { fwdStatus: undefined, ttl: undefined, key: undefined, detail: undefined };
  assert.equal(
    formatCacheStatus('a', { hit: false, fwd: 'bypass', stored: false, collapsed: false, ...unknown }),
    'a; fwd=bypass',
  );
  assert.equal(formatCacheStatus('a', { hit: false }), 'a');
});

test('a name and a detail that are no tokens become strings', () => {
  assert.equal(
    formatCacheStatus('cache 1', { hit: true, detail: 'because of "this\\that"' }),
    '"cache 1"; hit; detail="because of \\"this\\\\that\\""',
  );
  assert.equal(formatCacheStatus('1st', { hit: true, detail: '' }), '"1st"; hit; detail=""');
});

test('a key is always a string', () => {
  assert.equal(formatCacheStatus('a', { hit: true, key: 'abc' }), 'a; hit; key="abc"');
  assert.equal(formatCacheStatus('a', { hit: true, key: 'http://h/"x"\\' }), 'a; hit; key="http://h/\\"x\\"\\\\"');
});

test('text that a structured field can not hold is left out', () => {
  for (const text of ['/caf\xc3\xa9', 'a\r\nset-cookie: b', 'a\x7f', '\0']) {
    assert.equal(formatCacheStatus('a', { hit: true, key: text, detail: text }), 'a; hit');
    assert.equal(formatCacheStatus(text, { hit: true }), 'lookaside; hit');
  }
});

test('an integer is whole and has 15 digits at most', () => {
  assert.equal(formatCacheStatus('a', { hit: true, ttl: 1.9 }), 'a; hit; ttl=1');
  assert.equal(formatCacheStatus('a', { hit: true, ttl: Number.POSITIVE_INFINITY }), 'a; hit; ttl=999999999999999');
  assert.equal(formatCacheStatus('a', { hit: true, ttl: -1e300 }), 'a; hit; ttl=-999999999999999');
});
