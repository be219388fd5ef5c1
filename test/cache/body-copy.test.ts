import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BodyCopy } from '../../src/cache/body-copy.js';
import { BufferBudget } from '../../src/cache/buffer-budget.js';

const bytes = (text: string) => Buffer.from(text);

describe('the copy of a body', () => {
  test('is what passed, in pieces of its own', () => {
    const copy = new BodyCopy(100, new BufferBudget(100), undefined);
    const chunk = bytes('hello ');
    copy.add(chunk);
    copy.add(bytes('world'));
    chunk.fill(0);
    const body = copy.finish();
    assert.ok(typeof body !== 'string');
    assert.equal(Buffer.concat(body.pieces).toString(), 'hello world');
  });

  test('may be as large as maxsize and no larger', () => {
    const budget = new BufferBudget(100);
    const fitting = new BodyCopy(5, budget, undefined);
    fitting.add(bytes('12345'));
    assert.notEqual(typeof fitting.finish(), 'string');

    const larger = new BodyCopy(5, budget, undefined);
    larger.add(bytes('12345'));
    larger.add(bytes('6'));
    assert.equal(larger.finish(), 'above-maxsize');
    assert.equal(budget.usedBytes, 5, 'what was given up is released, what was finished is not');
  });

  test('ends where the budget of all copies ends', () => {
    const budget = new BufferBudget(8);
    const first = new BodyCopy(100, budget, undefined);
    const second = new BodyCopy(100, budget, undefined);
    first.add(bytes('12345'));
    second.add(bytes('1234'));
    assert.equal(second.finish(), 'memory');
    first.release();
    assert.equal(budget.usedBytes, 0);
  });

  test('is incomplete when it is not as long as was announced', () => {
    const budget = new BufferBudget(100);
    const copy = new BodyCopy(100, budget, 6);
    copy.add(bytes('12345'));
    assert.equal(copy.finish(), 'incomplete');
    assert.equal(budget.usedBytes, 0);
  });
});

describe('the budget', () => {
  test('tells when nothing is on its way any more', async () => {
    const budget = new BufferBudget(10);
    await budget.idle();
    assert.ok(budget.take(4));
    assert.ok(budget.take(6));
    assert.ok(!budget.take(1));
    let idle = false;
    const waiting = budget.idle().then(() => {
      idle = true;
    });
    budget.release(4);
    await Promise.resolve();
    assert.equal(idle, false);
    budget.release(6);
    await waiting;
  });
});
