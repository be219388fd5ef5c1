import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import type { Body } from '../../src/cache/body.js';
import { BufferBudget } from '../../src/cache/buffer-budget.js';
import { type CacheRequest, HttpCache } from '../../src/cache/cache.js';
import { Entries } from '../../src/cache/entries.js';
import type { OriginResponse } from '../../src/cache/origin.js';
import type { CacheOutcome } from '../../src/cache/outcome.js';
import type { CachePolicy } from '../../src/cache/policy.js';
import { Purger, type PurgeTarget } from '../../src/cache/purger.js';
import type { Reason } from '../../src/cache/verdict.js';
import { Fields } from '../../src/http/fields.js';
import type { Store } from '../../src/store/store.js';
import { type ScriptedOrigin, textOf } from './scripted-origin.js';
import { until } from './until.js';

/** As the defaults of `memcached.cache` are, but for times that a test would have to wait for. */
export const POLICY: CachePolicy = {
  profile: 'safe',
  targets: ['Lookaside-Cache-Control', 'CDN-Cache-Control'],
  honorRequestCacheControl: false,
  staleWhileRevalidateSeconds: 0,
  staleIfErrorSeconds: 600,
  keepSeconds: 3600,
  maxBodyBytes: 64 * 1024 * 1024,
  leaseWaitMs: 5000,
  passSeconds: 10,
  failureBackoffMs: 0,
  tagFields: ['Cache-Tag'],
  stripTags: false,
};

/** A request as a test makes it. */
export interface Asked {
  /** Default GET. */
  readonly method?: string;
  /** Name, value, name, value … */
  readonly fields?: readonly string[];
}

/** What a client gets, and what the cache says of it. */
export interface Reply {
  readonly status: number;
  readonly fields: Fields;
  readonly body: Body;
  readonly failure: OriginResponse['failure'];
  readonly outcome: CacheOutcome;
  readonly storage: Reason | undefined;
  /** All of the body. Rejects when that breaks off. */
  text(): Promise<string>;
}

/** One process of a fleet with its HTTP cache, over a store that others share. */
export class CachingEngine {
  readonly budget = new BufferBudget();
  readonly entries: Entries;
  readonly cache: HttpCache;
  readonly purger: Purger;

  constructor(store: Store, policy: Partial<CachePolicy> = {}) {
    const merged = { ...POLICY, ...policy };
    const { passSeconds, maxBodyBytes } = merged;
    this.entries = new Entries(store, { budget: this.budget, passSeconds, maxBodyBytes, partials: true });
    this.cache = new HttpCache(this.entries, merged, this.budget);
    this.purger = new Purger(store);
  }

  /** Answers a request, as `memcached.cache` does; what has to go forward by itself goes to `origin` as it came. */
  async ask(url: string, origin: ScriptedOrigin, { method = 'GET', fields = [] }: Asked = {}): Promise<Reply> {
    const request: CacheRequest = { method, fields: new Fields(fields), key: url, url };
    const result = await this.cache.answer(request, origin);
    if (result.kind === 'answer') return reply(result.response, result.outcome, result.storage);
    const requestedMs = Date.now();
    const response = await origin.fetch(request.fields);
    const trip = { origin, requestedMs, receivedMs: Date.now() };
    const storage = await this.cache.received(request, result, response, trip);
    return reply(response, result.outcome, storage);
  }

  /** Asks, takes all of the answer, and lets the storing come to its end: `hit 200 text`. */
  async get(url: string, origin: ScriptedOrigin, fields: readonly string[] = []): Promise<string> {
    const answer = await this.ask(url, origin, { fields });
    const line = `${answer.outcome.verdict} ${answer.status} ${await answer.text()}`;
    await this.settled();
    return line;
  }

  purge(target: PurgeTarget | string, soft = false): Promise<unknown> {
    return this.purger.purge(typeof target === 'string' ? { kind: 'key', key: target } : target, { soft });
  }

  /** When all bodies on their way to the store are there, or have been given up. */
  async settled(): Promise<void> {
    await this.budget.idle();
    for (let i = 0; i < 3; i++) await turn();
  }

  /** When whoever began to look something up before this has found it. */
  async looked(): Promise<void> {
    for (let i = 0; i < 3; i++) {
      await this.entries.find('http://nobody.example/', 'http://nobody.example/', new Fields());
      await turn();
    }
  }

  /** Fails unless everything taken was given back: the memory, the bodies of `origin`, and the lease of the key. */
  async assertAtRest(url: string, origin: ScriptedOrigin, fields: readonly string[] = []): Promise<void> {
    await until(() => this.budget.usedBytes === 0, `${this.budget.usedBytes} bytes of the budget were not given back`);
    await origin.letGo();
    const isFree = async () => {
      const { slot } = await this.entries.find(url, url, new Fields(fields));
      assert.ok(slot !== undefined);
      const leased = await this.entries.lease(slot);
      if (leased.kind === 'held') await this.entries.release(leased.slot);
      return leased.kind === 'held';
    };
    await until(isFree, 'the lease was not given back');
  }
}

function reply(response: OriginResponse, outcome: CacheOutcome, storage: Reason | undefined): Reply {
  const { status, fields, body, failure } = response;
  return { status, fields, body, failure, outcome, storage, text: () => textOf(body) };
}

/** The client leaves without taking the body. */
export function leave({ body }: Pick<Reply, 'body'>): void {
  if (body instanceof Readable) body.destroy();
}
