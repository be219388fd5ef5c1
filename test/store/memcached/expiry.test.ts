import assert from 'node:assert/strict';
import { test } from 'node:test';
import { expiry } from '../../../src/store/memcached/expiry.js';

const NOW = Date.UTC(2026, 0, 1);
const DAY = 24 * 60 * 60;

for (const [what, ttlSeconds, expected] of [
  ['no expiry is 0', 0, 0],
  ['a second is relative', 1, 1],
  ['30 days are relative', 30 * DAY, 30 * DAY],
  ['a second more is a Unix time', 30 * DAY + 1, NOW / 1000 + 30 * DAY + 1],
  ['a year is a Unix time', 365 * DAY, NOW / 1000 + 365 * DAY],
  ['what 32 bits can not hold is the latest time they can', 100 * 365 * DAY, 2 ** 31 - 1],
  ['and so is the largest number', Number.MAX_SAFE_INTEGER, 2 ** 31 - 1],
] as const) {
  test(what, () => assert.equal(expiry(ttlSeconds, NOW), expected));
}

test('a Unix time is whole seconds', () => assert.equal(expiry(40 * DAY, NOW + 999), NOW / 1000 + 40 * DAY));
