import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isStoreKey } from '../../src/store/store.js';
import { SEAL_OVERHEAD_BYTES, Seal, type SealKind } from '../../src/tls/seal.js';
import { secretsOf } from '../../src/tls/secrets.js';

const OLD = 'the old secret, which has 32 bytes or more';
const NEW = 'the new secret, which has 32 bytes or more';
const DAY_MS = 24 * 60 * 60 * 1000;
const KINDS: readonly SealKind[] = ['session', 'session-1.3', 'ticket-key', 'staple'];
const name = Buffer.from('name');
const value = Buffer.from('value');

test('what is sealed opens, 33 bytes longer, under its kind, name and fleet only', () => {
  const seal = new Seal([NEW], 'a');
  fc.assert(
    fc.property(fc.uint8Array(), fc.uint8Array({ maxLength: 2000 }), fc.constantFrom(...KINDS), (own, bytes, kind) => {
      const sealed = seal.seal(kind, own, bytes);
      assert.equal(sealed.length, bytes.length + SEAL_OVERHEAD_BYTES);
      assert.deepEqual(seal.open(kind, own, sealed), Buffer.from(bytes));
      assert.equal(seal.open(kind, Buffer.concat([own, Buffer.of(0)]), sealed), undefined);
      for (const other of KINDS) if (other !== kind) assert.equal(seal.open(other, own, sealed), undefined);
      assert.equal(new Seal([NEW], 'b').open(kind, own, sealed), undefined);
    }),
  );
  assert.equal(SEAL_OVERHEAD_BYTES, 33);
});

test('a flipped bit, a cut and anything else do not open, and do not throw', () => {
  const seal = new Seal([NEW], 'a');
  const sealed = seal.seal('session', name, value);
  for (let bit = 0; bit < sealed.length * 8; bit++) {
    const damaged = Buffer.from(sealed);
    damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    assert.equal(seal.open('session', name, damaged), undefined, `bit ${bit}`);
  }
  for (let length = 0; length < sealed.length; length++) {
    assert.equal(seal.open('session', name, sealed.subarray(0, length)), undefined);
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      assert.equal(seal.open('session', name, Buffer.from(bytes)), undefined);
    }),
  );
});

test('the same value is sealed differently each time', () => {
  const seal = new Seal([NEW], 'a');
  assert.notDeepEqual(seal.seal('session', name, value), seal.seal('session', name, value));
});

test('either secret opens; the current one seals and names first', () => {
  const old = new Seal([OLD], 'a');
  const both = new Seal([NEW, OLD], 'a');
  const next = new Seal([NEW], 'a');
  assert.deepEqual(both.open('staple', name, old.seal('staple', name, value)), value);
  assert.deepEqual(next.open('staple', name, both.seal('staple', name, value)), value);
  assert.equal(next.open('staple', name, old.seal('staple', name, value)), undefined);
  assert.deepEqual(both.storeKeys('staple', name), [next.storeKey('staple', name), old.storeKey('staple', name)]);
  assert.deepEqual(both.derive('x', 48), [...next.derive('x', 48), ...old.derive('x', 48)]);
});

test('store keys are such, and differ by kind, name and fleet', () => {
  const keys = new Set<string>();
  for (const fleet of ['a', 'b']) {
    for (const kind of KINDS) {
      for (const id of ['', 'a', 'b']) {
        const key = new Seal([NEW], fleet).storeKey(kind, Buffer.from(id));
        assert.ok(isStoreKey(key), key);
        keys.add(key);
      }
    }
  }
  assert.equal(keys.size, 2 * KINDS.length * 3);
});

test('a seal is good for a year, and for clocks that differ by a day', () => {
  let now = Date.UTC(2026, 0, 1);
  const seal = new Seal([NEW], 'a', () => now);
  const sealed = seal.seal('staple', name, value);
  const opensAfter = (days: number) => {
    now = Date.UTC(2026, 0, 1) + days * DAY_MS;
    return seal.open('staple', name, sealed) !== undefined;
  };
  assert.deepEqual([-2, -1, 0, 1, 366, 367].map(opensAfter), [false, true, true, true, true, false]);
});

test('secrets are one a line, and long enough', () => {
  assert.deepEqual(secretsOf(`${NEW}\n\n ${OLD} \n`), [Buffer.from(NEW), Buffer.from(OLD)]);
  assert.throws(() => secretsOf('\n'), /needs a secret/);
  assert.throws(() => secretsOf(`${NEW}\nshort\n`), /32 bytes/);
});
