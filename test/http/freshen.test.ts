import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fields } from '../../src/http/fields.js';
import { freshened } from '../../src/http/freshen.js';

const merged = (stored: string[], notModified: string[]) =>
  freshened(new Fields(stored), new Fields(notModified)).flat();

test('fields of the 304 take the place of stored ones, also those about the content', () => {
  for (const name of [
    'Cache-Control',
    'X-A',
    'Content-Foo',
    'Content-Type',
    'Content-Encoding',
    'ETag',
    'Set-Cookie',
  ]) {
    assert.deepEqual(merged([name, 'old', 'B', '1'], [name.toLowerCase(), 'new']), [
      'B',
      '1',
      name.toLowerCase(),
      'new',
    ]);
  }
});

test('what the 304 does not have stays, and what it adds is added', () => {
  assert.deepEqual(merged(['A', '1', 'B', '2'], ['C', '3']), ['A', '1', 'B', '2', 'C', '3']);
});

test('all lines of a field are replaced by all lines of the new one', () => {
  assert.deepEqual(merged(['A', '1', 'a', '2'], ['A', '3', 'A', '4']), ['A', '3', 'A', '4']);
});

test('what describes the stored body stays as it is', () => {
  const stored = ['Content-Length', '36', 'Content-Range', 'bytes 0-35/90'];
  assert.deepEqual(merged(stored, ['Content-Length', '0', 'Content-Range', 'bytes 0-1/2']), stored);
});

test('fields of the connection are not taken over', () => {
  assert.deepEqual(merged(['A', '1'], ['Connection', 'a', 'A', '2', 'Keep-Alive', 'x', 'B', '3']), [
    'A',
    '1',
    'B',
    '3',
  ]);
});

test('the age of the old message does not outlive it', () => {
  assert.deepEqual(merged(['Date', 'then', 'Age', '99', 'A', '1'], []), ['A', '1']);
  assert.deepEqual(merged(['Date', 'then', 'Age', '99'], ['Date', 'now', 'Age', '1']), ['Date', 'now', 'Age', '1']);
});

test('the stored fields themselves are not touched', () => {
  const stored = new Fields(['A', '1']);
  freshened(stored, new Fields(['A', '2']));
  assert.equal(stored.get('a'), '1');
});
