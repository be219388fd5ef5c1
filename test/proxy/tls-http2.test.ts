import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { type ClientHttp2Session, constants } from 'node:http2';
import { request } from 'node:https';
import { connect } from 'node:net';
import { after, afterEach, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import type { Config } from '../../src/config/schema.js';
import { askHttp2, connectHttp2, replyOf } from '../support/http2-client.js';
import { type Origin, type Seen, seen, startOrigin, valuesOf } from '../support/origin.js';
import { startProxy, type TestProxy } from '../support/proxy.js';
import { until } from '../support/until.js';
import { Pki } from '../tls/pki.js';

const pki = new Pki();
const site = pki.issue('site.test');
const tls = { cert: site.file, key: site.keyFile, stapling: false } as const;

describe('HTTP/2', () => {
  let origin: Origin;
  let proxy: TestProxy;
  let session: ClientHttp2Session;
  let requests: Seen[] = [];
  let pending: ServerResponse[] = [];
  let left = 0;

  before(async () => {
    origin = await startOrigin(async (incoming, response) => {
      response.once('close', () => {
        if (!response.writableFinished) left++;
      });
      if (incoming.url?.startsWith('/waits')) pending.push(response);
      else if (incoming.url === '/breaks') response.write('begun', () => response.destroy());
      else if (incoming.url === '/hints') {
        response.writeEarlyHints({ link: '</a.css>; rel=preload' }, () => response.end('hinted'));
      } else if (incoming.url === '/cookies') {
        response.setHeader('Set-Cookie', ['a=1', 'b=2']).setHeader('X-List', ['1', '2']).end('cookies');
      } else if (incoming.url === '/refuses') response.writeHead(413).end('too much');
      else {
        requests.push(await seen(incoming));
        response.end(`answer to ${incoming.url}`);
      }
    });
    const cache = { 'memcached.cache': { rules: [{ status: [200], defaultTtl: '1m' }], chain: { proxy: origin.url } } };
    proxy = await startProxy({ tls, actions: [{ 'header.add': { Connection: 'close', 'Keep-Alive': 'x' } }, cache] });
    session = await connectHttp2(proxy.url);
  });
  after(async () => {
    session?.destroy();
    await proxy?.close();
    await origin?.close();
  });
  afterEach(() => {
    requests = [];
    pending = [];
    left = 0;
  });

  test('and HTTP/1.1 share the entries, under https', async () => {
    const { headers, text } = await askHttp2(session, { ':path': '/page?a=1' });
    assert.match(String(headers['cache-status']), /uri-miss.*stored/);
    assert.equal(text, 'answer to /page?a=1');
    const [hit] = await once(
      request(`${proxy.url}/page?a=1`, { headers: { host: 'site.test' }, rejectUnauthorized: false }).end(),
      'response',
    );
    assert.match(hit.resume().headers['cache-status'], /; hit/);
    assert.equal(requests.length, 1);
  });

  test('is for the upstream as if it had been HTTP/1.1', async () => {
    await askHttp2(session, {
      ':path': '/seen%20so',
      cookie: ['a=1', 'b=2'],
      te: 'trailers',
      'x-two': ['1', '2'],
      'cache-control': 'no-store',
    });
    const [got] = requests;
    assert.ok(got);
    assert.equal(got.target, '/seen%20so');
    const fieldsOf = (name: string) => valuesOf(got, name);
    assert.deepEqual(fieldsOf('cookie'), ['a=1; b=2']);
    assert.deepEqual(fieldsOf('x-forwarded-proto'), ['https']);
    assert.deepEqual(fieldsOf('x-forwarded-host'), ['site.test']);
    assert.deepEqual(fieldsOf('x-forwarded-for'), ['127.0.0.1']);
    assert.match(fieldsOf('via').join(), /^2\.0 /);
    assert.deepEqual(fieldsOf('te'), []);
    assert.equal(got.fields.filter(([name]) => name.startsWith(':')).length, 0);
  });

  test('passes bodies on, of known length and not', async () => {
    await askHttp2(session, { ':method': 'POST', ':path': '/known', 'content-length': '5' }, 'known');
    await askHttp2(session, { ':method': 'PUT', ':path': '/unknown' }, (stream) => {
      stream.write('unk');
      setTimeout(() => stream.end('nown'), 20);
    });
    assert.deepEqual(
      requests.map((got) => [got.method, got.body, valuesOf(got, 'content-length').join()]),
      [
        ['POST', 'known', '5'],
        ['PUT', 'unknown', ''],
      ],
    );
  });

  test('tells a client that waits with its body to go on', async () => {
    const reply = await askHttp2(session, { ':method': 'POST', ':path': '/waited', expect: '100-continue' }, (stream) =>
      stream.once('continue', () => stream.end('went on')),
    );
    assert.equal(reply.status, 200);
    assert.equal(requests[0]?.body, 'went on');
  });

  test('ends the exchange when the upstream has answered before the body came', async () => {
    const reply = await askHttp2(session, { ':method': 'POST', ':path': '/refuses' }, (stream) => {
      stream.write('x');
    });
    assert.equal(reply.status, 413);
    assert.equal(reply.text, 'too much');
    assert.equal(reply.reset, 'NO_ERROR');
  });

  test('has one line for each cookie, and no fields of connections', async () => {
    const { headers } = await askHttp2(session, { ':path': '/cookies' });
    assert.deepEqual(headers['set-cookie'], ['a=1', 'b=2']);
    assert.equal(headers['x-list'], '1, 2');
    assert.equal(headers.connection ?? headers['keep-alive'] ?? headers['transfer-encoding'], undefined);
  });

  test('answers HEAD without a body', async () => {
    const reply = await askHttp2(session, { ':method': 'HEAD', ':path': '/page?a=1' });
    assert.deepEqual([reply.status, reply.text, reply.reset], [200, '', 'NO_ERROR']);
    assert.equal(reply.headers['content-length'], String('answer to /page?a=1'.length));
  });

  test('passes interim responses on', async () => {
    const reply = await askHttp2(session, { ':path': '/hints' });
    assert.deepEqual(
      reply.interim.map((head) => [head[':status'], head.link]),
      [[103, '</a.css>; rel=preload']],
    );
    assert.equal(reply.text, 'hinted');
  });

  test('resets the stream of a body that breaks off, and no other', async () => {
    const other = askHttp2(session, { ':path': '/waits' });
    await until(() => pending.length === 1, 'the origin was not asked');
    const reply = await askHttp2(session, { ':path': '/breaks' });
    assert.equal(reply.reset, 'INTERNAL_ERROR', `${reply.status} ${reply.text}`);
    pending[0]?.end('well');
    assert.equal((await other).text, 'well');
  });

  test('lets go of the upstream when the client resets its stream', async () => {
    const stream = session.request({ ':method': 'POST', ':path': '/waits/in-vain', ':authority': 'site.test' });
    const reply = replyOf(stream.end('body'));
    await until(() => pending.length === 1, 'the origin was not asked');
    stream.close(constants.NGHTTP2_CANCEL);
    await reply;
    await until(() => left === 1, 'the upstream still works for nobody');
  });

  /** Requests, and the status that is expected. */
  const REFUSED: readonly (readonly [why: string, headers: Record<string, string>, status: number])[] = [
    ['another scheme', { ':scheme': 'http', ':path': '/' }, 400],
    ['two hosts', { ':authority': 'a.test', host: 'b.test', ':path': '/' }, 400],
    ['an authority with a user', { ':authority': 'user@a.test', ':path': '/' }, 400],
    ['a target that is no path', { ':method': 'OPTIONS', ':path': '*' }, 400],
    ['a target with bytes that HTTP/1.1 has not', { ':path': '/\xe4' }, 400],
    ['an expectation nobody knows', { ':path': '/', expect: 'miracles' }, 417],
    ['a tunnel', { ':method': 'CONNECT', ':authority': 'a.test:443' }, 501],
  ];
  for (const [why, headers, status] of REFUSED) {
    test(`refuses ${why} with ${status}, and goes on`, async () => {
      const reply = await askHttp2(session, headers);
      assert.equal(reply.status, status, reply.reset);
      assert.equal(requests.length, 0);
      assert.equal((await askHttp2(session, { ':path': '/goes-on' })).status, 200);
    });
  }
});

describe('the limits of HTTP/2', () => {
  const started: { close(): Promise<void> }[] = [];
  const sessions: ClientHttp2Session[] = [];

  afterEach(async () => {
    for (const session of sessions.splice(0)) session.destroy();
    for (const one of started.splice(0)) await one.close();
  });

  async function start(server: Config['server'], actions: Config['actions'] = { respond: { body: 'x' } }) {
    const proxy = await startProxy({ tls, server, actions });
    started.push(proxy);
    const session = await connectHttp2(proxy.url);
    sessions.push(session);
    return { proxy, session };
  }

  async function waiting() {
    const pending: ServerResponse[] = [];
    const origin = await startOrigin((_request, response) => void pending.push(response));
    started.push(origin);
    return { pending, actions: { proxy: origin.url } };
  }

  test('are told to the client', async () => {
    const { session } = await start({ maxConcurrentStreams: 7, maxHeaderSize: '2KiB' });
    if (session.remoteSettings.maxConcurrentStreams === undefined) await once(session, 'remoteSettings');
    await until(() => session.remoteSettings.maxConcurrentStreams === 7, 'it is another number of streams');
    assert.equal(session.remoteSettings.maxHeaderListSize, 2048);
  });

  test('a head that is too large is refused, and nothing else', async () => {
    const { session } = await start({ maxHeaderSize: '2KiB' });
    const reply = await askHttp2(session, { ':path': '/', 'x-large': 'x'.repeat(3000) });
    assert.ok(reply.status === 431 || reply.reset === 'ENHANCE_YOUR_CALM', `${reply.status} ${reply.reset}`);
    const many = Object.fromEntries(Array.from({ length: 60 }, (_, n) => [`x-${n}`, '']));
    assert.equal((await askHttp2(session, { ':path': '/', ...many })).status, 0, 'the shortest fields count, too');
    assert.equal((await askHttp2(session, { ':path': '/' })).status, 200);
  });

  test('a connection without requests ends', async () => {
    const { session } = await start({ keepAliveTimeout: '200ms' });
    const closed = once(session, 'close', { signal: AbortSignal.timeout(10_000) });
    const goaway = once(session, 'goaway', { signal: AbortSignal.timeout(10_000) });
    assert.equal((await askHttp2(session, { ':path': '/' })).status, 200);
    assert.equal((await goaway)[0], constants.NGHTTP2_NO_ERROR);
    await closed;
  });

  test('one over which nothing is ever asked ends, whatever it speaks', async () => {
    const { proxy, session } = await start({ headersTimeout: '200ms' });
    const port = Number(new URL(proxy.url).port);
    const http1 = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false, ALPNProtocols: ['http/1.1'] });
    const silent = connect(port, '127.0.0.1');
    for (const socket of [http1, silent]) socket.on('error', () => {}).resume();
    await Promise.all([session, http1, silent].map((connection) => once(connection, 'close')));
  });

  test('a body that does not come is not waited for', async () => {
    const { actions } = await waiting();
    const { session } = await start({ requestTimeout: '200ms' }, actions);
    const reply = await askHttp2(session, { ':method': 'POST', ':path': '/' }, (stream) => {
      stream.write('x');
    });
    assert.deepEqual([reply.status, reply.reset], [0, 'INTERNAL_ERROR']);
  });

  test('a client that does not read is not waited for', async () => {
    const { session } = await start({ idleTimeout: '300ms' }, { respond: { body: 'x'.repeat(1_000_000) } });
    const stream = session.request({ ':path': '/', ':authority': 'site.test' });
    stream.on('error', () => {});
    await until(() => stream.closed, 'it still waits');
    assert.equal(stream.rstCode, constants.NGHTTP2_INTERNAL_ERROR);
  });

  test('a client that resets its requests at once is shut out', async () => {
    const { session } = await start({});
    const goaway = once(session, 'goaway', { signal: AbortSignal.timeout(10_000) });
    for (let round = 0; round < 40 && !session.destroyed; round++) {
      for (let n = 0; n < 100 && !session.destroyed; n++) {
        const stream = session.request({ ':path': '/', ':authority': 'site.test' });
        stream.on('error', () => {});
        stream.close(constants.NGHTTP2_CANCEL);
      }
      await delay(5);
    }
    assert.notEqual((await goaway)[0], constants.NGHTTP2_NO_ERROR);
  });

  test('what is in flight is answered when the proxy closes, and nothing more is taken', async () => {
    const { pending, actions } = await waiting();
    const { proxy, session } = await start({ drainTimeout: '10s' }, actions);
    const goaway = once(session, 'goaway');
    const reply = askHttp2(session, { ':path': '/' });
    await until(() => pending.length === 1, 'the origin was not asked');
    const closed = proxy.close();
    assert.equal((await goaway)[0], constants.NGHTTP2_NO_ERROR);
    await assert.rejects(connectHttp2(proxy.url), /ECONNREFUSED/);
    pending[0]?.end('late');
    assert.equal((await reply).text, 'late');
    const begun = performance.now();
    await closed;
    assert.ok(performance.now() - begun < 5000, 'it waited for the drain timeout');
  });

  test('what does not finish within drainTimeout is broken off', async () => {
    const { pending, actions } = await waiting();
    const { proxy, session } = await start({ drainTimeout: '300ms' }, actions);
    const reply = askHttp2(session, { ':path': '/' });
    await until(() => pending.length === 1, 'the origin was not asked');
    await proxy.close();
    assert.equal((await reply).status, 0);
  });
});
