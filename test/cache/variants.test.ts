import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { openItem } from '../../src/cache/item.js';
import {
  decodeIndex,
  encodeIndex,
  indexTtlSeconds,
  isFull,
  isIndexable,
  likelyDigest,
  matchingVariants,
  newIndex,
  type Variant,
  type VariantIndex,
  withVariant,
} from '../../src/cache/variants.js';
import { Fields } from '../../src/http/fields.js';
import { variantDigest } from '../../src/http/vary.js';

const NOW = 1_763_640_000;
const NOBODY: ReadonlySet<string> = new Set();

function variant(names: readonly string[], request: Fields, expiresAt = NOW + 60): Variant {
  return { digest: variantDigest(names, request), expiresAt, names };
}

function reopened(index: VariantIndex): VariantIndex | undefined {
  const value = Buffer.concat(encodeIndex('key', index, undefined));
  const opened = openItem('key', value, undefined);
  assert.ok(typeof opened !== 'string');
  assert.equal(opened.kind, 'variants');
  return decodeIndex(value.toString('latin1', opened.restAt));
}

const german = new Fields(['Accept-Language', 'de']);
const french = new Fields(['Accept-Language', 'fr', 'Accept-Encoding', 'gzip']);

describe('the index of variants', () => {
  test('is a text that a person can read', () => {
    const index = { ...newIndex('http://host/'), id: '0'.repeat(31).concat('1'), mark: 2 };
    const whole = withVariant(
      withVariant(index, variant([], german, 0), NOBODY, NOW),
      variant(['a', 'b'], german),
      NOBODY,
      NOW,
    );
    const digest = variantDigest(['a', 'b'], german);
    assert.equal(
      Buffer.concat(encodeIndex('key', whole, undefined)).toString(),
      [
        'lookaside-variants: 1 mac=- id=00000000000000000000000000000001 mark=2 key=http://host/',
        `${digest} ${NOW + 60} a,b`,
        '- 0 -',
        '',
      ].join('\r\n'),
    );
    assert.deepEqual(reopened(whole), whole);
  });

  test('finds what fits a request, of several Vary lists, the newest first', () => {
    const lists = [['accept-language'], ['accept-encoding', 'accept-language'], ['accept-encoding']];
    let index = newIndex('key');
    for (const names of lists) index = withVariant(index, variant(names, french), NOBODY, NOW);
    index = withVariant(index, variant(['accept-language'], german), NOBODY, NOW);
    assert.deepEqual(
      matchingVariants(index, french).map(({ names }) => names.join()),
      ['accept-encoding', 'accept-encoding,accept-language', 'accept-language'],
    );
    assert.deepEqual(
      matchingVariants(index, german).map(({ names }) => names.join()),
      ['accept-language'],
    );
    assert.equal(likelyDigest(index, french), variantDigest(['accept-language'], french));
  });

  test('finds a response without Vary for every request', () => {
    const index = withVariant(newIndex('key'), variant([], french), NOBODY, NOW);
    assert.equal(matchingVariants(index, german).length, 1);
    assert.equal(likelyDigest(index, german), '');
  });

  test('keeps a variant once, and leaves out what has expired or is gone', () => {
    const [one, two, old] = [['a'], ['b'], ['c']].map((names) => variant(names, german));
    assert.ok(one !== undefined && two !== undefined && old !== undefined);
    let index = withVariant(newIndex('key'), { ...old, expiresAt: NOW - 1 }, NOBODY, NOW);
    index = withVariant(index, one, NOBODY, NOW);
    index = withVariant(index, two, NOBODY, NOW);
    index = withVariant(index, { ...one, expiresAt: NOW + 90 }, NOBODY, NOW);
    assert.deepEqual(index.variants, [{ ...one, expiresAt: NOW + 90 }, two]);
    assert.deepEqual(withVariant(index, two, new Set([one.digest]), NOW).variants, [two]);
  });

  test('forgets the oldest of too many Vary lists', () => {
    let index = newIndex('key');
    for (let i = 0; i < 9; i++) index = withVariant(index, variant([`field-${i}`], german), NOBODY, NOW);
    const lists = index.variants.map(({ names }) => names.join());
    assert.deepEqual([lists.length, lists[0], lists.at(-1)], [8, 'field-8', 'field-1']);
  });

  test('is full of what is live', () => {
    const languages = ['de', 'fr', 'it'].map((language) => new Fields(['Accept-Language', language]));
    let index = newIndex('key');
    for (const request of languages) index = withVariant(index, variant(['accept-language'], request), NOBODY, NOW);
    assert.ok(isFull(index, NOBODY, 3, NOW));
    assert.ok(!isFull(index, NOBODY, 4, NOW));
    assert.ok(!isFull(index, new Set([index.variants[1]?.digest ?? '']), 3, NOW));
    assert.ok(!isFull(index, NOBODY, 3, NOW + 60));
  });

  test('lives as long as its variants', () => {
    const index = withVariant(newIndex('key'), variant(['a'], german, NOW + 10), NOBODY, NOW);
    assert.equal(indexTtlSeconds(withVariant(index, variant(['b'], german, NOW + 50), NOBODY, NOW), NOW), 50);
    assert.equal(indexTtlSeconds(withVariant(index, variant(['b'], german, 0), NOBODY, NOW), NOW), 0);
    assert.equal(indexTtlSeconds(index, NOW + 100), 1);
  });

  test('takes only Vary lists that are names, and not too many', () => {
    assert.ok(isIndexable([]));
    assert.ok(isIndexable(['-', 'accept']));
    for (const names of [
      ['a b'],
      ['a\r\nb'],
      [''],
      Array.from({ length: 33 }, (_, i) => `f${i}`),
      ['x'.repeat(1025)],
    ]) {
      assert.ok(!isIndexable(names), names.join());
    }
  });

  test('comes back as it was', () => {
    const digest = fc.stringMatching(/^[0-9a-f]{32}$/);
    const names = fc.array(fc.stringMatching(/^[!#$%&'*+.^_`|~0-9a-z-]{1,10}$/), { minLength: 1, maxLength: 5 });
    const variants = fc.array(fc.record({ digest, names, expiresAt: fc.nat() }, { noNullPrototype: true }), {
      maxLength: 20,
    });
    const key = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes).toString('latin1'));
    fc.assert(
      fc.property(variants, key, fc.nat(), (variants, key, mark) => {
        const index = { ...newIndex(key), mark, variants };
        assert.deepEqual(reopened(index), index);
      }),
    );
  });

  test('is never made of arbitrary bytes by a throw', () => {
    const head = ` id=${'0'.repeat(32)} mark=0 key=k\r\n`;
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const text = Buffer.from(bytes).toString('latin1');
        decodeIndex(text);
        decodeIndex(head + text);
      }),
    );
    for (const bad of ['', head.trimEnd(), `${head}x\r\n`, `${head}- 0 a`, `${head}${'0'.repeat(32)} 0 a b\r\n`]) {
      assert.equal(decodeIndex(bad), undefined);
    }
    assert.equal(decodeIndex(head + `- 0 -\r\n`.repeat(1025)), undefined);
  });
});
