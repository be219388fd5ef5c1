import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fields } from '../../src/http/fields.js';
import { noVarySearch } from '../../src/http/no-vary-search.js';

const normalise = (value: string, query: string) => noVarySearch(new Fields(['No-Vary-Search', value]))?.(query);

test('key-order makes the order of different parameters one', () => {
  assert.equal(normalise('key-order', 'b=1&a=2&b=0'), 'a=2&b=1&b=0');
  assert.equal(normalise('key-order=?0', 'b=1&a=2'), 'b=1&a=2');
});

test('params says which parameters do not matter', () => {
  assert.equal(normalise('params', 'a=1&b=2'), '');
  assert.equal(normalise('params=?0', 'a=1&b=2'), 'a=1&b=2');
  assert.equal(normalise('params=("a" "c")', 'a=1&b=2&%61=3'), 'b=2');
  assert.equal(normalise('params=()', 'a=1'), 'a=1');
  assert.equal(normalise('params=("a"), key-order', 'c=1&a=1&b=2'), 'b=2&c=1');
});

test('except says which parameters matter when the others do not', () => {
  assert.equal(normalise('params, except=("a")', 'a=1&b=2'), 'a=1');
  assert.equal(normalise('except=("a"), params=?1;x', 'b=2'), '');
});

test('names are written as in queries, and a star is a name', () => {
  assert.equal(normalise('params=("a+b" "%C3%A9")', 'a%20b=1&%c3%a9=2&c=3'), 'c=3');
  assert.equal(normalise('params=("*")', 'a=1&*=2'), 'a=1');
  assert.equal(normalise('params=("a=")', 'a=1&a%3D=2'), 'a=1');
});

test('a field that is absent, empty, invalid or not understood says nothing', () => {
  assert.equal(noVarySearch(new Fields()), undefined);
  for (const value of [
    '',
    'key-order=1',
    'key-order=("a")',
    'params="a"',
    'params=a',
    'params=(a)',
    'params=("a" 1)',
    'except=("a")',
    'params=("a"), except=("b")',
    'params=?0, except=("b")',
    'params, except',
    'params, except="a"',
    'unknown',
    'params, other=1',
    'params=("a"',
    'Params',
  ]) {
    assert.equal(normalise(value, 'a=1'), undefined, value);
  }
});
