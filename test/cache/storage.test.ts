import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { CachePolicy, ResponseRule } from '../../src/cache/policy.js';
import { decideStorage, type StorageDecision } from '../../src/cache/storage.js';
import { Fields } from '../../src/http/fields.js';
import { POLICY } from '../support/engine.js';

const NOW_MS = 1_763_640_000_000;

function decided(
  flat: readonly string[],
  rule: ResponseRule = {},
  policy: Partial<CachePolicy> = {},
  request: readonly string[] = [],
): StorageDecision {
  const received = {
    method: 'GET',
    url: 'http://h/',
    requestFields: new Fields(request),
    status: 200,
    fields: new Fields(flat),
    requestedMs: NOW_MS,
    receivedMs: NOW_MS,
  };
  return decideStorage(received, { ...POLICY, staleIfErrorSeconds: 0, ...policy }, rule);
}

/** Why it is not stored, or how many seconds it is fresh from now on, and kept. */
function summary(decision: StorageDecision): string {
  if (!decision.isStored) return decision.reason;
  const { lifetimeSeconds, ageSeconds, ttlSeconds } = decision.plan;
  return `${lifetimeSeconds - ageSeconds} ${ttlSeconds}`;
}

describe('a response', () => {
  const cases: readonly [
    what: string,
    flat: string[],
    rule: ResponseRule,
    expected: string,
    policy?: Partial<CachePolicy>,
  ][] = [
    ['is kept as long as it is fresh', ['Cache-Control', 'max-age=60'], {}, '60 60'],
    ['is kept for its windows', ['Cache-Control', 'max-age=60, stale-while-revalidate=30'], {}, '60 90'],
    ['is kept for the operator’s windows', ['Cache-Control', 'max-age=60'], {}, '60 660', { staleIfErrorSeconds: 600 }],
    [
      'that says less is not used in place of an error for longer',
      ['Cache-Control', 'max-age=60, stale-if-error=5'],
      {},
      '60 65',
      { staleIfErrorSeconds: 600 },
    ],
    [
      'that must be revalidated has no windows',
      ['Cache-Control', 'max-age=60, must-revalidate'],
      {},
      '60 60',
      { staleIfErrorSeconds: 600 },
    ],
    ['with a validator is kept to be revalidated', ['Cache-Control', 'max-age=60', 'ETag', '"e"'], {}, '60 3660'],
    ['that is of no use is not stored', ['Cache-Control', 'max-age=0'], {}, 'expired'],
    ['that is stale already, too', ['Cache-Control', 'max-age=60', 'Age', '60'], {}, 'expired'],
    ['counts its age', ['Cache-Control', 'max-age=60', 'Age', '20'], {}, '40 40'],
    [
      'that came in stale stays as stale as it was',
      ['Cache-Control', 'max-age=60', 'Age', '100', 'ETag', '"e"'],
      {},
      '-40 3600',
    ],
    ['gets no more than it may', ['Cache-Control', 'max-age=60'], { maxTtlSeconds: 10 }, '10 10'],
    ['gets no less than it must', ['Cache-Control', 'max-age=1'], { minTtlSeconds: 10 }, '10 10'],
    ['gets that though it came in stale', ['Cache-Control', 'max-age=1', 'Age', '9'], { minTtlSeconds: 10 }, '10 10'],
    ['within its bounds is left alone', ['Cache-Control', 'max-age=5'], { minTtlSeconds: 1, maxTtlSeconds: 9 }, '5 5'],
    ['with no-cache is never fresh', ['Cache-Control', 'no-cache', 'ETag', '"e"'], { minTtlSeconds: 10 }, '0 3600'],
    ['gets the time of its rule', ['Age', '50'], { ttlSeconds: 30 }, '30 30'],
    ['is not stored against a rule', ['Cache-Control', 'max-age=60'], { bypass: true }, 'rule'],
    ['that is private is not stored by a rule', ['Cache-Control', 'private'], { ttlSeconds: 30 }, 'private'],
    [
      'that is private is stored by an unsafe rule',
      ['Cache-Control', 'private'],
      { ttlSeconds: 30, unsafe: true },
      '30 30',
    ],
    [
      'with too many tags is not stored',
      ['Cache-Control', 'max-age=60', 'Cache-Tag', 'x'.repeat(100_000)],
      {},
      'too-many-tags',
    ],
  ];
  for (const [what, flat, rule, expected, policy] of cases) {
    test(what, () => assert.equal(summary(decided(flat, rule, policy)), expected));
  }

  test('is stored with the tags of the configured fields', () => {
    const decision = decided(['Cache-Control', 'max-age=60', 'Cache-Tag', 'a, b', 'X-Tag', 'c']);
    assert.deepEqual(decision.isStored && decision.plan.tags, ['a', 'b']);
  });
});
