import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { decodeEntry, type EntryMetadata, encodeHead } from '../../src/cache/entry.js';
import { Fields } from '../../src/http/fields.js';

const metadata: EntryMetadata = {
  storedAtMs: 1_763_640_000_123,
  ageSeconds: 4,
  lifetimeSeconds: 60,
  variant: '',
  key: 'http://example.org/index.html',
};

function message(...lines: string[]): Buffer {
  return Buffer.from(lines.join('\r\n'), 'latin1');
}

describe('an entry', () => {
  test('is a message that a person can read', () => {
    const head = encodeHead(200, new Fields(['Content-Type', 'text/html', 'X-A', '1', 'X-A', '2']), metadata);
    assert.equal(
      head.toString('latin1'),
      [
        'HTTP/1.1 200 ',
        'lookaside: 1 at=1763640000123 age=4 life=60 vary=- key=http://example.org/index.html',
        'Content-Type: text/html',
        'X-A: 1',
        'X-A: 2',
        '',
        '',
      ].join('\r\n'),
    );
  });

  test('keeps out what belongs to the connection, the framing and the age of the response', () => {
    const fields = new Fields(
      ['Connection', 'X-Hop, close', 'X-Hop', '1', 'Transfer-Encoding', 'chunked', 'Keep-Alive', 'timeout=5'].concat([
        'Content-Length',
        '3',
        'Age',
        '4',
        'X-Kept',
        'yes',
      ]),
    );
    const entry = decodeEntry(Buffer.concat([encodeHead(200, fields, metadata), Buffer.from('abc')]));
    assert.deepEqual(entry?.fields.flat(), ['X-Kept', 'yes']);
  });

  test('may be written by anybody, without the metadata line', () => {
    const entry = decodeEntry(message('HTTP/1.1 200 OK', 'Content-Type: text/plain', 'Content-Length: 5', '', 'hello'));
    assert.equal(entry?.metadata, undefined);
    assert.equal(entry?.status, 200);
    assert.equal(entry?.body.toString(), 'hello');
    assert.deepEqual(entry?.fields.flat(), ['Content-Type', 'text/plain']);
  });

  const malformed: { readonly [what: string]: Buffer } = {
    'an empty value': message(''),
    'a bare body': message('hello'),
    'bare line feeds': Buffer.from('HTTP/1.1 200 OK\nA: b\n\nhello'),
    'no end of the head': message('HTTP/1.1 200 OK', 'A: b', ''),
    'another protocol': message('HTTP/2 200 OK', '', ''),
    'a status that is no number': message('HTTP/1.1 2x0 OK', '', ''),
    'an interim status': message('HTTP/1.1 103 Early Hints', '', ''),
    'a status of a part': message('HTTP/1.1 206 Partial Content', '', ''),
    'a folded line': message('HTTP/1.1 200 OK', 'A: b', ' c', '', ''),
    'a space before the colon': message('HTTP/1.1 200 OK', 'A : b', '', ''),
    'a line without colon': message('HTTP/1.1 200 OK', 'nothing', '', ''),
    'a control byte in a value': message('HTTP/1.1 200 OK', 'A: b\x00c', '', ''),
    'a bare carriage return in a value': message('HTTP/1.1 200 OK', 'A: b\rSet-Cookie: c=d', '', ''),
    'a shorter body than announced': message('HTTP/1.1 200 OK', 'Content-Length: 6', '', 'hello'),
    'a longer body than announced': message('HTTP/1.1 200 OK', 'Content-Length: 4', '', 'hello'),
    'two lengths': message('HTTP/1.1 200 OK', 'Content-Length: 5', 'Content-Length: 4', '', 'hello'),
    'an unknown version of the metadata': message('HTTP/1.1 200 OK', 'lookaside: 2 at=1', '', ''),
    'two metadata lines': message(
      'HTTP/1.1 200 OK',
      'lookaside: 1 at=1 age=0 life=60 vary=- key=a',
      'lookaside: 1 at=1 age=0 life=60 vary=- key=a',
      '',
      '',
    ),
    'an endless head': Buffer.concat([
      message('HTTP/1.1 200 OK', 'A: '),
      Buffer.alloc(70_000, 'a'),
      message('', '', ''),
    ]),
  };
  for (const [what, value] of Object.entries(malformed)) {
    test(`is not ${what}`, () => assert.equal(decodeEntry(value), undefined));
  }

  const token = fc.stringMatching(/^[a-z][a-z0-9-]{0,20}$/).filter((name) => !EXCLUDED.has(name));
  const byteString = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes).toString('latin1'));
  const value = fc.stringMatching(/^[!-~\x80-\xff]([ -~\x80-\xff]{0,40}[!-~\x80-\xff])?$/);

  test('comes back as it was stored, whatever the key, the fields and the body', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(token, value)),
        fc.uint8Array({ maxLength: 2000 }),
        byteString,
        fc.nat(),
        fc.nat(),
        (pairs, body, key, ageSeconds, lifetimeSeconds) => {
          const fields = new Fields(pairs.flat());
          const stored = { ...metadata, key, ageSeconds, lifetimeSeconds, variant: 'abc123' };
          const entry = decodeEntry(Buffer.concat([encodeHead(200, fields, stored), body]));
          assert.deepEqual(entry?.metadata, stored);
          assert.deepEqual(entry?.fields.flat(), fields.flat());
          assert.deepEqual(new Uint8Array(entry?.body ?? []), new Uint8Array(body));
        },
      ),
    );
  });

  test('is never made of arbitrary bytes by a throw', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (tail) => {
        decodeEntry(Buffer.from(tail));
        decodeEntry(Buffer.concat([message('HTTP/1.1 200 OK', 'lookaside: '), tail]));
      }),
    );
  });
});

const EXCLUDED = new Set(
  ['connection', 'keep-alive', 'te', 'trailer', 'transfer-encoding', 'upgrade', 'content-length', 'age'].concat([
    'proxy-connection',
    'proxy-authenticate',
    'proxy-authorization',
    'proxy-authentication-info',
    'lookaside',
  ]),
);
