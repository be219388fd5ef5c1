import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { z } from 'zod';
import type { ChainSchema } from '../../src/actions/action.js';
import { cacheOptions } from '../../src/actions/cache-options.js';
import type { BoundChain } from '../../src/actions/chain.js';
import { explainIssue, problemsOf } from '../../src/actions/issues.js';

const chains: ChainSchema = z.literal('proxy').transform((): BoundChain => () => () => {});
const schema = cacheOptions(chains);

function optionsOf(written: object) {
  return schema.parse({ chain: 'proxy', ...written });
}

describe('the options of memcached.cache', () => {
  it('are complete when a configuration has nothing but the chain', () => {
    const { chain, policy, keyRules, ...others } = optionsOf({});
    assert.equal(typeof chain, 'function');
    assert.deepEqual(policy, {
      profile: 'safe',
      targets: ['Lookaside-Cache-Control', 'CDN-Cache-Control'],
      honorRequestCacheControl: false,
      staleWhileRevalidateSeconds: 0,
      staleIfErrorSeconds: 600,
      keepSeconds: 3600,
      maxBodyBytes: 64 * 1024 * 1024,
      leaseWaitMs: 5000,
      passSeconds: 10,
      failureBackoffMs: 1000,
      tagFields: ['Surrogate-Key', 'xkey', 'Cache-Tag', 'Cache-Groups'],
      stripTags: false,
    });
    assert.deepEqual(others, {
      server: undefined,
      noVarySearch: false,
      maxVariants: 64,
      minUses: 1,
      rules: [],
      purge: undefined,
    });
    assert.equal(keyRules.pattern, undefined);
    assert.deepEqual(keyRules.parts, { headers: [], cookies: [], device: false });
    assert.equal(keyRules.normaliseQuery('b=1&a=2&&utm_source=x'), 'b=1&a=2&&utm_source=x');
  });

  it('let clients ask for fresher responses by profile, unless it is said', () => {
    assert.equal(optionsOf({ profile: 'rfc' }).policy.honorRequestCacheControl, true);
    assert.equal(optionsOf({ profile: 'rfc', honorRequestCacheControl: false }).policy.honorRequestCacheControl, false);
    assert.equal(optionsOf({ honorRequestCacheControl: true }).policy.honorRequestCacheControl, true);
  });

  it('take key parts in any order and spelling, each once, as bytes', () => {
    const { parts } = optionsOf({
      keyParts: { headers: ['X-Lang', 'x-country', 'x-lang'], cookies: ['thème', 'a'] },
    }).keyRules;
    assert.deepEqual(parts, { headers: ['x-country', 'x-lang'], cookies: ['a', 'thÃ¨me'], device: false });
  });

  it('say which parameters matter', () => {
    const { normaliseQuery } = optionsOf({
      query: { ignore: ['utm_*', 'é'], keep: ['a*', 'utm_x', 'é'], sort: true },
    }).keyRules;
    assert.equal(normaliseQuery('b=1&ab=2&aa=3&utm_x=4&%C3%A9=5'), 'aa=3&ab=2');
  });

  const wrong: { readonly [fault: string]: object } = {
    'key: unknown variable "req.pth", did you mean "req.path"? (at character 3)': { key: '%{req.pth}' },
    'profile: "strict" is not one of safe, rfc': { profile: 'strict' },
    'query.ignore.0: is not the name of a parameter: a wildcard stands at its end, as in utm_*': {
      query: { ignore: ['*_id'] },
    },
    'query.keep: an empty list is too small: expected 1 items or more': { query: { keep: [] } },
    'keyParts.headers.0: a cookie more, and it is another key: name the ones that matter in keyParts.cookies': {
      keyParts: { headers: ['Cookie'] },
    },
    'keyParts.headers.1: the host is in the key already: leave it out': { keyParts: { headers: ['a', 'Host'] } },
    'keyParts.headers.0: what a response to Authorization is good for is not decided by a key: leave it out': {
      keyParts: { headers: ['authorization'] },
    },
    'keyParts.headers.0: can not be the name of a field': { keyParts: { headers: ['a b'] } },
    'keyParts.cookies.0: can not be the name of a cookie': { keyParts: { cookies: ['a=b'] } },
    'targets.0: Cache-Control is what targeted fields replace: leave it out': { targets: ['cache-control'] },
    'tags.strip: tags.fields is empty, so there is nothing to strip: name the fields, or leave strip out': {
      tags: { fields: [], strip: true },
    },
    'rules.1.strip: surrogate-control can say that a response is for one user: to take it out all the same, write "unsafe: true" beside it':
      {
        targets: ['Surrogate-Control'],
        rules: [{ ttl: 1 }, { strip: ['Surrogate-Control'] }],
      },
    'maxSize: "5TiB" is not a size: expected a whole number of bytes, or one with a unit: 64k, 64KiB, 4MiB, 1GiB': {
      maxSize: '5TiB',
    },
    'leaseWait: "2m" is more than 1m': { leaseWait: '2m' },
    'purge: say who may purge: give token, tokenFile or allow': { purge: {} },
    'chain: "chain" is missing': { chain: undefined },
  };
  for (const [fault, written] of Object.entries(wrong)) {
    it(`are refused: ${fault}`, () => {
      const checked = schema.safeParse({ chain: 'proxy', ...written }, { error: explainIssue });
      const faults = checked.success
        ? []
        : problemsOf(checked.error).map(({ path, message }) => `${path.join('.')}: ${message}`);
      assert.deepEqual(faults, [fault]);
    });
  }

  it('have a JSON Schema in which everything is described', () => {
    const { properties } = z.toJSONSchema(cacheOptions(z.custom<BoundChain>()), {
      io: 'input',
      unrepresentable: 'any',
    });
    const undescribed = Object.entries({ ...properties }).filter(
      ([, property]) => typeof property === 'boolean' || property.description === undefined,
    );
    assert.deepEqual(undescribed, []);
    assert.ok(Object.keys({ ...properties }).length > 20);
  });
});
