import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { z } from 'zod';
import { explainIssue, type Problem, problemsOf } from '../../src/actions/issues.js';

describe('a problem of options', () => {
  const options = z.strictObject({
    ttl: z.number().max(60),
    mode: z.enum(['set', 'add']).optional(),
    names: z.array(z.string()).min(1).optional(),
    tls: z.union([z.boolean(), z.strictObject({ ca: z.string() })]).optional(),
  });

  it('names the known option that an unknown one is near to, each by itself', () => {
    assert.deepEqual(problems(options, { ttl: 1, tttl: 2, colour: 3 }), [
      { path: ['tttl'], message: 'unknown option "tttl", did you mean "ttl"?', about: 'name' },
      { path: ['colour'], message: 'unknown option "colour"', about: 'name' },
    ]);
  });

  it('says which option is missing', () => {
    assert.deepEqual(problems(options, {}), [{ path: ['ttl'], message: '"ttl" is missing', about: 'value' }]);
    assert.deepEqual(messages(options, undefined), ['a value (name: value) is missing']);
  });

  it('says what was expected and what was found', () => {
    assert.deepEqual(messages(options, { ttl: 'long' }), ['expected a number, found "long"']);
    assert.deepEqual(messages(options, { ttl: [] }), ['expected a number, found an empty list']);
    assert.deepEqual(messages(options, { ttl: 61 }), ['61 is too large: expected 60 or less']);
    assert.deepEqual(messages(options, { ttl: 1, names: [] }), [
      'an empty list is too small: expected 1 items or more',
    ]);
    assert.deepEqual(messages(options, 5), ['expected options (name: value), found 5']);
  });

  it('lists the choices', () => {
    assert.deepEqual(messages(options, { ttl: 1, mode: 'ad' }), ['"ad" is not one of set, add, did you mean "add"?']);
  });

  it('of a value with several forms is about the form that was meant', () => {
    assert.deepEqual(problems(options, { ttl: 1, tls: { ca: 5 } }), [
      { path: ['tls', 'ca'], message: 'expected text, found 5', about: 'value' },
    ]);
    assert.deepEqual(messages(options, { ttl: 1, tls: 5 }), [
      'expected true or false or options (name: value), found 5',
    ]);
  });

  it('is about the name when that is what is wrong', () => {
    const lower = z.string().regex(/^[a-z]+$/, { error: 'is not lower case' });
    assert.deepEqual(problems(z.record(lower, z.number()), { UP: 1, low: 'x' }), [
      { path: ['UP'], message: 'is not lower case', about: 'name' },
      { path: ['low'], message: 'expected a number, found "x"', about: 'value' },
    ]);
  });

  it('repeats no more than a piece of a long value', () => {
    const [message = ''] = messages(options, { ttl: 'x'.repeat(10_000) });
    assert.ok(message.length < 200, message);
  });

  it('keeps a message that the schema brings itself', () => {
    const even = z.number().refine((value) => value % 2 === 0, { error: 'is odd' });
    assert.deepEqual(messages(even, 3), ['is odd']);
  });
});

function problems(schema: z.ZodType, value: unknown): Problem[] {
  const read = schema.safeParse(value, { error: explainIssue });
  assert.ok(!read.success);
  return problemsOf(read.error);
}

function messages(schema: z.ZodType, value: unknown): string[] {
  return problems(schema, value).map(({ message }) => message);
}
