import assert from 'node:assert/strict';
import { once } from 'node:events';
import { copyFileSync, mkdirSync } from 'node:fs';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import type { Config } from '../../src/config/schema.js';
import { startRawOrigin } from '../support/origin.js';
import { startProxy, type TestProxy, testSettings } from '../support/proxy.js';
import { until } from '../support/until.js';
import { type Issued, openssl, Pki } from '../tls/pki.js';

const pki = new Pki();
const authority = pki.authority('authority');
const site = pki.server('site.test', authority);
const actions: Config['actions'] = { respond: { body: '%{req.scheme}://%{req.authority}%{req.path}' } };

function tlsOf(issued: Issued, more: Omit<NonNullable<Config['tls']>, 'cert' | 'key'> = {}): Config['tls'] {
  return { cert: issued.file, key: issued.keyFile, stapling: false, ...more };
}

/** A connection whose handshake has succeeded on both sides. */
async function connected({ url }: TestProxy, options: ConnectionOptions = {}): Promise<TLSSocket> {
  const socket = connect({ port: Number(new URL(url).port), host: '127.0.0.1', rejectUnauthorized: false, ...options });
  await once(socket, 'secureConnect');
  return socket;
}

/** What comes back for bytes over a connection of its own; rejects when the handshake fails. */
async function said(proxy: TestProxy, bytes: string, options: ConnectionOptions = {}): Promise<string> {
  const socket = await connected(proxy, options);
  let received = '';
  socket.setEncoding('latin1').on('data', (chunk: string) => {
    received += chunk;
  });
  socket.write(bytes, 'latin1');
  await once(socket, 'close');
  return received;
}

const get = (target: string, host = 'Site.test:8443') =>
  `GET ${target} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`;

/** The name in the certificate that a client is shown. */
async function shown(proxy: TestProxy, options: ConnectionOptions = {}): Promise<string> {
  const socket = await connected(proxy, options);
  const { subject } = socket.getPeerCertificate();
  socket.destroy();
  return String(subject.CN);
}

describe('a listener with a certificate', () => {
  let proxy: TestProxy;
  before(async () => {
    proxy = await startProxy({ tls: tlsOf(site), actions });
  });
  after(() => proxy?.close());

  test('says where it listens', () => assert.match(proxy.url, /^https:\/\/127\.0\.0\.1:\d+$/));

  test('speaks HTTP/1.1, under https', async () => {
    const options = { rejectUnauthorized: true, ca: authority.pem, servername: 'site.test' };
    assert.match(await said(proxy, get('/a'), options), /^HTTP\/1\.1 200 .*https:\/\/site\.test:8443\/a$/s);
  });

  test('takes the absolute form of https, and of nothing else', async () => {
    assert.match(
      await said(proxy, get('https://site.test:8443/b')),
      /^HTTP\/1\.1 200 .*https:\/\/site\.test:8443\/b$/s,
    );
    assert.match(await said(proxy, get('http://site.test:8443/b')), /^HTTP\/1\.1 400 .*nor an https URL\n$/s);
  });

  test('knows that 443 is the port of https', async () => {
    assert.match(await said(proxy, get('/', 'site.test:443')), /https:\/\/site\.test\/$/);
  });

  test('speaks no protocol that nobody offered', async () => {
    await assert.rejects(connected(proxy, { ALPNProtocols: ['spdy/1'] }), /no application protocol/i);
  });

  test('a client that speaks no TLS gets nothing, and harms nobody', async () => {
    const { port } = new URL(proxy.url);
    await assert.rejects(fetch(`http://127.0.0.1:${port}/`));
    assert.equal(await shown(proxy), 'site.test');
  });
});

test('a connection leaves HTTP over TLS as well', async () => {
  const origin = await startRawOrigin((socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    socket.removeAllListeners('data').pipe(socket);
  });
  const proxy = await startProxy({ tls: tlsOf(site), actions: { proxy: origin.url } });
  const socket = await connected(proxy);
  let received = '';
  socket.setEncoding('latin1').on('data', (chunk: string) => {
    received += chunk;
  });
  socket.write('GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nat once,');
  await until(() => received.endsWith('at once,'), 'no echo of what came with the request');
  socket.write('later');
  await until(() => received.endsWith('at once,later'), 'no echo');
  socket.destroy();
  await proxy.close();
  await origin.close();
});

