import assert from 'node:assert/strict';
import { test } from 'node:test';
import { captureRange, hostLabels } from '../../src/actions/captures.js';

test('captures of a range follow one another, backwards when it is reversed', () => {
  const values = ['abc', 'a', undefined, 'c'];
  assert.equal(captureRange(values, 1, 1), 'a');
  assert.equal(captureRange(values, 1, 3), 'ac');
  assert.equal(captureRange(values, 3, 0), 'caabc');
  assert.equal(captureRange(values, 1, Number.POSITIVE_INFINITY), 'ac');
  assert.equal(captureRange(values, Number.POSITIVE_INFINITY, 1), 'ca');
});

test('captures that do not exist are empty', () => {
  assert.equal(captureRange([], 0, Number.POSITIVE_INFINITY), '');
  assert.equal(captureRange(['a'], 4, 4), '');
  assert.equal(captureRange(['a'], 9, 4), '');
});

test('labels of a host are numbered from the top-level domain, 0 being all of it', () => {
  const labels = hostLabels('test.xyz.abc.example');
  assert.equal(labels(0, 0), 'test.xyz.abc.example');
  assert.equal(labels(1, 1), 'example');
  assert.equal(labels(4, 4), 'test');
  assert.equal(labels(5, 5), '');
});

test('a range of labels keeps their order in the name, unless it is reversed', () => {
  const labels = hostLabels('test.xyz.abc.example');
  assert.equal(labels(2, 3), 'xyz.abc');
  assert.equal(labels(2, Number.POSITIVE_INFINITY), 'test.xyz.abc');
  assert.equal(labels(3, 2), 'abc.xyz');
  assert.equal(labels(Number.POSITIVE_INFINITY, 2), 'abc.xyz.test');
  assert.equal(labels(5, 9), '');
  assert.equal(labels(0, 2), 'test.xyz.abc.example');
  assert.equal(labels(2, 0), 'test.xyz.abc.example');
});

test('a host without a dot is one label, and an empty one none', () => {
  assert.equal(hostLabels('[::1]')(1, 1), '[::1]');
  assert.equal(hostLabels('')(1, 1), '');
  assert.equal(hostLabels('')(0, 0), '');
});
