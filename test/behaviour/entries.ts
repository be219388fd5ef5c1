import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { EPOCH_KEYS, storeKey } from '../../src/cache/key.js';
import { Purger } from '../../src/cache/purger.js';
import { Fields } from '../../src/http/fields.js';
import type { Store } from '../../src/store/store.js';
import { bodyOf, CachingProcess, newUrl, PLAN, type Response } from '../support/cached.js';
import { FailingStore } from '../support/failing-store.js';
import { until } from '../support/until.js';

/** What `Entries` and `Purger` promise over every store. `open` makes stores that share their items. */
export function entriesBehaviour(name: string, open: () => Promise<Store>): void {
  // one after the other: some purge everything
  describe(`over ${name}, entries`, { concurrency: 1 }, () => {
    let store: Store;
    let one: CachingProcess;
    let other: CachingProcess;
    let purger: Purger;
    before(async () => {
      store = await open();
      one = new CachingProcess(store);
      other = new CachingProcess(store);
      purger = new Purger(store);
    });
    after(async () => {
      purger.close();
      await store.close();
    });

    describe('that are stored', () => {
      test('are found by every process, as they were', async () => {
        const url = newUrl();
        assert.equal(await one.read(url), 'absent');
        const fields = ['Content-Type', 'text/plain', 'X-A', '1', 'x-a', '2', 'Connection', 'close'];
        const plan = { ageSeconds: 3, staleIfErrorSeconds: 5, revalidation: 'must', immutable: true } as const;
        assert.equal(await one.store(url, { body: 'hello', status: 404, fields, plan }), 'stored');
        const found = await other.find(url);
        assert.ok(found.kind === 'entry');
        const { status, fields: stored, freshness } = found.entry;
        assert.equal(status, 404);
        assert.deepEqual(stored.flat(), fields.slice(0, 6));
        assert.equal((await bodyOf(found.entry))?.toString(), 'hello');
        assert.equal((await bodyOf(found.entry, 1, 3))?.toString(), 'el');
        const { storedAtMs, ...rest } = freshness;
        assert.ok(Math.abs(storedAtMs - Date.now()) < 60_000);
        assert.deepEqual(rest, {
          ageSeconds: 3,
          lifetimeSeconds: 60,
          staleWhileRevalidateSeconds: 0,
          staleIfErrorSeconds: 5,
          revalidation: 'must',
          immutable: true,
          isSoftPurged: false,
        });
      });

      test('are there in one round trip, and written in one when everything is known', async () => {
        const counting = new FailingStore(store);
        const process = new CachingProcess(counting);
        const url = newUrl();
        await process.store(url);
        const slot = await process.slot(url);
        counting.operations.length = 0;
        assert.equal(await process.fill(slot), 'stored');
        assert.deepEqual(
          counting.operations.map(({ name }) => name),
          ['set', 'delete'],
          'the entry, and the lease beside it',
        );
        counting.operations.length = 0;
        assert.equal(await process.read(url), 'body');
        assert.deepEqual(
          counting.operations.map(({ name }) => name),
          ['getMany'],
        );
      });

      test('may be larger than an item, and are read from where one wants', async () => {
        const url = newUrl();
        const body = Buffer.alloc(3 * store.maxItemBytes, 'twenty-three characters');
        assert.equal(await one.store(url, { body }), 'stored');
        const found = await other.find(url);
        assert.ok(found.kind === 'entry');
        assert.equal(found.entry.body.bytes, body.length);
        assert.ok((await bodyOf(found.entry))?.equals(body));
        const start = store.maxItemBytes - 5000;
        assert.ok((await bodyOf(found.entry, start, start + 10_000))?.equals(body.subarray(start, start + 10_000)));
        assert.equal(one.budget.usedBytes, 0);
      });

      test('are as large as fits into an item, and one byte more', async () => {
        const url = newUrl();
        for (const bytes of [store.maxItemBytes - 500, store.maxItemBytes - 100, store.maxItemBytes]) {
          assert.equal(await one.store(url, { body: Buffer.alloc(bytes, 'x') }), 'stored');
          const found = await other.find(url);
          assert.ok(found.kind === 'entry');
          assert.equal((await bodyOf(found.entry))?.length, bytes);
        }
      });

      test('with a lost segment are lost before their first byte', async () => {
        const url = newUrl();
        await one.store(url, { body: Buffer.alloc(2 * store.maxItemBytes) });
        const found = await other.find(url);
        assert.ok(found.kind === 'entry');
        const { content } = found.entry.body;
        assert.ok(!(content instanceof Uint8Array));
        await store.delete(`lookaside:s:${content.layout.id}:1`);
        assert.equal(await other.read(url), 'lost');
        assert.equal((await bodyOf(found.entry, 0, 100))?.length, 100);
        // and can be stored again
        assert.equal(await other.store(url, { body: 'new' }), 'stored');
        assert.equal(await one.read(url), 'new');
      });

      test('are none when their body is not complete, or too large, or their head is', async () => {
        const small = new CachingProcess(store, { maxBodyBytes: 100 });
        const url = newUrl();
        assert.equal(await one.store(url, { fields: ['Content-Length', '5'], body: 'four' }), 'incomplete');
        assert.equal(await one.read(url), 'absent');
        assert.equal(await small.store(url, { body: 'x'.repeat(101) }), 'above-maxsize');
        assert.equal(await one.read(url), 'pass');
        assert.equal(await one.store(newUrl(), { fields: ['X-Long', 'x'.repeat(70_000)] }), 'head-too-large');
        assert.deepEqual([one.budget.usedBytes, small.budget.usedBytes], [0, 0]);
      });

      test('of part of a response are for those only who want parts', async () => {
        const parts = new CachingProcess(store, { partials: true });
        const url = newUrl();
        const part = { status: 206, fields: ['Content-Range', 'bytes 2-5/10'], body: 'part' };
        assert.equal(await one.store(url, part), 'partial');
        assert.equal(await parts.store(url, part), 'stored');
        assert.equal(await parts.read(url), 'part');
        assert.equal(await one.read(url), 'malformed');
        assert.equal(await parts.store(newUrl(), { ...part, fields: ['Content-Range', 'bytes 2-5/*'] }), 'partial');
      });

      test('by other programs are found, and replaced', async () => {
        const url = newUrl();
        const foreign = ['HTTP/1.1 200 OK', 'Content-Type: text/plain', 'Cache-Control: max-age=7', '', 'foreign'];
        await store.set(storeKey(url), Buffer.from(foreign.join('\r\n')), { ttlSeconds: 300 });
        const found = await one.find(url);
        assert.ok(found.kind === 'entry');
        assert.equal((await bodyOf(found.entry))?.toString(), 'foreign');
        assert.equal(found.entry.freshness.lifetimeSeconds, 7);
        assert.equal(await one.store(url, { body: 'ours' }), 'stored');
        assert.equal(await one.read(url), 'ours');
      });

      test('by other programs live as long as the store keeps them, and are refused what is not for all', async () => {
        const url = newUrl();
        const write = (...lines: string[]) =>
          store.set(storeKey(url), Buffer.from(lines.join('\r\n')), { ttlSeconds: 300 });
        await write('HTTP/1.1 200 OK', '', 'foreign');
        const found = await one.find(url);
        assert.ok(found.kind === 'entry');
        assert.ok(Math.abs(found.entry.freshness.lifetimeSeconds - 300) < 30);
        await write('HTTP/1.1 200 OK', 'Set-Cookie: a=b', '', 'foreign');
        assert.equal(await one.read(url), 'set-cookie');
        await write('HTTP/1.1 200 OK', 'Vary: Cookie', '', 'foreign');
        assert.equal(await one.read(url), 'vary');
        await write('HTTP/1.1 206 Partial Content', 'Content-Range: bytes 0-6/10', '', 'foreign');
        assert.equal(await one.read(url), 'malformed');
        await write('something else');
        assert.equal(await one.read(url), 'malformed');
        await write('HTTP/1.1 200 OK', 'lookaside: 1 at=1 age=2 life=60 vary=- key=another', '', 'foreign');
        assert.equal(await one.read(url), 'wrong-key');
        await write('HTTP/1.1 200 OK', `lookaside: 1 at=1 age=2 life=60 vary=- key=${url}`, '', 'of memcached.store');
        assert.equal(await one.read(url), 'of memcached.store');
        assert.equal(await one.store(url, { body: 'ours' }), 'stored');
      });
    });

    describe('that vary', () => {
      const vary = { fields: ['Vary', 'Accept-Language'] };
      const german = ['Accept-Language', 'de'];
      const french = ['Accept-Language', 'fr'];

      test('lie side by side, and go together', async () => {
        const url = newUrl();
        assert.equal(await one.store(url, { ...vary, request: german, body: 'Tag' }), 'stored');
        assert.equal(await one.read(url, french), 'vary');
        assert.equal(await other.store(url, { ...vary, request: french, body: 'jour' }), 'stored');
        assert.deepEqual([await one.read(url, german), await one.read(url, french)], ['Tag', 'jour']);
        assert.equal(await purger.purge({ kind: 'key', key: url }), 'purged');
        assert.deepEqual([await one.read(url, german), await one.read(url, french)], ['absent', 'absent']);
      });

      test('on different fields lie side by side, the newest that fits in front', async () => {
        const url = newUrl();
        const request = [...german, 'Accept-Encoding', 'gzip'];
        assert.equal(await one.store(url, { ...vary, request, body: 'by language' }), 'stored');
        const byEncoding = { fields: ['Vary', 'Accept-Encoding'], request: french, body: 'by encoding' };
        assert.equal(await one.store(url, byEncoding), 'stored');
        assert.equal(await one.read(url, request), 'by language');
        assert.equal(await one.read(url, french), 'by encoding');
        assert.equal(
          await one.store(url, { request: [...french, 'Accept-Encoding', 'br'], body: 'for all' }),
          'stored',
        );
        assert.equal(await one.read(url, request), 'for all');
      });

      test('are stored again without losing one another, and found although one is gone', async () => {
        const url = newUrl();
        for (const body of ['first', 'second']) {
          assert.equal(await one.store(url, { ...vary, request: german, body }), 'stored');
          assert.equal(await one.store(url, { ...vary, request: french, body: `${body} autre` }), 'stored');
        }
        assert.equal(await other.read(url, german), 'second');
        const found = await other.find(url, german);
        assert.ok(found.kind === 'entry');
        await store.delete(found.slot.place);
        assert.equal(await other.read(url, german), 'absent');
        assert.equal(await other.read(url, french), 'second autre');
        assert.equal(await other.store(url, { ...vary, request: german, body: 'third' }), 'stored');
        assert.equal(await other.read(url, german), 'third');
      });

      test('can be stored at the same time by several processes', async () => {
        const url = newUrl();
        await one.store(url, { ...vary, request: german });
        const languages = Array.from({ length: 4 }, (_, i) => ['Accept-Language', `x-${i}`]);
        const slots = await Promise.all(languages.map((request) => other.slot(url, request)));
        const results = await Promise.all(
          slots.map((slot, i) => other.fill(slot, { ...vary, request: languages[i] ?? [], body: `body ${i}` })),
        );
        assert.deepEqual(new Set(results), new Set(['stored']));
        for (const [i, request] of languages.entries()) assert.equal(await one.read(url, request), `body ${i}`);
      });

      test('are kept up to a number; what is above passes without waiting', async () => {
        const few = new CachingProcess(store, { maxVariants: 2 });
        const url = newUrl();
        assert.equal(await few.store(url, { ...vary, request: german }), 'stored');
        const [late, later] = [await few.slot(url, french), await few.slot(url, ['Accept-Language', 'it'])];
        assert.equal(await few.fill(late, { ...vary, request: french }), 'stored');
        assert.equal(await few.fill(later, { ...vary, request: ['Accept-Language', 'it'] }), 'variants');
        const found = await few.find(url, ['Accept-Language', 'es']);
        assert.ok(found.kind === 'pass');
        assert.equal(few.writer(found.slot, { ...vary, request: ['Accept-Language', 'es'] }), 'variants');
        assert.equal(await few.store(url, { ...vary, request: german, body: 'again' }), 'stored');
        assert.equal(await few.read(url, german), 'again');
      });

      test('on everything, or on what is no field, are not stored', async () => {
        for (const list of ['*', 'Accept, *', 'a b']) {
          const url = newUrl();
          assert.equal(await one.store(url, { fields: ['Vary', list] }), 'vary');
          assert.equal(await one.read(url), 'pass');
        }
      });

      test('are not mixed up when one lies in the place of another', async () => {
        const url = newUrl();
        await one.store(url, { ...vary, request: german, body: 'Tag' });
        await one.store(url, { ...vary, request: french, body: 'jour' });
        const [tag, jour] = await Promise.all([one.find(url, german), one.find(url, french)]);
        assert.ok(tag.kind === 'entry' && jour.kind === 'entry');
        const item = await store.get(tag.slot.place);
        await store.set(jour.slot.place, item?.value ?? Buffer.alloc(0));
        assert.equal(await one.read(url, french), 'vary');
      });
    });

    describe('that are being fetched', () => {
      test('are fetched by one process; the others learn when it is through', async () => {
        const url = newUrl();
        const [first, second] = [await one.find(url), await other.find(url)];
        assert.ok(first.slot !== undefined && second.slot !== undefined);
        const held = await one.entries.lease(first.slot);
        assert.ok(held.kind === 'held');
        const taken = await other.entries.lease(second.slot);
        assert.equal(taken.kind, 'taken');
        assert.equal((await other.find(url)).kind, 'leased');
        let isOver = false;
        const waiting = other.entries.awaitEntry(second.slot, 10_000).then(() => {
          isOver = true;
        });
        await delay(60);
        assert.equal(isOver, false);
        assert.equal(await one.fill(held.slot, { body: 'fetched' }), 'stored');
        await waiting;
        assert.equal(await other.read(url), 'fetched');
      });

      test('by a process that fails or dies are waited for, but not beyond the bound', async () => {
        const url = newUrl();
        const slot = await one.slot(url);
        const found = await other.find(url);
        assert.ok(found.kind === 'leased');
        await other.entries.awaitEntry(found.slot, 50);
        assert.equal((await other.find(url)).kind, 'leased');
        const waiting = other.entries.awaitEntry(found.slot, 60_000);
        await one.entries.release(slot);
        await waiting;
        assert.equal(await other.read(url), 'absent');
      });

      test('may be stored by one that waited in vain, and then by nobody else', async () => {
        const url = newUrl();
        const first = await one.slot(url);
        const second = await other.slot(url);
        assert.equal(await other.fill(second, { body: 'second' }), 'stored');
        assert.equal(await one.fill(first, { body: 'first' }), 'overtaken');
        assert.equal(await one.read(url), 'second');
      });

      test('again are not fetched twice, and the stale one stays', async () => {
        const url = newUrl();
        await one.store(url, { body: 'old' });
        const [first, second] = [await one.find(url), await other.find(url)];
        assert.ok(first.kind === 'entry' && second.kind === 'entry');
        const held = await one.entries.lease(first.slot);
        assert.ok(held.kind === 'held');
        assert.equal((await other.entries.lease(second.slot)).kind, 'taken');
        assert.equal(await other.read(url), 'old');
        const waiting = other.entries.awaitEntry(second.slot, 60_000);
        assert.equal(await one.fill(held.slot, { body: 'new' }), 'stored');
        await waiting;
        assert.equal(await other.read(url), 'new');
        // whoever comes with what was seen before does not fetch what is there
        assert.equal((await other.entries.lease(second.slot)).kind, 'taken');
        const third = await other.find(url);
        assert.ok(third.kind === 'entry');
        assert.equal((await other.entries.lease(third.slot)).kind, 'held');
      });

      test('without a lease are not stored where nothing lies', async () => {
        const found = await one.find(newUrl());
        assert.ok(found.slot !== undefined);
        assert.equal(one.writer(found.slot), 'no-lease');
      });

      test('for longer than a lease keep it', async () => {
        const process = new CachingProcess(store, { leaseSeconds: 3 });
        const url = newUrl();
        const writer = process.writer(await process.slot(url));
        assert.ok(typeof writer !== 'string');
        for (let i = 0; i < 18; i++) {
          writer.write(Buffer.from('.'));
          await delay(250);
        }
        assert.equal(await writer.end(), 'stored');
        assert.equal(await process.read(url), '.'.repeat(18));
      });

      test('and given up leave nothing, and nobody waiting', async () => {
        const url = newUrl();
        const writer = one.writer(await one.slot(url));
        assert.ok(typeof writer !== 'string');
        writer.write(Buffer.alloc(2 * store.maxItemBytes));
        writer.abandon();
        await until(async () => (await other.read(url)) === 'absent', 'the lease is still there');
        assert.equal(await writer.end(), 'incomplete');
        await until(() => one.budget.usedBytes === 0, 'the budget is not given back');
      });

      test('and not for the store pass, without anybody waiting, until one is', async () => {
        const url = newUrl();
        await one.entries.pass(await one.slot(url));
        const found = await other.find(url);
        assert.ok(found.kind === 'pass');
        assert.equal(await other.fill(found.slot, { body: 'now it is' }), 'stored');
        assert.equal(await one.read(url), 'now it is');
      });

      test('as a variant and not for the store pass as that variant', async () => {
        const url = newUrl();
        const vary = { fields: ['Vary', 'Accept'] };
        await one.store(url, { ...vary, request: ['Accept', 'a'], body: 'a' });
        await one.entries.pass(await one.slot(url, ['Accept', 'b']));
        assert.equal(await other.read(url, ['Accept', 'a']), 'a');
        assert.equal(await other.read(url, ['Accept', 'c']), 'vary');
        const found = await other.find(url, ['Accept', 'b']);
        assert.ok(found.kind === 'pass');
        assert.equal(await other.fill(found.slot, { ...vary, request: ['Accept', 'b'], body: 'b' }), 'stored');
        assert.equal(await one.read(url, ['Accept', 'b']), 'b');
      });
    });

    describe('that were found to be good still', () => {
      for (const bytes of [10, 2_500_000]) {
        test(`keep their body of ${bytes} bytes under a new head`, async () => {
          const url = newUrl();
          const body = Buffer.alloc(bytes, 'x');
          await one.store(url, { body, fields: ['ETag', '"1"'] });
          const found = await one.find(url);
          assert.ok(found.kind === 'entry');
          const leased = await one.entries.lease(found.slot);
          assert.ok(leased.kind === 'held');
          const head = { status: 200, fields: new Fields(['ETag', '"1"', 'X-New', 'yes']) };
          const plan = { ...PLAN, lifetimeSeconds: 99 };
          const { entry, storage } = await one.entries.freshen(leased.slot, found.entry, head, plan);
          assert.equal(storage, 'stored');
          const again = await other.find(url);
          assert.ok(again.kind === 'entry');
          for (const fresh of [entry, again.entry]) {
            assert.equal(fresh.fields.get('x-new'), 'yes');
            assert.equal(fresh.freshness.lifetimeSeconds, 99);
            assert.ok((await bodyOf(fresh))?.equals(body));
          }
        });
      }

      test('but have lost a segment are not stored', async () => {
        const url = newUrl();
        await one.store(url, { body: Buffer.alloc(2 * store.maxItemBytes) });
        const found = await one.find(url);
        assert.ok(found.kind === 'entry');
        const { content } = found.entry.body;
        assert.ok(!(content instanceof Uint8Array));
        await store.delete(`lookaside:s:${content.layout.id}:0`);
        const head = { status: 200, fields: new Fields() };
        const { entry, storage } = await one.entries.freshen(found.slot, found.entry, head, PLAN);
        assert.equal(storage, 'lost-segment');
        assert.equal(await bodyOf(entry), undefined);
      });

      test('are of use once without a slot', async () => {
        const url = newUrl();
        await one.store(url);
        const found = await one.find(url);
        assert.ok(found.kind === 'entry');
        const head = { status: 200, fields: new Fields(['X-New', 'yes']) };
        const { entry, storage } = await one.entries.freshen(undefined, found.entry, head, PLAN);
        assert.deepEqual([storage, (await bodyOf(entry))?.toString()], ['no-lease', 'body']);
      });
    });

    describe('that are purged', () => {
      test('by key are gone, or stale', async () => {
        const url = newUrl();
        assert.equal(await purger.purge({ kind: 'key', key: url }), 'absent');
        assert.equal(await purger.purge({ kind: 'key', key: url }, { soft: true }), 'absent');
        await one.store(url);
        assert.equal(await purger.purge({ kind: 'key', key: url }, { dryRun: true }), 'purged');
        assert.equal(await other.read(url), 'body');
        assert.equal(await purger.purge({ kind: 'key', key: url }, { soft: true }), 'purged');
        assert.equal(await other.read(url), 'stale body');
        assert.ok(((await store.get(storeKey(url)))?.ttlSeconds ?? 0) > 500, 'it keeps its time to live');
        assert.equal(await one.store(url, { body: 'new' }), 'stored');
        assert.equal(await other.read(url), 'new');
        assert.equal(await purger.purge({ kind: 'key', key: url }), 'purged');
        assert.equal(await other.read(url), 'absent');
        assert.equal(await purger.purge({ kind: 'key', key: url }, { dryRun: true }), 'absent');
      });

      test('softly by key are stale in all variants, until they are stored again', async () => {
        const url = newUrl();
        const vary = { fields: ['Vary', 'Accept'] };
        for (const accept of ['a', 'b']) await one.store(url, { ...vary, request: ['Accept', accept], body: accept });
        assert.equal(await purger.purge({ kind: 'key', key: url }, { soft: true }), 'purged');
        assert.equal(await other.store(url, { ...vary, request: ['Accept', 'a'], body: 'new a' }), 'stored');
        assert.deepEqual(
          [await one.read(url, ['Accept', 'a']), await one.read(url, ['Accept', 'b'])],
          ['new a', 'stale b'],
        );
      });

      test('softly by key, but written by others, are removed', async () => {
        const url = newUrl();
        await store.set(storeKey(url), Buffer.from('HTTP/1.1 200 OK\r\n\r\nforeign'));
        assert.equal(await purger.purge({ kind: 'key', key: url }, { soft: true }), 'purged');
        assert.equal(await one.read(url), 'absent');
      });

      for (const [what, target] of [
        ['a tag', { kind: 'tag', tag: 'the news, of today' }],
        ['the prefix of all', { kind: 'all' }],
      ] as const) {
        test(`by ${what} are gone for every process at once, or stale`, async () => {
          const [url, untouched] = [newUrl(), newUrl()];
          const plan = { tags: ['sport', 'the news, of today'] };
          await one.store(url, { plan });
          await one.store(untouched, { plan: { tags: ['sport'] } });
          assert.equal(await other.read(url), 'body');
          assert.equal(await purger.purge(target, { soft: true }), 'purged');
          assert.deepEqual([await one.read(url), await other.read(url)], ['stale body', 'stale body']);
          assert.equal(await purger.purge(target), 'purged');
          assert.deepEqual([await one.read(url), await other.read(url)], ['purged', 'purged']);
          assert.equal(await one.read(untouched), target.kind === 'tag' ? 'body' : 'purged');
          assert.equal(await other.store(url, { plan, body: 'new' }), 'stored');
          assert.deepEqual([await one.read(url), await other.read(url)], ['new', 'new']);
        });
      }

      test('by prefix are those that begin so, and no others', async () => {
        const [url, elsewhere] = [newUrl(), newUrl()];
        const directory = url.slice(0, url.lastIndexOf('/') + 1);
        await one.store(url);
        await one.store(elsewhere);
        assert.equal(await purger.purge({ kind: 'prefix', prefix: `${directory}deeper/` }), 'absent');
        assert.equal(await one.read(url), 'body');
        assert.equal(await purger.purge({ kind: 'prefix', prefix: directory }), 'purged');
        assert.deepEqual([await other.read(url), await other.read(elsewhere)], ['purged', 'body']);
        await one.store(url);
        assert.equal(await purger.purge({ kind: 'prefix', prefix: directory.slice(0, -2) }), 'purged');
        assert.equal(await other.read(url), 'purged');
        for (const prefix of ['http://host', 'http://host/a', 'http://host/?/', '/', '']) {
          await assert.rejects(purger.purge({ kind: 'prefix', prefix }), RangeError);
        }
      });

      test('with plain commands are purged as well', async () => {
        const url = newUrl();
        const tag = `tag-${process.pid}-plain`;
        const plan = { tags: [tag] };
        const epochs = () => Promise.all(EPOCH_KEYS.map((key) => store.increment(key, 1n)));
        await one.store(url, { plan });
        await epochs();
        assert.equal(await store.increment(`lookaside:tag:${tag}`, 1n).then((value) => value !== null), true);
        await epochs();
        assert.equal(await other.read(url), 'stale body');
        await epochs();
        await store.increment(`lookaside:tag:${tag}`, 1_048_576n);
        await epochs();
        assert.equal(await other.read(url), 'purged');
        await one.store(url, { plan });
        await epochs();
        await store.delete(`lookaside:tag:${tag}`);
        await epochs();
        assert.equal(await other.read(url), 'purged');
        await one.store(url, { plan });
        await store.delete(storeKey(url));
        assert.equal(await other.read(url), 'absent');
      });

      test('do not come back when the store drops counters and epochs', async () => {
        const url = newUrl();
        const tag = `tag-${process.pid}-evicted`;
        await one.store(url, { plan: { tags: [tag] } });
        await purger.purge({ kind: 'tag', tag });
        await store.delete(`lookaside:tag:${tag}`);
        for (const key of EPOCH_KEYS) await store.delete(key);
        for (const process of [one, other, new CachingProcess(store)]) assert.equal(await process.read(url), 'purged');
      });
    });

    describe('that are purged while they are fetched', () => {
      const vary = { fields: ['Vary', 'Accept'] };
      const tag = `tag-${process.pid}-race`;
      const tagged = { plan: { tags: [tag] } };
      const purges: { readonly [by: string]: (url: string) => Promise<unknown> } = {
        'by deleting the key': (url) => store.delete(storeKey(url)),
        'by key': (url) => purger.purge({ kind: 'key', key: url }),
        'by tag': () => purger.purge({ kind: 'tag', tag }),
        'by tag, which is then dropped by the store': async () => {
          await purger.purge({ kind: 'tag', tag });
          await store.delete(`lookaside:tag:${tag}`);
        },
        'by tag, when the store has dropped the epochs': async () => {
          await purger.purge({ kind: 'tag', tag });
          for (const key of EPOCH_KEYS) await store.delete(key);
        },
        'of all': () => purger.purge({ kind: 'all' }),
        'by prefix': (url) => purger.purge({ kind: 'prefix', prefix: url.slice(0, url.lastIndexOf('/') + 1) }),
      };
      const variant: Response = { ...tagged, ...vary, request: ['Accept', 'a'] };
      for (const [by, purge] of Object.entries(purges)) {
        for (const [what, response] of Object.entries({ 'an entry': tagged, 'a variant': variant })) {
          const { request }: Response = response;
          test(`${by}, ${what} does not appear, cold or stale, with its head or its body`, async () => {
            for (const isStale of [false, true]) {
              for (const isWarm of [false, true]) {
                for (const hasHead of [false, true]) {
                  const url = newUrl();
                  const filler = isWarm ? one : new CachingProcess(store);
                  if (isStale) await other.store(url, { ...response, body: 'old' });
                  const slot = await filler.slot(url, request);
                  const early = hasHead ? filler.writer(slot, response) : undefined;
                  if (early !== undefined && typeof early !== 'string') early.write(Buffer.from('out of date'));
                  await purge(url);
                  const result =
                    early === undefined || typeof early === 'string'
                      ? await filler.fill(slot, { ...response, body: 'out of date' })
                      : await early.end();
                  const [read, readHere] = [await other.read(url, request), await filler.read(url, request)];
                  assert.deepEqual(
                    [read, readHere].filter((text) => text.includes('of date') || text === 'old'),
                    [],
                    result,
                  );
                  assert.equal(await other.store(url, { ...response, body: 'new' }), 'stored');
                  assert.equal(await filler.read(url, request), 'new');
                }
              }
            }
          });
        }
      }

      test('by key, and stored by others meanwhile, are not added to what those have stored', async () => {
        const url = newUrl();
        await one.store(url, { ...variant, request: ['Accept', 'b'] });
        const slot = await one.slot(url, variant.request);
        await purger.purge({ kind: 'key', key: url });
        await other.store(url, { ...variant, request: ['Accept', 'b'], body: 'new' });
        assert.equal(await one.fill(slot, variant), 'overtaken');
        assert.deepEqual([await one.read(url, variant.request), await one.read(url, ['Accept', 'b'])], ['vary', 'new']);
      });

      test('softly are stale', async () => {
        for (const response of [{}, variant]) {
          const url = newUrl();
          const { request }: Response = response;
          await one.store(url, { ...response, body: 'old' });
          const slot = await one.slot(url, request);
          await purger.purge({ kind: 'key', key: url }, { soft: true });
          await one.fill(slot, { ...response, body: 'out of date' });
          assert.match(await other.read(url, request), /^stale /);
        }
      });

      test('softly for the first time are not stored', async () => {
        const url = newUrl();
        const slot = await one.slot(url);
        await purger.purge({ kind: 'key', key: url }, { soft: true });
        assert.equal(await one.fill(slot), 'purged');
        assert.equal(await other.read(url), 'absent');
      });
    });

    describe('in a store that others can write to', () => {
      const secret = (...secrets: string[]) => new CachingProcess(store, { secrets });

      test('are found with the secret, and with the previous one, and not without', async () => {
        const url = newUrl();
        const [old, changing, current] = [secret('old'), secret('new', 'old'), secret('new')];
        assert.equal(await old.store(url, { body: 'old' }), 'stored');
        assert.deepEqual([await old.read(url), await changing.read(url)], ['old', 'old']);
        assert.equal(await current.read(url), 'unauthenticated');
        assert.equal(await changing.store(url, { body: 'new' }), 'stored');
        assert.deepEqual([await old.read(url), await current.read(url)], ['unauthenticated', 'new']);
        assert.equal(await current.store(url), 'stored');
      });

      test('are not believed when they have been changed, swapped or made up, and are replaced', async () => {
        const process = secret('secret');
        const [url, twin] = [newUrl(), newUrl()];
        await process.store(twin, { body: 'twin' });
        const forgeries: (() => Promise<Buffer | undefined>)[] = [
          async () => (await store.get(storeKey(twin)))?.value,
          async () => {
            const value = Buffer.from((await store.get(storeKey(url)))?.value ?? []);
            value[value.length - 1] = 0x21;
            return value;
          },
          async () => Buffer.from('HTTP/1.1 200 OK\r\n\r\nforged'),
          async () => Buffer.from(`lookaside-lease: 1 mac=- token=${'0'.repeat(32)} key=${url}\r\n`),
          async () => Buffer.from(`lookaside-pass: 1 mac=- key=${url}\r\n`),
          async () => Buffer.from(`lookaside-variants: 1 mac=- id=${'0'.repeat(32)} mark=0 key=${url}\r\n- 0 -\r\n`),
        ];
        for (const forgery of forgeries) {
          await process.store(url, { body: 'genuine' });
          await store.set(storeKey(url), (await forgery()) ?? Buffer.alloc(0));
          assert.equal(await process.read(url), 'unauthenticated');
          assert.equal(await process.store(url, { body: 'again' }), 'stored');
          assert.equal(await process.read(url), 'again');
        }
      });

      test('with variants and segments carry a MAC everywhere', async () => {
        const process = secret('secret');
        const url = newUrl();
        const body = Buffer.alloc(2 * store.maxItemBytes, 'x');
        const response = { fields: ['Vary', 'Accept'], request: ['Accept', 'a'], body };
        assert.equal(await process.store(url, response), 'stored');
        const found = await process.find(url, ['Accept', 'a']);
        assert.ok(found.kind === 'entry');
        assert.ok((await bodyOf(found.entry))?.equals(body));
        const { content } = found.entry.body;
        assert.ok(!(content instanceof Uint8Array));
        const key = `lookaside:s:${content.layout.id}:0`;
        const value = Buffer.from((await store.get(key))?.value ?? []);
        value[value.length - 1] = 0x21;
        await store.set(key, value);
        await assert.rejects(bodyOf(found.entry));
        assert.equal(await secret('other').read(url, ['Accept', 'a']), 'unauthenticated');
      });

      test('can be purged softly by those who know the secret; others remove them', async () => {
        const process = secret('secret');
        const url = newUrl();
        await process.store(url);
        const knowing = new Purger(store, { secrets: ['secret'] });
        assert.equal(await knowing.purge({ kind: 'key', key: url }, { soft: true }), 'purged');
        assert.equal(await process.read(url), 'stale body');
        knowing.close();
        assert.equal(
          await new Purger(store, { secrets: ['other'] }).purge({ kind: 'key', key: url }, { soft: true }),
          'purged',
        );
        assert.equal(await process.read(url), 'absent');
      });
    });
  });
}
