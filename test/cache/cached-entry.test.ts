import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { type CachedMetadata, decodeCachedEntry, encodeCachedEntry, recordOf } from '../../src/cache/cached-entry.js';
import { decodeEntry } from '../../src/cache/entry.js';
import { openItem } from '../../src/cache/item.js';
import { Authenticator } from '../../src/cache/mac.js';
import { decodeMarker, encodeMarker } from '../../src/cache/marker.js';
import { Fields } from '../../src/http/fields.js';

const metadata: CachedMetadata = {
  freshness: {
    storedAtMs: 1_763_640_000_123,
    ageSeconds: 4,
    lifetimeSeconds: 60,
    staleWhileRevalidateSeconds: 10,
    staleIfErrorSeconds: undefined,
    revalidation: 'may',
    immutable: false,
  },
  mark: 0,
  variant: '',
  epoch: '17',
  bodyBytes: 5,
  layout: undefined,
  key: 'http://example.org/',
};
const record = { labels: { url: '', prefix: 'http://example.org/', tags: ['news'] }, counters: ['1', '2', '3'] };
const body = [Buffer.from('hel'), Buffer.from('lo')];
const WHOLE = { partials: false };
const PARTS = { partials: true };
/** Of objects that fast-check makes: as literals are. */
const PLAIN = { noNullPrototype: true };

function encoded(fields: readonly string[] = [], changes: Partial<CachedMetadata> = {}, status = 200): Buffer {
  const head = { status, fields: new Fields(fields) };
  const value = encodeCachedEntry('key', head, { ...metadata, ...changes }, record, body, undefined);
  assert.ok(value !== undefined);
  return Buffer.concat(value);
}

