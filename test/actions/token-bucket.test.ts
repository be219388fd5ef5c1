import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TokenBucket } from '../../src/actions/token-bucket.js';

test('a bucket gives what it holds, all or nothing, and fills up again to its bound', () => {
  const bucket = new TokenBucket(10, 2);
  const start = performance.now();
  assert.equal(bucket.take(11, start), false);
  assert.equal(bucket.take(10, start), true);
  assert.equal(bucket.take(1, start + 400), false);
  assert.equal(bucket.take(1, start + 600), true);
  assert.equal(bucket.take(10, start + 60_000), true);
  assert.equal(bucket.take(1, start + 60_000), false);
});
