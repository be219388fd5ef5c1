import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Fields } from '../../src/http/fields.js';
import {
  conditionalFields,
  entityTag,
  evaluateConditions,
  hasValidator,
  isConditional,
  notModifiedFields,
  withoutConditions,
} from '../../src/http/validators.js';

const NOW = Date.UTC(2026, 6, 1);
const MODIFIED = 'Sun, 06 Nov 1994 08:49:37 GMT';
const EARLIER = 'Sun, 06 Nov 1994 08:49:36 GMT';
const LATER = 'Sun, 06 Nov 1994 08:49:38 GMT';

function verdict(request: { [name: string]: string }, response: { [name: string]: string }) {
  return evaluateConditions(Fields.from(request), Fields.from(response), NOW);
}

test('a request without conditions gets all of the response', () => {
  assert.equal(verdict({}, { ETag: '"a"', 'Last-Modified': MODIFIED }), 'full');
});

test('If-Match and If-Unmodified-Since are for the origin, whatever comes with them', () => {
  assert.equal(verdict({ 'If-Match': '"a"', 'If-None-Match': '"a"' }, { ETag: '"a"' }), 'origin');
  assert.equal(verdict({ 'If-Unmodified-Since': LATER }, { 'Last-Modified': MODIFIED }), 'origin');
});

test('If-None-Match is compared weakly with each tag of its list', () => {
  const cases: readonly (readonly [condition: string, tag: string, 'full' | 'not-modified'])[] = [
    ['"a"', '"a"', 'not-modified'],
    ['"a"', 'W/"a"', 'not-modified'],
    ['W/"a"', '"a"', 'not-modified'],
    ['W/"a"', 'W/"a"', 'not-modified'],
    ['"a", "b", "c"', '"a"', 'not-modified'],
    ['"a","b","c"', '"b"', 'not-modified'],
    ['"a" , W/"b" ,\t"c"', '"c"', 'not-modified'],
    [', ,"a"', '"a"', 'not-modified'],
    ['"x,y", "a"', '"a"', 'not-modified'],
    ['"x, "a", y"', '"a"', 'full'],
    ['"\xe9"', '"\xe9"', 'not-modified'],
    ['""', '""', 'not-modified'],
    ['"A"', '"a"', 'full'],
    ['"b"', '"a"', 'full'],
    ['a', '"a"', 'full'],
    ['"a', '"a"', 'full'],
    ['"b" "a"', '"a"', 'full'],
    ['w/"a"', '"a"', 'full'],
    ['', '"a"', 'full'],
    ['"a"', 'a', 'full'],
    ['"a"', '"a", "b"', 'full'],
  ];
  for (const [condition, tag, wanted] of cases) {
    assert.equal(verdict({ 'If-None-Match': condition }, { ETag: tag }), wanted, `${condition} against ${tag}`);
  }
});

test('If-None-Match: * matches whatever is stored, and nothing else matches a response without a tag', () => {
  assert.equal(verdict({ 'If-None-Match': '*' }, {}), 'not-modified');
  assert.equal(verdict({ 'If-None-Match': '"a"' }, {}), 'full');
});

test('lines of If-None-Match are one list', () => {
  const request = new Fields(['If-None-Match', '"a"', 'if-none-match', '"b"']);
  assert.equal(evaluateConditions(request, new Fields(['ETag', '"b"']), NOW), 'not-modified');
});

test('If-None-Match puts If-Modified-Since out of force', () => {
  const response = { ETag: '"a"', 'Last-Modified': MODIFIED };
  assert.equal(verdict({ 'If-None-Match': '"b"', 'If-Modified-Since': LATER }, response), 'full');
  assert.equal(verdict({ 'If-None-Match': '"a"', 'If-Modified-Since': EARLIER }, response), 'not-modified');
});

test('If-Modified-Since of the same time or later is answered with 304', () => {
  const response = { 'Last-Modified': MODIFIED };
  assert.equal(verdict({ 'If-Modified-Since': MODIFIED }, response), 'not-modified');
  assert.equal(verdict({ 'If-Modified-Since': LATER }, response), 'not-modified');
  assert.equal(verdict({ 'If-Modified-Since': EARLIER }, response), 'full');
  assert.equal(verdict({ 'If-Modified-Since': 'Sunday, 06-Nov-94 08:49:37 GMT' }, response), 'not-modified');
  assert.equal(verdict({ 'If-Modified-Since': 'Sun Nov  6 08:49:37 1994' }, response), 'not-modified');
});

test('a date that can not be read is no condition', () => {
  for (const date of ['', '0', 'now', `${MODIFIED}, ${MODIFIED}`]) {
    assert.equal(verdict({ 'If-Modified-Since': date }, { 'Last-Modified': MODIFIED }), 'full', date);
    assert.equal(verdict({ 'If-Modified-Since': LATER }, { 'Last-Modified': date, Date: EARLIER }), 'full', date);
  }
});

