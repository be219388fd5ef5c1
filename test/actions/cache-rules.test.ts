import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { z } from 'zod';
import { type CacheRule, cacheRuleSchema, requestRule, responseRule } from '../../src/actions/cache-rules.js';
import type { Exchange } from '../../src/actions/exchange.js';
import { explainIssue, problemsOf } from '../../src/actions/issues.js';
import type { ResponseRule } from '../../src/cache/policy.js';
import { Fields } from '../../src/http/fields.js';
import { exchangeOf } from '../support/exchange.js';

function rulesOf(...written: unknown[]): CacheRule[] {
  return z.array(cacheRuleSchema).parse(written);
}

function faultsOf(rule: object): string[] {
  const checked = cacheRuleSchema.safeParse(rule, { error: explainIssue });
  assert.ok(!checked.success, 'nothing was wrong');
  return problemsOf(checked.error).map(({ path, message }) => `${path.join('.')}: ${message}`);
}

function head(status: number, contentType = 'text/html; charset=utf-8') {
  return { status, fields: new Fields(['Content-Type', contentType]) };
}

/** What is set of an effect. */
function given(effect: ResponseRule): object {
  return Object.fromEntries(Object.entries(effect).filter(([, value]) => value !== undefined && value !== false));
}

function decided(rules: readonly CacheRule[], exchange: Exchange, status = 200, contentType?: string): object {
  return given(responseRule(rules, exchange, head(status, contentType)));
}

describe('a rule', () => {
  it('matches by a condition on the request', async () => {
    const rules = rulesOf({ when: 'req.path =^ "/images/"', ttl: '1h' });
    assert.deepEqual(decided(rules, await exchangeOf({ url: '/images/a' })), { ttlSeconds: 3600 });
    assert.deepEqual(decided(rules, await exchangeOf({ url: '/pages/a' })), {});
  });

  it('matches by statuses and classes of them', async () => {
    const exchange = await exchangeOf();
    const rules = rulesOf({ status: [404, '5xx'], ttl: '10s' });
    const matching = [200, 301, 403, 404, 410, 499, 500, 503, 599].filter(
      (status) => 'ttlSeconds' in decided(rules, exchange, status),
    );
    assert.deepEqual(matching, [404, 500, 503, 599]);
    assert.deepEqual(decided(rulesOf({ status: 404, ttl: 10 }), exchange, 404), { ttlSeconds: 10 });
  });

  it('matches by media types, whatever their parameters and spelling', async () => {
    const exchange = await exchangeOf();
    const rules = rulesOf({ contentType: ['image/*', 'Text/CSS'], maxTtl: '1d' });
    const matching = [
      'image/png',
      'IMAGE/svg+xml;a=b',
      'text/css; charset=utf-8',
      ' text/css',
      'text/html',
      'imagex/png',
      'image',
      '',
    ];
    assert.deepEqual(
      matching.filter((type) => 'maxTtlSeconds' in decided(rules, exchange, 200, type)),
      matching.slice(0, 4),
    );
    const twice = { status: 200, fields: new Fields(['Content-Type', 'image/png', 'Content-Type', 'text/html']) };
    assert.deepEqual(given(responseRule(rules, exchange, twice)), {}, 'of two types nobody knows which one it is');
    assert.deepEqual(given(responseRule(rules, exchange, { status: 200, fields: new Fields() })), {});
  });

  it('takes out fields, and says how often a key must be asked for', async () => {
    const rules = rulesOf({ strip: ['X-Debug', 'Set-Cookie'], minUses: 2, unsafe: true });
    assert.deepEqual(decided(rules, await exchangeOf()), {
      strip: ['x-debug', 'set-cookie'],
      minUses: 2,
      unsafe: true,
    });
  });

  it('is passed over before there is a response when it is about that', async () => {
    const exchange = await exchangeOf({ url: '/a' });
    const rules = rulesOf(
      { status: 404, bypass: true },
      { contentType: 'text/html', bypass: true },
      { when: 'req.path == "/a" and resp.header["x-no"] != "1"', bypass: true },
    );
    assert.deepEqual(given(requestRule(rules, exchange)), {});
    assert.deepEqual(decided(rules, exchange, 404), { bypass: true });
    const named = rulesOf({ when: 'req.header["resp.x"] == "" and req.path != "resp.status"', bypass: true });
    assert.deepEqual(
      given(requestRule(named, exchange)),
      { bypass: true },
      'a text that looks like a variable is none',
    );
  });

  it('leaves the captures of the exchange alone', async () => {
    const exchange = await exchangeOf({ url: '/a' });
    exchange.captures = ['mine'];
    requestRule(rulesOf({ when: 'req.path =~ "(.)"', bypass: true }), exchange);
    assert.deepEqual(exchange.captures, ['mine']);
  });
});

