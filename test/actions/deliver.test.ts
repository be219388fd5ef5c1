import assert from 'node:assert/strict';
import { Duplex, Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { ClientConnection } from '../../src/actions/client-connection.js';
import { deliver } from '../../src/actions/deliver.js';
import { Exchange, type ExchangeResponse, receivedRequest } from '../../src/actions/exchange.js';
import { Fields } from '../../src/http/fields.js';
import { exchangeOf } from '../support/exchange.js';
import { startOrigin } from '../support/origin.js';
import { RawClient } from '../support/raw-client.js';
import { until } from '../support/until.js';

/** What a client receives of `response` until its connection ends. */
async function delivered(t: TestContext, response: Omit<ExchangeResponse, 'fields'>): Promise<string> {
  const { log } = await exchangeOf();
  const server = await startOrigin((request, raw) => {
    const exchange = new Exchange(receivedRequest(request, 'http'), new ClientConnection(request, raw), log);
    exchange.respond({ ...response, fields: new Fields() });
    deliver(exchange, raw, 'name');
  });
  t.after(() => server.close());
  const client = await RawClient.connect(server.url);
  client.send('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
  return client.untilClosed();
}

test('a body that broke off before it was delivered breaks the connection off', async (t) => {
  const body = Readable.from(['never seen']);
  body.on('error', () => {});
  body.destroy(new Error('broken'));
  const received = await delivered(t, { status: 200, body, delimited: true });
  assert.doesNotMatch(received, /0\r\n\r\n$/);
});

test('a body that breaks off while it is delivered breaks the connection off', async (t) => {
  const body = new Readable({ read() {} });
  body.push('part');
  setTimeout(() => body.destroy(new Error('broken')), 50);
  const received = await delivered(t, { status: 200, body, delimited: true });
  assert.match(received, /part\r\n$/);
});

test('a body that is given up without a word while it is delivered breaks the connection off', async (t) => {
  const body = new Readable({ read() {} });
  body.push('part');
  setTimeout(() => body.destroy(), 50);
  const received = await delivered(t, { status: 200, body, delimited: true });
  assert.match(received, /part\r\n$/);
});

test('bytes come with their length, and no body with none', async (t) => {
  const bytes = await delivered(t, { status: 200, body: Buffer.from('four'), delimited: true });
  assert.match(bytes, /\r\nContent-Length: 4\r\n[\s\S]*\r\n\r\nfour$/);
  const none = await delivered(t, { status: 200, body: null, delimited: true });
  assert.match(none, /\r\nContent-Length: 0\r\n/);
  const empty = await delivered(t, { status: 204, body: null, delimited: true });
  assert.doesNotMatch(empty, /content-length/i);
});

test('a tunnel for a client that is gone is ended', async (t) => {
  const { log } = await exchangeOf();
  const connection = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() });
  const server = await startOrigin((request, raw) => {
    const exchange = new Exchange(receivedRequest(request, 'http'), new ClientConnection(request, raw), log);
    raw.once('close', () => {
      const tunnel = { connection, protocol: 'websocket', idleTimeoutMs: 1000 };
      exchange.respond({ status: 101, fields: new Fields(), body: null, delimited: true, tunnel });
      deliver(exchange, raw, 'name');
    });
    request.socket.destroy();
  });
  t.after(() => server.close());
  const client = await RawClient.connect(server.url);
  client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  await until(() => connection.destroyed, 'the tunnel is still there');
  client.close();
});
