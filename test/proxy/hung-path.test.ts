import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Origin, startOrigin } from '../support/origin.js';
import { startProxy, type TestProxy } from '../support/proxy.js';
import { RawClient, rawRequest } from '../support/raw-client.js';
import { until } from '../support/until.js';

/** More than an undici pool of reply-from's has connections. */
const HUNG = 150;

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;
const getAndClose = (path: string) => `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`;

describe('a path that hangs', () => {
  let origin: Origin;
  let proxy: TestProxy;
  let waiting = 0;
  const clients: RawClient[] = [];

  before(async () => {
    origin = await startOrigin((request, response) => {
      if (request.url?.startsWith('/hang')) {
        waiting++;
        response.once('close', () => waiting--);
        return;
      }
      response.end('ok');
    });
    proxy = await startProxy({
      actions: { proxy: { upstream: origin.url, maxWaiting: HUNG + 1, maxWaitingPerPath: HUNG } },
    });
    for (let n = 0; n < HUNG; n++) {
      const client = await RawClient.connect(proxy.url);
      client.send(get(`/hang?${n}`));
      clients.push(client);
    }
    await until(() => waiting >= HUNG, 'the origin was not asked often enough');
  });
  after(async () => {
    for (const client of clients) client.close();
    await proxy?.close();
    await origin?.close();
  });

  test('keeps no other path from being answered at once', async () => {
    const begun = performance.now();
    assert.match(await rawRequest(proxy.url, getAndClose('/other')), /^HTTP\/1\.1 200 .*ok$/s);
    assert.ok(performance.now() - begun < 2000);
  });

  test('gets no more requests than its share: 503, and when to come again', async () => {
    const refused = await rawRequest(proxy.url, getAndClose('/hang?more'));
    assert.match(refused, /^HTTP\/1\.1 503 /);
    assert.match(refused, /\r\nRetry-After: 1\r\n/);
    assert.match(refused, /\r\nProxy-Status: lookaside; error=connection_limit_reached\r\n/);
    assert.equal(waiting, HUNG);
  });

  test('all paths together are limited, too', async () => {
    const last = await RawClient.connect(proxy.url);
    clients.push(last);
    last.send(get('/hang-as-well'));
    await until(() => waiting >= HUNG + 1, 'the origin was not asked often enough');
    assert.match(await rawRequest(proxy.url, getAndClose('/other')), /^HTTP\/1\.1 503 /);
  });

  test('is asked again when its clients have left', async () => {
    for (const client of clients) client.close();
    await until(() => waiting === 0, 'requests upstream outlived their clients');
    const client = await RawClient.connect(proxy.url);
    client.send(get('/hang?again'));
    await until(() => waiting >= 1, 'the origin was not asked often enough');
    client.close();
    assert.equal(client.received, '');
  });
});
