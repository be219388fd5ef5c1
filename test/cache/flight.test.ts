import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Flights } from '../../src/cache/flight.js';

function deferred<T>() {
  let resolve: (value: T) => void = () => {};
  let reject: (error: Error) => void = () => {};
  const promise = new Promise<T>((onValue, onError) => {
    resolve = onValue;
    reject = onError;
  });
  return { promise, resolve, reject };
}

describe('flights', () => {
  test('run once for all who ask while they last', async () => {
    const flights = new Flights<string>();
    const run = deferred<string>();
    let starts = 0;
    const start = () => {
      starts++;
      return run.promise;
    };
    const first = flights.join('a', start);
    const second = flights.join('a', start);
    const other = flights.join('b', () => Promise.resolve('another'));
    assert.deepEqual([first.isCollapsed, second.isCollapsed, other.isCollapsed], [false, true, false]);
    assert.equal(second.result, first.result);
    run.resolve('value');
    assert.equal(await first.result, 'value');
    assert.equal(await other.result, 'another');
    assert.equal(starts, 1);
  });

  test('can be closed to who comes later: the first of them starts anew, for all who come then', async () => {
    const flights = new Flights<string>();
    const runs = [deferred<string>(), deferred<string>()];
    const closing: (() => void)[] = [];
    const start = (close: () => void) => {
      closing.push(close);
      return runs[closing.length - 1]?.promise ?? Promise.reject(new Error('there is one run too many'));
    };
    const early = performance.now();
    const first = flights.join('a', start);
    closing[0]?.();
    const late = performance.now();
    assert.deepEqual([flights.has('a', early), flights.has('a', late)], [true, false]);
    assert.equal(flights.join('a', start, early).result, first.result);
    const second = flights.join('a', start, late);
    assert.equal(second.isCollapsed, false);
    assert.equal(flights.join('a', start, late).result, second.result);
    runs[0]?.resolve('old');
    await first.result;
    assert.equal(flights.join('a', start, late).result, second.result);
    runs[1]?.resolve('new');
    assert.equal(await second.result, 'new');
    assert.ok(!flights.has('a'));
  });

  test('are forgotten before anybody gets the result', async () => {
    const flights = new Flights<number>();
    await flights.join('a', async () => 1).result;
    assert.ok(!flights.has('a'));
    assert.equal(await flights.join('a', async () => 2).result, 2);
  });

  test('fail for all who wait, and leave nothing behind', async () => {
    const flights = new Flights<number>();
    const run = deferred<number>();
    const results = [1, 2, 3].map(() => flights.join('a', () => run.promise).result);
    run.reject(new Error('no'));
    for (const result of results) await assert.rejects(result, /^Error: no$/);
    assert.ok(!flights.has('a'));
  });

  test('fail when they can not start', async () => {
    const flights = new Flights<number>();
    const { result } = flights.join('a', () => {
      throw new Error('no start');
    });
    await assert.rejects(result, /no start/);
    assert.ok(!flights.has('a'));
  });

  test('can be joined until their value is over', async () => {
    const flights = new Flights<{ over: Promise<void> }>((value) => value.over);
    const over = deferred<void>();
    const value = { over: over.promise };
    await flights.join('a', async () => value).result;
    const late = flights.join('a', () => assert.fail('a second run'));
    assert.ok(late.isCollapsed);
    assert.equal(await late.result, value);
    over.resolve();
    await over.promise;
    await new Promise((resolve) => setImmediate(resolve));
    assert.ok(!flights.has('a'));
  });
});
