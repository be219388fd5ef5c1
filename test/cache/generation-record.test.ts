import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  counterKeys,
  formatRecord,
  labelsOf,
  parseRecord,
  prefixesOf,
  prefixKey,
  tagKey,
} from '../../src/cache/generation-record.js';
import { isStoreKey } from '../../src/store/store.js';

describe('the prefixes of a URL', () => {
  const cases: readonly (readonly [url: string, prefixes: readonly string[]])[] = [
    ['http://host/', ['http://host/']],
    ['http://host/a', ['http://host/']],
    ['http://host/a/', ['http://host/', 'http://host/a/']],
    ['https://host:8443/a/b?c=/d/', ['https://host:8443/', 'https://host:8443/a/']],
    ['http://host//a/', ['http://host/', 'http://host//', 'http://host//a/']],
    ['http://host', []],
    ['http://host?a/b', []],
    ['/a/b', []],
    ['', []],
  ];
  for (const [url, prefixes] of cases) {
    test(`${url === '' ? 'nothing' : url}: ${prefixes.join(' ') || 'none'}`, () =>
      assert.deepEqual(prefixesOf(url), prefixes));
  }

  test('are the first eight', () => {
    const prefixes = prefixesOf('http://host/1/2/3/4/5/6/7/8/9/');
    assert.equal(prefixes.length, 8);
    assert.equal(prefixes.at(-1), 'http://host/1/2/3/4/5/6/7/');
  });
});

test('a prefix below those that have counters is purged with its ancestor', () => {
  assert.equal(prefixKey('http://host/1/2/3/4/5/6/7/8/9/'), prefixKey('http://host/1/2/3/4/5/6/7/'));
  assert.notEqual(prefixKey('http://host/1/2/'), prefixKey('http://host/1/'));
});

/** Of an entry whose key is its URL. */
const own = (url: string) => ({ key: url, url });

test('what has another key than its URL can be purged by the URL', () => {
  assert.deepEqual(counterKeys(labelsOf({ key: 'http://host/a#device=phone', url: 'http://host/a' }, [])), [
    'lookaside:all',
    'lookaside:url:http://host/a',
    'lookaside:prefix:http://host/',
  ]);
  const long = `http://host/${'x'.repeat(250)}`;
  assert.match(counterKeys(labelsOf({ key: '/x', url: long }, []))[1] ?? '', /^lookaside:url:[0-9a-f]{40}$/);
});

test('counters have names that other programs can make', () => {
  assert.deepEqual(counterKeys(labelsOf(own('http://host/a/b'), ['news', 'with space'])), [
    'lookaside:all',
    'lookaside:prefix:http://host/',
    'lookaside:prefix:http://host/a/',
    'lookaside:tag:news',
    'lookaside:tag:1ccda7ff1038be23ee6a44e0b41b4017be7c9d65',
  ]);
  assert.match(tagKey(''), /^lookaside:tag:[0-9a-f]{40}$/);
  assert.equal(tagKey('t'.repeat(236)), `lookaside:tag:${'t'.repeat(236)}`);
  assert.match(tagKey('t'.repeat(237)), /^lookaside:tag:[0-9a-f]{40}$/);
});

const byteString = (maxLength: number) =>
  fc.uint8Array({ maxLength }).map((bytes) => Buffer.from(bytes).toString('latin1'));

test('a record comes back from its line, whatever the URL and the tags', () => {
  const counter = fc.oneof(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(String), fc.constant('-'));
  const tag = byteString(40).filter((text) => text !== '');
  fc.assert(
    fc.property(
      byteString(60),
      fc.array(tag, { maxLength: 10 }),
      fc.array(counter, { minLength: 30 }),
      fc.constantFrom('', '#device=phone'),
      (path, tags, values, part) => {
        const url = `http://host/${path}`;
        const labels = labelsOf({ key: url + part, url }, tags);
        const keys = counterKeys(labels);
        for (const key of keys) assert.ok(isStoreKey(key));
        const record = { labels, counters: keys.map((_, i) => values[i % values.length] ?? '-') };
        const line = formatRecord(record);
        assert.match(line, /^[\x20-\x7e]*$/);
        assert.deepEqual(parseRecord(line), record);
      },
    ),
  );
});

test('a line that does not fit is none', () => {
  const good = 'prefix=http://host/ tags=a counters=1,2,3';
  assert.ok(parseRecord(good) !== undefined);
  for (const bad of [
    '',
    `${good},4`,
    'prefix=http://host/ tags=a counters=1,2',
    'prefix=http://host/ tags=a counters=1,2,',
    'prefix=http://host/ tags=a counters=1,2,x',
    `prefix=http://host/ tags=a counters=1,2,${'9'.repeat(21)}`,
    'prefix=http://host/ tags=a b counters=1,2,3',
    `url=http://host/a ${good}`,
    'url= prefix=http://host/ tags=a counters=1,2,3,4',
  ]) {
    assert.equal(parseRecord(bad), undefined, bad);
  }
  fc.assert(fc.property(fc.string(), (line) => void parseRecord(line)));
});
