import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type Origin, startOrigin } from '../support/origin.js';
import { startProxy, type TestProxy } from '../support/proxy.js';
import { RawClient } from '../support/raw-client.js';
import { until } from '../support/until.js';

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;

describe('a side that leaves in the middle', () => {
  let origin: Origin;
  let proxy: TestProxy;
  let responses: ServerResponse[] = [];
  let closed = 0;

  before(async () => {
    origin = await startOrigin((request, response) => {
      responses.push(response);
      response.once('close', () => closed++);
      if (request.url === '/waits') return;
      if (request.url === '/length') response.setHeader('Content-Length', '1000');
      response.write('part');
    });
    proxy = await startProxy({ actions: { proxy: origin.url } });
  });
  after(async () => {
    await proxy?.close();
    await origin?.close();
  });

  async function asked(path: string): Promise<RawClient> {
    responses = [];
    closed = 0;
    const client = await RawClient.connect(proxy.url);
    client.send(get(path));
    await until(() => responses.length > 0, 'the origin was not asked');
    return client;
  }

  for (const path of ['/length', '/chunked']) {
    test(`the upstream: the client can tell that the body is not complete (${path})`, async () => {
      const client = await asked(path);
      await client.until(/part/);
      responses[0]?.destroy();
      const received = await client.untilClosed();
      assert.match(received, /part/);
      assert.doesNotMatch(received, /\r\n0\r\n\r\n$/);
    });

    test(`the client, within the body: the upstream is let go (${path})`, async () => {
      const client = await asked(path);
      await client.until(/part/);
      client.close();
      await until(() => closed > 0, 'the upstream was not let go');
    });
  }

  test('the client, before the response: the upstream is let go', async () => {
    const client = await asked('/waits');
    client.close();
    await until(() => closed > 0, 'the upstream was not let go');
    const failures = proxy.lines.filter(({ level }) => level >= 50);
    assert.deepEqual(failures, []);
  });

  test('the client, within its own body: the upstream is let go', async () => {
    responses = [];
    closed = 0;
    const client = await RawClient.connect(proxy.url);
    client.send('POST /waits HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\npart');
    await until(() => responses.length > 0, 'the origin was not asked');
    client.close();
    await until(() => closed > 0, 'the upstream was not let go');
  });

  test('a client with requests in a row: all of them are let go', async () => {
    const client = await asked('/waits');
    client.send(get('/waits') + get('/waits'));
    await until(() => responses.length === 3, 'the origin was not asked');
    client.close();
    await until(() => closed === 3, 'an upstream request outlived its client');
    // and none of them is left for the end to wait for
    const begun = performance.now();
    await proxy.close();
    assert.ok(performance.now() - begun < 5000);
  });

  test('a client that reads slowly holds the upstream back instead of filling the memory', async (t) => {
    let written = 0;
    const endless = await startOrigin((_request, response) => {
      const more = () => {
        while (!response.destroyed) {
          written += 65536;
          if (!response.write(Buffer.alloc(65536))) break;
        }
      };
      response.on('drain', more);
      more();
    });
    t.after(() => endless.close());
    const slow = await startProxy({ server: { drainTimeout: '0ms' }, actions: { proxy: endless.url } });
    t.after(() => slow.close());
    const client = await RawClient.connect(slow.url);
    client.socket.pause();
    client.send(get('/'));
    let before = -1;
    while (written !== before) {
      before = written;
      await delay(300);
    }
    // two socket buffers of the kernel's, at their largest, lie between
    assert.ok(written < 64 * 1024 * 1024, `${written} bytes written`);
    client.close();
  });
});
