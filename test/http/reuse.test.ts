import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Fields } from '../../src/http/fields.js';
import { onlyIfCached, type Reuse, type ReuseRules, reuse, type StoredFreshness } from '../../src/http/reuse.js';

const NOW = Date.UTC(2026, 6, 1);

/** An entry that came fresh from the origin and may be used for ten seconds. */
const ENTRY: StoredFreshness = {
  storedAtMs: NOW,
  ageSeconds: 0,
  lifetimeSeconds: 10,
  staleWhileRevalidateSeconds: 0,
  staleIfErrorSeconds: undefined,
  revalidation: 'may',
  isSoftPurged: false,
  immutable: false,
};

const RULES: ReuseRules = { honorRequestCacheControl: false, graceSeconds: 0, errorGraceSeconds: 0 };
const HONOURING: ReuseRules = { ...RULES, honorRequestCacheControl: true };

interface Situation {
  readonly entry?: Partial<StoredFreshness>;
  readonly request?: { [name: string]: string };
  readonly rules?: Partial<ReuseRules>;
  /** How long the entry has been stored. */
  readonly afterMs?: number;
}

function decide({ entry = {}, request = {}, rules = {}, afterMs = 0 }: Situation): Reuse {
  return reuse({ ...ENTRY, ...entry }, Fields.from(request), { ...RULES, ...rules }, NOW + afterMs);
}

/** use, reason and, for a revalidation, what the entry is good for when the origin fails. */
function summary(decision: Reuse): string {
  const words: string[] = decision.use === decision.reason ? [decision.use] : [decision.use, decision.reason];
  if (decision.use === 'revalidate') {
    if (decision.ifUnreachable) words.push('if-unreachable');
    if (decision.ifError) words.push('if-error');
  }
  return words.join(' ');
}

function check(cases: readonly (readonly [situation: Situation, wanted: string])[]) {
  for (const [situation, wanted] of cases) {
    assert.equal(summary(decide(situation)), wanted, JSON.stringify(situation));
  }
}

test('an entry is fresh until its age reaches its lifetime', () => {
  check([
    [{}, 'fresh'],
    [{ afterMs: 9999 }, 'fresh'],
    [{ afterMs: 10_000 }, 'revalidate expired'],
    [{ entry: { ageSeconds: 7 }, afterMs: 2999 }, 'fresh'],
    [{ entry: { ageSeconds: 7 }, afterMs: 3000 }, 'revalidate expired'],
    [{ entry: { lifetimeSeconds: 0 } }, 'revalidate expired'],
    [{ entry: { lifetimeSeconds: 2 ** 31 }, afterMs: 3000 }, 'fresh'],
  ]);
});

test('age and ttl are whole seconds; a stale entry has none left', () => {
  const numbers = (situation: Situation) => {
    const { ageSeconds, ttlSeconds } = decide(situation);
    return [ageSeconds, ttlSeconds];
  };
  assert.deepEqual(numbers({ entry: { ageSeconds: 30, lifetimeSeconds: 100 }, afterMs: 3400 }), [33, 66]);
  assert.deepEqual(numbers({ afterMs: 9999 }), [9, 0]);
  assert.deepEqual(numbers({ afterMs: 10_001 }), [10, -1]);
  assert.deepEqual(numbers({ entry: { isSoftPurged: true }, afterMs: 2000 }), [2, 0]);
  assert.deepEqual(numbers({ entry: { isSoftPurged: true }, afterMs: 15_000 }), [15, -5]);
});

test('no-cache is never used without asking, whatever the operator or the client allows', () => {
  const entry = { revalidation: 'always', staleWhileRevalidateSeconds: 60, staleIfErrorSeconds: 60 } as const;
  const rules = { ...HONOURING, graceSeconds: 60, errorGraceSeconds: 60 };
  check([
    [{ entry, rules }, 'revalidate no-cache'],
    [{ entry, rules, request: { 'Cache-Control': 'max-stale' }, afterMs: 15_000 }, 'revalidate no-cache'],
  ]);
});

test('must-revalidate is used while fresh and never stale, whatever the operator or the client allows', () => {
  const entry = { revalidation: 'must', staleWhileRevalidateSeconds: 60, staleIfErrorSeconds: 60 } as const;
  const rules = { ...HONOURING, graceSeconds: 60, errorGraceSeconds: 60 };
  check([
    [{ entry, rules, afterMs: 9000 }, 'fresh'],
    [{ entry, rules, afterMs: 11_000 }, 'revalidate expired'],
    [{ entry, rules, request: { 'Cache-Control': 'max-stale' }, afterMs: 11_000 }, 'revalidate expired'],
    [{ entry: { ...entry, isSoftPurged: true }, rules }, 'revalidate soft-purged'],
  ]);
});

