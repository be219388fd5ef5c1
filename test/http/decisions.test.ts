import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatHttpDate } from '../../src/http/date.js';
import { Fields } from '../../src/http/fields.js';
import { freshened } from '../../src/http/freshen.js';
import { reuse } from '../../src/http/reuse.js';
import { storagePlan } from '../../src/http/storage-rules.js';

/** The rules together: what becomes of a response when it is asked for again, as cache-tests.fyi asks caches. */
const NOW = Date.UTC(2026, 6, 1, 12, 0, 0, 300);
const at = (seconds: number) => formatHttpDate(NOW + seconds * 1000);
/** Between two requests of that suite. */
const PAUSE_MS = 3000;

/**
 * `cached` or `stale` (used while it is refreshed), `ask` (the origin, with the entry at hand), `never` (not stored);
 * and behind `ask` a `!` when the entry may not stand in for an origin that can not be reached.
 */
function asked(flat: string[], { status = 200, afterMs = PAUSE_MS, request = [] as string[] } = {}): string {
  const requestFields = new Fields(request);
  const plan = storagePlan(
    { method: 'GET', fields: requestFields },
    { status, fields: new Fields(flat) },
    { targets: ['CDN-Cache-Control'], profile: 'rfc' },
    { requestedMs: NOW, receivedMs: NOW },
  );
  if (typeof plan === 'string') return 'never';
  const stored = { ...plan, storedAtMs: NOW, isSoftPurged: false };
  const rules = { honorRequestCacheControl: false, graceSeconds: 0, errorGraceSeconds: 60 };
  const decision = reuse(stored, new Fields(), rules, NOW + afterMs);
  if (decision.use === 'revalidate') return decision.ifUnreachable ? 'ask' : 'ask!';
  return decision.use === 'fresh' ? 'cached' : 'stale';
}

type Row = readonly [flat: string[], wanted: string];

function check(rows: readonly Row[], options?: Parameters<typeof asked>[1]) {
  for (const [flat, wanted] of rows) assert.equal(asked(flat, options), wanted, flat.join(' '));
}

const cc = (value: string, ...more: string[]) => ['Cache-Control', value, ...more];
const dated = (...more: string[]) => ['Date', at(0), ...more];

test('Age is parsed', () => {
  const aged = (...ages: string[]) => dated(...cc('max-age=3600'), ...ages.flatMap((age) => ['Age', age]));
  check([
    [aged('abc'), 'cached'],
    [aged('-7200'), 'cached'],
    [aged('7200.0'), 'cached'],
    [aged('2147483647'), 'ask!'],
    [aged('2147483648'), 'ask!'],
    [aged('2147483649'), 'ask!'],
    [aged('7200, 0'), 'ask!'],
    [aged('0, 7200'), 'cached'],
    [aged('7200', '0'), 'ask!'],
    [aged('0', '7200'), 'cached'],
    [aged('0', '0'), 'cached'],
    [aged('3500'), 'cached'],
    [aged('3598'), 'ask'],
  ]);
});

test('Cache-Control is parsed', () => {
  check([
    [cc('max-age="3600"'), 'cached'],
    [cc('max-age=003600'), 'cached'],
    [cc('MaX-aGe=3600'), 'cached'],
    [cc('foobar, max-age=3600'), 'cached'],
    [cc('max-age=99999999999'), 'cached'],
    [cc('max-age=1800, max-age=1'), 'ask'],
    [cc('max-age=1', ...cc('max-age=1800')), 'ask'],
    [cc('extension="max-age=3600", max-age=1'), 'ask'],
    [cc('max-age=1, extension="max-age=3600"'), 'ask'],
    [cc("max-age='3600'"), 'ask'],
    [cc('max-age=3600a'), 'ask'],
    [cc('max-age=-3600'), 'ask'],
    [cc('max-age=0'), 'ask'],
  ]);
});

test('Expires is parsed', () => {
  const expires = (...values: string[]) => dated(...values.flatMap((value) => ['Expires', value]));
  check([
    [expires(at(3600)), 'cached'],
    [expires('Tue, 19 Jan 2038 14:14:08 GMT'), 'cached'],
    [expires('Sun, 21 Nov 2286 04:46:39 GMT'), 'cached'],
    [expires('Thursday, 18-Aug-50 02:01:18 GMT'), 'cached'],
    [expires('Thu Aug  8 02:01:18 2050'), 'cached'],
    [expires('THU, 18 AUG 2050 02:01:18 gMT'), 'cached'],
    [expires(at(0)), 'ask'],
    [expires(at(-3600)), 'ask'],
    [expires('0'), 'ask'],
    [expires('Thu, 18 Aug 2050 02:01:18 AEST'), 'ask'],
    [expires('Thu, 18 Aug 50 02:01:18 GMT'), 'ask'],
    [expires('Thu 18 Aug 2050 02:01:18 GMT'), 'ask'],
    [expires('Thu, 18  Aug  2050 02:01:18 GMT'), 'ask'],
    [expires('Thu, 18-Aug-2050 02:01:18 GMT'), 'ask'],
    [expires('Thu, 18 Aug 2050 02.01.18 GMT'), 'ask'],
    [expires('Thu, 18 Aug 2050 2:01:18 GMT'), 'ask'],
    [expires(at(9), at(9)), 'ask'],
    [['Date', at(400), 'Expires', at(300)], 'ask'],
    [['Date', 'foo', 'Expires', at(10)], 'cached'],
    [['Date', at(-10), 'Expires', at(10), 'Age', '25'], 'ask'],
    [['Date', at(10), 'Expires', at(20), 'Age', '15'], 'ask'],
    [dated(...cc('max-age=3600'), 'Expires', at(-7200)), 'cached'],
    [dated(...cc('max-age=0'), 'Expires', at(3600)), 'ask'],
  ]);
});

