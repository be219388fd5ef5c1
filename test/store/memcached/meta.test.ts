import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { MetaDialect } from '../../../src/store/memcached/meta.js';
import { Dialogue } from '../../support/dialogue.js';

const MAX_VALUE_BYTES = 1000;
const dialogue = () => new Dialogue(new MetaDialect('fake', MAX_VALUE_BYTES));

const item = (text: string, rest: object = {}) => ({
  answer: { value: Buffer.from(text, 'latin1'), flags: 0, cas: '1', ttlSeconds: undefined, ...rest },
});

describe('commands', () => {
  for (const [what, talk, said] of [
    ['get', dialogue().get('a'), 'mg a v f t c k OA\r\n'],
    ['set', dialogue().set('a', 'x\r\ny', { flags: 7, ttlSeconds: 60 }), 'ms a 4 k OA MS F7 T60\r\nx\r\ny\r\n'],
    ['set of nothing', dialogue().set('a', ''), 'ms a 0 k OA MS F0 T0\r\n\r\n'],
    ['set with cas', dialogue().set('a', 'x', { cas: '12' }), 'ms a 1 k OA MS F0 T0 C12\r\nx\r\n'],
    ['add', dialogue().set('a', 'x', { mode: 'add' }), 'ms a 1 k OA ME F0 T0\r\nx\r\n'],
    ['replace', dialogue().set('a', 'x', { mode: 'replace' }), 'ms a 1 k OA MR F0 T0\r\nx\r\n'],
    ['append, which keeps flags', dialogue().set('a', 'x', { mode: 'append', flags: 1 }), 'ms a 1 k OA MA\r\nx\r\n'],
    ['prepend', dialogue().set('a', 'x', { mode: 'prepend' }), 'ms a 1 k OA MP\r\nx\r\n'],
    ['delete', dialogue().delete('a'), 'md a k OA\r\n'],
    ['delete with cas', dialogue().delete('a', '12'), 'md a k OA C12\r\n'],
    ['touch', dialogue().touch('a', 5), 'mg a k OA T5\r\n'],
    ['increment', dialogue().increment('a', 5n), 'ma a v k OA MI D5\r\n'],
    ['decrement', dialogue().increment('a', -5n), 'ma a v k OA MD D5\r\n'],
    [
      'increment that creates',
      dialogue().increment('a', 2n ** 64n - 1n, { initial: 3n, ttlSeconds: 9 }),
      'ma a v k OA MI D18446744073709551615 N9 J3\r\n',
    ],
    ['stats', dialogue().stats(), 'stats\r\n'],
    ['several, each with its own opaque', dialogue().get('a').get('b'), 'mg a v f t c k OA\r\nmg b v f t c k OB\r\n'],
  ] as const) {
    test(what, () => assert.equal(talk.said(), said));
  }
});

