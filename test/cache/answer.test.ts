import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { planAnswer } from '../../src/cache/answer.js';
import { Fields } from '../../src/http/fields.js';

const STORED = ['ETag', '"e"', 'Content-Type', 'text/plain', 'Cache-Control', 'max-age=60'];

function planned(
  request: readonly string[],
  options: { readonly method?: string; readonly status?: number; readonly bytes?: number | undefined } = {},
) {
  const { method, status, bytes } = { method: 'GET', status: 200, bytes: 10, ...options };
  const stored = { status, fields: new Fields(STORED) };
  const plan = planAnswer({ method, fields: new Fields(request) }, stored, bytes, Date.now());
  return { ...plan, isUntouched: [...stored.fields].flat().join() === STORED.join() };
}

describe('what a client gets of a stored response', () => {
  test('is all of it, when it asks for nothing else', () => {
    const { status, part, fields } = planned([]);
    assert.deepEqual([status, part, fields.get('content-type')], [200, undefined, 'text/plain']);
  });

  test('is a 304 without a body when its own copy is still good, whatever range it wants', () => {
    const { status, part, fields } = planned(['If-None-Match', '"e"', 'Range', 'bytes=0-1']);
    assert.deepEqual([status, part, fields.get('etag'), fields.has('content-type')], [304, null, '"e"', false]);
  });

  test('is the part it wants, with a head of its own', () => {
    const { status, part, fields, isUntouched } = planned(['Range', 'bytes=2-4']);
    assert.deepEqual([status, part, fields.get('content-range')], [206, { start: 2, end: 5 }, 'bytes 2-4/10']);
    assert.ok(isUntouched);
  });

  test('is a 416 when there is no such part', () => {
    const { status, part, fields } = planned(['Range', 'bytes=10-']);
    assert.deepEqual([status, part, fields.get('content-range')], [416, null, 'bytes */10']);
  });

  for (const [why, options] of [
    ['it asks by HEAD', { method: 'HEAD' }],
    ['the length is not known yet', { bytes: undefined }],
    ['the response is none that has parts', { status: 404 }],
  ] as const) {
    test(`is all of it although it wants a part, when ${why}`, () => {
      assert.equal(planned(['Range', 'bytes=2-4'], options).part, undefined);
    });
  }

  test('is all of it when its condition is met by something that is no 200', () => {
    const { status, part } = planned(['If-None-Match', '"e"'], { status: 404 });
    assert.deepEqual([status, part], [404, undefined]);
  });
});
