import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { parseAddress } from '../../../src/store/memcached/address.js';
import { buildRing, RING_KINDS, type RingKind, ringName } from '../../../src/store/memcached/ring.js';
import { fixture } from '../../support/root.js';

interface Fixture {
  readonly source: string;
  readonly ring: RingKind;
  /** The keys libmemcached keeps on each server. */
  readonly servers: readonly { readonly address: string; readonly weight: number; readonly keys: readonly string[] }[];
}

const fixtures = readdirSync(fixture('ketama'));

describe('libmemcached chooses the same server', () => {
  for (const file of fixtures) {
    const { source, ring: kind, servers }: Fixture = JSON.parse(readFileSync(fixture('ketama', file), 'utf8'));
    const keys = servers.flatMap((server, index) => server.keys.map((key) => ({ key, index })));

    test(`${file}: ${keys.length} keys, ${kind}, by ${source}`, () => {
      const named = servers.map(({ address, weight }) => ({ name: ringName(parseAddress(address)), weight }));
      const ring = buildRing(named, kind);
      assert.ok(keys.length > 0);
      for (const { key, index } of keys) assert.equal(ring.at(key), index, key);
    });
  }

  test('for all kinds of ring', () => {
    const kinds = new Set(fixtures.map((file) => JSON.parse(readFileSync(fixture('ketama', file), 'utf8')).ring));
    assert.deepEqual([...kinds].sort(), [...RING_KINDS].sort());
  });
});

const key = fc.string({ minLength: 1, maxLength: 250 });
const even = (count: number) => Array.from({ length: count }, (_, i) => ({ name: `10.0.0.${i}`, weight: 1 }));

for (const kind of RING_KINDS) {
  test(`${kind}: the servers that follow a key are all servers, its own first`, () => {
    fc.assert(
      fc.property(key, fc.integer({ min: 1, max: 12 }), (key, count) => {
        const ring = buildRing(even(count), kind);
        const order = [...ring.from(key)];
        assert.equal(order[0], ring.at(key));
        assert.deepEqual(
          order.toSorted(),
          even(count)
            .map((_, index) => index)
            .toSorted(),
        );
      }),
    );
  });
}

for (const kind of ['ketama', 'ketama-unweighted'] as const) {
  test(`${kind}: a server that goes leaves its keys to the next on the ring, and no other key moves`, () => {
    const ring = buildRing(even(5), kind);
    fc.assert(
      fc.property(key, fc.integer({ min: 0, max: 4 }), (key, gone) => {
        const without = buildRing(
          even(5).filter((_, index) => index !== gone),
          kind,
        );
        const [first, second] = ring.from(key);
        const expected = first === gone ? second : first;
        assert.equal(without.at(key), expected !== undefined && expected > gone ? expected - 1 : expected);
      }),
    );
  });
}

test('modula goes on to the next server as configured', () => {
  const ring = buildRing(even(4), 'modula');
  const [first = 0, ...rest] = ring.from('key');
  assert.deepEqual(rest, [(first + 1) % 4, (first + 2) % 4, (first + 3) % 4]);
});

test('a ring needs a server', () => {
  assert.throws(() => buildRing([], 'ketama'), /at least one server/);
});

test('a weight is a positive integer', () => {
  for (const weight of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
    assert.throws(() => buildRing([{ name: 'cache-1', weight }], 'ketama'), /weight of cache-1/);
  }
});

test('a weight is refused where it would mean nothing', () => {
  for (const kind of ['ketama-unweighted', 'modula'] as const) {
    assert.throws(() => buildRing([{ name: 'cache-1', weight: 2 }], kind), new RegExp(`cache-1.*"${kind}"`));
  }
});
