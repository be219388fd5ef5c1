import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { ListenError } from '../../src/proxy/listener.js';
import { startProxy, startProxyWith, testSettings } from '../support/proxy.js';
import { RawClient, rawRequest } from '../support/raw-client.js';

const GET = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';
const actions = { respond: { body: 'here' } };

describe('listening', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lookaside-listen-'));
  });
  after(() => rm(folder, { recursive: true }));

  test('on several addresses, TCP and unix, which are let go of at the end', async (t) => {
    const path = join(folder, 'several.sock');
    const proxy = await startProxy({ listen: ['127.0.0.1:0', '[::1]:0', `unix:${path}`], actions });
    t.after(() => proxy.close());
    assert.match(proxy.urls.join(' '), /^http:\/\/127\.0\.0\.1:\d+ http:\/\/\[::1\]:\d+ unix:\//);
    for (const url of proxy.urls.filter((url) => !url.includes('[::1]')))
      assert.match(await rawRequest(url, GET), /here/);
    await proxy.close();
    assert.equal(existsSync(path), false);
  });

  test('where a process that was killed left its socket behind', async (t) => {
    const path = join(folder, 'stale.sock');
    const killed = createServer().listen(`${path}.moved`);
    await once(killed, 'listening');
    // under another name it stays when its server closes
    await rename(`${path}.moved`, path);
    killed.close();
    const proxy = await startProxy({ listen: `unix:${path}`, actions });
    t.after(() => proxy.close());
    assert.match(await rawRequest(proxy.url, GET), /here/);
  });

  test('not where another process listens', async (t) => {
    const first = await startProxy({ listen: ['127.0.0.1:0', `unix:${join(folder, 'taken.sock')}`], actions });
    t.after(() => first.close());
    for (const url of first.urls) {
      const listen = url.replace('http://', '');
      await assert.rejects(startProxy({ listen, actions }), (error) => {
        assert.ok(error instanceof ListenError);
        assert.equal(error.message, `can not listen on ${listen}: it is in use`);
        return true;
      });
      assert.match(await rawRequest(url, GET), /here/);
    }
  });

  test('not in the place of a file that is no socket', async () => {
    const path = join(folder, 'file');
    await writeFile(path, 'precious');
    await assert.rejects(startProxy({ listen: `unix:${path}`, actions }), /it is in use/);
    assert.equal(existsSync(path), true);
  });

  test('to no more connections than maxConnections', async (t) => {
    const proxy = await startProxy({ server: { maxConnections: 1 }, actions });
    t.after(() => proxy.close());
    const first = await RawClient.connect(proxy.url);
    first.send(GET.replace('Connection: close\r\n', ''));
    await first.until(/here/);
    const second = await RawClient.connect(proxy.url);
    assert.equal(await second.untilClosed(), '');
    first.close();
  });
});

test('a step that throws is answered with 500 and logged once', async (t) => {
  const settings = testSettings({ actions });
  for (const failing of [
    () => {
      throw new Error('a bug');
    },
    () => Promise.reject(new Error('a bug')),
  ]) {
    const proxy = await startProxyWith({ ...settings, actions: () => failing });
    t.after(() => proxy.close());
    assert.match(await rawRequest(proxy.url, GET), /^HTTP\/1\.1 500 .*Internal Server Error\n/s);
    assert.equal(proxy.lines.filter(({ level }) => level >= 40).length, 1);
    assert.equal(proxy.lines[0]?.msg, 'request failed');
  }
});

test('a connection is kept, also when the answer needs no waiting', async (t) => {
  const proxy = await startProxy({ actions });
  t.after(() => proxy.close());
  const client = await RawClient.connect(proxy.url);
  for (let nth = 1; nth <= 3; nth++) {
    client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await client.until(new RegExp(`^(.*here){${nth}}`, 's'));
  }
  assert.doesNotMatch(client.received, /Connection: close/i);
  client.close();
});

test('a connection ends behind a body that no action read', async (t) => {
  const proxy = await startProxy({ actions });
  t.after(() => proxy.close());
  const request = `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n`;
  assert.match(await rawRequest(proxy.url, request), /Connection: close\r\n.*here/s);
});

test('a chain that answers nothing is answered with 404', async (t) => {
  const proxy = await startProxy({ actions: { 'header.add': { 'X-A': '1' } } });
  t.after(() => proxy.close());
  assert.match(await rawRequest(proxy.url, GET), /^HTTP\/1\.1 404 .*X-A: 1\r\n/s);
});

test('at level debug there is a line for every request', async (t) => {
  const proxy = await startProxy({ log: { level: 'debug' }, actions });
  t.after(() => proxy.close());
  await rawRequest(proxy.url, GET.replace('/', '/a?b'));
  const { level, method, host, target, status, remote } =
    proxy.lines.find(({ msg }) => msg === 'request') ?? assert.fail();
  assert.deepEqual(
    { level, method, host, target, status, remote },
    { level: 20, method: 'GET', host: 'a', target: '/a?b', status: 200, remote: '127.0.0.1' },
  );
});
