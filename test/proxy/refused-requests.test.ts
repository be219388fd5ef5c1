import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Origin, type Seen, startRecordingOrigin, valuesOf } from '../support/origin.js';
import { startProxy, type TestProxy } from '../support/proxy.js';
import { rawRequest, statusesIn } from '../support/raw-client.js';

/** What is answered with one error and the end of the connection. `|` stands for a line end. */
const REFUSED: { readonly [what: string]: readonly [status: number, request: string] } = {
  'no Host': [400, 'GET / HTTP/1.1||'],
  'two Hosts': [400, 'GET / HTTP/1.1|Host: a|Host: b||'],
  'two Hosts that are the same': [400, 'GET / HTTP/1.1|Host: a|host: a||'],
  'an empty Host': [400, 'GET / HTTP/1.1|Host:||'],
  'a Host with a user': [400, 'GET / HTTP/1.1|Host: a@b||'],
  'a Host with a path': [400, 'GET / HTTP/1.1|Host: a/b||'],
  'a Host with a backslash': [400, 'GET / HTTP/1.1|Host: a\\b||'],
  'a Host with a space': [400, 'GET / HTTP/1.1|Host: a b||'],
  'a Host of dots': [400, 'GET / HTTP/1.1|Host: ..||'],
  'a Host with an empty label': [400, 'GET / HTTP/1.1|Host: a..b||'],
  'a Host list': [400, 'GET / HTTP/1.1|Host: a,b||'],
  'a Host with bytes above ASCII': [400, 'GET / HTTP/1.1|Host: \xe4||'],
  'a port that is no number': [400, 'GET / HTTP/1.1|Host: a:b||'],
  'absolute-form for another host': [400, 'GET http://b/ HTTP/1.1|Host: a||'],
  'absolute-form for another port': [400, 'GET http://a:81/ HTTP/1.1|Host: a||'],
  'absolute-form with a user': [400, 'GET http://a@b/ HTTP/1.1|Host: b||'],
  'absolute-form with another scheme': [400, 'GET file:///etc/passwd HTTP/1.1|Host: a||'],
  'absolute-form without a host': [400, 'GET http:/// HTTP/1.1|Host: a||'],
  'a target that is no path': [400, 'GET \\\\b\\ HTTP/1.1|Host: a||'],
  'asterisk-form': [400, 'OPTIONS * HTTP/1.1|Host: a||'],
  'Transfer-Encoding in HTTP/1.0': [
    400,
    'POST / HTTP/1.0|Host: a|Transfer-Encoding: chunked|Connection: keep-alive||0||',
  ],
  'Transfer-Encoding and Content-Length': [
    400,
    'POST / HTTP/1.1|Host: a|Transfer-Encoding: chunked|Content-Length: 5||0||',
  ],
  'another transfer coding': [501, 'POST / HTTP/1.1|Host: a|Transfer-Encoding: gzip, chunked||0||'],
  'a transfer coding twice': [
    400,
    'POST / HTTP/1.1|Host: a|Transfer-Encoding: chunked|Transfer-Encoding: chunked||0||',
  ],
  'a transfer coding that is not last': [400, 'POST / HTTP/1.1|Host: a|Transfer-Encoding: chunked, gzip||0||'],
  'two Content-Lengths': [400, 'POST / HTTP/1.1|Host: a|Content-Length: 1|Content-Length: 2||ab'],
  'a Content-Length list': [400, 'POST / HTTP/1.1|Host: a|Content-Length: 1, 1||a'],
  'a Content-Length with a sign': [400, 'POST / HTTP/1.1|Host: a|Content-Length: +1||a'],
  'a folded line': [400, 'GET / HTTP/1.1|Host: a|X: 1| 2||'],
  'a space in front of a colon': [400, 'GET / HTTP/1.1|Host: a|X : 1||'],
  'a bare CR in a field': [400, 'GET / HTTP/1.1|Host: a|X: 1\r2||'],
  'a NUL in a field': [400, 'GET / HTTP/1.1|Host: a|X: \0||'],
  'a line without a colon': [400, 'GET / HTTP/1.1|Host: a|X||'],
  'an unknown method': [400, 'HELLO / HTTP/1.1|Host: a||'],
  'an unknown expectation': [417, 'POST / HTTP/1.1|Host: a|Expect: 200-ok|Content-Length: 1||a'],
};

const SMUGGLED = 'GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n';

describe('requests that could mean two things', () => {
  let origin: Origin & { readonly requests: readonly Seen[] };
  let proxy: TestProxy;

  before(async () => {
    origin = await startRecordingOrigin();
    proxy = await startProxy({ actions: { proxy: origin.url } });
  });
  after(async () => {
    await proxy?.close();
    await origin?.close();
  });

  for (const [what, [status, request]] of Object.entries(REFUSED)) {
    test(`${what}: ${status}, and nothing behind it is a request`, async () => {
      const before = origin.requests.length;
      const received = await rawRequest(proxy.url, request.replaceAll('|', '\r\n') + SMUGGLED);
      assert.deepEqual(statusesIn(received), [status], received);
      assert.match(received, /\r\nConnection: close\r\n/i);
      assert.equal(origin.requests.length, before);
    });
  }

  test('CONNECT: the connection ends', async () => {
    assert.equal(await rawRequest(proxy.url, `CONNECT b:443 HTTP/1.1\r\nHost: b:443\r\n\r\n${SMUGGLED}`), '');
  });

  test('what follows a request with Connection: close is not one', async () => {
    const before = origin.requests.length;
    const received = await rawRequest(proxy.url, `GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n${SMUGGLED}`);
    assert.equal(statusesIn(received).length, 1);
    const targets = origin.requests.slice(before).map(({ target }) => target);
    assert.ok(!targets.includes('/smuggled'), targets.join(' '));
  });

  test('requests in front of the refused one are answered', async () => {
    const pipelined = 'GET /one HTTP/1.1\r\nHost: a\r\n\r\nGET /two HTTP/1.1\r\n\r\n';
    assert.deepEqual(statusesIn(await rawRequest(proxy.url, pipelined + SMUGGLED)), [200, 400]);
  });

  test('absolute-form for the same host is its path', async () => {
    for (const [target, path] of [
      ['http://a.example/x?y', '/x?y'],
      ['HTTP://A.example:80', '/'],
      ['http://a.example?y', '/?y'],
    ]) {
      await rawRequest(proxy.url, `GET ${target} HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n`);
      assert.equal(origin.requests.at(-1)?.target, path);
    }
  });

  test('HTTP/1.0 needs no Host', async () => {
    const received = await rawRequest(proxy.url, 'GET /old HTTP/1.0\r\n\r\n');
    assert.match(received, /^HTTP\/1\.1 200 .*answer to \/old$/s);
    const [host] = valuesOf(origin.requests.at(-1) ?? assert.fail(), 'host');
    assert.equal(host, new URL(origin.url).host);
  });

  test('a field whose name only looks like Transfer-Encoding is not passed on', async () => {
    const request =
      'POST / HTTP/1.1\r\nHost: a\r\nTransfer_Encoding: chunked\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi';
    assert.deepEqual(statusesIn(await rawRequest(proxy.url, request)), [200]);
    const seen = origin.requests.at(-1) ?? assert.fail();
    assert.equal(seen.body, 'hi');
    assert.deepEqual(valuesOf(seen, 'transfer_encoding'), []);
  });
});
