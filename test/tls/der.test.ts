import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DerError, DerReader, der, explicitTag, TAG } from '../../src/tls/der.js';

function reader(hex: string): DerReader {
  return new DerReader(Buffer.from(hex.replaceAll(' ', ''), 'hex'));
}

function timeIn(text: string, tag: number = TAG.generalizedTime): number {
  return new DerReader(der(tag, Buffer.from(text))).time();
}

test('what was written is read, whatever its length', () => {
  const content = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc.constantFrom(0x7f, 0x80, 0xff, 0x100, 0xffff, 0x10000, 0x10001).map((length) => new Uint8Array(length)),
  );
  fc.assert(
    fc.property(content, fc.constantFrom(...Object.values(TAG), explicitTag(3)), (bytes, tag) => {
      const encoded = der(tag, bytes);
      const read = new DerReader(encoded);
      assert.deepEqual(read.content(tag), Buffer.from(bytes));
      read.end();
      assert.deepEqual(new DerReader(encoded).encoded(tag), encoded);
    }),
  );
});

test('an element has one encoding', () => {
  const others = {
    'an indefinite length': '30 80 00 00',
    'a length of 5 octets': '04 85 00 00 00 00 01 00',
    'a short length in long form': '04 81 01 00',
    'a length with a zero in front': '04 82 00 80 00',
    'a length beyond the end': '04 02 00',
    'a length that is cut off': '04 82 01',
    'no length': '04',
    nothing: '',
    'another tag': '05 00',
  };
  for (const [what, hex] of Object.entries(others)) {
    assert.throws(() => reader(hex).content(TAG.octetString), DerError, what);
  }
  assert.throws(() => reader('30 80 00 00').inside(), DerError);
  assert.throws(() => reader('1f 01 00').content(0x1f), DerError, 'a tag of several octets');
});

test('nothing lies behind the last element', () => {
  const read = reader('05 00 05 00');
  read.content(TAG.null);
  assert.throws(() => read.end(), DerError);
  read.content(TAG.null);
  read.end();
  assert.equal(read.nextTag, undefined);
});

test('a number has one encoding', () => {
  for (const hex of ['02 01 00', '02 01 7f', '02 02 00 80', '02 01 80', '02 02 ff 7f', '02 03 00 ff ff']) {
    assert.ok(reader(hex).integer().length > 0, hex);
  }
  for (const hex of ['02 00', '02 02 00 7f', '02 02 ff 80', '02 02 ff ff']) {
    assert.throws(() => reader(hex).integer(), DerError, hex);
  }
  assert.equal(reader('0a 01 05').smallInteger(TAG.enumerated), 5);
  for (const hex of ['02 01 80', '02 02 00 80']) assert.throws(() => reader(hex).smallInteger(), DerError, hex);
});

test('a bit string is made of whole octets', () => {
  assert.deepEqual(reader('03 03 00 aa bb').octetsOfBitString(), Buffer.from('aabb', 'hex'));
  for (const hex of ['03 03 01 aa ba', '03 02 08 00', '03 00']) {
    assert.throws(() => reader(hex).octetsOfBitString(), DerError, hex);
  }
});

test('a boolean with a default is there only to be true', () => {
  assert.equal(reader('01 01 ff').defaultFalse(), true);
  assert.equal(reader('05 00').defaultFalse(), false);
  for (const hex of ['01 01 00', '01 01 01', '01 00', '01 02 ff ff']) {
    assert.throws(() => reader(hex).defaultFalse(), DerError, hex);
  }
});

test('a time has one form', () => {
  assert.equal(timeIn('20240229235959Z'), Date.UTC(2024, 1, 29, 23, 59, 59));
  assert.equal(timeIn('491231235959Z', TAG.utcTime), Date.UTC(2049, 11, 31, 23, 59, 59));
  assert.equal(timeIn('500101000000Z', TAG.utcTime), Date.UTC(1950, 0, 1));
  const none = ['20230229000000Z', '20240101240000Z', '20240101000060Z', '202401010000Z', '20240101000000.5Z'];
  for (const text of [...none, '20240101000000', '20240101000000+0100', '0000011130000000Z', '']) {
    assert.throws(() => timeIn(text), DerError, text);
  }
});
