import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { Authenticator } from '../../src/cache/mac.js';

const PIECES = [Buffer.from('one'), Buffer.from(' and two')];

test('a MAC is the first 128 bits of HMAC-SHA-256 over the key, a line feed and the bytes, in hex', () => {
  const expected = createHmac('sha256', 'secret').update('key\none and two').digest('hex').slice(0, 32);
  assert.equal(new Authenticator(['secret']).sign('key', PIECES), expected);
});

test('what was signed is accepted however it is cut, with the same secret or the previous one, and under its key only', () => {
  const old = new Authenticator(['old']);
  const both = new Authenticator(['new', 'old']);
  const [signedOld, signedNew] = [old.sign('key', PIECES), both.sign('key', PIECES)];
  assert.ok(both.verify('key', [Buffer.concat(PIECES)], signedOld));
  assert.ok(both.verify('key', PIECES, signedNew));
  assert.ok(!old.verify('key', PIECES, signedNew));
  assert.ok(!both.verify('other', PIECES, signedNew));
  assert.ok(!both.verify('key', [...PIECES, Buffer.from('!')], signedNew));
});

test('the key can not flow into the bytes', () => {
  const authenticator = new Authenticator(['secret']);
  assert.notEqual(authenticator.sign('ab', [Buffer.from('c')]), authenticator.sign('a', [Buffer.from('bc')]));
});

test('nothing else is accepted, and nothing throws', () => {
  const authenticator = new Authenticator(['secret']);
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[0-9a-f]{32}$/)), (mac) => {
      assert.ok(!authenticator.verify('key', PIECES, mac));
    }),
  );
});

test('there must be a secret', () => {
  assert.throws(() => new Authenticator([]), RangeError);
});
