import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { ClassicDialect } from '../../../src/store/memcached/classic.js';
import { Dialogue } from '../../support/dialogue.js';

const MAX_VALUE_BYTES = 1000;
const dialogue = () => new Dialogue(new ClassicDialect('fake', MAX_VALUE_BYTES));

const item = (text: string, rest: object = {}) => ({
  answer: { value: Buffer.from(text, 'latin1'), flags: 0, cas: '1', ttlSeconds: undefined, ...rest },
});

describe('commands', () => {
  for (const [what, talk, said] of [
    ['get', dialogue().get('a'), 'gets a\r\n'],
    ['set', dialogue().set('a', 'xy', { flags: 7, ttlSeconds: 60 }), 'set a 7 60 2\r\nxy\r\n'],
    ['set with cas', dialogue().set('a', 'x', { cas: '12' }), 'cas a 0 0 1 12\r\nx\r\n'],
    ['add', dialogue().set('a', 'x', { mode: 'add' }), 'add a 0 0 1\r\nx\r\n'],
    ['replace', dialogue().set('a', 'x', { mode: 'replace' }), 'replace a 0 0 1\r\nx\r\n'],
    ['append', dialogue().set('a', 'x', { mode: 'append' }), 'append a 0 0 1\r\nx\r\n'],
    ['prepend', dialogue().set('a', 'x', { mode: 'prepend' }), 'prepend a 0 0 1\r\nx\r\n'],
    ['delete', dialogue().delete('a'), 'delete a\r\n'],
    ['touch', dialogue().touch('a', 5), 'touch a 5\r\n'],
    ['increment', dialogue().increment('a', 5n), 'incr a 5\r\n'],
    ['decrement', dialogue().increment('a', -5n), 'decr a 5\r\n'],
    ['stats', dialogue().stats(), 'stats\r\n'],
  ] as const) {
    test(what, () => assert.equal(talk.said(), said));
  }

  test('there is none for a delete with cas', () => {
    const talk = dialogue().delete('a', '1').get('b');
    assert.equal(talk.said(), 'gets b\r\n');
    assert.deepEqual(talk.hear('END\r\n').outcomes, [{ error: 'server-error' }, { answer: null }]);
  });
});

describe('replies', () => {
  for (const [what, talk, outcome] of [
    ['a hit', dialogue().get('a').hear('VALUE a 7 2 9\r\nxy\r\nEND\r\n'), item('xy', { flags: 7, cas: '9' })],
    ['an empty hit', dialogue().get('a').hear('VALUE a 0 0 1\r\n\r\nEND\r\n'), item('')],
    ['a miss', dialogue().get('a').hear('END\r\n'), { answer: null }],
    ['stored', dialogue().set('a', 'x').hear('STORED\r\n'), { answer: 'stored' }],
    ['not stored', dialogue().set('a', 'x').hear('NOT_STORED\r\n'), { answer: 'not-stored' }],
    ['exists', dialogue().set('a', 'x').hear('EXISTS\r\n'), { answer: 'exists' }],
    ['not found', dialogue().set('a', 'x').hear('NOT_FOUND\r\n'), { answer: 'not-found' }],
    ['deleted', dialogue().delete('a').hear('DELETED\r\n'), { answer: true }],
    ['not deleted', dialogue().delete('a').hear('NOT_FOUND\r\n'), { answer: false }],
    ['touched', dialogue().touch('a', 1).hear('TOUCHED\r\n'), { answer: true }],
    ['not touched', dialogue().touch('a', 1).hear('NOT_FOUND\r\n'), { answer: false }],
    ['counted', dialogue().increment('a', 1n).hear('18446744073709551615\r\n'), { answer: 2n ** 64n - 1n }],
    ['nothing to count', dialogue().increment('a', 1n).hear('NOT_FOUND\r\n'), { answer: null }],
    ['too large', dialogue().set('a', 'x').hear('SERVER_ERROR object too large for cache\r\n'), { error: 'too-large' }],
    [
      'an error in place of a value',
      dialogue().get('a').hear('SERVER_ERROR no backend\r\n'),
      { error: 'server-error' },
    ],
  ] as const) {
    test(what, () => {
      assert.deepEqual(talk.outcomes, [outcome]);
      assert.equal(talk.end, undefined);
    });
  }

  test('an error after a value fails that get, and the next begins anew', () => {
    const talk = dialogue().get('a').get('b').hear('VALUE a 0 1 1\r\nx\r\nSERVER_ERROR out of memory\r\nEND\r\n');
    assert.deepEqual(talk.outcomes, [{ error: 'server-error' }, { answer: null }]);
  });

  test('an error to a set is the end, as its block may have been taken for commands', () => {
    const talk = dialogue().set('a', 'x').get('b').hear('CLIENT_ERROR bad data chunk\r\nERROR\r\n');
    assert.deepEqual([talk.outcomes, talk.end], [[{ error: 'server-error' }, 'outstanding'], 'fatal']);
  });
});