describe('several certificates', () => {
  const other = pki.server('other.test', authority);
  const wild = pki.server('*.wild.test', authority);
  let proxy: TestProxy;
  before(async () => {
    const contexts = [
      { servername: 'Other.test', cert: other.file, key: other.keyFile },
      { servername: '*.wild.test', cert: wild.file, key: wild.keyFile },
    ];
    proxy = await startProxy({ tls: tlsOf(site, { contexts }), actions });
  });
  after(() => proxy?.close());

  for (const [servername, name] of [
    ['other.test', 'other.test'],
    ['OTHER.TEST', 'other.test'],
    ['a.wild.test', '*.wild.test'],
    ['a.b.wild.test', 'site.test'],
    ['wild.test', 'site.test'],
    ['unknown.test', 'site.test'],
  ] as const) {
    test(`${servername} is shown that of ${name}`, async () => assert.equal(await shown(proxy, { servername }), name));
  }

  test('they are replaced with the configuration, and none stays that is not there any more', async () => {
    const contexts = [{ servername: 'a.wild.test', cert: other.file, key: other.keyFile }];
    proxy.reload(testSettings({ tls: tlsOf(wild, { contexts }), actions }));
    const names = ['other.test', 'a.wild.test', 'b.wild.test', 'site.test'];
    const all = await Promise.all(names.map((servername) => shown(proxy, { servername })));
    assert.deepEqual(all, ['*.wild.test', 'other.test', '*.wild.test', '*.wild.test']);
  });
});

describe('with clientCa', () => {
  const clients = pki.authority('clients');
  const client = pki.issue('client', { by: clients });
  const stranger = pki.issue('stranger', { by: authority });
  const other = pki.server('other.test', authority);
  const identity = ({ pem, keyPem }: Issued) => ({ cert: pem, key: keyPem });
  let proxy: TestProxy;
  before(async () => {
    const contexts = [{ servername: 'other.test', cert: other.file, key: other.keyFile }];
    proxy = await startProxy({ tls: tlsOf(site, { clientCa: clients.file, contexts }), actions });
  });
  after(() => proxy?.close());

  for (const servername of ['site.test', 'other.test']) {
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      test(`only its clients are let in, by ${servername} and ${maxVersion}`, async () => {
        const options = { servername, maxVersion };
        assert.match(await said(proxy, get('/'), { ...options, ...identity(client) }), /^HTTP\/1\.1 200 /);
        await assert.rejects(said(proxy, get('/'), options).then(refuseSilence));
        await assert.rejects(said(proxy, get('/'), { ...options, ...identity(stranger) }).then(refuseSilence));
      });
    }
  }

  test('a reload without it lets nobody in: that takes a start', async () => {
    proxy.reload(testSettings({ tls: tlsOf(site), actions }));
    assert.ok(proxy.lines.some(({ msg }) => msg === '"tls" has changed: that takes effect at the next start'));
    await assert.rejects(said(proxy, get('/'), identity(stranger)).then(refuseSilence));
    assert.match(await said(proxy, get('/'), identity(client)), /^HTTP\/1\.1 200 /);
  });

  /** In TLS 1.3 the client learns of the refusal after its handshake: by an error, or by nothing but the end. */
  function refuseSilence(received: string): void {
    if (received === '') throw new Error('refused');
  }
});

describe('files of certificates that change', () => {
  const renewed = pki.server('renewed.test', authority);
  let count = 0;

  /** A proxy with files of its own. */
  async function start() {
    const folder = join(pki.directory, `files-${count++}`);
    mkdirSync(folder);
    const [cert, key] = [join(folder, 'site.pem'), join(folder, 'site.key')];
    copyFileSync(site.file, cert);
    copyFileSync(site.keyFile, key);
    const proxy = await startProxy({ tls: { cert, key, stapling: false }, actions });
    const replace = async (path: string, by: string) => {
      copyFileSync(by, `${path}.new`);
      await rename(`${path}.new`, path);
    };
    const logged = (pattern: RegExp) => proxy.lines.filter(({ msg }) => pattern.test(msg)).length;
    return { proxy, cert, key, replace, logged };
  }

  test('are read again, when both belong together', async () => {
    const { proxy, cert, key, replace, logged } = await start();
    const kept = await connected(proxy);
    await replace(cert, renewed.file);
    await replace(key, renewed.keyFile);
    await until(async () => (await shown(proxy)) === 'renewed.test', 'the new certificate is not shown');
    assert.equal(logged(/can not be used/), 0);
    kept.end(get('/'));
    const [answer] = await once(kept, 'data');
    assert.match(String(answer), /^HTTP\/1\.1 200 /, 'a connection of the old certificate goes on');
    await proxy.close();
  });

  test('change nothing when they can not be used, which is said once', async () => {
    const { proxy, cert, key, replace, logged } = await start();
    await replace(cert, renewed.file);
    await until(() => logged(/the old ones stay/) > 0, 'nothing was said');
    assert.equal(await shown(proxy), 'site.test');
    await replace(cert, key);
    await delay(600);
    assert.equal(logged(/the old ones stay/), 1);
    await replace(cert, renewed.file);
    await replace(key, renewed.keyFile);
    await until(async () => (await shown(proxy)) === 'renewed.test', 'the new certificate is not shown');
    await proxy.close();
  });
});

test('a certificate that has expired is used, and told of', async () => {
  const cert = join(pki.directory, 'expired.pem');
  openssl(['x509', '-in', site.file, '-days', '-1', '-signkey', site.keyFile, '-out', cert]);
  const proxy = await startProxy({ tls: { cert, key: site.keyFile, stapling: false }, actions });
  assert.ok(proxy.lines.some((line) => line.msg === 'a certificate has expired' && line.cert === cert));
  await proxy.close();
});
