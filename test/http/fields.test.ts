import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Fields, isFieldName, isFieldValue, withoutConnectionFields } from '../../src/http/fields.js';

test('names are found whatever their case, and kept as they were written', () => {
  const fields = new Fields(['X-A', '1', 'Host', 'h', 'x-a', '2']);
  assert.equal(fields.get('x-A'), '1, 2');
  assert.deepEqual(fields.all('X-a'), ['1', '2']);
  assert.equal(fields.has('HOST'), true);
  assert.equal(fields.has('x-b'), false);
  assert.equal(fields.get('x-b'), undefined);
  assert.deepEqual(fields.all('x-b'), []);
  assert.equal(fields.size, 3);
  assert.deepEqual(
    [...fields],
    [
      ['X-A', '1'],
      ['Host', 'h'],
      ['x-a', '2'],
    ],
  );
});

test('an empty field is there', () => {
  const fields = new Fields(['A', '']);
  assert.equal(fields.get('a'), '');
  assert.equal(fields.has('a'), true);
});

test('set leaves one line, in the place of the first', () => {
  const fields = new Fields(['a', '1', 'b', '2', 'A', '3', 'a', '4']);
  fields.set('A', '5');
  assert.deepEqual(fields.flat(), ['A', '5', 'b', '2']);
  fields.set('c', '6');
  assert.deepEqual(fields.flat(), ['A', '5', 'b', '2', 'c', '6']);
});

test('delete removes every line, adjacent ones too', () => {
  const fields = new Fields(['a', '1', 'A', '2', 'b', '3', 'a', '4']);
  fields.delete('A');
  assert.deepEqual(fields.flat(), ['b', '3']);
  fields.delete('no-such-field');
  assert.deepEqual(fields.flat(), ['b', '3']);
});

test('a copy is independent of what it was made of', () => {
  const flat = ['a', '1'];
  const fields = new Fields(flat);
  const copy = fields.clone();
  flat.push('b', '2');
  fields.append('c', '3');
  fields.flat().push('d', '4');
  assert.deepEqual(copy.flat(), ['a', '1']);
  assert.deepEqual(fields.flat(), ['a', '1', 'c', '3']);
});

test('header objects and lists of pairs become fields, a line for each value', () => {
  const wanted = ['A', '1', 'b', '2', 'b', '3'];
  assert.deepEqual(Fields.from({ A: 1, b: ['2', 3], c: undefined, d: [] }).flat(), wanted);
  assert.deepEqual(
    Fields.from([
      ['A', 1],
      ['b', ['2', 3]],
      ['c', undefined],
    ]).flat(),
    wanted,
  );
  assert.deepEqual(Fields.from(new Map([['A', '1']])).flat(), ['A', '1']);
});

test('filter keeps the lines whose lower-case name is wanted', () => {
  const fields = new Fields(['A', '1', 'b', '2', 'a', '3']);
  assert.deepEqual(fields.filter((name) => name === 'a').flat(), ['A', '1', 'a', '3']);
});

test('names of object properties are names like others', () => {
  const fields = new Fields(['__proto__', '1', 'constructor', '2']);
  assert.equal(fields.get('__PROTO__'), '1');
  assert.equal(fields.get('constructor'), '2');
  assert.equal(fields.get('toString'), undefined);
});

test('fields of the connection, and those it lists, are not passed on', () => {
  const fields = new Fields([
    ...[
      'Connection',
      'close, X-Hop',
      'connection',
      ' Foo ,',
      'Keep-Alive',
      '5',
      'Transfer-Encoding',
      'chunked',
      'TE',
      'a',
    ],
    ...['Trailer', 'b', 'Upgrade', 'c', 'Proxy-Connection', 'd', 'Proxy-Authorization', 'e', 'Proxy-Authenticate', 'f'],
    ...['Proxy-Authentication-Info', 'g', 'x-hop', 'h', 'FOO', 'i', 'X-End', 'j', 'Close', 'k', 'Content-Length', '3'],
  ]);
  assert.deepEqual(withoutConnectionFields(fields).flat(), ['X-End', 'j', 'Content-Length', '3']);
  assert.deepEqual(withoutConnectionFields(new Fields(['X-End', 'j'])).flat(), ['X-End', 'j']);
});

test('a field name is a token', () => {
  for (const name of ['a', 'X-A', "!#$%&'*+-.^_`|~09"]) assert.equal(isFieldName(name), true, name);
  for (const name of ['', 'a b', 'a:', 'a\n', 'a\r\nb', '\0', 'caf\xe9', '(', '"'])
    assert.equal(isFieldName(name), false, name);
});

test('a field value has no control character but tab, and one byte a character', () => {
  for (const value of ['', 'a b\tc', '\xe9\xff']) assert.equal(isFieldValue(value), true, value);
  for (const value of ['\0', '\n', '\r', 'a\r\nb', '\x7f', '\x1b', '\u0100'])
    assert.equal(isFieldValue(value), false, value);
});

test('fields behave as the plainest list of lines would', () => {
  const name = fc.constantFrom('a', 'A', 'b', 'Bc', 'bC');
  const change = fc.tuple(fc.constantFrom('append', 'set', 'delete'), name, fc.constantFrom('1', '2', ''));
  fc.assert(
    fc.property(fc.array(change), name, (changes, wanted) => {
      const fields = new Fields();
      let lines: [string, string][] = [];
      for (const [what, field, value] of changes) {
        const isOther = ([other]: [string, string]) => other.toLowerCase() !== field.toLowerCase();
        const first = lines.findIndex((line) => !isOther(line));
        if (what === 'append') fields.append(field, value);
        if (what === 'set') fields.set(field, value);
        if (what === 'delete') fields.delete(field);
        if (what === 'append' || (what === 'set' && first < 0)) lines.push([field, value]);
        else if (what === 'delete') lines = lines.filter(isOther);
        else lines = lines.flatMap((line, i) => (i === first ? [[field, value]] : isOther(line) ? [line] : []));
      }
      assert.deepEqual([...fields], lines);
      const values = lines.filter(([other]) => other.toLowerCase() === wanted.toLowerCase()).map(([, value]) => value);
      assert.deepEqual(fields.all(wanted), values);
      assert.equal(fields.get(wanted), values.length === 0 ? undefined : values.join(', '));
      assert.equal(fields.has(wanted), values.length > 0);
    }),
  );
});