describe('what is not believed', () => {
  for (const [what, talk] of [
    ['another key', dialogue().get('a').hear('VALUE b 0 1 1\r\nx\r\n')],
    ['two values', dialogue().get('a').hear('VALUE a 0 1 1\r\nx\r\nVALUE a 0 1 1\r\nx\r\nEND\r\n')],
    ['no cas', dialogue().get('a').hear('VALUE a 0 1\r\nx\r\n')],
    ['more than a cas', dialogue().get('a').hear('VALUE a 0 1 1 1\r\nx\r\n')],
    ['flags of 33 bits', dialogue().get('a').hear('VALUE a 4294967296 1 1\r\nx\r\n')],
    ['a negative length', dialogue().get('a').hear('VALUE a 0 -1 1\r\nx\r\n')],
    ['a length that is none', dialogue().get('a').hear('VALUE a 0 1e1 1\r\nx\r\n')],
    [
      'a length above the limit',
      dialogue()
        .get('a')
        .hear(`VALUE a 0 ${MAX_VALUE_BYTES + 1} 1\r\n`),
    ],
    ['an absurd length', dialogue().get('a').hear('VALUE a 0 99999999999999 1\r\n')],
    ['a status that a get can not have', dialogue().get('a').hear('STORED\r\n')],
    ['a status that a set can not have', dialogue().set('a', 'x').hear('DELETED\r\n')],
    ['the end of nothing', dialogue().set('a', 'x').hear('END\r\n')],
    ['a counter of 65 bits', dialogue().increment('a', 1n).hear('18446744073709551616\r\n')],
    ['a counter that is no number', dialogue().increment('a', 1n).hear('+1\r\n')],
    ['control characters', dialogue().stats().hear('STAT a \x1b[31m\r\n')],
    ['a meta reply', dialogue().get('a').hear('HD ka OA\r\n')],
  ] as const) {
    test(what, () => {
      assert.equal(talk.end, 'broken');
      assert.equal(talk.outcomes[0], 'outstanding');
    });
  }
});

test('replies mean the same however the bytes are cut', () => {
  const value = fc.string({ maxLength: 200, unit: fc.constantFrom('x', '\r', '\n', 'END\r\n') });
  fc.assert(
    fc.property(
      fc.array(fc.option(value), { maxLength: 20 }),
      fc.array(fc.nat(), { maxLength: 20 }),
      (values, cuts) => {
        const talk = dialogue();
        for (const i of values.keys()) talk.get(`k${i}`);
        const wire = values.map((text, i) => (text === null ? '' : `VALUE k${i} 0 ${text.length} 1\r\n${text}\r\n`));
        talk.hear(wire.map((reply) => `${reply}END\r\n`).join(''), cuts);
        assert.deepEqual(
          talk.outcomes,
          values.map((text) => (text === null ? { answer: null } : item(text))),
        );
      },
    ),
  );
});

test('garbage never throws', () => {
  const fragment = fc.oneof(
    fc.constantFrom('VALUE ', 'a ', '0 ', '1 ', '\r\n', 'END', 'STORED', 'STAT ', 'SERVER_ERROR ', '7', 'x'),
    fc.string({ unit: 'binary', maxLength: 20 }),
  );
  fc.assert(
    fc.property(fc.array(fragment, { maxLength: 40 }), fc.array(fc.nat(), { maxLength: 10 }), (fragments, cuts) => {
      const bytes = Buffer.from(fragments.join('')).toString('latin1');
      dialogue().get('a').set('a', 'x').stats().increment('a', 1n).hear(bytes, cuts);
    }),
  );
});
