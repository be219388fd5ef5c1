import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { describe, test } from 'node:test';
import Fastify from 'fastify';
import { z } from 'zod';
import type { ChainSchema } from '../../src/actions/action.js';
import { cacheAction } from '../../src/actions/cache.js';
import type { BoundChain, Step } from '../../src/actions/chain.js';
import { finished } from '../../src/actions/deliver.js';
import type { Exchange, ExchangeResponse } from '../../src/actions/exchange.js';
import { BufferBudget } from '../../src/cache/buffer-budget.js';
import { Fields } from '../../src/http/fields.js';
import { parseTarget } from '../../src/http/path.js';
import { EmbeddedStore } from '../../src/store/embedded.js';
import { type ExchangeInit, exchangeOf } from '../support/exchange.js';
import { Feed, textOf } from '../support/scripted-origin.js';

const FRESH = ['Cache-Control', 'max-age=60'];
const PUBLIC = ['Cache-Control', 'public, max-age=60'];

/** A request of nobody in particular is fetched for all, one with Authorization goes by itself. */
const NOBODY: Headers = {};
const SOMEBODY: Headers = { authorization: 'Basic eDp5' };

type Headers = NonNullable<ExchangeInit['headers']>;

/** A `memcached.cache` around `inner`, over a store of its own. */
class CachedChain {
  readonly store = new EmbeddedStore();
  readonly bodies = new BufferBudget();
  readonly #step: Step;

  constructor(inner: Step, options: object = {}) {
    const bound = cacheAction.bind({ chain: inner, leaseWait: '500ms', ...options }, steps);
    if (!bound.success) throw bound.error;
    const { store, bodies } = this;
    const { log } = Fastify();
    const context = { store: () => store, bodies, cacheName: 'lookaside', secrets: [], caches: new Set<never>(), log };
    this.#step = bound.data(context);
  }

  /** The exchange of a request, with the response as it would be sent; and what becomes of the body. */
  async ask(init: ExchangeInit = {}): Promise<{ exchange: Exchange; sent: ExchangeResponse; text: string }> {
    const exchange = await exchangeOf(init);
    await this.#step(exchange);
    const sent = finished(exchange, 'lookaside');
    const text = await textOf(sent.body).catch(() => 'broken off');
    await this.bodies.idle();
    return { exchange, sent, text };
  }

  /** Verdict and text. */
  async get(url: string, headers: ExchangeInit['headers'] = {}): Promise<string> {
    const { exchange, text } = await this.ask({ url, headers });
    return `${exchange.outcome?.verdict} ${text}`;
  }

  handle(exchange: Exchange): void | Promise<void> {
    return this.#step(exchange);
  }
}

/** A chain in a test's options is a step. */
const steps: ChainSchema = z.custom<Step>().transform(
  (step): BoundChain =>
    () =>
      step,
);

/** A step that answers with what `answer` makes of the exchange. */
function answering(answer: (exchange: Exchange) => string, flat: readonly string[] = FRESH): Step {
  return (exchange) => {
    exchange.respond({ status: 200, fields: new Fields(flat), body: Buffer.from(answer(exchange)), delimited: true });
  };
}

