import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import CachePolicy from 'http-cache-semantics';
import { formatHttpDate } from '../../src/http/date.js';
import { Fields } from '../../src/http/fields.js';
import { reuse } from '../../src/http/reuse.js';
import { storagePlan } from '../../src/http/storage-rules.js';

/**
 * Our rules against those of http-cache-semantics, which reads RFC 9111 independently. What is generated keeps clear of
 * where the two differ on purpose:
 *
 * - It knows no 206, refuses statuses it does not understand (a `max-age` makes any storable, section 3), keeps what can
 *   neither be used nor revalidated (every response here has an ETag), and obeys Pragma in responses (section 5.4).
 * - It never reuses `must-revalidate` and `proxy-revalidate` responses, not even fresh ones, but lets stale ones with
 *   `s-maxage` or `no-cache` be used (sections 4.2.4 and 5.2.2).
 * - It ignores Date for the age (section 4.2.3), does not cap heuristics at a day, guesses for every status, and gives
 *   `immutable` a lifetime of its own.
 * - It reads Cache-Control in one letter case, without quoted strings, and lets the last of several directives win.
 * - It takes max-stale for "less than" (section 5.2.1.2 says "no more than"), and a max-age=0 of the client for content
 *   with a response that is not a moment old.
 */
const NOW = Date.UTC(2026, 6, 1);
const at = (seconds: number) => formatHttpDate(NOW + seconds * 1000);

let clockMs = NOW;
class Oracle extends CachePolicy {
  now(): number {
    return clockMs;
  }
}

/** What the two are asked about. */
interface Case {
  readonly request: Record<string, string>;
  readonly status: number;
  readonly response: Record<string, string>;
}

function oracle({ request, status, response }: Case): Oracle {
  clockMs = NOW;
  return new Oracle({ url: '/', method: 'GET', headers: request }, { status, headers: response });
}

function ours({ request, status, response }: Case) {
  return storagePlan(
    { method: 'GET', fields: Fields.from(request) },
    { status, fields: Fields.from(response) },
    { targets: [], profile: 'rfc' },
    { requestedMs: NOW, receivedMs: NOW },
  );
}

const seconds = fc.integer({ min: 0, max: 5000 });

/** A Cache-Control with some of the directives, each once. */
function cacheControl(...directives: (string | fc.Arbitrary<string>)[]): fc.Arbitrary<Record<string, string>> {
  return fc
    .tuple(
      ...directives.map((directive) => fc.option(typeof directive === 'string' ? fc.constant(directive) : directive)),
    )
    .map((chosen) => chosen.filter((directive) => directive !== null))
    .map((chosen): Record<string, string> => (chosen.length === 0 ? {} : { 'cache-control': chosen.join(', ') }));
}

const withSeconds = (name: string) => seconds.map((n) => `${name}=${n}`);

const dates: fc.Arbitrary<Record<string, string>> = fc
  .record(
    {
      expires: fc.oneof(fc.integer({ min: -5000, max: 5000 }).map(at), fc.constantFrom('0', 'never')),
      'last-modified': fc.integer({ min: -500_000, max: 5000 }).map(at),
      age: seconds.map(String),
    },
    { requiredKeys: [] },
  )
  .map((fields) => ({ ...fields, date: at(0), etag: '"a"' }));

const UNDERSTOOD = [200, 203, 204, 300, 301, 302, 303, 307, 308, 404, 405, 410, 414, 501];
const GUESSED = [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501];

function cases(
  statuses: number[],
  directives: fc.Arbitrary<Record<string, string>>,
  request: fc.Arbitrary<Record<string, string>> = fc.constant({}),
): fc.Arbitrary<Case> {
  return fc.record({
    request,
    status: fc.constantFrom(...statuses),
    response: fc.tuple(directives, dates).map(([control, fields]) => ({ ...fields, ...control })),
  });
}

