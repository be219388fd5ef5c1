import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fields } from '../../src/http/fields.js';
import { invalidationTargets, isUnsafe } from '../../src/http/invalidation.js';

const TARGET = 'http://example.org/shop/cart?id=1';

const targets = (status: number, ...flat: string[]) =>
  invalidationTargets(TARGET, { status, fields: new Fields(flat) });

test('methods that change nothing are safe, all others are not', () => {
  for (const method of ['GET', 'HEAD', 'OPTIONS', 'TRACE', 'QUERY', 'PROPFIND', 'SEARCH', 'REPORT']) {
    assert.equal(isUnsafe(method), false, method);
  }
  for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'M-SEARCH', 'get', 'constructor']) {
    assert.equal(isUnsafe(method), true, method);
  }
});

test('a request that succeeded or was sent elsewhere invalidates its target, one that failed nothing', () => {
  for (const status of [200, 201, 204, 301, 303, 399]) assert.deepEqual(targets(status), [TARGET], String(status));
  for (const status of [103, 400, 404, 412, 500, 599]) {
    assert.deepEqual(targets(status, 'Location', '/a'), [], String(status));
  }
});

test('Location and Content-Location of the same origin are invalidated, each once', () => {
  assert.deepEqual(targets(201, 'Location', '/a', 'Content-Location', 'b'), [
    TARGET,
    'http://example.org/a',
    'http://example.org/shop/b',
  ]);
  assert.deepEqual(targets(200, 'Location', '/a', 'Content-Location', '/a#b'), [TARGET, 'http://example.org/a']);
  assert.deepEqual(targets(200, 'Content-Location', '?id=1'), [TARGET]);
});

test('what lies elsewhere is not for this origin to invalidate', () => {
  for (const location of [
    'http://example.com/a',
    'https://example.org/a',
    '//example.com/',
    'http://example.org:8080/',
  ]) {
    assert.deepEqual(targets(200, 'Location', location), [TARGET], location);
  }
});
