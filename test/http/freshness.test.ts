import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatHttpDate } from '../../src/http/date.js';
import { Fields } from '../../src/http/fields.js';
import { ageOnReceipt, freshnessLifetime, initialAge, lifetime } from '../../src/http/freshness.js';
import { governingControl } from '../../src/http/targeted-cache-control.js';

const NOW = Date.UTC(2026, 6, 1);
/** An HTTP-date so many seconds from now. */
const at = (seconds: number) => formatHttpDate(NOW + seconds * 1000);
const DAY = 86400;

function lifetimeOf(flat: string[], status = 200) {
  const fields = new Fields(flat);
  const known = lifetime({ status, fields }, governingControl(fields, ['CDN-Cache-Control']), NOW);
  return known && `${known.source} ${known.seconds}`;
}

test('s-maxage goes before max-age, and max-age before Expires, whatever the later ones say', () => {
  const cases: readonly (readonly [flat: string[], wanted: string | undefined])[] = [
    [[], undefined],
    [['Cache-Control', 'public'], undefined],
    [['Cache-Control', 'max-age=3600'], 'max-age 3600'],
    [['Cache-Control', 'max-age=0', 'Expires', at(3600), 'Date', at(0)], 'max-age 0'],
    [['Cache-Control', 'max-age=3600', 'Expires', at(-7200), 'Date', at(0)], 'max-age 3600'],
    [['Cache-Control', 'max-age=3600', 'Expires', '0'], 'max-age 3600'],
    [['Cache-Control', 'max-age=3600, s-maxage=1'], 's-maxage 1'],
    [['Cache-Control', 's-maxage=1', 'Cache-Control', 'max-age=3600'], 's-maxage 1'],
    [['Cache-Control', 'max-age=0, s-maxage=3600', 'Expires', at(-10)], 's-maxage 3600'],
    [['Cache-Control', 'max-age=99999999999'], `max-age ${2 ** 31}`],
    [['Cache-Control', "max-age='3600'"], 'max-age 0'],
    [['Cache-Control', 'max-age=-3600'], 'max-age 0'],
    [['Cache-Control', 'extension="max-age=3600", max-age=1'], 'max-age 1'],
    [['Expires', at(300), 'Date', at(0)], 'expires 300'],
    [['Expires', at(300), 'Date', at(400)], 'expires 0'],
    [['Expires', at(10), 'Date', 'foo'], 'expires 10'],
    [['Expires', at(10)], 'expires 10'],
    [['Expires', '0', 'Date', at(0)], 'expires 0'],
    [['Expires', at(5), 'Expires', at(5), 'Date', at(0)], 'expires 0'],
    [['Expires', 'Thu, 18 Aug 2050 02:01:18 UTC', 'Date', at(0)], 'expires 0'],
  ];
  for (const [flat, wanted] of cases) assert.equal(lifetimeOf(flat), wanted, flat.join(' '));
});

test('a targeted field puts Cache-Control and Expires out of force', () => {
  const expired = ['Expires', at(-5), 'Cache-Control', 'max-age=1'];
  assert.equal(lifetimeOf(['CDN-Cache-Control', 'max-age=9', ...expired]), 'max-age 9');
  assert.equal(lifetimeOf(['CDN-Cache-Control', 'foobar', 'Expires', at(60), 'Date', at(0)]), undefined);
});

test('a tenth of the time since the last change is the guess, for a day at most', () => {
  const modified = (seconds: number, ...more: string[]) => ['Last-Modified', at(-seconds), 'Date', at(0), ...more];
  assert.equal(lifetimeOf(modified(DAY)), 'heuristic 8640');
  assert.equal(lifetimeOf(modified(5)), 'heuristic 0');
  assert.equal(lifetimeOf(modified(1000 * DAY)), `heuristic ${DAY}`);
  assert.equal(lifetimeOf(modified(-DAY)), 'heuristic 0');
  assert.equal(lifetimeOf(['Last-Modified', at(-100)]), 'heuristic 10');
  assert.equal(lifetimeOf(['Last-Modified', 'yesterday', 'Date', at(0)]), undefined);
  assert.equal(lifetimeOf(modified(DAY, 'Cache-Control', 'max-age=1')), 'max-age 1');
  assert.equal(lifetimeOf(modified(DAY, 'Expires', '0')), 'expires 0');
});