describe('replies', () => {
  for (const [what, talk, outcome] of [
    [
      'a hit',
      dialogue().get('a').hear('VA 2 f7 t30 c9 ka OA\r\nxy\r\n'),
      item('xy', { flags: 7, ttlSeconds: 30, cas: '9' }),
    ],
    ['a hit that never expires', dialogue().get('a').hear('VA 0 f0 t-1 c1 ka OA\r\n\r\n'), item('')],
    ['a hit in another order', dialogue().get('a').hear('VA 1 OA ka c1 t-1 f0\r\n\n\r\n'), item('\n')],
    [
      'a hit with the largest numbers',
      dialogue().get('a').hear('VA 1 f4294967295 t-1 c18446744073709551615 ka OA\r\nx\r\n'),
      item('x', { flags: 2 ** 32 - 1, cas: '18446744073709551615' }),
    ],
    ['a hit that is stale to others', dialogue().get('a').hear('VA 1 f0 t-1 c1 ka OA W X Z\r\nx\r\n'), item('x')],
    ['a hit on a binary key', dialogue().get('foo').hear('VA 1 f0 t-1 c1 kZm9v b OA\r\nx\r\n'), item('x')],
    ['a miss', dialogue().get('a').hear('EN ka OA\r\n'), { answer: null }],
    ['a miss before 1.6.18', dialogue().get('a').hear('EN\r\n'), { answer: null }],
    ['stored', dialogue().set('a', 'x').hear('HD ka OA\r\n'), { answer: 'stored' }],
    ['not stored', dialogue().set('a', 'x').hear('NS ka OA\r\n'), { answer: 'not-stored' }],
    ['exists', dialogue().set('a', 'x').hear('EX ka OA\r\n'), { answer: 'exists' }],
    ['not found', dialogue().set('a', 'x').hear('NF ka OA\r\n'), { answer: 'not-found' }],
    ['deleted', dialogue().delete('a').hear('HD ka OA\r\n'), { answer: true }],
    ['not deleted', dialogue().delete('a').hear('NF ka OA\r\n'), { answer: false }],
    ['changed since', dialogue().delete('a', '1').hear('EX ka OA\r\n'), { answer: false }],
    ['touched', dialogue().touch('a', 1).hear('HD ka OA\r\n'), { answer: true }],
    ['not touched', dialogue().touch('a', 1).hear('EN ka OA\r\n'), { answer: false }],
    [
      'counted',
      dialogue().increment('a', 1n).hear('VA 20 ka OA\r\n18446744073709551615\r\n'),
      { answer: 2n ** 64n - 1n },
    ],
    ['nothing to count', dialogue().increment('a', 1n).hear('NF ka OA\r\n'), { answer: null }],
    [
      'stats',
      dialogue().stats().hear('STAT pid 1\r\nSTAT version 1.6 x\r\nEND\r\n'),
      {
        answer: new Map([
          ['pid', '1'],
          ['version', '1.6 x'],
        ]),
      },
    ],
    [
      'the server is out of memory',
      dialogue().get('a').hear('SERVER_ERROR out of memory\r\n'),
      { error: 'server-error' },
    ],
    [
      'the item is too large',
      dialogue().set('a', 'x').hear('SERVER_ERROR object too large for cache\r\n'),
      { error: 'too-large' },
    ],
    [
      'not a number',
      dialogue().increment('a', 1n).hear('CLIENT_ERROR cannot increment\r\n'),
      { error: 'server-error' },
    ],
    ['not a command', dialogue().increment('a', 1n).hear('ERROR\r\n'), { error: 'server-error' }],
  ] as const) {
    test(what, () => {
      assert.deepEqual(talk.outcomes, [outcome]);
      assert.equal(talk.end, undefined);
    });
  }

  test('an error to a get leaves the replies in step', () => {
    const talk = dialogue().get('a').get('b').hear('SERVER_ERROR busy\r\nEN kb OB\r\n');
    assert.deepEqual(talk.outcomes, [{ error: 'server-error' }, { answer: null }]);
  });

  test('a value that is too large leaves the replies in step', () => {
    const talk = dialogue().set('a', 'x').get('b').hear('SERVER_ERROR object too large for cache\r\nEN kb OB\r\n');
    assert.deepEqual(talk.outcomes, [{ error: 'too-large' }, { answer: null }]);
  });

  for (const line of ['CLIENT_ERROR bad data chunk', 'CLIENT_ERROR bad command line format', 'ERROR']) {
    test(`after "${line}" to a set nothing is believed`, () => {
      const talk = dialogue().set('a', 'x').get('b').hear(`${line}\r\nEN kb OB\r\n`);
      assert.deepEqual(talk.outcomes, [{ error: 'server-error' }, 'outstanding']);
      assert.equal(talk.end, 'fatal');
    });
  }
});

