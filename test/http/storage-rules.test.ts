import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatHttpDate } from '../../src/http/date.js';
import { Fields } from '../../src/http/fields.js';
import { REQUEST_REFUSALS, type StoragePlan, storagePlan } from '../../src/http/storage-rules.js';

const NOW = Date.UTC(2026, 6, 1);
const at = (seconds: number) => formatHttpDate(NOW + seconds * 1000);
const DAY = 86400;
const URL = 'http://example.org/a?b';

interface Case {
  readonly method?: string;
  readonly status?: number;
  readonly request?: string[];
  readonly response?: string[];
  readonly profile?: 'rfc' | 'safe';
  readonly ttlSeconds?: number;
  readonly defaultTtlSeconds?: number;
  readonly unsafe?: boolean;
}

function plan({ method = 'GET', status = 200, request = [], response = [], profile = 'rfc', ...rule }: Case) {
  return storagePlan(
    { method, fields: new Fields(request), url: URL },
    { status, fields: new Fields(response) },
    { targets: ['CDN-Cache-Control'], profile, ...rule },
    { requestedMs: NOW, receivedMs: NOW },
  );
}

/** A refusal, or for how long from what and with which revalidation. */
function summary(found: ReturnType<typeof plan>): string {
  return typeof found === 'string' ? found : `${found.source} ${found.lifetimeSeconds} ${found.revalidation}`;
}

function check(cases: readonly (readonly [situation: Case, wanted: string])[]) {
  for (const [situation, wanted] of cases) assert.equal(summary(plan(situation)), wanted, JSON.stringify(situation));
}

function stored(situation: Case): StoragePlan {
  const found = plan(situation);
  assert.ok(typeof found !== 'string', String(found));
  return found;
}

const cc = (...values: string[]) => values.flatMap((value) => ['Cache-Control', value]);
const FRESH = cc('max-age=100');

test('GET is stored, HEAD and unknown methods are not', () => {
  check([
    [{ response: FRESH }, 'max-age 100 may'],
    [{ method: 'HEAD', response: FRESH }, 'method'],
    [{ method: 'PUT', response: FRESH }, 'method'],
    [{ method: 'QUERY', response: FRESH }, 'method'],
    [{ method: 'get', response: FRESH }, 'method'],
  ]);
});

test('the response to a POST is stored when it says that it is what a GET would get, and for how long', () => {
  const from = (location: string) => ['Content-Location', location];
  check([
    [{ method: 'POST', response: [...FRESH, ...from('/a?b')] }, 'max-age 100 may'],
    [{ method: 'POST', response: [...FRESH, ...from('')] }, 'max-age 100 may'],
    [{ method: 'POST', response: [...FRESH, ...from('HTTP://Example.org:80/a?b')] }, 'max-age 100 may'],
    [{ method: 'POST', response: [...FRESH, ...from('/a')] }, 'method'],
    [{ method: 'POST', response: [...FRESH, ...from('http://example.com/a?b')] }, 'method'],
    [{ method: 'POST', response: FRESH }, 'method'],
    [{ method: 'POST', response: ['Last-Modified', at(-DAY), ...from('/a?b')] }, 'method'],
    [{ method: 'POST', status: 201, response: [...FRESH, ...from('/a?b')] }, 'method'],
  ]);
});

test('private and no-store, in any spelling, are not stored; neither is what the client forbids to store', () => {
  check([
    [{ response: cc('private, max-age=3600') }, 'private'],
    [{ response: cc('PRIVATE', 'max-age=3600') }, 'private'],
    [{ response: cc('private=""') }, 'private'],
    [{ response: cc('private, private="x", max-age=9') }, 'private'],
    [{ response: cc('private="x", max-age=9') }, 'max-age 9 may'],
    [{ response: cc('No-StOrE, max-age=9') }, 'no-store'],
    [{ response: cc('no-store="x", max-age=9') }, 'no-store'],
    [{ request: cc('no-store'), response: FRESH }, 'request-no-store'],
    [{ request: cc('x="no-store"'), response: FRESH }, 'max-age 100 may'],
  ]);
});

test('a targeted field is obeyed in the place of Cache-Control', () => {
  const cdn = (value: string, ...more: string[]) => ({ response: ['CDN-Cache-Control', value, ...more] });
  check([
    [cdn('max-age=10000', ...cc('no-store')), 'max-age 10000 may'],
    [cdn('private', ...FRESH, 'Expires', at(99), 'Date', at(0)), 'private'],
    [cdn('no-store', ...FRESH), 'no-store'],
    [cdn('no-cache', ...FRESH, 'ETag', '"a"'), 'none 0 always'],
    [cdn('max-age="10000"', ...cc('no-store')), 'no-store'],
  ]);
});