test('the guess is made for the statuses of RFC 9110 only, or where the response is public', () => {
  const modified = ['Last-Modified', at(-DAY), 'Date', at(0)];
  const guessed = new Set([200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501]);
  for (let status = 200; status < 600; status++) {
    assert.equal(lifetimeOf(modified, status), guessed.has(status) ? 'heuristic 8640' : undefined, String(status));
  }
  assert.equal(lifetimeOf([...modified, 'Cache-Control', 'public'], 599), 'heuristic 8640');
});

test('the age is what Date implies, or the Age field with the time the request took', () => {
  const age = (flat: string[], delayMs = 0) => initialAge(new Fields(flat), NOW - delayMs, NOW);
  const cases: readonly (readonly [flat: string[], delayMs: number, wanted: number])[] = [
    [[], 0, 0],
    [['Date', at(-7200)], 0, 7200],
    [['Date', at(60)], 0, 0],
    [['Date', at(-10), 'Age', '25'], 0, 25],
    [['Date', at(10), 'Age', '15'], 0, 15],
    [['Age', '30'], 2600, 32],
    [[], 5000, 5],
    [[], -5000, 0],
    [['Date', at(-40), 'Age', '30'], 2000, 40],
    [['Age', 'abc'], 0, 0],
    [['Age', '-7200'], 0, 0],
    [['Age', '7200.0'], 0, 0],
    [['Age', '7200;foo=bar'], 0, 0],
    [['Age', '2147483647'], 0, 2147483647],
    [['Age', '99999999999999999999'], 0, 2 ** 31],
    [['Age', '7200, 0'], 0, 7200],
    [['Age', '0, 7200'], 0, 0],
    [['Age', '7200', 'Age', '0'], 0, 7200],
    [['Age', '0', 'Age', '7200'], 0, 0],
    [['Age', ' 5 '], 0, 5],
  ];
  for (const [flat, delayMs, wanted] of cases) assert.equal(age(flat, delayMs), wanted, `${flat.join(' ')} ${delayMs}`);
});

test('what the actions ask is the same without guesses, and without delay', () => {
  assert.equal(freshnessLifetime(new Fields(['Expires', at(30), 'Date', at(0)]), NOW), 30);
  assert.equal(freshnessLifetime(new Fields(['Last-Modified', at(-DAY)]), NOW), undefined);
  assert.equal(ageOnReceipt(new Fields(['Date', at(-5), 'Age', '3']), NOW), 5);
});

test('ages and lifetimes are whole seconds, never negative', () => {
  const field = fc.constantFrom('Age', 'Date', 'Expires', 'Last-Modified', 'Cache-Control');
  const seconds = fc.integer({ min: -1e6, max: 1e6 });
  const value = fc.oneof(
    seconds.map(at),
    seconds.map(String),
    seconds.map((n) => `max-age=${n}`),
    fc.string(),
  );
  const flat = fc.array(fc.tuple(field, value)).map((pairs) => pairs.flat());
  fc.assert(
    fc.property(flat, fc.integer({ min: -1e6, max: 1e6 }), (flat, delayMs) => {
      const fields = new Fields(flat);
      const known = lifetime({ status: 200, fields }, governingControl(fields, []), NOW);
      for (const number of [known?.seconds ?? 0, initialAge(fields, NOW - delayMs, NOW)]) {
        assert.ok(Number.isSafeInteger(number) && number >= 0, String(number));
      }
    }),
  );
});
