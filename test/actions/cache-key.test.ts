import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type CacheKey, cacheKey, editedFields, type KeyRules, keyRefusal } from '../../src/actions/cache-key.js';
import { DEVICE_FIELD, deviceClass } from '../../src/actions/device.js';
import { type ExchangeView, parseAuthority } from '../../src/actions/exchange.js';
import { compilePattern } from '../../src/actions/pattern.js';
import { Fields } from '../../src/http/fields.js';
import { parseTarget } from '../../src/http/path.js';
import { type QueryRules, queryNormaliser } from '../../src/http/query.js';

interface Sent {
  readonly scheme?: 'http' | 'https';
  readonly host?: string | undefined;
  readonly target?: string;
  readonly fields?: readonly (readonly [name: string, value: string])[];
}

function viewOf({ scheme = 'http', host, target = '/', fields = [] }: Sent): ExchangeView {
  const lines = host === undefined ? [] : ['Host', host];
  return {
    request: {
      method: 'GET',
      scheme,
      ...parseAuthority(host ?? '', scheme),
      ...parseTarget(target),
      fields: new Fields([...lines, ...fields.flat()]),
      remote: { address: '127.0.0.1', port: 50_000 },
      local: { address: '127.0.0.1', port: 80 },
      hasBody: false,
    },
    response: undefined,
    physical: undefined,
    captures: [],
    environment: new Map(),
  };
}

function rulesOf(parts: Partial<KeyRules['parts']> = {}, query: QueryRules = {}, pattern?: string): KeyRules {
  return {
    pattern: pattern === undefined ? undefined : compilePattern(pattern),
    normaliseQuery: queryNormaliser(query),
    parts: { headers: [], cookies: [], device: false, ...parts },
  };
}

function keyOf(sent: Sent, rules = rulesOf()): string {
  return cacheKey(rules, viewOf(sent)).key;
}

const LANG_DE = { host: 'h', fields: [['X-Lang', 'de']] } as const;