test('stale-while-revalidate holds inside its window and not beyond, the operator can make it longer', () => {
  const entry = { staleWhileRevalidateSeconds: 4 };
  check([
    [{ entry, afterMs: 10_000 }, 'stale-while-revalidate'],
    [{ entry, afterMs: 13_999 }, 'stale-while-revalidate'],
    [{ entry, afterMs: 14_000 }, 'revalidate expired'],
    [{ entry, rules: { graceSeconds: 2 }, afterMs: 13_999 }, 'stale-while-revalidate'],
    [{ entry, rules: { graceSeconds: 6 }, afterMs: 15_999 }, 'stale-while-revalidate'],
    [{ entry, rules: { graceSeconds: 6 }, afterMs: 16_000 }, 'revalidate expired'],
  ]);
});

test('a failing origin may be stood in for inside the window of stale-if-error; the operator speaks for silent responses', () => {
  const says = (staleIfErrorSeconds: number | undefined) => ({ staleIfErrorSeconds });
  const rules = { errorGraceSeconds: 60 };
  check([
    [{ entry: says(5), afterMs: 14_999 }, 'revalidate expired if-unreachable if-error'],
    [{ entry: says(5), afterMs: 15_000 }, 'revalidate expired'],
    [{ entry: says(5), rules, afterMs: 15_000 }, 'revalidate expired'],
    [{ entry: says(0), rules, afterMs: 10_000 }, 'revalidate expired'],
    [{ entry: says(undefined), rules, afterMs: 69_999 }, 'revalidate expired if-unreachable if-error'],
    [{ entry: says(undefined), rules, afterMs: 70_000 }, 'revalidate expired'],
    [{ entry: says(undefined), afterMs: 10_000 }, 'revalidate expired'],
  ]);
});

test('a soft purge ends freshness at once, and the windows begin there', () => {
  const entry = { isSoftPurged: true, staleWhileRevalidateSeconds: 4, staleIfErrorSeconds: 6 };
  check([
    [{ entry }, 'stale-while-revalidate'],
    [{ entry, afterMs: 9000 }, 'stale-while-revalidate'],
    [{ entry, afterMs: 13_999 }, 'stale-while-revalidate'],
    [{ entry, afterMs: 14_000 }, 'revalidate expired if-unreachable if-error'],
    [{ entry: { isSoftPurged: true } }, 'revalidate soft-purged'],
  ]);
});

test('an entry from the future has an age that nobody knows', () => {
  const rules = { graceSeconds: 60, errorGraceSeconds: 60 };
  check([
    [{ afterMs: -5000 }, 'fresh'],
    [{ afterMs: -5001, rules }, 'revalidate clock-skew'],
  ]);
  assert.equal(decide({ afterMs: -5000 }).ageSeconds, 0);
});

test('what the client wants counts only when it is honoured', () => {
  for (const value of ['no-cache', 'no-store', 'max-age=0', 'min-fresh=99']) {
    check([[{ request: { 'Cache-Control': value } }, 'fresh']]);
  }
  check([
    [{ request: { Pragma: 'no-cache' } }, 'fresh'],
    [{ request: { 'Cache-Control': 'max-stale' }, afterMs: 11_000 }, 'revalidate expired'],
  ]);
});

test('a client can want the origin to be asked', () => {
  const rules = HONOURING;
  const wants = (value: string, afterMs = 5000, entry: Partial<StoredFreshness> = {}) =>
    ({ request: { 'Cache-Control': value }, rules, afterMs, entry }) as const;
  check([
    [wants('no-cache'), 'revalidate request-no-cache if-unreachable'],
    [wants('No-Cache, max-age=99'), 'revalidate request-no-cache if-unreachable'],
    [wants('no-store'), 'revalidate request-no-store if-unreachable'],
    [wants('max-age=0', 0), 'revalidate request-max-age if-unreachable'],
    [wants('max-age=5'), 'fresh'],
    [wants('max-age=4'), 'revalidate request-max-age if-unreachable'],
    [wants('max-age=600', 0, { ageSeconds: 1800, lifetimeSeconds: 1e5 }), 'revalidate request-max-age if-unreachable'],
    [wants('min-fresh=5'), 'fresh'],
    [wants('min-fresh=6'), 'revalidate request-min-fresh if-unreachable'],
    [wants('no-cache', 11_000), 'revalidate request-no-cache'],
    [wants('nothing-to-see-here'), 'fresh'],
  ]);
});

