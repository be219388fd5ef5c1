import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { normalisedQuery, type QueryRules } from '../../src/http/query.js';

function check(rules: QueryRules, cases: readonly (readonly [query: string, wanted: string])[]) {
  for (const [query, wanted] of cases) assert.equal(normalisedQuery(query, rules), wanted, query);
}

test('without rules a query stays as it is', () => {
  for (const query of ['', 'a=1&b=2', '&&a&', '=', 'b&a', '%zz=%41&+']) check({}, [[query, query]]);
});

test('ignored parameters are left out, by name or by the beginning of it', () => {
  check({ ignore: ['fbclid', 'utm_*'] }, [
    ['utm_source=x&a=1&fbclid=2&utm_=&b', 'a=1&b'],
    ['fbclid', ''],
    ['fbclid2=1', 'fbclid2=1'],
    ['a=utm_x', 'a=utm_x'],
    ['Utm_x=1', 'Utm_x=1'],
    ['a=1&&b=2', 'a=1&&b=2'],
    ['a=1&&fbclid=2&', 'a=1'],
  ]);
});

test('a parameter is recognised however its name is written, as it is by the origin', () => {
  check({ ignore: ['utm_*', 'a b', '\xc3\xa9'] }, [
    ['%75tm%5fx=1&c', 'c'],
    ['a+b=1&a%20b=2&c=%61', 'c=%61'],
    ['%C3%A9=1&%c3%a9&c', 'c'],
    ['%7utm_x=1', '%7utm_x=1'],
  ]);
});

test('only listed parameters are kept when there is such a list', () => {
  check({ keep: ['id', 'p*'], ignore: ['page'] }, [
    ['x=1&id=2&page=3&p=4&id=5', 'id=2&p=4&id=5'],
    ['x=1', ''],
  ]);
  check({ keep: [] }, [['a=1', '']]);
  check({ ignore: ['*'] }, [['a=1&b', '']]);
});

test('sorting goes by name and keeps the order of parameters with one name', () => {
  check({ sort: true }, [
    ['b=1&a=2&b=0', 'a=2&b=1&b=0'],
    ['b&&a&', 'a&b'],
    ['%62=1&a&c', 'a&%62=1&c'],
    ['a=2&a=1', 'a=2&a=1'],
  ]);
});

const queries = fc
  .array(fc.tuple(fc.constantFrom('a', 'b', 'utm_x', '%61', '', '__proto__'), fc.constantFrom('', '=', '=1', '=%26')))
  .map((pairs) => pairs.map((pair) => pair.join('')).join('&'));

test('a normalised query is the normal form of itself, and has no parameters of its own', () => {
  const names = fc.array(fc.constantFrom('a', 'b', 'utm_*', '__proto__'));
  const rules = fc.record({ ignore: names, keep: fc.option(names, { nil: undefined }), sort: fc.boolean() });
  fc.assert(
    fc.property(queries, rules, (query, rules) => {
      const normal = normalisedQuery(query, rules);
      assert.equal(normalisedQuery(normal, rules), normal);
      for (const part of normal.split('&')) assert.ok(query.split('&').includes(part) || normal === '');
    }),
  );
});

test('sorted, all orders of parameters with different names are one', () => {
  const parameters = fc.uniqueArray(fc.stringMatching(/^[a-e]=[0-9]$/), { selector: (text) => text[0] });
  fc.assert(
    fc.property(parameters, (list) => {
      const sort = (texts: string[]) => normalisedQuery(texts.join('&'), { sort: true });
      assert.equal(sort(list), sort(list.toReversed()));
    }),
  );
});
