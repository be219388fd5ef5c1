import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Origin, type Seen, startRawOrigin, startRecordingOrigin, valuesOf } from '../support/origin.js';
import { startProxy, type TestProxy } from '../support/proxy.js';
import { rawRequest } from '../support/raw-client.js';
import { fetchRaw } from '../support/transcript.js';

describe('fields of one connection, from the client', () => {
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

  async function upstreamSaw(fields: readonly string[]): Promise<Seen> {
    const lines = fields.map((field) => `${field}\r\n`).join('');
    await rawRequest(proxy.url, `GET / HTTP/1.1\r\nHost: client.example\r\n${lines}\r\n`);
    return origin.requests.at(-1) ?? assert.fail('the request did not arrive');
  }

  test('stay behind, with those that Connection names', async () => {
    const request = await upstreamSaw([
      'Connection: close, X-Mine',
      'Connection: x-other',
      'X-Mine: 1',
      'X-Other: 1',
      'Keep-Alive: timeout=5',
      'Proxy-Connection: keep-alive',
      'Proxy-Authorization: Basic eA==',
      'TE: trailers',
      'Trailer: X-T',
      'Upgrade: websocket',
      'X-Kept: 1',
    ]);
    const names = request.fields.map(([name]) => name.toLowerCase());
    assert.deepEqual(names.sort(), [
      'connection',
      'host',
      'via',
      'x-forwarded-for',
      'x-forwarded-host',
      'x-forwarded-proto',
      'x-kept',
      'x-real-ip',
    ]);
    assert.deepEqual(valuesOf(request, 'connection'), ['keep-alive']);
  });

  test('can not name what the proxy adds', async () => {
    const request = await upstreamSaw(['Connection: close, Host, X-Forwarded-For, X-Real-IP, X-Forwarded-Proto, Via']);
    assert.deepEqual(valuesOf(request, 'host'), ['client.example']);
    assert.deepEqual(valuesOf(request, 'x-forwarded-for'), ['127.0.0.1']);
    assert.deepEqual(valuesOf(request, 'x-real-ip'), ['127.0.0.1']);
    assert.deepEqual(valuesOf(request, 'x-forwarded-proto'), ['http']);
    assert.deepEqual(valuesOf(request, 'via'), ['1.1 lookaside']);
  });

  test('can not name the length of the body', async () => {
    const body = 'GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n';
    await rawRequest(
      proxy.url,
      `POST /outer HTTP/1.1\r\nHost: a\r\nConnection: close, Content-Length\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    const request = origin.requests.at(-1);
    assert.equal(request?.target, '/outer');
    assert.equal(request?.body, body);
  });
});

test('fields of one connection, from the upstream, stay behind', async (t) => {
  const origin = await startRawOrigin((socket) =>
    socket.end(
      'HTTP/1.1 200 OK\r\nConnection: close, X-Mine\r\nX-Mine: 1\r\nKeep-Alive: timeout=77\r\nProxy-Authenticate: Basic\r\n' +
        'Proxy-Connection: close\r\nUpgrade: h2c\r\nTrailer: X-T\r\nX-Kept: 1\r\nContent-Length: 2\r\n\r\nok',
    ),
  );
  t.after(() => origin.close());
  const proxy = await startProxy({ actions: { proxy: origin.url } });
  t.after(() => proxy.close());
  const { message, body } = await fetchRaw(proxy.url, 'GET', '/');
  const names = message.rawHeaders.filter((_, index) => index % 2 === 0).map((name) => name.toLowerCase());
  assert.deepEqual(names.sort(), ['connection', 'content-length', 'date', 'x-kept']);
  assert.equal(message.headers.connection, 'close');
  assert.equal(body.toString(), 'ok');
});
