import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import fc from 'fast-check';
import { type Item, nearest, type Store, StoreError, type StoreErrorCode } from '../../src/store/store.js';

/**
 * What every {@link Store} promises, whatever it keeps its items in. `open` makes a store that works; several may be
 * open at a time and may share their items.
 */
export function storeBehaviour(name: string, open: () => Promise<Store>): void {
  describe(`${name} is a store`, () => {
    let store: Store;
    before(async () => {
      store = await open();
    });
    after(() => store.close());

    describe('values', () => {
      test('an absent key is null', async () => {
        assert.equal(await store.get(newKey()), null);
      });

      for (const [what, value] of VALUES) {
        test(`${what} come back as they were`, async () => {
          const key = newKey();
          assert.equal(await store.set(key, value), 'stored');
          assert.deepEqual((await got(store, key)).value, value);
        });
      }

      test('any bytes come back as they were', async () => {
        const key = newKey();
        await fc.assert(
          fc.asyncProperty(fc.uint8Array({ maxLength: 2000 }), async (bytes) => {
            await store.set(key, bytes);
            assert.deepEqual((await got(store, key)).value, Buffer.from(bytes));
          }),
          { numRuns: 30 },
        );
      });

      test('pieces are kept one behind the other', async () => {
        const key = newKey();
        await store.set(key, [Buffer.from('HTTP/1.1 '), Buffer.alloc(0), new Uint8Array([0x32, 0x30, 0x30]), CRLF]);
        assert.equal((await got(store, key)).value.toString('latin1'), 'HTTP/1.1 200\r\n');
      });

      test('no pieces at all are an empty value', async () => {
        const key = newKey();
        await store.set(key, []);
        assert.equal((await got(store, key)).value.length, 0);
      });

      test('once stored, the caller may reuse its buffer', async () => {
        const key = newKey();
        const mine = Buffer.from('before');
        await store.set(key, mine);
        mine.write('after!');
        assert.equal((await got(store, key)).value.toString(), 'before');
      });

      test('an item that was read does not change when its key is written again', async () => {
        const key = newKey();
        await store.set(key, Buffer.from('first'));
        const first = await got(store, key);
        await store.set(key, Buffer.from('other'));
        assert.equal(first.value.toString(), 'first');
      });

      test('a value at the item limit is kept, one above is too large, and the store goes on working', async () => {
        const key = newKey();
        const largest = Buffer.alloc(store.maxItemBytes, 'largest');
        assert.equal(await store.set(key, largest), 'stored');
        assert.ok((await got(store, key)).value.equals(largest));
        await rejects(store.set(newKey(), Buffer.alloc(store.maxItemBytes + 1)), 'too-large');
        await rejects(store.set(newKey(), [largest, Buffer.alloc(1)]), 'too-large');
        assert.equal(await store.set(key, Buffer.from('small')), 'stored');
        assert.equal((await got(store, key)).value.toString(), 'small');
      });

      test('concurrent reads of one key all get it', async () => {
        const key = newKey();
        await store.set(key, Buffer.from('shared'), { flags: 7 });
        const items = await Promise.all(Array.from({ length: 100 }, () => got(store, key)));
        for (const item of items) assert.deepEqual([item.value.toString(), item.flags], ['shared', 7]);
      });

      test('concurrent operations on many keys do not mix', async () => {
        await Promise.all(
          Array.from({ length: 200 }, async (_, i) => {
            const key = newKey();
            assert.equal(await store.set(key, Buffer.from(`value ${i}`)), 'stored');
            assert.equal((await got(store, key)).value.toString(), `value ${i}`);
            assert.equal(await store.increment(key, 1n).catch((error: StoreError) => error.code), 'server-error');
            assert.equal(await store.delete(key), true);
            assert.equal(await store.get(key), null);
          }),
        );
      });
    });

    describe('flags', () => {
      test('are 0 unless given', async () => {
        const key = newKey();
        await store.set(key, VALUE);
        assert.equal((await got(store, key)).flags, 0);
      });

      for (const flags of [1, 2, 8, 0x8000_0000, 0xffff_ffff]) {
        test(`${flags} comes back, the value untouched`, async () => {
          const key = newKey();
          await store.set(key, VALUE, { flags });
          const item = await got(store, key);
          assert.deepEqual([item.flags, item.value], [flags, VALUE]);
        });
      }
    });

    describe('time to live', () => {
      test('is undefined for an item that does not expire', async () => {
        const key = newKey();
        await store.set(key, VALUE);
        assert.equal((await got(store, key)).ttlSeconds, undefined);
        await store.set(key, VALUE, { ttlSeconds: 0 });
        assert.equal((await got(store, key)).ttlSeconds, undefined);
      });

      for (const ttlSeconds of [100, 30 * DAY, 30 * DAY + 1, 400 * DAY]) {
        test(`of ${ttlSeconds} seconds is what is left of it`, async () => {
          const key = newKey();
          await store.set(key, VALUE, { ttlSeconds });
          about(await got(store, key), ttlSeconds);
        });

        test(`of ${ttlSeconds} seconds can be given by touch, and to a new counter`, async () => {
          const [key, counter] = [newKey(), newKey()];
          await store.set(key, VALUE);
          assert.equal(await store.touch(key, ttlSeconds), true);
          about(await got(store, key), ttlSeconds);
          await store.increment(counter, 1n, { initial: 1n, ttlSeconds });
          about(await got(store, counter), ttlSeconds);
        });
      }

      test('of 0, given by touch, is for ever', async () => {
        const key = newKey();
        await store.set(key, VALUE, { ttlSeconds: 100 });
        assert.equal(await store.touch(key, 0), true);
        assert.equal((await got(store, key)).ttlSeconds, undefined);
      });

      test('ends: items expire, touched ones later, and an expired key is free', async () => {
        const [short, longer, touchedShort, touchedLonger, counter] = [
          newKey(),
          newKey(),
          newKey(),
          newKey(),
          newKey(),
        ];
        await store.set(short, VALUE, { ttlSeconds: 1 });
        await store.set(longer, VALUE, { ttlSeconds: 100 });
        await store.set(touchedShort, VALUE, { ttlSeconds: 100 });
        await store.touch(touchedShort, 1);
        // room for a machine that is slow to touch it
        await store.set(touchedLonger, VALUE, { ttlSeconds: 2 });
        await store.touch(touchedLonger, 100);
        await store.increment(counter, 1n, { initial: 1n, ttlSeconds: 1 });
        // memcached counts whole seconds of a clock of its own
        await delay(3100);
        const live = await store.getMany([short, longer, touchedShort, touchedLonger, counter]);
        assert.deepEqual(new Set(live.keys()), new Set([longer, touchedLonger]));
        assert.equal(await store.get(short), null);
        assert.equal(await store.touch(short, 100), false);
        assert.equal(await store.delete(touchedShort), false);
        assert.equal(await store.increment(counter, 1n), null);
        assert.equal(await store.set(short, VALUE, { mode: 'replace' }), 'not-stored');
        assert.equal(await store.set(short, VALUE, { mode: 'add' }), 'stored');
      });

      test('touch of an absent key is false', async () => {
        assert.equal(await store.touch(newKey(), 100), false);
      });
    });

    describe('set', () => {
      test('add writes only where there is nothing', async () => {
        const key = newKey();
        assert.equal(await store.set(key, Buffer.from('a'), { mode: 'add' }), 'stored');
        assert.equal(await store.set(key, Buffer.from('b'), { mode: 'add' }), 'not-stored');
        assert.equal((await got(store, key)).value.toString(), 'a');
      });

      test('replace writes only where there is something', async () => {
        const key = newKey();
        assert.equal(await store.set(key, Buffer.from('a'), { mode: 'replace' }), 'not-stored');
        assert.equal(await store.get(key), null);
        await store.set(key, Buffer.from('a'));
        assert.equal(await store.set(key, Buffer.from('b'), { mode: 'replace', flags: 3 }), 'stored');
        const item = await got(store, key);
        assert.deepEqual([item.value.toString(), item.flags], ['b', 3]);
      });

      test('append and prepend need an item, and keep its flags and time to live', async () => {
        const key = newKey();
        assert.equal(await store.set(key, VALUE, { mode: 'append' }), 'not-stored');
        assert.equal(await store.set(key, VALUE, { mode: 'prepend' }), 'not-stored');
        await store.set(key, Buffer.from('b'), { flags: 5, ttlSeconds: 100 });
        assert.equal(
          await store.set(key, [Buffer.from('c'), Buffer.from('d')], { mode: 'append', flags: 9 }),
          'stored',
        );
        assert.equal(await store.set(key, Buffer.from('a'), { mode: 'prepend', ttlSeconds: 9 }), 'stored');
        const item = await got(store, key);
        assert.deepEqual([item.value.toString(), item.flags], ['abcd', 5]);
        about(item, 100);
      });

      test('cas is a decimal string that every write changes', async () => {
        const key = newKey();
        const seen = new Set<string>();
        const writes = [
          () => store.set(key, Buffer.from('1')),
          () => store.set(key, Buffer.from('1')),
          () => store.set(key, Buffer.from('2'), { mode: 'append' }),
          () => store.increment(key, 1n),
        ];
        for (const write of writes) {
          await write();
          const { cas } = await got(store, key);
          assert.match(cas, /^\d{1,20}$/);
          seen.add(cas);
        }
        assert.equal(seen.size, writes.length);
      });

      test('with cas writes only the item that was read', async () => {
        const key = newKey();
        assert.equal(await store.set(key, VALUE, { cas: '1' }), 'not-found');
        await store.set(key, Buffer.from('first'));
        const { cas } = await got(store, key);
        assert.equal(await store.set(key, Buffer.from('second'), { cas }), 'stored');
        assert.equal(await store.set(key, Buffer.from('third'), { cas }), 'exists');
        assert.equal((await got(store, key)).value.toString(), 'second');
        await store.delete(key);
        assert.equal(await store.set(key, VALUE, { cas }), 'not-found');
        assert.equal(await store.get(key), null);
      });
    });

    describe('delete', () => {
      test('says whether there was something', async () => {
        const key = newKey();
        assert.equal(await store.delete(key), false);
        await store.set(key, VALUE);
        assert.equal(await store.delete(key), true);
        assert.equal(await store.get(key), null);
      });

      test('with cas removes only the item that was read', async () => {
        const key = newKey();
        assert.equal(await store.delete(key, { cas: '1' }), false);
        await store.set(key, VALUE);
        const { cas: old } = await got(store, key);
        await store.set(key, VALUE);
        assert.equal(await store.delete(key, { cas: old }), false);
        const { cas } = await got(store, key);
        assert.equal(await store.delete(key, { cas }), true);
        assert.equal(await store.get(key), null);
      });
    });

    describe('increment', () => {
      test('of an absent counter is null, or makes one', async () => {
        const key = newKey();
        assert.equal(await store.increment(key, 5n), null);
        assert.equal(await store.get(key), null);
        assert.equal(await store.increment(key, 5n, { initial: 100n }), 100n);
        assert.equal(await store.increment(key, 5n, { initial: 100n }), 105n);
        const item = await got(store, key);
        assert.deepEqual([item.value.toString(), item.ttlSeconds], ['105', undefined]);
      });

      test('may create a counter with 0, and leave it as it is', async () => {
        const key = newKey();
        assert.equal(await store.increment(key, 1n, { initial: 0n }), 0n);
        assert.equal(await store.increment(key, 0n), 0n);
      });

      test('adds to a number that was set, and keeps its flags and time to live', async () => {
        const key = newKey();
        await store.set(key, Buffer.from('99'), { flags: 4, ttlSeconds: 100 });
        assert.equal(await store.increment(key, 1n, { initial: 7n, ttlSeconds: 5000 }), 100n);
        const item = await got(store, key);
        assert.deepEqual([item.value.toString(), item.flags], ['100', 4]);
        about(item, 100);
      });

      test('subtracts, but not below 0', async () => {
        const key = newKey();
        await store.set(key, Buffer.from('100'));
        assert.equal(await store.increment(key, -1n), 99n);
        assert.equal((await got(store, key)).value.toString().trimEnd(), '99');
        assert.equal(await store.increment(key, -100n), 0n);
        assert.equal(await store.increment(key, -1n), 0n);
        assert.equal(await store.increment(key, 12n), 12n);
      });

      test('counts modulo 2^64', async () => {
        const key = newKey();
        assert.equal(await store.increment(key, 1n, { initial: MAX_COUNTER - 1n }), MAX_COUNTER - 1n);
        assert.equal(await store.increment(key, 1n), MAX_COUNTER);
        assert.equal(await store.increment(key, 1n), 0n);
        assert.equal(await store.increment(key, MAX_COUNTER), MAX_COUNTER);
        assert.equal(await store.increment(key, 3n), 2n);
        assert.equal(await store.increment(key, -MAX_COUNTER), 0n);
      });

      for (const text of ['', 'ten', '1x', '-1', '18446744073709551616', '1'.repeat(30)]) {
        test(`of "${text}" is a server-error, and leaves it`, async () => {
          const key = newKey();
          await store.set(key, Buffer.from(text));
          await rejects(store.increment(key, 1n, { initial: 1n }), 'server-error');
          assert.equal((await got(store, key)).value.toString(), text);
        });
      }

      test('loses nothing to concurrency', async () => {
        const key = newKey();
        await store.increment(key, 0n, { initial: 0n });
        const values = await Promise.all(Array.from({ length: 50 }, () => store.increment(key, 1n)));
        assert.equal(new Set(values).size, 50);
        assert.equal(await store.increment(key, 0n), 50n);
      });
    });

    describe('getMany', () => {
      test('of nothing is nothing', async () => {
        assert.equal((await store.getMany([])).size, 0);
      });

      test('leaves out what is absent, and takes a repeated key once', async () => {
        const [a, b, absent] = [newKey(), newKey(), newKey()];
        await store.set(a, Buffer.from('A'), { flags: 1, ttlSeconds: 100 });
        await store.set(b, CRLF);
        const items = await store.getMany([a, absent, b, a]);
        assert.deepEqual(new Set(items.keys()), new Set([a, b]));
        const item = items.get(a);
        assert.deepEqual([item?.value.toString(), item?.flags, item?.cas], ['A', 1, (await got(store, a)).cas]);
        if (item !== undefined) about(item, 100);
        assert.deepEqual(items.get(b)?.value, CRLF);
        assert.equal((await store.getMany([absent])).size, 0);
      });

      test('takes a thousand keys', async () => {
        const keys = Array.from({ length: 1000 }, newKey);
        const present = keys.filter((_, i) => i % 3 !== 0);
        await Promise.all(present.map((key) => store.set(key, Buffer.from(`value of ${key}`))));
        const items = await store.getMany(keys);
        assert.equal(items.size, present.length);
        for (const key of present) assert.equal(items.get(key)?.value.toString(), `value of ${key}`);
      });
    });

    describe('keys', () => {
      for (const [what, make] of GOOD_KEYS) {
        test(`${what} is a key`, async () => {
          const key = make();
          assert.equal(await store.set(key, Buffer.from(what)), 'stored');
          assert.equal((await got(store, key)).value.toString(), what);
          assert.equal((await store.getMany([key])).get(key)?.value.toString(), what);
          assert.equal(await store.touch(key, 100), true);
          assert.equal(await store.delete(key), true);
        });
      }

      for (const [what, key] of BAD_KEYS) {
        test(`${what} is refused by every operation`, async () => {
          await rejects(store.get(key), 'bad-key');
          await rejects(store.getMany([key]), 'bad-key');
          await rejects(store.set(key, VALUE), 'bad-key');
          await rejects(store.set(key, VALUE, { mode: 'append' }), 'bad-key');
          await rejects(store.delete(key), 'bad-key');
          await rejects(store.touch(key, 1), 'bad-key');
          await rejects(store.increment(key, 1n, { initial: 1n }), 'bad-key');
        });
      }

      test('a command hidden in one is not executed', async () => {
        const [victim, planted] = [newKey(), newKey()];
        await store.set(victim, VALUE);
        const commands = `delete ${victim}\r\nset ${planted} 0 0 1\r\nx\r\nmd ${victim}\r\n`;
        for (const key of [`k\r\n${commands}`, `k\n${commands}`, `k 0 0 0\r\n\r\n${commands}`]) {
          await rejects(store.get(key), 'bad-key');
          await rejects(store.set(key, VALUE), 'bad-key');
          await rejects(store.getMany([victim, key]), 'bad-key');
        }
        assert.equal(await store.get(planted), null);
        assert.deepEqual((await got(store, victim)).value, VALUE);
      });
    });

    describe('near', () => {
      test('is one of the names, the same every time, and the only one when there is one', async () => {
        const names = Array.from({ length: 16 }, newKey);
        for (const key of Array.from({ length: 20 }, newKey)) {
          const near = nearest(store, key, names);
          assert.ok(names.includes(near));
          assert.equal(nearest(store, key, names), near);
          assert.equal(nearest(store, key, [...names]), near);
          assert.equal(nearest(store, key, [names[3] ?? '']), names[3]);
        }
      });

      test('of a name is that name or one before it', async () => {
        const names = Array.from({ length: 16 }, newKey);
        for (const [i, name] of names.entries()) {
          const near = names.indexOf(nearest(store, name, names));
          assert.ok(near >= 0 && near <= i);
        }
      });

      test('takes no names for a bug of the caller', () => {
        assert.throws(() => nearest(store, newKey(), []), RangeError);
      });
    });

    describe('as a whole', () => {
      test("takes what no store can do for a caller's bug", async () => {
        const key = newKey();
        for (const ttlSeconds of [-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
          await assert.rejects(store.set(key, VALUE, { ttlSeconds }), RangeError);
          await assert.rejects(store.touch(key, ttlSeconds), RangeError);
          await assert.rejects(store.increment(key, 1n, { initial: 1n, ttlSeconds }), RangeError);
        }
        for (const flags of [-1, 2 ** 32, 0.5]) await assert.rejects(store.set(key, VALUE, { flags }), RangeError);
        for (const cas of ['', 'x', '1 2', '18446744073709551616']) {
          await assert.rejects(store.set(key, VALUE, { cas }), RangeError);
          await assert.rejects(store.delete(key, { cas }), RangeError);
        }
        await assert.rejects(store.set(key, VALUE, { cas: '1', mode: 'add' }), RangeError);
        await assert.rejects(store.increment(key, MAX_COUNTER + 1n), RangeError);
        await assert.rejects(store.increment(key, 1n, { initial: -1n }), RangeError);
        assert.equal(await store.get(key), null);
      });

      test('reports for every server', async () => {
        await store.set(newKey(), VALUE);
        const servers = await store.stats();
        assert.ok(servers.length > 0);
        for (const { server, breaker, report } of servers) {
          assert.notEqual(server, '');
          assert.equal(breaker, 'closed');
          assert.ok(!(report instanceof StoreError));
          assert.match(report.get('curr_items') ?? '', /^\d+$/);
        }
      });

      test('closes once and for all', async () => {
        const other = await open();
        const key = newKey();
        await other.set(key, VALUE);
        const outstanding = other.get(key).catch((error: StoreError) => error.code);
        await other.close();
        await other.close();
        assert.ok([VALUE.toString(), 'closed'].includes(textOf(await outstanding)));
        await rejects(other.get(key), 'closed');
        await rejects(other.getMany([key]), 'closed');
        await rejects(other.set(key, VALUE), 'closed');
        await rejects(other.delete(key), 'closed');
        await rejects(other.touch(key, 1), 'closed');
        await rejects(other.increment(key, 1n), 'closed');
        for (const { report } of await other.stats())
          assert.equal(report instanceof StoreError && report.code, 'closed');
      });
    });
  });
}

const DAY = 24 * 60 * 60;
const MAX_COUNTER = 2n ** 64n - 1n;
const VALUE = Buffer.from('value');
const CRLF = Buffer.from('\r\n');

const VALUES: readonly (readonly [what: string, value: Buffer])[] = [
  ['no bytes', Buffer.alloc(0)],
  ['a single byte', Buffer.from([0])],
  ['all bytes', Buffer.from(Array.from({ length: 256 }, (_, i) => i))],
  ['line ends', Buffer.from('\r\n\r\n\n\r\r\n')],
  ['bytes that look like replies', Buffer.from('\r\nEND\r\nVA 5 f0\r\nHD\r\nMN\r\nEN\r\nSERVER_ERROR\r\n')],
  ['100,000 bytes', Buffer.alloc(100_000, 'VALUE \xff\r\n', 'latin1')],
];

const GOOD_KEYS: readonly (readonly [what: string, make: () => string])[] = [
  ['one of 250 bytes', () => newKey().padEnd(250, 'x')],
  ['every byte from 0x21 to 0x7e', () => PRINTABLE],
  ['a single byte', () => '~'],
  ['an address', () => `https://example.test/a?b=%20c&d=e#${newKey()}`],
  ['a word of the protocol', () => 'noreply'],
  ['a property of every object', () => '__proto__'],
];

const BAD_KEYS: readonly (readonly [what: string, key: string])[] = [
  ['nothing', ''],
  ['one of 251 bytes', 'x'.repeat(251)],
  ['one with a space', 'a b'],
  ['one with a tab', 'a\tb'],
  ['one with a line end', 'a\r\nb'],
  ['one with a NUL', 'a\0b'],
  ['one with 0x7f', 'a\x7f'],
  ['one with a byte above', 'caf\xe9'],
  ['one with a character that is more than a byte', 'price-€'],
];

const PRINTABLE = String.fromCharCode(...Array.from({ length: 0x7f - 0x21 }, (_, i) => 0x21 + i));

let keys = 0;
function newKey(): string {
  return `behaviour:${process.pid}:${++keys}`;
}

async function got(store: Store, key: string): Promise<Item> {
  const item = await store.get(key);
  assert.ok(item !== null, `there is no item under ${key}`);
  return item;
}

/** The clocks of store and test may stand a second apart, and a loaded machine takes its time. */
function about(item: Item, ttlSeconds: number): void {
  const { ttlSeconds: left } = item;
  assert.ok(left !== undefined && left <= ttlSeconds + 1 && left >= ttlSeconds - 20, `${left} of ${ttlSeconds} s left`);
}

async function rejects(operation: Promise<unknown>, code: StoreErrorCode): Promise<void> {
  await assert.rejects(operation, (error) => {
    assert.ok(error instanceof StoreError);
    assert.equal(error.code, code);
    return true;
  });
}

function textOf(outcome: Item | string | null): string {
  return typeof outcome === 'string' ? outcome : String(outcome?.value);
}
