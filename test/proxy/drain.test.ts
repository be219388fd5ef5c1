import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type Origin, startOrigin } from '../support/origin.js';
import { startProxy, type TestProxy } from '../support/proxy.js';
import { RawClient, statusesIn } from '../support/raw-client.js';
import { until } from '../support/until.js';

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;

describe('closing', () => {
  let origin: Origin;
  let proxy: TestProxy;
  let pending: ServerResponse[] = [];

  beforeEach(async () => {
    pending = [];
    origin = await startOrigin((request, response) => {
      if (request.url === '/quick') response.end('quick');
      else pending.push(response);
      if (request.url === '/streams') response.write('begun,');
    });
    proxy = await startProxy({ server: { drainTimeout: '1s' }, actions: { proxy: origin.url } });
  });
  afterEach(async () => {
    await proxy?.close();
    await origin?.close();
  });

  async function asking(path: string): Promise<RawClient> {
    const client = await RawClient.connect(proxy.url);
    client.send(get(path));
    await until(() => pending.length > 0, 'the origin was not asked');
    return client;
  }

  test('a request in flight gets its answer, and the news that its connection ends', async () => {
    const client = await asking('/waits');
    const closed = proxy.close();
    await delay(50);
    pending[0]?.end('late');
    const received = await client.untilClosed();
    assert.match(received, /^HTTP\/1\.1 200 .*\r\nConnection: close\r\n.*late/is);
    await closed;
  });

  test('a body that has begun is sent to its end', async () => {
    const client = await asking('/streams');
    await client.until(/begun,/);
    const closed = proxy.close();
    await delay(50);
    pending[0]?.end('ended');
    assert.match(await client.untilClosed(), /begun,.*ended.*\r\n0\r\n\r\n$/s);
    await closed;
  });

  test('idle connections end, used or not, and no more are taken', async () => {
    const used = await RawClient.connect(proxy.url);
    used.send(get('/quick'));
    await used.until(/quick/);
    const unused = await RawClient.connect(proxy.url);
    const begun = performance.now();
    await proxy.close();
    await Promise.all([used.untilClosed(), unused.untilClosed()]);
    assert.ok(performance.now() - begun < 900, 'it waited for the drain timeout');
    await assert.rejects(RawClient.connect(proxy.url), /ECONNREFUSED/);
  });

  test('a request on a kept connection is answered, not refused, as long as another is in flight there', async () => {
    const client = await asking('/waits');
    const closed = proxy.close();
    client.send(get('/quick'));
    await delay(50);
    pending[0]?.end('late');
    const received = await client.untilClosed();
    assert.deepEqual(statusesIn(received), [200, 200]);
    assert.match(received, /late.*Connection: close.*quick/is);
    await closed;
  });

  test('what does not finish within drainTimeout is broken off', async () => {
    const client = await asking('/waits');
    const begun = performance.now();
    await proxy.close();
    await client.untilClosed();
    const took = performance.now() - begun;
    assert.ok(took > 900 && took < 5000, `${took} ms`);
    assert.equal(client.received, '');
  });
});
