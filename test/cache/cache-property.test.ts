import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import type { Fields } from '../../src/http/fields.js';
import { EmbeddedStore } from '../../src/store/embedded.js';
import { Server } from '../../src/store/memcached/server.js';
import type { Store } from '../../src/store/store.js';
import { newUrl } from '../support/cached.js';
import { CachingEngine, type Reply } from '../support/engine.js';
import { startMemcached } from '../support/memcached.js';
import { type Answer, ScriptedOrigin, UNREACHABLE } from '../support/scripted-origin.js';

/** How an origin answers at a time. Seconds. */
interface Manner {
  readonly maxAge: number;
  readonly whileRevalidate: number;
  readonly ifError: number;
  readonly varies: boolean;
  readonly isPrivate: boolean;
  readonly fails: 'no' | 'error' | 'unreachable';
  /** In how many turns of the event loop it answers. */
  readonly turns: number;
}

const manner: fc.Arbitrary<Manner> = fc.record({
  maxAge: fc.constantFrom(0, 5, 20),
  whileRevalidate: fc.constantFrom(0, 0, 10),
  ifError: fc.constantFrom(0, 10),
  varies: fc.boolean(),
  isPrivate: fc.constantFrom(false, false, false, true),
  fails: fc.constantFrom<Manner['fails']>('no', 'no', 'no', 'error', 'unreachable'),
  turns: fc.nat(4),
});

type Ask = {
  readonly kind: 'ask';
  readonly page: number;
  readonly process: number;
  readonly fields: readonly string[];
};
type Deed =
  | Ask
  | { readonly kind: 'purge'; readonly page: number; readonly way: 'key' | 'tag' | 'prefix' | 'all' }
  | { readonly kind: 'change'; readonly page: number };

const page = fc.nat(1);

const deed: fc.Arbitrary<Deed> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .record({
        kind: fc.constant('ask' as const),
        page,
        process: fc.nat(1),
        fields: fc.constantFrom([], [], ['Range', 'bytes=1-'], ['Authorization', 'Basic eDp5'], ['Cookie', 'a=b']),
      })
      .chain((ask) =>
        fc
          .constantFrom('de', 'en')
          .map((language) => ({ ...ask, fields: [...ask.fields, 'Accept-Language', language] })),
      ),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('purge' as const),
      page,
      way: fc.constantFrom('key' as const, 'tag' as const, 'prefix' as const, 'all' as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('change' as const), page }) },
);

/** Deeds that are begun together, how the origin takes them, and the seconds that pass before. */
const moment = fc.record({
  deeds: fc.array(deed, { minLength: 1, maxLength: 6 }),
  manner,
  seconds: fc.constantFrom(0, 0, 3, 12, 40),
});

/** What the origin has said of a representation: that it may be used, from when on and for how long. */
interface Leave {
  readonly atMs: number;
  readonly freshSeconds: number;
  readonly errorSeconds: number;
}

/** What a page consists of: it tells all that has to be known to judge whether it may be used. */
interface Page {
  readonly page: number;
  readonly version: number;
  readonly language: string | null;
  /** Counts all that happens. */
  readonly made: number;
  readonly isPrivate: boolean;
}

/** An origin with two pages that change, and a record of what it has let be used. */
class ModelOrigin {
  manner: Manner = {
    maxAge: 0,
    whileRevalidate: 0,
    ifError: 0,
    varies: false,
    isPrivate: false,
    fails: 'no',
    turns: 0,
  };
  readonly versions = [1, 1];
  /** When each page was purged last. */
  readonly purged = [0, 0];
  readonly leaves = new Map<string, Leave[]>();
  readonly urls = [newUrl(), newUrl()];
  /** The representations that are current, by ETag. */
  readonly #current = new Map<string, string>();
  readonly given = new Set<string>();
  #happened = 0;

  happen(): number {
    return ++this.#happened;
  }

  origin(pageIndex: number): ScriptedOrigin {
    return new ScriptedOrigin((request) => this.#answer(pageIndex, request));
  }

  async #answer(pageIndex: number, request: Fields): Promise<Answer> {
    const { maxAge, whileRevalidate, ifError, varies, isPrivate, fails, turns } = this.manner;
    const version = this.versions[pageIndex] ?? 0;
    const made = this.happen();
    const atMs = Date.now();
    for (let i = 0; i < turns; i++) await turn();
    if (fails === 'unreachable') return UNREACHABLE;
    if (fails === 'error') return { status: 503, body: 'error' };
    const language = varies ? (request.get('accept-language') ?? '') : null;
    const tag = `"${pageIndex}.${version}.${language}.${isPrivate}"`;
    const control = isPrivate
      ? 'private'
      : `max-age=${maxAge}, stale-while-revalidate=${whileRevalidate}, stale-if-error=${ifError}`;
    const fields = ['Cache-Control', control, 'ETag', tag, 'Cache-Tag', `page-${this.urls[pageIndex]}`];
    if (varies) fields.push('Vary', 'Accept-Language');
    const isSame = !isPrivate && request.get('if-none-match') === tag && this.#current.has(tag);
    const body = isSame
      ? this.#current.get(tag)
      : JSON.stringify({ page: pageIndex, version, language, made, isPrivate });
    const leave = {
      atMs,
      freshSeconds: maxAge + whileRevalidate,
      errorSeconds: maxAge + Math.max(whileRevalidate, ifError),
    };
    this.leaves.set(tag, [...(this.leaves.get(tag) ?? []), leave]);
    if (isSame) return { status: 304, fields };
    this.#current.set(tag, body ?? '');
    return { fields, body: body ?? '' };
  }
}