test('must-understand puts no-store out of force for a status we know, and forbids any other', () => {
  const response = cc('max-age=3600, no-store, must-understand');
  check([
    [{ response }, 'max-age 3600 may'],
    [{ status: 404, response }, 'max-age 3600 may'],
    [{ status: 599, response }, 'must-understand'],
    [{ status: 599, response: cc('max-age=3600, must-understand') }, 'must-understand'],
    [{ response: cc('max-age=3600, no-store, must-understand, private') }, 'private'],
  ]);
});

test('the response to a request with Authorization is stored where it says that it is for everybody', () => {
  const request = ['Authorization', 'Basic x'];
  check([
    [{ request, response: FRESH }, 'authorization'],
    [{ request, response: ['Expires', at(99), 'Date', at(0)] }, 'authorization'],
    [{ request, response: cc('max-age=100, public') }, 'max-age 100 may'],
    [{ request, response: cc('max-age=100, must-revalidate') }, 'max-age 100 must'],
    [{ request, response: cc('s-maxage=100') }, 's-maxage 100 must'],
    [{ request, response: cc('max-age=100, proxy-revalidate') }, 'authorization'],
    [{ request, response: ['CDN-Cache-Control', 'max-age=5', ...cc('public')] }, 'authorization'],
    [{ request, response: cc('public, private') }, 'private'],
  ]);
});

test('Vary: * is not stored', () => {
  for (const vary of [['*'], ['*, *'], [', *'], ['', '*'], ['Foo, *'], ['*, Foo']]) {
    check([[{ response: [...FRESH, ...vary.flatMap((line) => ['Vary', line])] }, 'vary']]);
  }
  check([[{ response: [...FRESH, 'Vary', 'Foo'] }, 'max-age 100 may']]);
});

test('any final status is stored with explicit freshness, save 304 and 416', () => {
  for (const status of [200, 203, 204, 299, 301, 302, 303, 307, 308, 400, 404, 410, 499, 500, 502, 503, 504, 599]) {
    check([[{ status, response: FRESH }, 'max-age 100 may']]);
    check([[{ status, response: FRESH, profile: 'safe' }, 'max-age 100 may']]);
  }
  for (const status of [101, 103, 304, 416, 600]) check([[{ status, response: FRESH }, 'status']]);
});

test('without explicit freshness only what may be guessed about is stored', () => {
  const response = ['Last-Modified', at(-DAY), 'Date', at(0)];
  for (const status of [200, 203, 204, 404, 405, 410, 414, 501]) check([[{ status, response }, 'heuristic 8640 may']]);
  for (const status of [201, 202, 302, 403, 502, 503, 504, 599]) check([[{ status, response }, 'no-freshness']]);
  check([[{ status: 599, response: [...response, ...cc('public')] }, 'heuristic 8640 may']]);
});

test('a part is stored when it says which part of what it is', () => {
  const part = (...flat: string[]) => ({ status: 206, response: [...FRESH, ...flat] });
  check([
    [part('Content-Range', 'bytes 0-4/10'), 'max-age 100 may'],
    [part('Content-Range', 'bytes 0-4/10', 'Content-Length', '5'), 'max-age 100 may'],
    [part('Content-Range', 'bytes 4-9/10', 'Content-Length', '5'), 'partial'],
    [part('Content-Range', 'bytes 0-4/*'), 'partial'],
    [part(), 'partial'],
  ]);
});

test('no-cache is stored to be revalidated, which takes a validator', () => {
  check([
    [{ response: [...cc('no-cache'), 'ETag', '"a"'] }, 'none 0 always'],
    [{ response: [...cc('max-age=100, no-cache'), 'ETag', '"a"'] }, 'max-age 0 always'],
    [{ response: cc('max-age=100, No-CaChE') }, 'no-cache'],
    [{ response: cc('no-cache, no-cache="x", max-age=100') }, 'no-cache'],
    [{ response: cc('no-cache="x"', 'max-age=100') }, 'max-age 100 may'],
  ]);
});

test('fields that a directive names are not stored', () => {
  const response = [...cc('no-cache="a, B"', 'private="c", max-age=5'), 'a', '1'];
  assert.deepEqual(stored({ response }).droppedFields, ['a', 'b', 'c']);
  assert.deepEqual(stored({ response: FRESH }).droppedFields, []);
});

test('what says nothing of its freshness is stored only to be revalidated', () => {
  check([
    [{}, 'no-freshness'],
    [{ response: ['ETag', '"a"'] }, 'none 0 may'],
    [{ response: ['ETag', '*'] }, 'no-freshness'],
    [{ response: ['Last-Modified', 'yesterday'] }, 'no-freshness'],
    [{ response: cc('max-age=0') }, 'max-age 0 may'],
  ]);
});