test('Date stands in for an absent Last-Modified', () => {
  assert.equal(verdict({ 'If-Modified-Since': LATER }, { Date: MODIFIED }), 'not-modified');
  assert.equal(verdict({ 'If-Modified-Since': EARLIER }, { Date: MODIFIED }), 'full');
  assert.equal(verdict({ 'If-Modified-Since': LATER }, {}), 'full');
});

test('a 304 carries the fields a client needs for its own copy, as they are stored', () => {
  const stored = new Fields([
    ...['date', MODIFIED, 'ETag', '"a"', 'Vary', 'A', 'vary', 'B', 'Cache-Control', 'max-age=5', 'Expires', LATER],
    ...[
      'Content-Location',
      '/a',
      'Content-Type',
      'text/html',
      'Content-Length',
      '5',
      'Last-Modified',
      EARLIER,
      'X-A',
      'b',
    ],
  ]);
  assert.deepEqual(notModifiedFields(stored).flat(), [
    ...['date', MODIFIED, 'ETag', '"a"', 'Vary', 'A', 'vary', 'B', 'Cache-Control', 'max-age=5', 'Expires', LATER],
    ...['Content-Location', '/a'],
  ]);
});

test('a 304 carries Last-Modified when there is no ETag', () => {
  assert.deepEqual(notModifiedFields(new Fields(['Last-Modified', EARLIER])).flat(), ['Last-Modified', EARLIER]);
});

test('a response has a tag only when it has a single valid one', () => {
  assert.deepEqual(entityTag(new Fields(['ETag', 'W/"a"'])), { weak: true, opaque: 'a' });
  assert.deepEqual(entityTag(new Fields(['ETag', '"a,b"'])), { weak: false, opaque: 'a,b' });
  assert.equal(entityTag(new Fields(['ETag', '"a"', 'ETag', '"b"'])), undefined);
  assert.equal(entityTag(new Fields()), undefined);
});

test('a tag is found in a list exactly when it is a member', () => {
  const opaque = fc.stringMatching(/^[a,;]{0,3}$/);
  fc.assert(
    fc.property(fc.array(opaque, { minLength: 1 }), opaque, (list, tag) => {
      const condition = list.map((one, i) => `${i % 2 === 0 ? 'W/' : ''}"${one}"`).join(', ');
      const wanted = list.includes(tag) ? 'not-modified' : 'full';
      assert.equal(verdict({ 'If-None-Match': condition }, { ETag: `"${tag}"` }), wanted);
    }),
  );
});

test('the origin is asked by the validators as they are stored', () => {
  const asked = (...flat: string[]) => conditionalFields(new Fields(flat));
  assert.deepEqual(asked('ETag', 'W/"a"', 'Last-Modified', MODIFIED), [
    ['If-None-Match', 'W/"a"'],
    ['If-Modified-Since', MODIFIED],
  ]);
  assert.deepEqual(asked('Last-Modified', 'Sunday, 06-Nov-94 08:49:37 GMT'), [
    ['If-Modified-Since', 'Sunday, 06-Nov-94 08:49:37 GMT'],
  ]);
  assert.deepEqual(asked('ETag', 'abcdef'), [['If-None-Match', 'abcdef']]);
  assert.deepEqual(asked(), []);
});

test('what is no validator is not sent: it might match anything', () => {
  for (const flat of [
    ['ETag', '*'],
    ['ETag', ''],
    ['ETag', '"a", "b"'],
    ['ETag', '"a"', 'ETag', '"b"'],
    ['ETag', 'a, b'],
    ['ETag', '"a b"'],
    ['Last-Modified', '0'],
    ['Last-Modified', MODIFIED, 'Last-Modified', LATER],
  ]) {
    assert.deepEqual(conditionalFields(new Fields(flat)), [], flat.join());
    assert.equal(hasValidator(new Fields(flat)), false);
  }
  assert.equal(hasValidator(new Fields(['ETag', '""'])), true);
});

test('a request with a precondition is conditional; a range makes none', () => {
  for (const name of ['If-Match', 'If-None-Match', 'If-Modified-Since', 'If-Unmodified-Since']) {
    assert.equal(isConditional(new Fields([name, 'x'])), true, name);
  }
  assert.equal(isConditional(new Fields(['Range', 'bytes=0-1', 'If-Range', '"a"'])), false);
});

test('without its conditions a request asks for all of what is there now', () => {
  const request = new Fields([
    ...['Accept', 'a', 'if-match', '*', 'If-None-Match', '"a"', 'If-Modified-Since', 'x', 'If-Unmodified-Since', 'x'],
    ...['Range', 'bytes=0-1', 'If-Range', '"a"', 'X-B', '2'],
  ]);
  assert.deepEqual(withoutConditions(request).flat(), ['Accept', 'a', 'X-B', '2']);
  assert.equal(request.has('range'), true);
});