describe('the key', () => {
  it('is the URL with its host normalised, path and query as they were sent', () => {
    const keys: { readonly [key: string]: Sent } = {
      'http://example.com/': { host: 'Example.COM.:80' },
      'http://example.com:8080/': { host: 'example.com:8080' },
      'https://example.com:80/': { scheme: 'https', host: 'example.com:80' },
      'http://[::1]/a': { host: '[::1]:80', target: '/a' },
      'http://h/a//b/../%7Ec?x=%41&y': { host: 'h', target: '/a//b/../%7Ec?x=%41&y' },
      'http://h/a?': { host: 'h', target: '/a?' },
      'http:///a': { target: '/a' },
    };
    for (const [key, sent] of Object.entries(keys)) assert.equal(keyOf(sent), key);
  });

  it('has no room for a host that goes on as a path', () => {
    assert.equal(keyOf({ host: 'a/b?c#d%2f', target: '/e' }), 'http://a%2Fb%3Fc%23d%252f/e');
  });

  it('has the query with what does not matter left out, and so has the target', () => {
    const rules = rulesOf({}, { ignore: ['utm_*', 'fbclid'], sort: true });
    const key = cacheKey(rules, viewOf({ host: 'h', target: '/a?utm_source=x&b=2&a=1&fbclid=y' }));
    assert.deepEqual(key, {
      key: 'http://h/a?a=1&b=2',
      url: 'http://h/a?a=1&b=2',
      target: '/a?a=1&b=2',
      edits: [['Host', 'h']].slice(1),
    });
    assert.equal(keyOf({ host: 'h', target: '/a?utm_source=x' }, rules), 'http://h/a');
    assert.equal(keyOf({ host: 'h', target: '/a?' }, rules), 'http://h/a?');
  });

  it('ends with its parts', () => {
    const rules = rulesOf({ device: true, headers: ['x-country', 'x-lang'], cookies: ['theme'] });
    const phone = ['User-Agent', 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Mobile/15E148'] as const;
    const sent = { host: 'h', target: '/a?b', fields: [phone, ['X-Lang', 'de, en;q=0.5']] } as const;
    assert.equal(
      keyOf(sent, rules),
      'http://h/a?b#device=phone&header.x-country&header.x-lang=de%2C%20en%3Bq%3D0.5&cookie.theme',
    );
  });

  it('is never that of a URL which ends like a part', () => {
    const withPart = keyOf({ host: 'h', target: '/a' }, rulesOf({ device: true }));
    assert.equal(withPart, 'http://h/a#device=desktop');
    assert.notEqual(keyOf({ host: 'h', target: '/a#device=desktop' }), withPart);
  });

  it('shows no cookie', () => {
    const rules = rulesOf({ cookies: ['session'] });
    const key = keyOf({ host: 'h', fields: [['Cookie', 'a=b; session=s3cret']] }, rules);
    assert.match(key, /^http:\/\/h\/#cookie\.session=[0-9a-f]{32}$/);
  });

  it('is of a pattern what the pattern says of the normalised request', () => {
    const rules = rulesOf({}, { ignore: ['utm_*'] }, 'v1:%{req.host}:%{req.raw_path}:%{req.query}');
    assert.equal(keyOf({ host: 'H', target: '/a?utm_source=x&b=1' }, rules), 'v1:h:/a?b=1:b=1');
    assert.equal(
      keyOf({ ...LANG_DE, target: '/a#' }, { ...rules, parts: { ...rules.parts, headers: ['x-lang'] } }),
      'v1:h:/a#:#header.x-lang=de',
    );
  });

  it('is not to be made of a decoded path that may mean another one', () => {
    const { request } = viewOf({ host: 'h', target: '/static/..%2faccount' });
    assert.equal(keyRefusal(rulesOf({}, {}, '%{req.path}'), request), 'ambiguous-path');
    assert.equal(keyRefusal(rulesOf({}, {}, '%{req.raw_path}'), request), undefined);
    assert.equal(keyRefusal(rulesOf(), request), undefined);
    assert.equal(keyRefusal(rulesOf({}, {}, '%{req.path}'), viewOf({ target: '/a' }).request), undefined);
  });

  it('leaves to the origin what it says by No-Vary-Search: such a key is one of its own, and the target stays', () => {
    const known = { value: 'params=("ref"), key-order', normalise: queryNormaliser({ ignore: ['ref'], sort: true }) };
    const rules = rulesOf({}, { ignore: ['utm_*'] });
    const made = cacheKey(rules, viewOf({ host: 'h', target: '/a?ref=1&utm_id=2&b=3&a=4' }), known);
    assert.equal(made.key, 'http://h/a?a=4&b=3#no-vary-search=params%3D%28%22ref%22%29%2C%20key-order');
    assert.equal(made.target, '/a?ref=1&b=3&a=4');
    assert.equal(made.url, 'http://h/a?ref=1&b=3&a=4');
  });
});

describe('what the origin is asked for', () => {
  const forwarded = (sent: Sent, rules = rulesOf()) => {
    const view = viewOf(sent);
    return editedFields(view.request.fields, cacheKey(rules, view).edits);
  };

  it('has the Host of the key', () => {
    assert.deepEqual(forwarded({ host: 'EXAMPLE.com.:80' }).all('host'), ['example.com']);
    assert.deepEqual(forwarded({ host: 'example.com' }).all('host'), ['example.com']);
    assert.deepEqual(forwarded({ host: '' }).all('host'), [], 'as without Host, which has the same key');
  });

  it('has the lines of a key part as one, and the class of the device', () => {
    const rules = rulesOf({ headers: ['x-lang'], device: true });
    const fields = forwarded(
      {
        host: 'h',
        fields: [
          ['X-Lang', ' de'],
          ['X-Other', '1'],
          ['X-Lang', 'en'],
          ['Lookaside-Device', 'forged'],
          ['Lookaside-Device', 'twice'],
        ],
      },
      rules,
    );
    assert.deepEqual(fields.all('x-lang'), ['de, en']);
    assert.deepEqual(fields.all(DEVICE_FIELD), ['desktop']);
    assert.deepEqual(fields.all('x-other'), ['1']);
  });

  it('is not copied when there is nothing to change', () => {
    const { fields } = viewOf(LANG_DE).request;
    assert.equal(editedFields(fields, cacheKey(rulesOf(), viewOf(LANG_DE)).edits), fields);
  });
});

describe('two requests', () => {
  const rules = rulesOf(
    { headers: ['x-lang', 'x=y'], cookies: ['a', 'b=&'], device: true },
    { ignore: ['u*'], sort: true },
  );

  /** Few characters, and those that part one thing from another: collisions are to be likely. */
  const text = (characters: string, maxLength: number) =>
    fc.array(fc.constantFrom(...characters), { maxLength }).map((chosen) => chosen.join(''));
  const request: fc.Arbitrary<Sent> = fc.record({
    scheme: fc.constantFrom('http', 'https'),
    host: fc.constantFrom('a', 'A', 'a:80', 'a.', 'a/', 'a/a', 'a%2F', 'a#', '', undefined),
    target: fc
      .tuple(text('a/#%', 2), fc.option(text('au=&#', 3), { nil: undefined }))
      .map(([path, query]) => (query === undefined ? `/${path}` : `/${path}?${query}`)),
    fields: fc.array(
      fc.oneof(
        fc.tuple(fc.constantFrom('X-Lang', 'x=y'), text('a,&# %\u00a0', 2)),
        fc.tuple(fc.constant('Cookie'), text('a=; \u00a0', 4)),
        fc.tuple(fc.constant('Sec-CH-UA-Mobile'), fc.constantFrom('?0', '?1')),
      ),
      { maxLength: 2 },
    ),
  });

  /** All that a key may tell apart, read in the plainest way from what the origin gets. */
  function seenByOrigin({ scheme }: ExchangeView['request'], target: string, fields: Fields): string {
    const cookies = fields
      .all('cookie')
      .flatMap((line) => line.split(';').map((pair) => pair.replace(/^[ \t]+|[ \t]+$/g, '')));
    const named = (name: string) =>
      cookies
        .filter((pair) => pair.replace(/[ \t]*(?==)/, '').split('=', 1)[0] === name)
        .map((pair) => pair.replace(/^([^=]*?)[ \t]*=[ \t]*/, '$1='));
    const parts = [fields.all('x-lang'), fields.all('x=y'), named('a'), named('b'), deviceClass(fields)];
    return JSON.stringify([scheme, fields.all('host'), target, parts]);
  }

  function asked(sent: Sent): { made: CacheKey; seen: string; view: ExchangeView } {
    const view = viewOf(sent);
    const made = cacheKey(rules, view);
    const fields = editedFields(view.request.fields, made.edits);
    return {
      made,
      seen: seenByOrigin(view.request, made.target, fields),
      view: { ...view, request: { ...view.request, fields } },
    };
  }

  it('never share a key when the origin could tell them apart', () => {
    let shared = 0;
    fc.assert(
      fc.property(fc.array(request, { minLength: 200, maxLength: 400, size: 'max' }), (requests) => {
        const seenUnder = new Map<string, string>();
        for (const { made, seen } of requests.map(asked)) {
          const other = seenUnder.get(made.key);
          if (other !== undefined) shared += 1;
          assert.equal(seen, other ?? seen);
          seenUnder.set(made.key, seen);
        }
      }),
      { numRuns: 30 },
    );
    assert.ok(shared > 100, `only ${shared} pairs had one key: the property says nothing`);
  });

  it('that are the normalised one and the one it was made of have one key', () => {
    fc.assert(
      fc.property(request, (sent) => {
        const { made, view } = asked(sent);
        const [host] = view.request.fields.all('host');
        const again = asked({
          ...sent,
          host,
          target: made.target,
          fields: [...view.request.fields].filter(([name]) => name.toLowerCase() !== 'host'),
        });
        assert.equal(again.made.key, made.key);
        assert.equal(again.made.target, made.target);
      }),
    );
  });
});