describe('an entry of the cache', () => {
  test('is a message that a person can read, and two lines tell the cache all it needs', () => {
    assert.equal(
      encoded(['Content-Type', 'text/html', 'X-A', '1', 'X-A', '2']).toString('latin1'),
      [
        'HTTP/1.1 200 ',
        'lookaside: 2 mac=- at=1763640000123 age=4 life=60 swr=10 sie=- reval=may imm=0 mark=0 vary=- epoch=17 body=5 seg=- key=http://example.org/',
        'lookaside-purge: prefix=http://example.org/ tags=news counters=1,2,3',
        'Content-Type: text/html',
        'X-A: 1',
        'X-A: 2',
        '',
        'hello',
      ].join('\r\n'),
    );
  });

  test('comes back as it was stored, whatever it is made of', () => {
    const token = fc.stringMatching(/^x-[a-z0-9-]{1,20}$/);
    const value = fc.stringMatching(/^[!-~\x80-\xff]([ -~\x80-\xff]{0,40}[!-~\x80-\xff])?$/);
    const seconds = fc.integer({ min: 0, max: 2 ** 31 });
    const key = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes).toString('latin1'));
    const layout = fc.option(
      fc.record(
        {
          id: fc.stringMatching(/^[0-9a-f]{32}$/),
          bytes: fc.integer({ min: 1, max: 10_000 }),
          segmentBytes: fc.integer({ min: 100, max: 1000 }),
        },
        PLAIN,
      ),
      { nil: undefined },
    );
    const freshness = fc.record(
      {
        storedAtMs: fc.integer({ min: 0, max: 4_000_000_000_000 }),
        ageSeconds: seconds,
        lifetimeSeconds: seconds,
        staleWhileRevalidateSeconds: seconds,
        staleIfErrorSeconds: fc.option(seconds, { nil: undefined }),
        revalidation: fc.constantFrom('may', 'must', 'always'),
        immutable: fc.boolean(),
      },
      PLAIN,
    );
    const rest = fc.record(
      {
        freshness,
        mark: fc.integer({ min: 0, max: 1_000_000 }),
        variant: fc.oneof(fc.constant(''), fc.stringMatching(/^[0-9a-f]{32}$/)),
        epoch: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(String),
        layout,
        key,
      },
      PLAIN,
    );
    const status = fc.integer({ min: 200, max: 599 }).filter((code) => ![206, 304, 416].includes(code));
    const content = fc.uint8Array({ maxLength: 2000 });
    fc.assert(
      fc.property(status, fc.array(fc.tuple(token, value)), rest, content, (status, pairs, rest, content) => {
        const stored = { ...rest, bodyBytes: rest.layout?.bytes ?? content.length };
        const fields = new Fields(pairs.flat());
        const pieces = encodeCachedEntry('key', { status, fields }, stored, record, [content], undefined);
        assert.ok(pieces !== undefined);
        const entry = decodeCachedEntry(Buffer.concat(pieces), WHOLE);
        assert.ok(entry !== undefined);
        assert.equal(entry.status, status);
        assert.deepEqual(entry.metadata, stored);
        assert.deepEqual(entry.fields.flat(), fields.flat());
        assert.deepEqual(recordOf(entry), record);
        assert.deepEqual(
          new Uint8Array(entry.body),
          rest.layout === undefined ? new Uint8Array(content) : new Uint8Array(),
        );
      }),
    );
  });

  test('keeps out what belongs to the connection, the framing, the age and the cache itself', () => {
    const kept = ['Lookaside-Cache-Control', 'max-age=5', 'X-Kept', 'yes'];
    const dropped = ['Connection', 'X-Hop', 'X-Hop', '1', 'Content-Length', '5', 'Age', '4'];
    const forged = ['Lookaside', '2 mac=-', 'lookaside-purge', 'x'];
    const entry = decodeCachedEntry(encoded([...forged, ...dropped, ...kept]), WHOLE);
    assert.deepEqual(entry?.fields.flat(), kept);
  });

  test('is none for those who look up plainly: they know nothing of purges and segments', () => {
    assert.equal(decodeEntry(encoded()), undefined);
  });

  test('that is a part comes only to those who ask for parts, and only when it says rightly which part', () => {
    const part = (range: string) => encoded(['Content-Range', range], {}, 206);
    assert.equal(decodeCachedEntry(part('bytes 5-9/20'), WHOLE), undefined);
    assert.equal(decodeCachedEntry(part('bytes 5-9/20'), PARTS)?.status, 206);
    for (const range of ['bytes 5-8/20', 'bytes 5-10/20', 'bytes 5-9/*', 'bytes 5-9/9', 'lines 1-5/9', '']) {
      assert.equal(decodeCachedEntry(part(range), PARTS), undefined, range);
    }
    assert.equal(decodeCachedEntry(encoded([], {}, 206), PARTS), undefined);
    for (const status of [304, 416]) assert.equal(decodeCachedEntry(encoded([], {}, status), PARTS), undefined);
  });

  test('is not stored with a head that nobody would read', () => {
    const head = { status: 200, fields: new Fields(['X-Long', 'x'.repeat(70_000)]) };
    assert.equal(encodeCachedEntry('key', head, metadata, record, body, undefined), undefined);
    const fitting = { status: 200, fields: new Fields(['X-Long', 'x'.repeat(64_000)]) };
    const value = encodeCachedEntry('key', fitting, metadata, record, body, undefined);
    assert.ok(value !== undefined && decodeCachedEntry(Buffer.concat(value), WHOLE) !== undefined);
  });

  const text = encoded(['Content-Type', 'text/html']).toString('latin1');
  const damaged: { readonly [what: string]: string } = {
    'with a body cut short': text.slice(0, -1),
    'with a longer body': `${text}!`,
    'without the second line': text.replace(/lookaside-purge: .*\r\n/, ''),
    'with a third line of the cache': text.replace('lookaside-purge', 'lookaside-purge: x\r\nlookaside-purge'),
    'with its lines swapped': text.replace(/(lookaside: .*\r\n)(lookaside-purge: .*\r\n)/, '$2$1'),
    'with a line of the cache among the fields': text.replace('\r\n\r\n', '\r\nlookaside: 1 at=1\r\n\r\n'),
    'with a layout that does not fit': text.replace('seg=-', `seg=${'0'.repeat(32)}/6/3`),
    'with segments and a body': text.replace('seg=-', `seg=${'0'.repeat(32)}/5/3`),
    'with a fold': text.replace('Content-Type:', ' Content-Type:'),
    'of the next version': text.replace('lookaside: 2', 'lookaside: 3'),
    'with another word about revalidation': text.replace('reval=may', 'reval=maybe'),
    'with a number too long': text.replace('life=60', 'life=12345678901'),
  };
  for (const [what, value] of Object.entries(damaged)) {
    test(`is not one ${what}`, () => assert.equal(decodeCachedEntry(Buffer.from(value, 'latin1'), WHOLE), undefined));
  }

  test('is never made of arbitrary bytes by a throw', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), fc.nat(text.length), (bytes, at) => {
        const value = Buffer.from(bytes);
        const mixed = Buffer.concat([Buffer.from(text.slice(0, at), 'latin1'), value]);
        for (const hostile of [value, mixed]) {
          openItem('key', hostile, undefined);
          openItem('key', hostile, new Authenticator(['secret']));
          const entry = decodeCachedEntry(hostile, PARTS);
          if (entry !== undefined) recordOf(entry);
        }
      }),
    );
  });
});

