import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Queue } from '../../../src/store/memcached/queue.js';

test('entries leave in the order they came', () => {
  const step = fc.oneof({ arbitrary: fc.constant('push'), weight: 3 }, { arbitrary: fc.constant('shift'), weight: 2 });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 1000, size: 'max' }), (steps) => {
      const queue = new Queue<number>();
      const model: number[] = [];
      for (const [i, step] of steps.entries()) {
        if (step === 'push') {
          queue.push(i);
          model.push(i);
        } else {
          assert.equal(queue.shift(), model.shift());
        }
        assert.equal(queue.peek(), model[0]);
        assert.equal(queue.length, model.length);
      }
      assert.deepEqual([...queue], model);
    }),
  );
});