test('s-maxage, must-revalidate and proxy-revalidate forbid stale use, whatever windows are given', () => {
  const windows = 'stale-while-revalidate=5, stale-if-error=6';
  for (const directive of ['s-maxage=9', 'must-revalidate, max-age=9', 'proxy-revalidate, max-age=9']) {
    const { revalidation, staleWhileRevalidateSeconds, staleIfErrorSeconds } = stored({
      response: cc(directive, windows),
    });
    assert.deepEqual([revalidation, staleWhileRevalidateSeconds, staleIfErrorSeconds], ['must', 0, 0], directive);
  }
  const { staleWhileRevalidateSeconds, staleIfErrorSeconds } = stored({ response: cc('max-age=9', windows) });
  assert.deepEqual([staleWhileRevalidateSeconds, staleIfErrorSeconds], [5, 6]);
  assert.equal(stored({ response: FRESH }).staleIfErrorSeconds, undefined);
});

test('profile safe takes stale-while-revalidate beside s-maxage at its word, and nothing else', () => {
  const windowsOf = (...directives: string[]) => {
    const plan = stored({ response: cc(...directives), profile: 'safe' });
    return [plan.revalidation, plan.staleWhileRevalidateSeconds, plan.staleIfErrorSeconds];
  };
  assert.deepEqual(windowsOf('s-maxage=9', 'stale-while-revalidate=5'), ['may', 5, 0]);
  assert.deepEqual(windowsOf('s-maxage=9', 'stale-if-error=6'), ['may', 0, 6]);
  assert.deepEqual(windowsOf('s-maxage=9'), ['must', 0, 0]);
  assert.deepEqual(windowsOf('s-maxage=9', 'stale-while-revalidate=5', 'must-revalidate'), ['must', 0, 0]);
});

test('immutable and the age on receipt are part of the plan', () => {
  const { immutable, ageSeconds } = stored({ response: [...cc('max-age=9, immutable'), 'Age', '30'] });
  assert.deepEqual([immutable, ageSeconds], [true, 30]);
  assert.equal(stored({ response: FRESH }).immutable, false);
});

test('Pragma in a response means nothing', () => {
  check([[{ response: [...FRESH, 'Pragma', 'no-cache'] }, 'max-age 100 may']]);
});

test('safe: what sets a cookie is not stored, unless the cookie is not', () => {
  const response = [...cc('public, max-age=100'), 'Set-Cookie', 'a=b'];
  check([
    [{ response }, 'max-age 100 may'],
    [{ response, profile: 'safe' }, 'set-cookie'],
    [{ response: [...cc('no-cache="Set-Cookie"'), ...response], profile: 'safe' }, 'max-age 100 may'],
  ]);
});

test('safe: an error is stored only when the origin says for how long', () => {
  const profile = 'safe';
  for (const status of [400, 404, 405, 410, 414, 501]) {
    check([[{ status, response: cc('max-age=0'), profile }, 'error-status']]);
  }
  for (const status of [404, 405, 410, 414, 501]) {
    check([
      [{ status, response: ['ETag', '"a"'] }, 'none 0 may'],
      [{ status, response: ['ETag', '"a"'], profile }, 'error-status'],
      [{ status, response: ['Last-Modified', at(-DAY), 'Date', at(0)], profile }, 'heuristic 8640 may'],
    ]);
  }
  const response = ['Last-Modified', at(-DAY), 'Date', at(0), ...cc('public')];
  check([[{ status: 599, response, profile }, 'heuristic 8640 may']]);
});

test('safe: what was made for a cookie is stored only when the origin says that it is for everybody', () => {
  const request = ['Cookie', 'a=b'];
  const profile = 'safe';
  const modified = ['Last-Modified', at(-DAY), 'Date', at(0)];
  check([
    [{ request, response: modified }, 'heuristic 8640 may'],
    [{ request, response: modified, profile }, 'cookie'],
    [{ request, response: ['ETag', '"a"'], profile }, 'cookie'],
    [{ request, response: cc('max-age=0'), profile }, 'cookie'],
    [{ request, response: FRESH, profile }, 'max-age 100 may'],
    [{ request, response: cc('s-maxage=1'), profile }, 's-maxage 1 must'],
    [{ request, response: ['Expires', at(60), 'Date', at(0)], profile }, 'expires 60 may'],
    [{ request, response: [...modified, ...cc('public')], profile }, 'heuristic 8640 may'],
  ]);
});

test('a refusal because of the request says so', () => {
  assert.deepEqual([...REQUEST_REFUSALS].sort(), ['authorization', 'cookie', 'method', 'request-no-store']);
});