test('the two store the same', () => {
  const directives = cacheControl(
    ...[withSeconds('max-age'), withSeconds('s-maxage')],
    ...['private', 'no-store', 'no-cache', 'public', 'must-revalidate', 'proxy-revalidate', 'foo="bar"'],
  );
  const request = fc
    .tuple(cacheControl('no-store', 'no-cache'), fc.constantFrom<Record<string, string>>({}, { authorization: 'x' }))
    .map(([control, fields]): Record<string, string> => ({ ...control, ...fields }));
  fc.assert(
    fc.property(cases(UNDERSTOOD, directives, request), (one) => {
      assert.equal(typeof ours(one) !== 'string', oracle(one).storable());
    }),
    { numRuns: 1000 },
  );
});

test('the two give the same lifetime and the same age', () => {
  const directives = cacheControl(withSeconds('max-age'), withSeconds('s-maxage'), 'public', 'must-revalidate');
  fc.assert(
    fc.property(cases(GUESSED, directives), (one) => {
      const plan = ours(one);
      assert.ok(typeof plan !== 'string', String(plan));
      const policy = oracle(one);
      assert.equal(plan.lifetimeSeconds, Math.floor(policy.maxAge()));
      assert.equal(plan.ageSeconds, policy.age());
    }),
    { numRuns: 1000 },
  );
});

test('the two reuse the same, for the same requests', () => {
  const directives = cacheControl(withSeconds('max-age'), withSeconds('stale-while-revalidate'), 'public');
  const wishes = cacheControl(
    ...[withSeconds('max-age'), withSeconds('min-fresh'), fc.oneof(withSeconds('max-stale'), fc.constant('max-stale'))],
    ...['no-cache', 'foo'],
  );
  const rules = { honorRequestCacheControl: true, graceSeconds: 0, errorGraceSeconds: 0 };
  // Half a second off, so that no bound is met exactly.
  const later = seconds.map((n) => n * 1000 + 500);
  fc.assert(
    fc.property(cases(GUESSED, directives), wishes, later, (one, wish, afterMs) => {
      const plan = ours(one);
      assert.ok(typeof plan !== 'string', String(plan));
      const policy = oracle(one);
      clockMs = NOW + afterMs;
      const { response, revalidation } = policy.evaluateRequest({ url: '/', headers: wish });
      const theirs =
        response === undefined ? 'revalidate' : revalidation === undefined ? 'fresh' : 'stale-while-revalidate';
      // It keeps fractions of a guessed lifetime.
      fc.pre(plan.source !== 'heuristic' || Number.isInteger(policy.maxAge()));
      const stored = { ...plan, storedAtMs: NOW, isSoftPurged: false };
      assert.equal(reuse(stored, Fields.from(wish), rules, clockMs).use, theirs);
    }),
    { numRuns: 1000 },
  );
});

test('the differences that are named are there: if one goes, its exception goes too', () => {
  const date = at(0);
  const one = (status: number, response: Record<string, string>): Case => ({ request: {}, status, response });
  const differs = (situation: Case) => (typeof ours(situation) !== 'string') !== oracle(situation).storable();
  assert.ok(differs(one(599, { 'cache-control': 'max-age=9', date })));
  assert.ok(differs(one(200, { date })));
  assert.ok(differs(one(200, { 'cache-control': 'Private', date, etag: '"a"' })));

  const must = oracle(one(200, { 'cache-control': 'max-age=9, must-revalidate', date }));
  assert.equal(must.satisfiesWithoutRevalidation({ url: '/', headers: {} }), false);
  const shared = oracle(one(200, { 'cache-control': 's-maxage=1', date }));
  clockMs = NOW + 5000;
  assert.equal(shared.satisfiesWithoutRevalidation({ url: '/', headers: { 'cache-control': 'max-stale' } }), true);
  assert.equal(oracle(one(200, { 'cache-control': 'max-age=9', date: at(-5) })).age(), 0);
  assert.equal(oracle(one(200, { 'last-modified': at(-86400 * 20), date })).maxAge(), 86400 * 2);
});
