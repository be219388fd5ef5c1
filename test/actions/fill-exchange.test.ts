import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import type { Step } from '../../src/actions/chain.js';
import { FillExchange } from '../../src/actions/fill-exchange.js';
import { proxyAction } from '../../src/actions/proxy.js';
import { Fields } from '../../src/http/fields.js';
import { stepOf } from '../support/action.js';
import { exchangeOf } from '../support/exchange.js';
import { startOrigin, startRecordingOrigin, valuesOf } from '../support/origin.js';
import { until } from '../support/until.js';

test('a fill asks for what its exchange does, with a copy of everything', async () => {
  const exchange = await exchangeOf({ url: '/a?b', headers: { 'x-a': '1' } });
  exchange.environment.set('user', 'u');
  exchange.captures = ['whole'];
  exchange.physical = { docroot: '/srv', path: '/a' };
  const fill = new FillExchange(exchange);
  assert.deepEqual(fill.request, { ...exchange.request });
  assert.deepEqual([fill.captures, fill.physical], [['whole'], { docroot: '/srv', path: '/a' }]);
  fill.request.fields.set('X-A', '2');
  fill.request.target = '/other';
  fill.environment.set('user', 'other');
  if (fill.physical !== undefined) fill.physical.path = '/other';
  fill.respond({ status: 200, fields: new Fields(), body: null, delimited: true });
  assert.equal(exchange.request.fields.get('x-a'), '1');
  assert.equal(exchange.request.target, '/a?b');
  assert.equal(exchange.environment.get('user'), 'u');
  assert.equal(exchange.physical.path, '/a');
  assert.equal(exchange.response, undefined);
});

test('a fill may ask with other fields, of another target, by another method', async () => {
  const exchange = await exchangeOf({ method: 'HEAD', url: '/a?b' });
  const fields = new Fields(['Host', 'example.com', 'If-None-Match', '"e"']);
  const { request } = new FillExchange(exchange, { fields, target: '/p%2f/..?q', method: 'GET' });
  assert.deepEqual([...request.fields], [...fields]);
  assert.deepEqual(
    [request.method, request.target, request.path, request.query, request.ambiguousPath],
    ['GET', '/p%2f/..?q', '/', 'q', true],
  );
});

test('a fill has no body, and says nothing of one', async () => {
  const headers = { expect: '100-continue', upgrade: 'websocket', 'transfer-encoding': 'chunked' };
  const exchange = await exchangeOf({ method: 'POST', body: 'body', headers });
  assert.equal(exchange.request.hasBody, true);
  const { request, client } = new FillExchange(exchange);
  assert.deepEqual([...request.fields], [['host', 'example.com']]);
  assert.equal(request.hasBody, false);
  assert.equal(client.takeBody(), undefined);
  assert.equal(client.upgrade, undefined);
});

/** The step of a proxy to an origin that does as `answer` says. */
async function proxying(t: TestContext, answer: (response: ServerResponse) => void): Promise<Step> {
  const origin = await startOrigin((_request, response) => answer(response));
  t.after(() => origin.close());
  return stepOf(proxyAction, origin.url);
}

test('interim responses to a fill go to who asked for them', async (t) => {
  const proxy = await proxying(t, (response) => {
    response.writeEarlyHints({ link: '</a.css>; rel=preload' });
    response.end('done');
  });
  const interims: [number, ...string[]][] = [];
  const fill = new FillExchange(await exchangeOf(), {
    onInterim: (status, fields) => interims.push([status, ...fields.flat()]),
  });
  await proxy(fill);
  assert.deepEqual(interims, [[103, 'Link', '</a.css>; rel=preload']]);
  assert.equal(fill.response?.status, 200);
  await proxy(new FillExchange(await exchangeOf()));
});

test('a short response comes whole, a longer one as a stream', async (t) => {
  const short = new FillExchange(await exchangeOf());
  await (await proxying(t, (response) => response.end('short')))(short);
  assert.deepEqual(short.response?.body, Buffer.from('short'));
  const long = new FillExchange(await exchangeOf());
  const bytes = 'x'.repeat(1_000_000);
  await (await proxying(t, (response) => response.end(bytes)))(long);
  const body = long.response?.body;
  assert.ok(body instanceof Readable);
  assert.equal(await text(body), bytes);
});

test('abandoned before the response, a fill ends at once, and so does its request', async (t) => {
  let closed = false;
  let asked = false;
  const proxy = await proxying(t, (response) => {
    asked = true;
    response.once('close', () => {
      closed = true;
    });
  });
  const fill = new FillExchange(await exchangeOf());
  const done = proxy(fill);
  await until(() => asked, 'the origin was not asked');
  fill.abandon();
  await done;
  assert.equal(fill.response?.status, 499);
  assert.equal(fill.response.failure, undefined);
  await until(() => closed, 'the upstream was not let go');
  assert.equal(fill.client.isGone, true);
});

test('abandoned within the body, it breaks off, and so does its request', async (t) => {
  let closed = false;
  const proxy = await proxying(t, (response) => {
    response.write('part');
    response.once('close', () => {
      closed = true;
    });
  });
  const fill = new FillExchange(await exchangeOf());
  await proxy(fill);
  const body = fill.response?.body;
  assert.ok(body instanceof Readable);
  fill.abandon();
  assert.equal(body.destroyed, true, 'though nobody listens');
  await assert.rejects(text(body));
  await until(() => closed, 'the upstream was not let go');
});

test('abandoned before it began, it asks for nothing', async (t) => {
  const origin = await startRecordingOrigin();
  t.after(() => origin.close());
  const fill = new FillExchange(await exchangeOf());
  fill.abandon();
  await stepOf(proxyAction, origin.url)(fill);
  assert.equal(fill.response?.status, 499);
  const next = new FillExchange(await exchangeOf({ url: '/next' }));
  await stepOf(proxyAction, origin.url)(next);
  assert.deepEqual(
    origin.requests.map(({ target }) => target),
    ['/next'],
  );
});

test('the response of a fill that ended is not touched by abandoning it', async (t) => {
  const proxy = await proxying(t, (response) => response.end('whole'));
  const fill = new FillExchange(await exchangeOf());
  await proxy(fill);
  fill.abandon();
  assert.deepEqual(fill.response?.body, Buffer.from('whole'));
});

test('the upstream learns which version the client speaks', async (t) => {
  const origin = await startRecordingOrigin();
  t.after(() => origin.close());
  await stepOf(proxyAction, origin.url)(new FillExchange(await exchangeOf()));
  const [request] = origin.requests;
  assert.deepEqual(request === undefined ? [] : valuesOf(request, 'via'), ['1.1 lookaside']);
});