test('a ttl of the operator stands in for what the response says of its lifetime, not for what it forbids', () => {
  const ttlSeconds = 50;
  for (const profile of ['rfc', 'safe'] as const) {
    check([
      [{ ttlSeconds, profile }, 'rule 50 may'],
      [{ ttlSeconds, profile, status: 404 }, 'rule 50 may'],
      [{ ttlSeconds, profile, status: 302, request: ['Cookie', 'a=b'] }, 'rule 50 may'],
      [{ ttlSeconds, profile, response: cc('max-age=0, must-revalidate') }, 'rule 50 must'],
      [{ ttlSeconds, profile, response: ['Age', '30'] }, 'rule 80 may'],
      [{ ttlSeconds, profile, response: [...cc('no-cache'), 'ETag', '"a"'] }, 'rule 0 always'],
      [{ ttlSeconds, profile, response: cc('no-cache'), status: 302, request: ['Cookie', 'a=b'] }, 'no-cache'],
      [{ ttlSeconds, profile, response: cc('private'), status: 302 }, 'private'],
      [{ ttlSeconds, profile, response: cc('no-store'), status: 503 }, 'no-store'],
      [{ ttlSeconds, profile, request: ['Authorization', 'x'] }, 'authorization'],
      [{ ttlSeconds, profile, response: ['Vary', '*'] }, 'vary'],
      [{ ttlSeconds, profile, status: 304 }, 'status'],
    ]);
  }
  check([[{ ttlSeconds, profile: 'safe', response: ['Set-Cookie', 'a=b'], status: 404 }, 'set-cookie']]);
});

test('a default ttl is for responses that do not say it themselves, and forbids nothing less', () => {
  const defaultTtlSeconds = 50;
  const dated = ['Last-Modified', at(-10 * DAY)];
  for (const profile of ['rfc', 'safe'] as const) {
    check([
      [{ defaultTtlSeconds, profile }, 'default 50 may'],
      [{ defaultTtlSeconds, profile, status: 302 }, 'default 50 may'],
      [{ defaultTtlSeconds, profile, status: 404 }, 'default 50 may'],
      [{ defaultTtlSeconds, profile, response: dated }, 'default 50 may'],
      [{ defaultTtlSeconds, profile, response: ['Age', '30'] }, 'default 80 may'],
      [{ defaultTtlSeconds, profile, response: cc('public') }, 'default 50 may'],
      [{ defaultTtlSeconds, profile, response: FRESH }, 'max-age 100 may'],
      [{ defaultTtlSeconds, profile, response: [...cc('max-age=0'), 'ETag', '"a"'] }, 'max-age 0 may'],
      [{ defaultTtlSeconds, profile, response: cc('no-cache') }, 'no-cache'],
      [{ defaultTtlSeconds, profile, response: cc('private') }, 'private'],
      [{ defaultTtlSeconds, profile, request: ['Authorization', 'x'] }, 'authorization'],
      [{ defaultTtlSeconds, profile, method: 'POST', response: ['Content-Location', URL] }, 'method'],
      [{ defaultTtlSeconds, ttlSeconds: 5, profile }, 'rule 5 may'],
    ]);
  }
  const request = ['Cookie', 'a=b'];
  check([
    [{ defaultTtlSeconds, profile: 'rfc', request }, 'default 50 may'],
    [{ defaultTtlSeconds, profile: 'safe', request }, 'cookie'],
    [{ defaultTtlSeconds, profile: 'safe', response: ['Set-Cookie', 'a=b'] }, 'set-cookie'],
  ]);
});

test('unsafe overrides what forbids to store, and nothing else', () => {
  const unsafe = true;
  const response = [...cc('private, no-store, max-age=9'), 'Set-Cookie', 'a=b'];
  const request = ['Authorization', 'x', ...cc('no-store')];
  check([
    [{ unsafe, profile: 'safe', request, response }, 'max-age 9 may'],
    [{ unsafe, request, response: [...response, 'Vary', '*'] }, 'vary'],
    [{ unsafe, request, response, status: 206 }, 'partial'],
    [{ unsafe, request, response, method: 'PUT' }, 'method'],
    [{ unsafe, request, response: cc('private') }, 'no-freshness'],
    [{ unsafe, request, response: cc('private'), ttlSeconds: 5 }, 'rule 5 may'],
    [{ unsafe, response: cc('max-age=9, no-cache') }, 'no-cache'],
  ]);
});

test('the gravest of several refusals is given', () => {
  const response = [...cc('private, no-cache'), 'Vary', '*', 'Set-Cookie', 'a=b'];
  const request = ['Authorization', 'x', 'Cookie', 'a=b'];
  check([
    [{ profile: 'safe', status: 503, request, response, method: 'HEAD' }, 'method'],
    [{ profile: 'safe', status: 503, request, response }, 'vary'],
    [{ profile: 'safe', status: 503, request, response: response.slice(0, 2) }, 'authorization'],
    [{ profile: 'safe', status: 503, request: request.slice(2), response: response.slice(0, 2) }, 'private'],
    [{ profile: 'safe', status: 503, request: request.slice(2), response: cc('no-cache') }, 'no-cache'],
  ]);
});