describe('memcached.cache', () => {
  test('has no part in an exchange that has its response', async () => {
    const cached = new CachedChain(answering(() => 'of the chain'));
    const exchange = await exchangeOf();
    exchange.respond({ status: 200, fields: new Fields(), body: Buffer.from('there'), delimited: true });
    await cached.handle(exchange);
    assert.deepEqual([String(exchange.response?.body), exchange.outcome], ['there', undefined]);
  });

  test('in another one asks once, and answers from the outer one', async () => {
    let asked = 0;
    const inner = new CachedChain(answering(() => `v${++asked}`));
    const outer = new CachedChain((exchange) => inner.handle(exchange));
    assert.equal(await outer.get('/'), 'miss v1');
    assert.equal(await outer.get('/'), 'hit v1');
    assert.equal(asked, 1);
  });

  for (const [why, init] of [
    ['a request with a body', { body: 'text' }],
    ['another method', { method: 'OPTIONS' }],
    ['If-Match', { headers: { 'if-match': '"e"' } }],
    ['If-Unmodified-Since', { headers: { 'if-unmodified-since': 'Mon, 01 Jan 2024 00:00:00 GMT' } }],
  ] as const) {
    test(`passes ${why} on as it came, and keeps nothing`, async () => {
      const cached = new CachedChain(answering(({ request }) => request.method));
      const { exchange, text } = await cached.ask(init);
      assert.deepEqual([exchange.outcome?.verdict, text], ['bypass', exchange.request.method]);
      assert.match(await cached.get('/'), /^miss /);
    });
  }

  test('answers 404 when its chain has no response, and keeps nothing', async () => {
    const cached = new CachedChain(() => {});
    const { sent } = await cached.ask();
    assert.equal(sent.status, 404);
    assert.match(await cached.get('/'), /^miss /);
  });

  test('stores what edits within its chain make of a response, whichever way it came', async () => {
    for (const headers of [NOBODY, SOMEBODY]) {
      const inner = answering(() => 'text', [...PUBLIC, 'X-Internal', 'secret']);
      const cached = new CachedChain((exchange) => {
        exchange.editResponse(({ fields }) => fields.delete('x-internal'));
        return inner(exchange);
      });
      const exchange = await exchangeOf({ headers });
      exchange.editResponse(({ fields }) => fields.append('X-Of-Client', 'one'));
      await cached.handle(exchange);
      const sent = finished(exchange, 'lookaside');
      assert.deepEqual([sent.fields.has('x-internal'), sent.fields.get('x-of-client')], [false, 'one']);
      await cached.bodies.idle();
      const { exchange: hit } = await cached.ask();
      assert.equal(hit.outcome?.verdict, 'hit');
      assert.deepEqual(
        [hit.response?.fields.has('x-internal'), hit.response?.fields.has('x-of-client')],
        [false, false],
      );
    }
  });

  test('goes by the Authorization that came, though its chain takes it away', async () => {
    const inner = answering(() => 'for one');
    const cached = new CachedChain((exchange) => {
      exchange.request.fields.delete('authorization');
      return inner(exchange);
    });
    const { exchange } = await cached.ask({ headers: SOMEBODY });
    assert.equal(exchange.storage, 'authorization');
    assert.match(await cached.get('/'), /^miss /);
  });

  test('applies rules to the request that came, though its chain rewrites it', async () => {
    const inner = answering(() => 'of an account', PUBLIC);
    const rules = [{ when: 'req.path =^ "/account/"', status: 200, bypass: true }];
    const cached = new CachedChain(
      (exchange) => {
        Object.assign(exchange.request, parseTarget(exchange.request.target.replace('/account', '')));
        return inner(exchange);
      },
      { rules },
    );
    for (const headers of [NOBODY, SOMEBODY]) {
      const { exchange } = await cached.ask({ url: '/account/x', headers });
      assert.equal(exchange.storage, 'rule');
    }
  });

  test('drops what is stored of a resource that a request has changed, though its chain rewrites it', async () => {
    let version = 1;
    const inner = answering(() => `v${version}`);
    const cached = new CachedChain((exchange) => {
      Object.assign(exchange.request, parseTarget(`/app${exchange.request.target}`));
      return inner(exchange);
    });
    assert.equal(await cached.get('/page'), 'miss v1');
    version = 2;
    assert.equal(await cached.get('/page'), 'hit v1');
    await cached.ask({ method: 'POST', url: '/page', body: 'change' });
    assert.equal(await cached.get('/page'), 'miss v2');
  });

  for (const status of [404, 500]) {
    test(`drops nothing for a change that failed with ${status}`, async () => {
      const cached = new CachedChain((exchange) => {
        const isGet = exchange.request.method === 'GET';
        exchange.respond({
          status: isGet ? 200 : status,
          fields: new Fields(FRESH),
          body: Buffer.from('v1'),
          delimited: true,
        });
      });
      await cached.get('/page');
      await cached.ask({ method: 'POST', url: '/page', body: 'change' });
      assert.equal(await cached.get('/page'), 'hit v1');
    });
  }

  test('drops what Location and Content-Location name on the same host, and nothing of others', async () => {
    const cached = new CachedChain((exchange) => {
      const { method, target } = exchange.request;
      const fields = method === 'GET' ? FRESH : ['Location', '/a', 'Content-Location', 'http://other.example/b'];
      exchange.respond({ status: 201, fields: new Fields(fields), body: Buffer.from(target), delimited: true });
    });
    for (const url of ['/a', '/b', '/c']) await cached.get(url);
    await cached.ask({ method: 'PUT', url: '/c', body: 'change' });
    assert.deepEqual(await Promise.all(['/a', '/b', '/c'].map((url) => cached.get(url))), [
      'miss /a',
      'hit /b',
      'miss /c',
    ]);
  });

  test('keeps the response to a POST that says it is what a GET would get, as its chain made it', async () => {
    const inner = answering(() => 'posted', [...FRESH, 'Content-Location', '/page', 'X-Internal', 'secret']);
    const cached = new CachedChain((exchange) => {
      exchange.editResponse(({ fields }) => fields.delete('x-internal'));
      exchange.request.target = '/elsewhere';
      return inner(exchange);
    });
    const { exchange } = await cached.ask({ method: 'POST', url: '/page', body: 'form' });
    assert.equal(exchange.storage, 'stored');
    const { exchange: hit, text } = await cached.ask({ url: '/page' });
    assert.deepEqual([hit.outcome?.verdict, text, hit.response?.fields.has('x-internal')], ['hit', 'posted', false]);
  });

  test('does not keep the response to a POST with Authorization, though its chain takes that away', async () => {
    const inner = answering(() => 'posted', [...FRESH, 'Content-Location', '/page']);
    const cached = new CachedChain((exchange) => {
      exchange.request.fields.delete('authorization');
      return inner(exchange);
    });
    const { exchange } = await cached.ask({ method: 'POST', url: '/page', body: 'form', headers: SOMEBODY });
    assert.equal(exchange.storage, 'authorization');
  });

  test('asks its chain for what the key says, together and alone', async () => {
    const seen: string[] = [];
    const cached = new CachedChain(
      (exchange) => {
        const { target, fields } = exchange.request;
        seen.push(`${target} ${fields.get('host')} ${fields.get('x-lang')}`);
        return answering(() => 'text', ['Cache-Control', 'private'])(exchange);
      },
      { query: { ignore: ['utm_*'] }, keyParts: { headers: ['x-lang'] } },
    );
    const headers = { host: 'EXAMPLE.com:80', 'x-lang': ' de ' };
    // The first is fetched for all, the second goes by itself, behind a hit-for-miss.
    for (let i = 0; i < 2; i++) await cached.ask({ url: '/?utm_source=a&b=c', headers });
    assert.deepEqual(seen, ['/?b=c example.com de', '/?b=c example.com de']);
  });

  for (const headers of [NOBODY, SOMEBODY]) {
    test(`gives everything back when its chain fails${headers === SOMEBODY ? ' for a request of its own' : ''}`, async () => {
      const body = new Feed().send('text');
      let fails = true;
      const cached = new CachedChain((exchange) => {
        if (!fails) return answering(() => 'text')(exchange);
        exchange.respond({ status: 200, fields: new Fields(FRESH), body, delimited: true });
        throw new Error('as the test wants it');
      });
      const exchange = await exchangeOf({ headers });
      await assert.rejects(async () => cached.handle(exchange), /as the test wants it/);
      // Of what is left in the exchange, whoever sends responses takes care.
      if (exchange.response?.body instanceof Readable) exchange.response.body.destroy();
      assert.ok(body.destroyed);
      fails = false;
      const start = performance.now();
      const { exchange: next } = await cached.ask();
      assert.equal(next.storage, 'stored');
      assert.ok(performance.now() - start < 400, 'it waits for the lease of the one that failed');
    });
  }

  test('strips tags from what clients get, not from what is stored', async () => {
    const tagged = [...FRESH, 'Cache-Tag', 'news'];
    const cached = new CachedChain(
      answering(() => 'text', tagged),
      { tags: { fields: ['Cache-Tag'], strip: true } },
    );
    for (const verdict of ['miss', 'hit']) {
      const { exchange, sent } = await cached.ask();
      assert.deepEqual([exchange.outcome?.verdict, sent.fields.has('cache-tag')], [verdict, false]);
    }
  });

  test('sends the interim responses of a fetch to the client that caused it', async () => {
    const statuses: number[] = [];
    const cached = new CachedChain((exchange) => {
      exchange.client.interim(103, new Fields());
      return answering(() => 'text')(exchange);
    });
    const exchange = await exchangeOf();
    exchange.client.interim = (status) => void statuses.push(status);
    await cached.handle(exchange);
    await cached.bodies.idle();
    const hit = await exchangeOf();
    hit.client.interim = (status) => void statuses.push(status);
    await cached.handle(hit);
    assert.deepEqual(statuses, [103]);
  });
});
