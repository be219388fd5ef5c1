import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import type { ChainSchema } from '../../src/actions/action.js';
import type { BoundChain, ChainContext } from '../../src/actions/chain.js';
import { whenAction } from '../../src/actions/when.js';
import { BufferBudget } from '../../src/cache/buffer-budget.js';
import { exchangeOf } from '../support/exchange.js';

/** A chain that is a word, and says it in the environment when it runs. */
const chains: ChainSchema = z.string().transform(
  (word): BoundChain =>
    () =>
    async (exchange) => {
      exchange.environment.set('ran', word);
    },
);

async function run(options: unknown, method: 'GET' | 'POST'): Promise<string | undefined> {
  const bound = whenAction.bind(options, chains);
  assert.ok(bound.success);
  const exchange = await exchangeOf({ method });
  const context: ChainContext = {
    store: () => assert.fail('a condition needs no store'),
    bodies: new BufferBudget(),
    cacheName: 'lookaside',
    secrets: [],
    caches: new Set(),
    log: exchange.log,
  };
  const pending = bound.data(context)(exchange);
  assert.equal(pending !== undefined, exchange.environment.has('ran'), 'a chain that runs is waited for');
  await pending;
  return exchange.environment.get('ran');
}

test('the chain of the branch that the condition chooses runs', async () => {
  // Parsed, because an object with a property `then` is best not written.
  const options: unknown = JSON.parse('{"if": "req.method == GET", "then": "yes", "else": "no"}');
  assert.equal(await run(options, 'GET'), 'yes');
  assert.equal(await run(options, 'POST'), 'no');
});

test('without an else nothing runs when the condition fails', async () => {
  const options: unknown = JSON.parse('{"if": "req.method == GET", "then": "yes"}');
  assert.equal(await run(options, 'GET'), 'yes');
  assert.equal(await run(options, 'POST'), undefined);
});

test('a condition, a chain to run and nothing else are wanted', () => {
  for (const options of [
    '{"then": "yes"}',
    '{"if": "req.method == GET"}',
    '{"if": "req.pth == a", "then": "yes"}',
    '{"if": "req.method == GET", "then": "yes", "elsif": "no"}',
    'null',
  ]) {
    assert.equal(whenAction.bind(JSON.parse(options), chains).success, false, options);
  }
});