describe('of several rules', () => {
  it('the first that matches and has a property decides it', async () => {
    const exchange = await exchangeOf({ url: '/a/b' });
    const rules = rulesOf(
      { when: 'req.path =^ "/x"', ttl: '1s', minUses: 9 },
      { when: 'req.path =^ "/a/"', ttl: '2s' },
      { when: 'req.path =^ "/a"', maxTtl: '3s', minUses: 4 },
      { maxTtl: '6s', minTtl: '1s', defaultTtl: '8s', minUses: 7, strip: ['x-a'] },
      { ttl: '5s' },
    );
    assert.deepEqual(decided(rules, exchange), {
      ttlSeconds: 2,
      defaultTtlSeconds: 8,
      maxTtlSeconds: 3,
      minTtlSeconds: 1,
      minUses: 4,
      strip: ['x-a'],
    });
  });

  it('an earlier one can make an exception from a bypass', async () => {
    const rules = rulesOf({ when: 'req.path =^ "/static/"', bypass: false }, { bypass: true });
    assert.deepEqual(given(requestRule(rules, await exchangeOf({ url: '/static/a' }))), {});
    assert.deepEqual(given(requestRule(rules, await exchangeOf({ url: '/a' }))), { bypass: true });
  });

  it('the word unsafe holds for the ttl beside it only', async () => {
    const exchange = await exchangeOf({ url: '/a' });
    const rules = rulesOf({ when: 'req.path == "/a"', ttl: '1m' }, { ttl: '1s', unsafe: true });
    assert.deepEqual(decided(rules, exchange), { ttlSeconds: 60 });
    assert.deepEqual(decided(rules, await exchangeOf({ url: '/b' })), { ttlSeconds: 1, unsafe: true });
    const late = rulesOf({ maxTtl: '1m' }, { ttl: '1s', unsafe: true });
    assert.deepEqual(decided(late, exchange), { ttlSeconds: 1, maxTtlSeconds: 60, unsafe: true });
    const stripping = rulesOf({ strip: ['set-cookie'], unsafe: true }, { ttl: '1s' });
    assert.deepEqual(decided(stripping, exchange), { ttlSeconds: 1, strip: ['set-cookie'] });
  });
});

describe('where the path is ambiguous', () => {
  const traversing = '/account/..%2fstatic/x.css';

  it('a rule about it makes nothing be stored, or for longer', async () => {
    const exchange = await exchangeOf({ url: traversing });
    for (const variable of ['req.path', 'request.path', 'req.raw_path', 'req.env[a]', 'phys.path']) {
      const when = `${variable} !^ "/private/"`;
      const rules = rulesOf(
        { when, ttl: '1d', strip: ['set-cookie'], unsafe: true, minUses: 2 },
        { when, minTtl: '1h', bypass: false },
      );
      assert.deepEqual(decided(rules, exchange), { maxTtlSeconds: 86_400, minUses: 2 }, variable);
    }
  });

  it('it can still make less be stored', async () => {
    const exchange = await exchangeOf({ url: traversing });
    const rules = rulesOf(
      { when: 'req.path =^ "/static/"', bypass: true },
      { when: 'req.path =^ "/"', maxTtl: '5s', strip: ['x-debug'] },
    );
    assert.deepEqual(decided(rules, exchange), { bypass: true, maxTtlSeconds: 5, strip: ['x-debug'] });
  });

  it('rules about something else hold as ever', async () => {
    const exchange = await exchangeOf({ url: traversing });
    assert.deepEqual(decided(rulesOf({ when: 'req.host == "example.com"', status: 404, ttl: 5 }), exchange, 404), {
      ttlSeconds: 5,
    });
  });
});

describe('refused is a rule', () => {
  const wrong: { readonly [fault: string]: object } = {
    ': the rule does nothing: give it one of bypass, ttl, defaultTtl, minTtl, maxTtl, strip, minUses': {
      when: 'req.path == /a',
    },
    'bypass: what is not stored has no ttl and no minUses: leave either them or bypass out': { bypass: true, ttl: 1 },
    'ttl: ttl leaves nothing for defaultTtl, minTtl and maxTtl to say: leave either it or them out': {
      ttl: 1,
      maxTtl: 2,
    },
    'minTtl: minTtl is more than maxTtl': { minTtl: '1h', maxTtl: '1m' },
    'unsafe: unsafe says what ttl and strip may overrule: give one of them, or leave it out': {
      maxTtl: 1,
      unsafe: true,
    },
    'strip.0: content-length says how to read the body: it has to stay': { strip: ['Content-Length'] },
    'strip.1: "a b" can not be the name of a field': { strip: ['a', 'a b'] },
    'ttl: "11y" is not a duration: expected a whole number of seconds, or one with a unit: 100ms, 90s, 5m, 1h30m, 7d': {
      ttl: '11y',
    },
    'ttl: "3651d" is more than 3650d': { ttl: '3651d' },
    'status: 99 is too small: expected 200 or more': { status: 99, ttl: 1 },
    'status: is not a status such as 404, nor a class such as "4xx"': { status: '404', ttl: 1 },
    'contentType: is not a media type such as text/css, nor a range such as image/*': { contentType: '*/*', ttl: 1 },
    'when: expected an operator, one of == != <= >= =~ !~ =^ !^ =$ !$ =/ !/ < > (at character 10)': {
      when: 'req.path ',
      ttl: 1,
    },
    'ttll: unknown option "ttll", did you mean "ttl"?': { ttl: 1, ttll: 1 },
  };
  for (const [fault, rule] of Object.entries(wrong)) {
    it(`with: ${fault}`, () => assert.deepEqual(faultsOf(rule), [fault]));
  }

  for (const name of ['Set-Cookie', 'cache-control', 'CDN-Cache-Control', 'Vary', 'pragma']) {
    it(`that takes ${name} out without the word unsafe`, () => {
      assert.match(faultsOf({ strip: [name] }).join(), /write "unsafe: true" beside it$/);
      assert.ok(cacheRuleSchema.safeParse({ strip: [name], unsafe: true }).success);
    });
  }
});
