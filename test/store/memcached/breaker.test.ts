import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, mock, test } from 'node:test';
import { BREAKER_DEFAULTS, Breaker, type BreakerOptions } from '../../../src/store/memcached/breaker.js';
import { DEFAULT_CONNECT_TIMEOUT_MS } from '../../../src/store/memcached/server.js';
import { StoreError } from '../../../src/store/store.js';

const FAILURE = new StoreError('timeout', 'no answer');

function fixture(options: Partial<BreakerOptions> = {}) {
  const events: string[] = [];
  const breaker = new Breaker(
    { ...BREAKER_DEFAULTS, random: () => 0, ...options },
    { opened: (cause) => events.push(`opened: ${cause.message}`), probe: () => events.push('probe') },
  );
  const fail = (times: number) => {
    for (let i = 0; i < times; i++) breaker.failed(FAILURE);
  };
  return { breaker, events, fail };
}

describe('the breaker', () => {
  beforeEach(() => mock.timers.enable({ apis: ['setTimeout'] }));
  afterEach(() => mock.timers.reset());

  test('opens after three failures in a row, and says why once', () => {
    const { breaker, events, fail } = fixture();
    fail(2);
    assert.equal(breaker.state, 'closed');
    fail(10);
    assert.equal(breaker.state, 'open');
    assert.deepEqual(events, ['opened: no answer']);
    breaker.stop();
  });

  test('counts anew after a success', () => {
    const { breaker, fail } = fixture();
    fail(2);
    breaker.succeeded();
    fail(2);
    assert.equal(breaker.state, 'closed');
  });

  test('probes once after the back-off, and closes when the probe is answered', () => {
    const { breaker, events, fail } = fixture();
    fail(3);
    mock.timers.tick(49);
    assert.equal(breaker.state, 'open');
    mock.timers.tick(1);
    assert.equal(breaker.state, 'half-open');
    mock.timers.tick(60_000);
    assert.deepEqual(events, ['opened: no answer', 'probe']);
    breaker.recovered();
    assert.equal(breaker.state, 'closed');
  });

  test('waits twice as long after each probe that fails, up to the limit', () => {
    const { breaker, events, fail } = fixture();
    fail(3);
    for (const wait of [50, 100, 200, 400, 400, 400]) {
      mock.timers.tick(wait - 1);
      assert.equal(breaker.state, 'open');
      mock.timers.tick(1);
      assert.equal(breaker.state, 'half-open');
      fail(1);
      assert.equal(breaker.state, 'open');
    }
    assert.equal(events.filter((event) => event !== 'probe').length, 1);
    breaker.stop();
  });

  test('takes up to half of the back-off away by chance', () => {
    const { breaker, fail } = fixture({ random: () => 0.999_999 });
    fail(3);
    mock.timers.tick(26);
    assert.equal(breaker.state, 'half-open');
  });

  test('goes on waiting longer until an operation succeeds: an answered probe is not enough', () => {
    const { breaker, fail } = fixture();
    fail(3);
    mock.timers.tick(50);
    breaker.recovered();
    fail(3);
    mock.timers.tick(50);
    assert.equal(breaker.state, 'open');
    mock.timers.tick(50);
    assert.equal(breaker.state, 'half-open');
    breaker.recovered();
    breaker.succeeded();
    fail(3);
    mock.timers.tick(50);
    assert.equal(breaker.state, 'half-open');
  });

  test('stopped, it probes no more', () => {
    const { breaker, events, fail } = fixture();
    fail(3);
    breaker.stop();
    mock.timers.tick(60_000);
    assert.deepEqual(events, ['opened: no answer']);
  });

  test('a probe and the longest wait together stay below a second', () => {
    assert.ok(DEFAULT_CONNECT_TIMEOUT_MS + BREAKER_DEFAULTS.maxBackoffMs < 1000);
  });
});
