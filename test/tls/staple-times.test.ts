import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BACK_OFF_SECONDS, isHalfOver, refreshDelay, retryDelay } from '../../src/tls/staple-times.js';

const HOUR_MS = 60 * 60 * 1000;
const DAY_MS = 24 * HOUR_MS;
const NOW = 1_800_000_000_000;

function period(sinceMs: number, leftMs: number) {
  return { thisUpdateMs: NOW - sinceMs, nextUpdateMs: NOW + leftMs };
}

test('a newer response is wanted at half-life', () => {
  assert.equal(refreshDelay(period(0, 4 * DAY_MS), NOW, 0), 2 * DAY_MS);
  assert.equal(refreshDelay(period(DAY_MS, 3 * DAY_MS), NOW, 0), DAY_MS);
  assert.equal(isHalfOver(period(DAY_MS, DAY_MS + 2), NOW), false);
  assert.equal(isHalfOver(period(DAY_MS, DAY_MS), NOW), true);
});

test('past half-life, half of what is left is waited', () => {
  assert.equal(refreshDelay(period(6 * DAY_MS, 2 * DAY_MS), NOW, 0), DAY_MS);
});

test('a revocation is not missed for longer than five days', () => {
  assert.equal(refreshDelay(period(0, 365 * DAY_MS), NOW, 0), 5 * DAY_MS);
  assert.equal(isHalfOver(period(5 * DAY_MS, 365 * DAY_MS), NOW), true);
});

test('no refresh comes before the back-off is over, nor long after it is due', () => {
  const spans = fc.tuple(fc.integer({ min: 0, max: 20 * DAY_MS }), fc.integer({ min: -HOUR_MS, max: 20 * DAY_MS }));
  fc.assert(
    fc.property(spans, fc.double({ min: 0, max: 0.999, noNaN: true }), ([since, left], random) => {
      const delay = refreshDelay(period(since, left), NOW, random);
      assert.ok(delay >= BACK_OFF_SECONDS * 1000);
      assert.ok(delay <= 5.5 * DAY_MS);
      if (left > HOUR_MS && since < left) assert.ok(delay < left, 'before the staple ends');
    }),
  );
});

test('what failed is tried again when the lock of the fleet is gone, a little later in each process', () => {
  assert.equal(retryDelay(300, 0), 300_000);
  assert.equal(retryDelay(300, 0.5), 315_000);
  assert.equal(retryDelay(0, 0), 1000);
});
