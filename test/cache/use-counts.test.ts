import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PassMemory } from '../../src/cache/pass-memory.js';
import { UseCounts } from '../../src/cache/use-counts.js';

test('uses are counted by key, up to the number that is wanted', () => {
  const uses = new UseCounts();
  assert.deepEqual(
    [1, 2, 3, 4].map(() => uses.reached('a', 3)),
    [false, false, true, true],
  );
  assert.equal(uses.reached('b', 3), false);
});

test('nothing is counted where one use is enough', () => {
  const uses = new UseCounts();
  for (const wanted of [undefined, 0, 1]) assert.ok(uses.reached('a', wanted));
  assert.equal(uses.reached('a', 2), false);
});

test('a pass is remembered by key, and not at all for no time', () => {
  const [passes, none] = [new PassMemory(10), new PassMemory(0)];
  for (const memory of [passes, none]) memory.add('a');
  assert.deepEqual([passes.has('a'), passes.has('b'), none.has('a')], [true, false, false]);
});
