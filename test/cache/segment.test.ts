import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Authenticator } from '../../src/cache/mac.js';
import {
  formatLayout,
  MAX_LINE_BYTES,
  MAX_SEGMENTS,
  newSegmentId,
  parseLayout,
  segmentBody,
  segmentKey,
  segmentValue,
} from '../../src/cache/segment.js';
import { isStoreKey } from '../../src/store/store.js';

const id = newSegmentId();
const layout = { id, bytes: 25, segmentBytes: 10 };
const authenticator = new Authenticator(['secret']);

const itemOf = (text: string, index: number, mac?: Authenticator) =>
  Buffer.concat(segmentValue(id, index, [Buffer.from(text)], mac));
const bodyOf = (value: Buffer, index: number, mac?: Authenticator) =>
  segmentBody(value, layout, index, mac)?.toString();

describe('a segment', () => {
  test('reads as one line and the bytes', () => {
    assert.equal(itemOf('0123456789', 1).toString(), `lookaside-segment: 1 mac=- id=${id} n=1 bytes=10\r\n0123456789`);
    assert.equal(segmentKey(id, 1), `lookaside:s:${id}:1`);
    assert.match(id, /^[0-9a-f]{32}$/);
  });

  test('is found again', () => {
    for (const mac of [undefined, authenticator]) {
      assert.equal(bodyOf(itemOf('0123456789', 0, mac), 0, mac), '0123456789');
      assert.equal(bodyOf(itemOf('01234', 2, mac), 2, mac), '01234', 'the last one is as long as what remains');
    }
  });

  test('is not taken for another one, nor a part for the whole', () => {
    const value = itemOf('0123456789', 0);
    assert.equal(bodyOf(value, 1), undefined, 'another index');
    assert.equal(segmentBody(value, { ...layout, id: newSegmentId() }, 0, undefined), undefined, 'another body');
    assert.equal(segmentBody(value, { ...layout, segmentBytes: 11 }, 0, undefined), undefined, 'another cut');
    assert.equal(bodyOf(value.subarray(0, -1), 0), undefined, 'a byte less');
    assert.equal(bodyOf(Buffer.concat([value, value]), 0), undefined, 'more');
    assert.equal(bodyOf(itemOf('012345678', 0), 0), undefined, 'a shorter one that is whole');
    assert.equal(bodyOf(Buffer.alloc(0), 0), undefined);
    assert.equal(bodyOf(Buffer.from('0123456789'), 0), undefined);
  });

  test('with a changed byte is not one: anywhere with a secret, in the line without', () => {
    const plain = itemOf('0123456789', 0);
    const signed = itemOf('0123456789', 0, authenticator);
    const lineBytes = plain.length - 10;
    fc.assert(
      fc.property(fc.nat(signed.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const forged = Buffer.from(signed);
        forged[at] = (signed[at] ?? 0) ^ change;
        assert.equal(bodyOf(forged, 0, authenticator), undefined);
        const altered = Buffer.from(plain);
        altered[at % lineBytes] = (plain[at % lineBytes] ?? 0) ^ change;
        assert.equal(bodyOf(altered, 0), undefined);
      }),
    );
  });

  test('needs a MAC where there is a secret, and the one for its place', () => {
    assert.equal(bodyOf(itemOf('0123456789', 0), 0, authenticator), undefined);
    assert.equal(bodyOf(itemOf('0123456789', 0, new Authenticator(['other'])), 0, authenticator), undefined);
    const rotated = new Authenticator(['new', 'secret']);
    assert.equal(bodyOf(itemOf('0123456789', 0, authenticator), 0, rotated), '0123456789');
    assert.equal(bodyOf(itemOf('0123456789', 0, authenticator), 0), '0123456789', 'who has no secret can not tell');
  });

  test('has room for its line in front of the largest', () => {
    const line = `lookaside-segment: 1 mac=${'f'.repeat(32)} id=${id} n=${MAX_SEGMENTS} bytes=9999999999\r\n`;
    assert.ok(line.length <= MAX_LINE_BYTES);
    assert.ok(isStoreKey(segmentKey(id, MAX_SEGMENTS)));
  });
});

describe('a layout', () => {
  test('survives being written', () => {
    assert.deepEqual(parseLayout(formatLayout(layout)), layout);
  });

  test('that no writer makes is none', () => {
    const words = ['', '/', `${id}/25`, `${id}/25/0`, `${id}/0/10`, `${id}/-25/10`, `${id}/25/10 `, `${id}/025/10`];
    for (const word of [...words, `${id.toUpperCase()}/25/10`, `${id}0/25/10`, `${id}/1e3/10`]) {
      assert.equal(parseLayout(word), undefined, word);
    }
    assert.ok(parseLayout(`${id}/${MAX_SEGMENTS}/1`));
    assert.equal(parseLayout(`${id}/${MAX_SEGMENTS + 1}/1`), undefined, 'too many segments to look at');
  });
});