describe('what is not believed', () => {
  const get = () => dialogue().get('a').get('b');
  for (const [what, talk] of [
    ['another key', get().hear('VA 1 f0 t-1 c1 kx OA\r\nx\r\n')],
    ['the key of the next command', get().hear('VA 1 f0 t-1 c1 kb OB\r\nx\r\n')],
    ['a miss of the next command', get().hear('EN kb OB\r\n')],
    ['a longer key', get().hear('VA 1 f0 t-1 c1 kaa OA\r\nx\r\n')],
    ['another key in base64', dialogue().get('fox').hear('VA 1 f0 t-1 c1 kZm9v b OA\r\nx\r\n')],
    ['the right key in base64, but not said to be', dialogue().get('foo').hear('VA 1 f0 t-1 c1 kZm9v OA\r\nx\r\n')],
    ['the same key for another command', dialogue().get('a').get('a').hear('VA 1 f0 t-1 c1 ka OB\r\nx\r\n')],
    ['no key', get().hear('VA 1 f0 t-1 c1 OA\r\nx\r\n')],
    ['no opaque', get().hear('VA 1 f0 t-1 c1 ka\r\nx\r\n')],
    ['no flags', get().hear('VA 1 t-1 c1 ka OA\r\nx\r\n')],
    ['no cas', get().hear('VA 1 f0 t-1 ka OA\r\nx\r\n')],
    ['a token twice', get().hear('VA 1 f0 f0 t-1 c1 ka OA\r\nx\r\n')],
    ['a token that was not asked for', get().hear('VA 1 f0 t-1 c1 ka OA s5\r\nx\r\n')],
    ['flags of 33 bits', get().hear('VA 1 f4294967296 t-1 c1 ka OA\r\nx\r\n')],
    ['a cas of 65 bits', get().hear('VA 1 f0 t-1 c18446744073709551616 ka OA\r\nx\r\n')],
    ['a negative length', get().hear('VA -1 f0 t-1 c1 ka OA\r\nx\r\n')],
    ['a length that is none', get().hear('VA 0x1 f0 t-1 c1 ka OA\r\nx\r\n')],
    ['a length in exponential form', get().hear('VA 1e1 f0 t-1 c1 ka OA\r\nx\r\n')],
    ['no length', get().hear('VA  f0 t-1 c1 ka OA\r\nx\r\n')],
    ['a length above the limit', get().hear(`VA ${MAX_VALUE_BYTES + 1} f0 t-1 c1 ka OA\r\n`)],
    ['an absurd length', get().hear('VA 99999999999999 f0 t-1 c1 ka OA\r\n')],
    ['a length with more digits than a number has', get().hear(`VA ${'9'.repeat(400)} f0 t-1 c1 ka OA\r\n`)],
    ['a block that is longer than it said', get().hear('VA 1 f0 t-1 c1 ka OA\r\nxy\r\n')],
    ['a hit without a value', get().hear('HD f0 t-1 c1 ka OA\r\n')],
    ['a status that a get can not have', get().hear('NF ka OA\r\n')],
    ['a value for a set', dialogue().set('a', 'x').hear('VA 1 f0 t-1 c1 ka OA\r\nx\r\n')],
    ['a miss for a set', dialogue().set('a', 'x').hear('EN ka OA\r\n')],
    ['a bare status', dialogue().set('a', 'x').hear('HD\r\n')],
    ['a counter that is no number', dialogue().increment('a', 1n).hear('VA 2 ka OA\r\n1x\r\n')],
    ['an empty counter', dialogue().increment('a', 1n).hear('VA 0 ka OA\r\n\r\n')],
    ['a counter of 65 bits', dialogue().increment('a', 1n).hear('VA 20 ka OA\r\n18446744073709551616\r\n')],
    ['a counter longer than any', dialogue().increment('a', 1n).hear('VA 21 ka OA\r\n')],
    ['a code that only begins as one', get().hear('VAX 1 f0 t-1 c1 ka OA\r\nx\r\n')],
    ['a code in lower case', get().hear('va 1 f0 t-1 c1 ka OA\r\nx\r\n')],
    ['an error with control characters', get().hear('SERVER_ERROR \x1b[31m\r\n')],
    ['a classic reply', get().hear('VALUE a 0 1\r\nx\r\nEND\r\n')],
    ['a classic status', dialogue().set('a', 'x').hear('STORED\r\n')],
    ['an answer to mn', get().hear('MN\r\n')],
    ['a statistic without a name', dialogue().stats().hear('STAT  1\r\n')],
    ['statistics without end', dialogue().stats().hear(endlessStats())],
  ] as const) {
    test(what, () => {
      assert.equal(talk.end, 'broken');
      assert.equal(talk.outcomes[0], 'outstanding');
    });
  }

  test('a reply that nobody asked for', () => {
    const talk = dialogue().get('a').hear('EN ka OA\r\nEN ka OA\r\n');
    assert.deepEqual([talk.outcomes, talk.end], [[{ answer: null }], 'broken']);
  });
});

function endlessStats(): string {
  return Array.from({ length: 2000 }, (_, i) => `STAT s${i} 1\r\n`).join('');
}

const key = fc.stringMatching(/^[!-~]{1,250}$/);
const value = fc.string({
  maxLength: MAX_VALUE_BYTES,
  unit: fc.constantFrom('x', '\r', '\n', '\0', 'ÿ', 'VA 1 ka\r\n'),
});

test('replies mean the same however the bytes are cut', () => {
  const reply = fc.record({ key, value: fc.option(value.filter((text) => text.length <= MAX_VALUE_BYTES)) });
  fc.assert(
    fc.property(fc.array(reply, { maxLength: 80 }), fc.array(fc.nat(), { maxLength: 30 }), (replies, cuts) => {
      const talk = dialogue();
      for (const { key } of replies) talk.get(key);
      const opaques = talk.said().match(/ O.\r\n/g) ?? [];
      const wire = replies.map(({ key, value }, i) => {
        const echo = `k${key}${opaques[i]}`;
        return value === null ? `EN ${echo}` : `VA ${value.length} f0 t-1 c1 ${echo}${value}\r\n`;
      });
      talk.hear(wire.join(''), cuts);
      assert.deepEqual(
        talk.outcomes,
        replies.map(({ value }) => (value === null ? { answer: null } : item(value))),
      );
    }),
  );
});

test('garbage never throws, and is never a value', () => {
  const fragment = fc.oneof(
    fc.constantFrom('VA ', 'HD ', 'EN', 'NF ', '1 ', ' f0 t-1 c1', ' kb', ' OB', '\r\n', '\n', 'x', 'ERROR', 'STAT '),
    fc.string({ unit: 'binary', maxLength: 20 }).map((text) => Buffer.from(text).toString('latin1')),
  );
  fc.assert(
    fc.property(fc.array(fragment, { maxLength: 40 }), fc.array(fc.nat(), { maxLength: 10 }), (fragments, cuts) => {
      // the echo of "a" with opaque A is nowhere in it
      const garbage = fragments.join('');
      fc.pre(!garbage.includes('ka'));
      const talk = dialogue().get('a').set('a', 'x').increment('a', 1n).hear(garbage, cuts);
      const [outcome] = talk.outcomes;
      const isValue = typeof outcome === 'object' && 'answer' in outcome && outcome.answer !== null;
      assert.equal(isValue, false);
    }),
  );
});