describe('an item', () => {
  const authenticator = new Authenticator(['secret']);
  const signed = encodeCachedEntry('key', { status: 200, fields: new Fields() }, metadata, record, body, authenticator);
  assert.ok(signed !== undefined);
  const value = Buffer.concat(signed);

  test('with a valid MAC is opened by those who know the secret, and by those who have none', () => {
    assert.deepEqual(openItem('key', value, authenticator), openItem('key', value, undefined));
    assert.ok(decodeCachedEntry(value, WHOLE) !== undefined);
  });

  test('is unauthenticated when a bit of it is another, wherever', () => {
    fc.assert(
      fc.property(fc.nat(value.length * 8 - 1), (bit) => {
        const flipped = Buffer.from(value);
        flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        assert.equal(openItem('key', flipped, authenticator), 'unauthenticated');
      }),
      { numRuns: 500 },
    );
  });

  test('is unauthenticated under another key, with another secret, cut short, without a MAC and when it is foreign', () => {
    assert.equal(openItem('other', value, authenticator), 'unauthenticated');
    assert.equal(openItem('key', value, new Authenticator(['another'])), 'unauthenticated');
    assert.equal(openItem('key', value.subarray(0, -1), authenticator), 'unauthenticated');
    assert.equal(openItem('key', encoded(), authenticator), 'unauthenticated');
    const foreign = Buffer.from('HTTP/1.1 200 OK\r\n\r\nhello');
    assert.equal(openItem('key', foreign, authenticator), 'unauthenticated');
    assert.deepEqual(openItem('key', foreign, undefined), { kind: 'foreign', restAt: 0 });
  });

  test('of every kind says what it is', () => {
    const key = fc.uint8Array({ maxLength: 100 }).map((bytes) => Buffer.from(bytes).toString('latin1'));
    fc.assert(
      fc.property(key, fc.stringMatching(/^[0-9a-f]{32}$/), (key, token) => {
        for (const marker of [{ kind: 'lease', token, key } as const, { kind: 'pass', key } as const]) {
          const item = Buffer.concat(encodeMarker('key', marker, authenticator));
          const opened = openItem('key', item, authenticator);
          assert.ok(typeof opened !== 'string' && opened.kind === marker.kind);
          assert.deepEqual(decodeMarker(marker.kind, item.toString('latin1', opened.restAt)), marker);
        }
      }),
    );
    assert.equal(openItem('key', Buffer.from('lookaside-treasure: 1 mac=- key=k\r\n'), undefined), 'malformed');
    assert.equal(decodeMarker('lease', ' token=12 key=k\r\n'), undefined);
    assert.equal(decodeMarker('pass', ' key=k'), undefined);
  });
});