test('s-maxage, private, no-store, no-cache and must-revalidate are obeyed', () => {
  check([
    [cc('s-maxage=3600'), 'cached'],
    [cc('max-age=1, s-maxage=3600'), 'cached'],
    [cc('s-maxage=1, max-age=3600'), 'ask!'],
    [cc('max-age=10000, must-revalidate', 'ETag', '"a"'), 'cached'],
    [cc('max-age=2, must-revalidate', 'ETag', '"a"'), 'ask!'],
    [cc('max-age=2, proxy-revalidate'), 'ask!'],
    [cc('max-age=10000, no-cache', 'ETag', '"a"'), 'ask!'],
    [cc('no-cache', 'ETag', '"a"'), 'ask!'],
    [cc('private, max-age=3600'), 'never'],
    [cc('max-age=10000, No-StOrE', 'Expires', at(10000)), 'never'],
    [cc('max-age=3600, no-store, must-understand'), 'cached'],
    [cc('max-age=3600', 'Vary', 'Foo, *'), 'never'],
    [cc('max-age=3600', 'Pragma', 'no-cache'), 'cached'],
    [[], 'never'],
  ]);
  check([[cc('max-age=3600, no-store, must-understand'), 'never']], { status: 599 });
});

test('CDN-Cache-Control is obeyed in the place of Cache-Control and Expires', () => {
  const cdn = (value: string, ...more: string[]) => ['CDN-Cache-Control', value, ...more];
  check([
    [cdn('max-age=3600'), 'cached'],
    [cdn('max-age=3600', ...dated('Expires', at(-10000))), 'cached'],
    [cdn('max-age=3600', ...cc('max-age=1')), 'cached'],
    [cdn('max-age=10000', ...cc('no-store')), 'cached'],
    [cdn('max-age=1', ...cc('max-age=3600')), 'ask'],
    [cdn('max-age=0', ...dated('Expires', at(10000))), 'ask'],
    [cdn('max-age=3600', ...dated('Age', '7200')), 'ask!'],
    [cdn('private', ...cc('max-age=10000')), 'never'],
    [cdn('no-store', ...cc('max-age=10000')), 'never'],
    [cdn('no-cache', ...cc('max-age=10000')), 'never'],
    [cdn('max-age=10000, &&&&&', ...cc('no-store')), 'never'],
    [cdn('max-age="10000"', ...cc('no-store')), 'never'],
    [cdn('MaX-aGe=3600', ...cc('max-age=1')), 'ask'],
  ]);
});

test('a stale response is used inside its windows', () => {
  const swr = (seconds: number) => cc(`max-age=1, stale-while-revalidate=${seconds}`, 'ETag', '"a"');
  check([
    [swr(3600), 'stale'],
    [swr(4), 'stale'],
    [swr(1), 'ask'],
    [cc('max-age=2, stale-if-error=60'), 'ask'],
    [cc('max-age=2, stale-if-error=0'), 'ask!'],
    [cc('max-age=2'), 'ask'],
    [dated('Expires', at(-30), 'Last-Modified', at(-100000)), 'ask'],
  ]);
  check([[swr(4), 'ask']], { afterMs: 2 * PAUSE_MS });
});

test('authorized requests leave what is said to be for everybody', () => {
  const request = ['Authorization', 'FOO'];
  check(
    [
      [cc('max-age=100000'), 'never'],
      [cc('max-age=3600, public'), 'cached'],
      [cc('max-age=3600, must-revalidate'), 'cached'],
      [cc('s-maxage=3600'), 'cached'],
    ],
    { request },
  );
});

test('a 304 starts a new lifetime', () => {
  const stored = new Fields(dated(...cc('max-age=2'), 'ETag', '"a"', 'Age', '1'));
  const merged = freshened(stored, new Fields(['Cache-Control', 'max-age=3600', 'Date', at(0)]));
  assert.equal(asked(stored.flat()), 'ask');
  assert.equal(asked(merged.flat()), 'cached');
  assert.equal(asked(freshened(stored, new Fields(cc('no-store'))).flat()), 'never');
});
