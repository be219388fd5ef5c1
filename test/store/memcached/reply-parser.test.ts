import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { BROKEN, LINE, MAX_LINE_BYTES, ReplyParser } from '../../../src/store/memcached/reply-parser.js';

/** What a parser made of the bytes: lines as text, blocks as `[text]`; `#<length>` lines announce a block. */
function parse(chunks: readonly Buffer[]): { seen: string[]; isSound: boolean } {
  const seen: string[] = [];
  const parser = new ReplyParser({
    line(bytes, start, end) {
      const text = bytes.toString('latin1', start, end);
      seen.push(text);
      if (text === 'stop') return BROKEN;
      return text.startsWith('#') ? Number(text.slice(1)) : LINE;
    },
    block(bytes) {
      seen.push(`[${bytes.toString('latin1')}]`);
      return LINE;
    },
  });
  return { isSound: chunks.every((chunk) => parser.push(chunk)), seen };
}

/** `bytes` in pieces that end at `cuts`. */
function cut(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const ends = [...new Set(cuts.map((at) => at % (bytes.length + 1)))].sort((a, b) => a - b);
  return [...ends, bytes.length].map((end, i) => bytes.subarray(ends[i - 1] ?? 0, end));
}

const line = fc
  .string({ maxLength: 60, unit: fc.constantFrom('a', ' ', '\r', 'Z', '\0', 'ÿ') })
  .map((text) => `-${text}`);
const block = fc.string({ maxLength: 200, unit: fc.constantFrom('a', '\r', '\n', '\0', 'ÿ') });
const frames = fc.array(
  fc.oneof(
    line.map((text) => ({ text })),
    block.map((data) => ({ data })),
  ),
  { maxLength: 12 },
);

test('frames are the same however the bytes are cut', () => {
  fc.assert(
    fc.property(frames, fc.array(fc.nat(), { maxLength: 20 }), (sent, cuts) => {
      const wire = sent.map((f) => ('text' in f ? `${f.text}\r\n` : `#${f.data.length}\r\n${f.data}\r\n`)).join('');
      const expected = sent.flatMap((f) => ('text' in f ? [f.text] : [`#${f.data.length}`, `[${f.data}]`]));
      assert.deepEqual(parse(cut(Buffer.from(wire, 'latin1'), cuts)), { seen: expected, isSound: true });
    }),
  );
});

test('frames are the same at every single cut, and byte by byte', () => {
  const wire = Buffer.from('one\r\n#5\r\n\r\nab\r\r\n#0\r\n\r\ntwo\r\n', 'latin1');
  const expected = { seen: ['one', '#5', '[\r\nab\r]', '#0', '[]', 'two'], isSound: true };
  for (let at = 0; at <= wire.length; at++) assert.deepEqual(parse(cut(wire, [at])), expected);
  assert.deepEqual(parse(cut(wire, [...wire.keys()])), expected);
});

test('garbage never throws, and ends at the first byte that is wrong', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.array(fc.nat(), { maxLength: 5 }), (bytes, cuts) => {
      const { seen, isSound } = parse(cut(Buffer.from(bytes), cuts).filter((chunk) => chunk.length > 0));
      if (isSound) return;
      for (const text of seen) assert.ok(!text.includes('\n') || text.startsWith('['));
    }),
  );
});

describe('what is refused', () => {
  for (const [what, text] of [
    ['a line feed without a carriage return', 'line\n'],
    ['an empty line feed', '\n'],
    ['a block without its CRLF', '#3\r\nabcdef'],
    ['a block with half of its CRLF', '#3\r\nabc\rx'],
    ['a line that the sink does not want', 'stop\r\n'],
  ] as const) {
    test(what, () => {
      assert.equal(parse([Buffer.from(text, 'latin1')]).isSound, false);
      assert.equal(parse([...Buffer.from(text, 'latin1')].map((byte) => Buffer.from([byte]))).isSound, false);
    });
  }

  test('a line above the limit, as soon as it is above, whole or in pieces', () => {
    const longest = 'x'.repeat(MAX_LINE_BYTES - 2);
    assert.deepEqual(parse([Buffer.from(`${longest}\r\n`)]), { seen: [longest], isSound: true });
    assert.deepEqual(parse([Buffer.from(longest), Buffer.from('\r'), Buffer.from('\n')]).seen, [longest]);
    assert.deepEqual(parse([Buffer.from(`${longest}x\r\n`)]), { seen: [], isSound: false });
    assert.deepEqual(parse([Buffer.from(longest), Buffer.from('xxx')]), { seen: [], isSound: false });
    assert.deepEqual(parse([Buffer.alloc(MAX_LINE_BYTES + 1, 'x')]), { seen: [], isSound: false });
  });
});

test('a block that comes in one piece is not copied', () => {
  const wire = Buffer.from('#4\r\nabcd\r\n');
  let block: Buffer | undefined;
  const parser = new ReplyParser({
    line: () => 4,
    block(bytes) {
      block = bytes;
      return LINE;
    },
  });
  parser.push(wire);
  assert.equal(block?.buffer, wire.buffer);
});