/** Fails when a client got what it must not have. */
function judge(
  model: ModelOrigin,
  { page: asked, fields }: Ask,
  purgedBefore: number,
  begunMs: number,
  reply: Reply,
  text: string,
): void {
  if (reply.status >= 500) {
    assert.notEqual(model.manner.fails, 'no', 'an error of nobody');
    return;
  }
  const isPart = reply.status === 206;
  const content: Page = JSON.parse(isPart ? `{${text}` : text);
  assert.equal(reply.fields.get('content-length'), String(text.length));
  assert.equal(content.page, asked, 'the page of another URL');
  const language = fields[fields.indexOf('Accept-Language') + 1];
  assert.ok(content.language === null || content.language === language, 'the page in another language');
  if (content.isPrivate) {
    assert.ok(!model.given.has(text), 'the page of another user');
    if (!isPart) model.given.add(text);
    return;
  }
  assert.ok(content.made > purgedBefore, 'a page that was purged');
  const tag = `"${content.page}.${content.version}.${content.language}.false"`;
  const isFailing = reply.outcome.reason === 'origin-failing';
  const isUsable = model.leaves.get(tag)?.some(({ atMs, freshSeconds, errorSeconds }) => {
    // What the origin says now may be given to all who are asking now.
    return atMs >= begunMs || begunMs - atMs <= (isFailing ? errorSeconds : freshSeconds) * 1000;
  });
  assert.ok(isUsable, 'a page that is too old');
}

/** Runs through moments, over a store that is not empty. */
async function live(
  t: TestContext,
  store: Store,
  moments: readonly { deeds: readonly Deed[]; manner: Manner; seconds: number }[],
): Promise<void> {
  const policy = { staleIfErrorSeconds: 0, leaseWaitMs: 5 };
  const processes = [new CachingEngine(store, policy), new CachingEngine(store, policy)];
  const model = new ModelOrigin();
  const origins = [model.origin(0), model.origin(1)];
  const act = async (something: Deed) => {
    const url = model.urls[something.page] ?? '';
    if (something.kind === 'change') {
      model.happen();
      model.versions[something.page] = (model.versions[something.page] ?? 0) + 1;
    } else if (something.kind === 'purge') {
      const { way } = something;
      const before = model.happen();
      if (way === 'key') await processes[0]?.purge(url);
      else if (way === 'tag') await processes[0]?.purge({ kind: 'tag', tag: `page-${url}` });
      else if (way === 'prefix') await processes[1]?.purge({ kind: 'prefix', prefix: new URL('.', url).href });
      else await processes[1]?.purge({ kind: 'all' });
      const purged = way === 'all' ? [0, 1] : [something.page];
      for (const i of purged) model.purged[i] = before;
    } else {
      const purgedBefore = model.purged[something.page] ?? 0;
      const begunMs = Date.now();
      const [engine, origin] = [processes[something.process], origins[something.page]];
      assert.ok(engine !== undefined && origin !== undefined);
      const reply = await engine.ask(url, origin, { fields: something.fields });
      judge(model, something, purgedBefore, begunMs, reply, await reply.text());
    }
  };
  for (const { deeds, manner: next, seconds } of moments) {
    t.mock.timers.tick(seconds * 1000);
    model.manner = next;
    await Promise.all(deeds.map(act));
    for (const engine of processes) await engine.settled();
  }
  for (const [i, url] of model.urls.entries()) {
    const origin = origins[i];
    if (origin !== undefined) for (const engine of processes) await engine.assertAtRest(url, origin);
  }
}

describe('whatever happens in whatever order, nobody gets what is another’s, too old, or purged', () => {
  const lives = fc.array(moment, { minLength: 1, maxLength: 12 });

  test('over the embedded store', async (t) => {
    t.mock.timers.enable({ apis: ['Date'], now: Date.now() });
    await fc.assert(
      fc.asyncProperty(lives, (moments) => live(t, new EmbeddedStore(), moments)),
      { numRuns: 60 },
    );
  });

  test('over a memcached', async (t) => {
    t.mock.timers.enable({ apis: ['Date'], now: Date.now() });
    const memcached = await startMemcached();
    const store = new Server(memcached.address, { timeoutMs: 10_000, connectTimeoutMs: 10_000 });
    try {
      await fc.assert(
        fc.asyncProperty(lives, (moments) => live(t, store, moments)),
        { numRuns: 20 },
      );
    } finally {
      await store.close();
      await memcached.stop();
    }
  });
});
