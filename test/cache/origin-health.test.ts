import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { OriginHealth } from '../../src/cache/origin-health.js';

/** More failures in a row than any page has alone. */
const MANY = 100;

describe('an origin', () => {
  test('may be asked as long as it has not failed', () => {
    const health = new OriginHealth(1000);
    for (let i = 0; i < 3; i++) assert.ok(health.mayAsk('a', 0));
  });

  test('is left alone for a page that failed, until the back-off is over', () => {
    const health = new OriginHealth(1000);
    health.failed('a', 0);
    assert.deepEqual([health.mayAsk('a', 999), health.mayAsk('b', 999), health.mayAsk('a', 1000)], [false, true, true]);
  });

  test('may be asked at once when the page was answered since', () => {
    const health = new OriginHealth(1000);
    health.failed('a', 0);
    health.answered('a');
    assert.ok(health.mayAsk('a', 1));
  });

  test('that fails altogether is asked by one in every back-off, for whatever page', () => {
    const health = new OriginHealth(1000);
    for (let i = 0; i < MANY; i++) health.failed(`page ${i}`, 0);
    assert.equal(health.mayAsk('another', 999), false);
    const admitted = ['b', 'c', 'd'].filter((page) => health.mayAsk(page, 1000));
    assert.deepEqual(admitted, ['b']);
    assert.deepEqual([health.mayAsk('c', 1999), health.mayAsk('c', 2000)], [false, true]);
  });

  test('that answers again may be asked by all', () => {
    const health = new OriginHealth(1000);
    for (let i = 0; i < MANY; i++) health.failed(`page ${i}`, 0);
    health.answered('any');
    assert.ok(health.mayAsk('b', 1));
    assert.ok(health.mayAsk('c', 1));
  });
});
