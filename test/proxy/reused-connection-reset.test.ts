import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { after, before, beforeEach, describe, test } from 'node:test';
import { type Origin, startRawOrigin } from '../support/origin.js';
import { startProxy, type TestProxy } from '../support/proxy.js';
import { fetchRaw } from '../support/transcript.js';

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

/** What the origin does with the second request on a connection. */
type SecondAnswer = (socket: Socket) => void;

const reset: SecondAnswer = (socket) => socket.resetAndDestroy();
const close: SecondAnswer = (socket) => socket.end();
const halfHead: SecondAnswer = (socket) => socket.end('HTTP/1.1 200 OK\r\nContent-');

describe('a kept connection that the upstream ends when it is used again', () => {
  let origin: Origin;
  let proxy: TestProxy;
  let onSecond: SecondAnswer = reset;
  let requestLines: string[] = [];

  before(async () => {
    origin = await startRawOrigin((socket, head, nth) => {
      requestLines.push(head.slice(0, head.indexOf('\r\n')));
      if (nth === 2) onSecond(socket);
      else socket.write(OK);
    });
    proxy = await startProxy({ actions: { proxy: origin.url } });
  });
  after(async () => {
    await proxy?.close();
    await origin?.close();
  });
  beforeEach(async () => {
    await fetchRaw(proxy.url, 'GET', '/first');
    requestLines = [];
  });

  for (const [how, answer] of Object.entries({ reset, close })) {
    for (const method of ['GET', 'HEAD', 'OPTIONS']) {
      test(`${method} is sent once more, on a fresh connection (${how})`, async () => {
        onSecond = answer;
        const { message } = await fetchRaw(proxy.url, method, '/again');
        assert.equal(message.statusCode, 200);
        assert.deepEqual(requestLines, [`${method} /again HTTP/1.1`, `${method} /again HTTP/1.1`]);
      });
    }

    for (const method of ['POST', 'DELETE', 'PUT', 'PATCH']) {
      test(`${method} is not sent again: 502 (${how})`, async () => {
        onSecond = answer;
        const { message } = await fetchRaw(proxy.url, method, '/unsafe', [], 'body');
        assert.equal(message.statusCode, 502);
        assert.equal(message.headers['proxy-status'], 'lookaside; error=connection_terminated');
        assert.deepEqual(requestLines, [`${method} /unsafe HTTP/1.1`]);
      });
    }
  }

  test('nothing is sent again when a byte of the response came', async () => {
    onSecond = halfHead;
    const { message } = await fetchRaw(proxy.url, 'GET', '/half');
    assert.equal(message.statusCode, 502);
    assert.deepEqual(requestLines, ['GET /half HTTP/1.1']);
  });
});

test('a connection that is reset every time is tried twice, not for ever', async (t) => {
  let requests = 0;
  const origin = await startRawOrigin((socket) => {
    requests++;
    socket.resetAndDestroy();
  });
  t.after(() => origin.close());
  const proxy = await startProxy({ actions: { proxy: origin.url } });
  t.after(() => proxy.close());
  const { message } = await fetchRaw(proxy.url, 'GET', '/');
  assert.equal(message.statusCode, 502);
  assert.equal(requests, 2);
});
