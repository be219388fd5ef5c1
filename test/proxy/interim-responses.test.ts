import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { describe, test } from 'node:test';
import { ClientConnection } from '../../src/actions/client-connection.js';
import { Fields } from '../../src/http/fields.js';
import { startOrigin, startRawOrigin } from '../support/origin.js';
import { startProxy } from '../support/proxy.js';
import { RawClient, rawRequest, statusesIn } from '../support/raw-client.js';
import { until } from '../support/until.js';

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const HINTS = 'HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload; as=style\r\nx-My: \xe4\r\nX-My: 2\r\n\r\n';

/** What a client gets that sends `request` by way of a proxy to an origin that does as `answer` says. */
async function throughProxy(
  answer: (socket: Socket, head: string) => void,
  request = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
): Promise<string> {
  const origin = await startRawOrigin(answer);
  const proxy = await startProxy({ actions: { proxy: origin.url } });
  try {
    return await rawRequest(proxy.url, request);
  } finally {
    await proxy.close();
    await origin.close();
  }
}

const says = (text: string) => (socket: Socket) => socket.end(text, 'latin1');

describe('interim responses', () => {
  test('pass with all their fields, in their order, before the response', async () => {
    const received = await throughProxy(says(`HTTP/1.1 102 Processing\r\n\r\n${HINTS}${OK}`));
    assert.ok(received.startsWith(`HTTP/1.1 102 Processing\r\n\r\n${HINTS}HTTP/1.1 200 OK\r\n`), received);
    assert.doesNotMatch(received.slice(received.indexOf('200 OK')), /link|x-my/i);
  });

  test('pass at once, not with the response', async (t) => {
    const origin = await startRawOrigin((socket) => socket.write(HINTS, 'latin1'));
    t.after(() => origin.close());
    const proxy = await startProxy({ actions: { proxy: origin.url } });
    t.after(() => proxy.close());
    const client = await RawClient.connect(proxy.url);
    client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    assert.equal(await client.until(/\r\n\r\n/), HINTS);
    client.close();
  });

  test('pass without what belongs to the connection to the upstream', async () => {
    const hints =
      'HTTP/1.1 103 Early Hints\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=1\r\nX-A: 1\r\n\r\n';
    const received = await throughProxy(says(hints + OK));
    assert.ok(received.startsWith('HTTP/1.1 103 Early Hints\r\nX-A: 1\r\n\r\nHTTP/1.1 200 '), received);
  });

  test('do not reach a client of HTTP/1.0, which would take them for the response', async () => {
    const received = await throughProxy(says(HINTS + OK), 'GET / HTTP/1.0\r\nHost: a\r\n\r\n');
    assert.deepEqual(statusesIn(received), [200]);
  });

  test('of requests in a pipeline come in the place of their response', async () => {
    const first = 'GET /first HTTP/1.1\r\nHost: a\r\n\r\n';
    const second = 'GET /second HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';
    const waiting: (() => void)[] = [];
    const received = await throughProxy((socket, head) => {
      if (head.includes('/first')) {
        waiting.push(() => socket.write(`HTTP/1.1 102 Processing\r\n\r\n${OK}`));
        return;
      }
      socket.write(HINTS + OK, 'latin1');
      setTimeout(() => {
        for (const answer of waiting) answer();
      }, 50);
    }, first + second);
    assert.deepEqual(statusesIn(received), [102, 200, 103, 200]);
  });

  test('without end break the call off', async () => {
    const received = await throughProxy((socket) => {
      const more = setInterval(() => socket.write('HTTP/1.1 102 Processing\r\n\r\n'.repeat(20)), 1);
      socket.once('close', () => clearInterval(more));
    });
    const statuses = statusesIn(received);
    assert.equal(statuses.at(-1), 502);
    assert.equal(statuses.length, 101);
    assert.match(received, /error=http_protocol_error/);
  });

  test('do not pile up for a client that does not read', async (t) => {
    const fields = new Fields(['X-Long', 'x'.repeat(60_000)]);
    const unread: number[] = [];
    const server = await startOrigin((request, response) => {
      const connection = new ClientConnection(request, response);
      for (let nth = 0; nth < 1000; nth++) connection.interim(103, fields);
      unread.push(response.socket?.writableLength ?? 0);
      response.end();
    });
    t.after(() => server.close());
    const client = await RawClient.connect(server.url);
    client.socket.pause();
    client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => unread.length > 0, 'no request came');
    assert.ok((unread[0] ?? 0) < 200_000, `${unread[0]} bytes wait`);
    client.close();
  });
});
