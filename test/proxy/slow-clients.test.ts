import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Origin, startRecordingOrigin } from '../support/origin.js';
import { startProxy, type TestProxy } from '../support/proxy.js';
import { RawClient } from '../support/raw-client.js';

/** The limit of each test here, twice the pause between two looks at the clock, and time for a busy machine. */
const CLOSED_WITHIN_MS = 500 + 2000 + 2500;

describe('clients that take their time', () => {
  let origin: Origin & { readonly requests: readonly unknown[] };
  let proxy: TestProxy;

  before(async () => {
    origin = await startRecordingOrigin();
    proxy = await startProxy({
      server: { headersTimeout: '500ms', requestTimeout: '500ms', idleTimeout: '60s', keepAliveTimeout: '300ms' },
      actions: { proxy: origin.url },
    });
  });
  after(async () => {
    await proxy?.close();
    await origin?.close();
  });

  /** Sends a byte of `rest` now and then, as slow clients do, until the connection ends. */
  async function drip(client: RawClient, rest: string): Promise<number> {
    const begun = performance.now();
    let sent = 0;
    const timer = setInterval(() => client.send(rest[sent++ % rest.length] ?? ''), 50);
    try {
      await client.untilClosed();
    } finally {
      clearInterval(timer);
      client.close();
    }
    return performance.now() - begun;
  }

  test('a head that does not end is answered with 408, and the connection ends', async () => {
    const client = await RawClient.connect(proxy.url);
    client.send('GET / HTTP/1.1\r\nHost: a\r\n');
    assert.ok((await drip(client, 'X: 1\r\n')) < CLOSED_WITHIN_MS);
    assert.match(client.received, /^HTTP\/1\.1 408 /);
  });

  test('a connection over which nothing comes ends', async () => {
    const client = await RawClient.connect(proxy.url);
    const begun = performance.now();
    await client.untilClosed();
    assert.ok(performance.now() - begun < CLOSED_WITHIN_MS);
  });

  test('a body that does not end ends the connection, and the request upstream', async () => {
    const before = origin.requests.length;
    const client = await RawClient.connect(proxy.url);
    client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n');
    assert.ok((await drip(client, 'x')) < CLOSED_WITHIN_MS);
    assert.equal(origin.requests.length, before);
  });

  test('a connection is not kept for ever between two requests', async () => {
    const client = await RawClient.connect(proxy.url);
    client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await client.until(/answer to \//);
    const begun = performance.now();
    await client.untilClosed();
    assert.ok(performance.now() - begun < CLOSED_WITHIN_MS);
  });
});
