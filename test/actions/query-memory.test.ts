import assert from 'node:assert/strict';
import { it } from 'node:test';
import { QueryMemory } from '../../src/actions/query-memory.js';
import { Fields } from '../../src/http/fields.js';

const ignoresRef = new Fields(['No-Vary-Search', 'params=("ref")']);
const ignoresAll = new Fields(['No-Vary-Search', 'params']);

it('knows for every query of a path what one response has said', () => {
  const memory = new QueryMemory();
  assert.equal(memory.of('http://h/a?ref=1'), undefined);
  assert.equal(memory.learn('http://h/a?ref=1', undefined, ignoresRef), true);
  assert.equal(memory.of('http://h/a?ref=2&b=3')?.normalise('ref=2&b=3'), 'b=3');
  assert.equal(memory.of('http://h/a')?.value, 'params=("ref")');
  assert.equal(memory.of('http://h/b?ref=2'), undefined);
  assert.equal(memory.of('https://h/a'), undefined);
});

it('takes the latest word, and a key made by an earlier one is not for it', () => {
  const memory = new QueryMemory();
  memory.learn('http://h/a', undefined, ignoresRef);
  const known = memory.of('http://h/a');
  assert.equal(memory.learn('http://h/a', known, ignoresRef), true);
  assert.equal(memory.learn('http://h/a', known, ignoresAll), false);
  assert.equal(memory.of('http://h/a')?.normalise('x=1'), '');
  assert.equal(memory.learn('http://h/a', known, new Fields()), false);
  assert.equal(memory.of('http://h/a'), undefined, 'a path that has stopped to say so');
});

it('forgets what it can not understand', () => {
  const memory = new QueryMemory();
  memory.learn('http://h/a', undefined, ignoresRef);
  memory.learn('http://h/a', undefined, new Fields(['No-Vary-Search', 'params=(ref']));
  assert.equal(memory.of('http://h/a'), undefined);
});

it('remembers a bounded number of paths', () => {
  const memory = new QueryMemory();
  for (let i = 0; i <= 10_000; i++) memory.learn(`http://h/${i}`, undefined, ignoresRef);
  assert.equal(memory.of('http://h/0'), undefined);
  assert.notEqual(memory.of('http://h/10000'), undefined);
});
