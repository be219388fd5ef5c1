import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatHttpDate, parseHttpDate } from '../../src/http/date.js';

const NOW = Date.UTC(2026, 6, 1);
const EXAMPLE = Date.UTC(1994, 10, 6, 8, 49, 37);

test('the three forms of an HTTP-date are read', () => {
  for (const text of [
    'Sun, 06 Nov 1994 08:49:37 GMT',
    'Sunday, 06-Nov-94 08:49:37 GMT',
    'Sun Nov  6 08:49:37 1994',
    'Sun Nov 06 08:49:37 1994',
    'sun, 06 nov 1994 08:49:37 gmt',
    'SUNDAY, 06-NOV-94 08:49:37 GMT',
    // The day of the week is not checked against the date.
    'Mon, 06 Nov 1994 08:49:37 GMT',
  ]) {
    assert.equal(parseHttpDate(text, NOW), EXAMPLE, text);
  }
});

test('anything else is no date', () => {
  for (const text of [
    '',
    '0',
    '-1',
    'Sun, 06 Nov 1994 08:49:37',
    'Sun, 06 Nov 1994 08:49:37 UTC',
    'Sun, 06 Nov 1994 08:49:37 EST',
    'Sun, 06 Nov 1994 08:49:37 +0000',
    'Sun 06 Nov 1994 08:49:37 GMT',
    'Sun, 06-Nov-1994 08:49:37 GMT',
    'Sun, 06 Nov 94 08:49:37 GMT',
    'Sun, 06 Nov 1994 08.49.37 GMT',
    'Sun, 06 Nov 1994 8:49:37 GMT',
    'Sun, 6 Nov 1994 08:49:37 GMT',
    'Sun,  06 Nov 1994 08:49:37 GMT',
    'Sun, 06  Nov 1994 08:49:37 GMT',
    'Sun, 06 Nov 1994  08:49:37 GMT',
    'Sun, 06 Nov 1994 08:49:37  GMT',
    ' Sun, 06 Nov 1994 08:49:37 GMT',
    'Sun, 06 Nov 1994 08:49:37 GMT ',
    'Sun, 06 Nov 1994 08:49:37 GMT\n',
    'Sunday, 06-Nov-94  08:49:37 GMT',
    'Sun, 06-Nov-94 08:49:37 GMT',
    'Sunday, 06 Nov 1994 08:49:37 GMT',
    'Sun Nov 6 08:49:37 1994',
    'Sun Nov  6 08:49:37 1994 GMT',
    'Xyz, 06 Nov 1994 08:49:37 GMT',
    'Sun, 06 Xyz 1994 08:49:37 GMT',
    'Sun, 00 Nov 1994 08:49:37 GMT',
    'Sun, 31 Nov 1994 08:49:37 GMT',
    'Wed, 29 Feb 1995 08:49:37 GMT',
    'Sun, 06 Nov 1994 24:00:00 GMT',
    'Sun, 06 Nov 1994 08:60:00 GMT',
    'Sun, 06 Nov 1994 08:49:61 GMT',
    'Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT',
  ]) {
    assert.equal(parseHttpDate(text, NOW), undefined, text);
  }
});

test('years beyond 32 bits of seconds are years like others', () => {
  assert.equal(parseHttpDate('Tue, 19 Jan 2038 03:14:08 GMT', NOW), 2 ** 31 * 1000);
  assert.equal(parseHttpDate('Sat, 20 Nov 2286 17:46:40 GMT', NOW), 1e13);
  assert.equal(parseHttpDate('Thu, 29 Feb 2096 00:00:00 GMT', NOW), Date.UTC(2096, 1, 29));
});

test('a year below 100 is not one of the twentieth century', () => {
  const time = parseHttpDate('Sun, 06 Nov 0094 08:49:37 GMT', NOW);
  assert.equal(time === undefined ? undefined : new Date(time).getUTCFullYear(), 94);
});

test('a leap second is the first second of the next minute', () => {
  assert.equal(parseHttpDate('Sat, 31 Dec 2016 23:59:60 GMT', NOW), Date.UTC(2017, 0, 1));
});

test('a two-digit year is the latest one that is not more than 50 years ahead', () => {
  const year = (text: string, nowMs: number) => new Date(parseHttpDate(text, nowMs) ?? Number.NaN).getUTCFullYear();
  assert.equal(year('Sunday, 06-Nov-94 08:49:37 GMT', NOW), 1994);
  assert.equal(year('Wednesday, 01-Jul-76 00:00:00 GMT', NOW), 2076);
  assert.equal(year('Wednesday, 01-Jul-76 00:00:01 GMT', NOW), 1976);
  assert.equal(year('Monday, 06-Nov-10 00:00:00 GMT', Date.UTC(2090, 0, 1)), 2110);
  // 2100 has no 29 February.
  assert.equal(year('Tuesday, 29-Feb-00 00:00:00 GMT', Date.UTC(2090, 0, 1)), 2000);
});

test('a date that was written is read again, in all three forms', () => {
  const wholeSeconds = fc.integer({ min: 0, max: Date.UTC(9999, 11, 31) / 1000 }).map((seconds) => seconds * 1000);
  fc.assert(
    fc.property(wholeSeconds, (ms) => {
      const fixed = formatHttpDate(ms);
      assert.match(fixed, /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/);
      assert.equal(parseHttpDate(fixed, NOW), ms);
      const [day = '', date = '', month = '', year = '', time = ''] = fixed.replace(',', '').split(' ');
      const padded = date.replace(/^0/, ' ');
      assert.equal(parseHttpDate(`${day} ${month} ${padded} ${time} ${year}`, NOW), ms);
      const long = { Mon: 'Mon', Tue: 'Tues', Wed: 'Wednes', Thu: 'Thurs', Fri: 'Fri', Sat: 'Satur', Sun: 'Sun' }[day];
      assert.equal(parseHttpDate(`${long}day, ${date}-${month}-${year.slice(2)} ${time} GMT`, ms), ms);
    }),
  );
});
