import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { sessionFacts } from '../../src/tls/session-der.js';
import { decodeSession, ENCODINGS, encodeSession } from '../../src/tls/session-entry.js';

/** A session of TLS 1.2 as Node 20 gave it, with its master secret replaced. */
const DER = Buffer.from(
  `30819b020101020203030402c02b0420bd56d102aec47711034747c123ea8e383f61659b6ec3945c821ea0167e1b6ef70430${'5a'.repeat(48)}` +
    `a10602046b006f57a20402021c20a4220420${'35'.repeat(32)}ad03020101b30302011d`,
  'hex',
);

test('a session is given back in both encodings, and json has the fields of mod_tls_memcache', () => {
  const fields = {
    generation: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    expiresAt: fc.nat(2 ** 31),
    data: fc.uint8Array({ minLength: 1, maxLength: 3000 }).map((bytes) => Buffer.from(bytes)),
  };
  const entries = fc.record(fields, { noNullPrototype: true });
  fc.assert(
    fc.property(entries, fc.constantFrom(...ENCODINGS), (entry, encoding) => {
      assert.deepEqual(decodeSession(encodeSession(entry, encoding)), entry);
    }),
  );
  const json = JSON.parse(encodeSession({ generation: 7n, expiresAt: 1234, data: DER }, 'json').toString());
  assert.deepEqual(json, {
    version: 1,
    generation: '7',
    expires: 1234,
    data_len: DER.length,
    data: DER.toString('base64'),
  });
});

test('anything else is no entry, and does not throw', () => {
  for (const text of ['', '\x01', '\x02'.repeat(40), '{', '{}', '[]', 'null', '{"version":1}']) {
    assert.equal(decodeSession(Buffer.from(text)), undefined, text);
  }
  const good = JSON.parse(encodeSession({ generation: 7n, expiresAt: 1234, data: DER }, 'json').toString());
  const changes = [
    { version: 2 },
    { generation: 7 },
    { generation: '-7' },
    { expires: '1234' },
    { expires: 0.5 },
    { data_len: 1 },
    { data: 7 },
    { data: '', data_len: 0 },
  ];
  for (const change of changes) {
    assert.equal(decodeSession(Buffer.from(JSON.stringify({ ...good, ...change }))), undefined, JSON.stringify(change));
  }
  fc.assert(fc.property(fc.uint8Array(), (bytes) => void decodeSession(Buffer.from(bytes))));
});

test("what matters of OpenSSL's session is read", () => {
  const facts = sessionFacts(DER);
  assert.equal(facts?.protocolVersion, 0x0303);
  assert.equal(facts?.id.toString('hex'), 'bd56d102aec47711034747c123ea8e383f61659b6ec3945c821ea0167e1b6ef7');
  assert.equal(facts?.expiresAt, 0x6b006f57 + 7200);
});

test('what is no session is none, and does not throw', () => {
  for (let length = 0; length < DER.length; length++) assert.equal(sessionFacts(DER.subarray(0, length)), undefined);
  fc.assert(
    fc.property(fc.nat(DER.length - 1), fc.uint8Array({ minLength: 1, maxLength: 6 }), (at, bytes) => {
      const damaged = Buffer.from(DER);
      damaged.set(bytes.subarray(0, damaged.length - at), at);
      sessionFacts(damaged);
    }),
  );
  fc.assert(fc.property(fc.uint8Array(), (bytes) => void sessionFacts(Buffer.from(bytes))));
});