test('Pragma: no-cache counts where there is no Cache-Control', () => {
  const rules = HONOURING;
  check([
    [{ request: { Pragma: 'no-cache' }, rules }, 'revalidate request-no-cache if-unreachable'],
    [{ request: { Pragma: 'foo' }, rules }, 'fresh'],
    [{ request: { Pragma: 'no-cache', 'Cache-Control': 'foo' }, rules }, 'fresh'],
  ]);
});

test('a client that reloads does not make the origin be asked about what is immutable, while it is fresh', () => {
  const reload = (value: string, afterMs: number) => ({
    ...{ entry: { immutable: true }, rules: HONOURING, request: { 'Cache-Control': value }, afterMs },
  });
  check([
    [reload('no-cache', 9000), 'fresh'],
    [reload('max-age=0', 9000), 'fresh'],
    [reload('no-cache', 11_000), 'revalidate request-no-cache'],
    [reload('no-store', 9000), 'revalidate request-no-store if-unreachable'],
  ]);
});

test('a client can take what is stale', () => {
  const rules = HONOURING;
  const takes = (value: string, afterMs: number) => ({ request: { 'Cache-Control': value }, rules, afterMs });
  check([
    [takes('max-stale=5', 15_000), 'fresh request-max-stale'],
    [takes('max-stale=5', 15_001), 'revalidate expired'],
    [takes('max-stale', 1e9), 'fresh request-max-stale'],
    [takes('max-stale, max-stale=5', 16_000), 'revalidate expired'],
    [takes('max-stale=x', 15_000), 'revalidate expired'],
    [takes('max-stale=5', 9000), 'fresh'],
    [takes('max-stale=50, max-age=5', 11_000), 'revalidate request-max-age'],
  ]);
});

test('only-if-cached is seen among other directives', () => {
  assert.equal(onlyIfCached(new Fields(['Cache-Control', 'max-stale, Only-If-Cached'])), true);
  assert.equal(onlyIfCached(new Fields(['Cache-Control', 'x="only-if-cached"'])), false);
  assert.equal(onlyIfCached(new Fields()), false);
});

const seconds = fc.integer({ min: 0, max: 30 });
const anyEntry: fc.Arbitrary<StoredFreshness> = fc.record({
  storedAtMs: fc.constant(NOW),
  ageSeconds: seconds,
  lifetimeSeconds: seconds,
  staleWhileRevalidateSeconds: seconds,
  staleIfErrorSeconds: fc.option(seconds, { nil: undefined }),
  revalidation: fc.constantFrom('may', 'must', 'always'),
  isSoftPurged: fc.boolean(),
  immutable: fc.boolean(),
});
const anyRules: fc.Arbitrary<ReuseRules> = fc.record({
  honorRequestCacheControl: fc.constant(false),
  graceSeconds: seconds,
  errorGraceSeconds: seconds,
});

test('nothing stale is used beyond the windows, nor where it is forbidden', () => {
  fc.assert(
    fc.property(anyEntry, anyRules, fc.integer({ min: 0, max: 90_000 }), (entry, rules, afterMs) => {
      const decision = reuse(entry, new Fields(), rules, NOW + afterMs);
      const staleMs = entry.ageSeconds * 1000 + afterMs - entry.lifetimeSeconds * 1000;
      const isStale = staleMs >= 0 || entry.isSoftPurged;
      if (decision.use === 'fresh') assert.ok(!isStale && entry.revalidation !== 'always');
      if (decision.use === 'stale-while-revalidate') {
        assert.equal(entry.revalidation, 'may');
        assert.ok(isStale && staleMs < 1000 * Math.max(entry.staleWhileRevalidateSeconds, rules.graceSeconds));
      }
      if (decision.use === 'revalidate' && (decision.ifError || decision.ifUnreachable)) {
        assert.equal(entry.revalidation, 'may');
        assert.ok(staleMs < 1000 * (entry.staleIfErrorSeconds ?? rules.errorGraceSeconds));
      }
    }),
  );
});

test('an entry does not become usable again by growing older', () => {
  const rank = { fresh: 0, 'stale-while-revalidate': 1, revalidate: 2 } as const;
  const afterMs = fc.integer({ min: 0, max: 90_000 });
  fc.assert(
    fc.property(anyEntry, anyRules, afterMs, afterMs, (entry, rules, a, b) => {
      const [sooner, later] = [Math.min(a, b), Math.max(a, b)].map((ms) => reuse(entry, new Fields(), rules, NOW + ms));
      assert.ok(sooner && later && rank[sooner.use] <= rank[later.use]);
      assert.ok(sooner.ageSeconds <= later.ageSeconds && sooner.ttlSeconds >= later.ttlSeconds);
    }),
  );
});
