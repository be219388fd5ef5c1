import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { connect as connectHttp2 } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { connect, type TLSSocket } from 'node:tls';
import Fastify from 'fastify';
import { EmbeddedStore } from '../../src/store/embedded.js';
import { http2ServerFactory, lookasideTls, SharedTls, serverFactory, tlsOptions } from '../../src/tls.js';
import { makeCertificate, SECRET, temporaryDirectory } from './fleet.js';

const store = new EmbeddedStore();
const options = { store, secrets: [SECRET] };
let https: { key: Buffer; cert: Buffer };
const apps: { close(): PromiseLike<unknown> }[] = [];

before(async () => {
  const { key, cert } = await makeCertificate(temporaryDirectory(), 'localhost');
  https = { key: readFileSync(key), cert: readFileSync(cert) };
});

after(async () => {
  for (const app of apps) await app.close();
  await store.close();
});

/** What the server at `address` answers to a request of HTTP/1.1, and the session it gives. */
async function get({ address, port }: AddressInfo, session?: Buffer) {
  const socket = connect({ host: address, port, rejectUnauthorized: false, ...(session && { session }) });
  let given: Buffer | undefined;
  let isReused = false;
  socket.on('session', (latest) => {
    given = latest;
  });
  socket.once('secureConnect', () => {
    isReused = socket.isSessionReused();
  });
  socket.write('GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n');
  let text = '';
  for await (const chunk of socket.setEncoding('latin1')) text += chunk;
  assert.match(text, /^HTTP\/1\.1 200 OK\r\n/);
  return { isReused, session: given };
}

/** Where `app` listens. */
function addressesOf(app: { addresses(): (AddressInfo | string | null)[] }): AddressInfo[] {
  const addresses = app.addresses().filter((address) => typeof address === 'object' && address !== null);
  assert.ok(addresses.length > 0);
  return addresses;
}

test('two apps with the plugin resume the sessions of one another', async () => {
  const addresses: AddressInfo[] = [];
  for (let i = 0; i < 2; i++) {
    const app = Fastify({ https: { ...https, ...tlsOptions(options, https) } });
    apps.push(app);
    await app.register(lookasideTls, options);
    app.get('/', async () => 'hello');
    await app.listen({ host: '127.0.0.1', port: 0 });
    assert.equal(app.sharedTls.counts().ticket_keys_local, 0);
    addresses.push(...addressesOf(app));
  }
  const [a, b] = addresses;
  assert.ok(a !== undefined && b !== undefined);
  const { session } = await get(a);
  assert.equal((await get(b, session)).isReused, true);
});

test('the plugin refuses an app without https, and options that can not be used', async () => {
  const plain = Fastify();
  await assert.rejects(async () => plain.register(lookasideTls, options), { code: 'FST_LOOKASIDE_NOT_TLS' });
  const app = Fastify({ https });
  await assert.rejects(async () => app.register(lookasideTls, { store, secrets: ['too short'] }), /32 bytes/);
});

test('with a serverFactory all servers of an app that listens on localhost take part', async () => {
  const shared = new SharedTls({ ...options, fleet: 'factory' });
  const factoryApps = [0, 1].map(() =>
    Fastify({ https, serverFactory: serverFactory(shared), keepAliveTimeout: 1234 }),
  );
  const addresses: AddressInfo[] = [];
  for (const app of factoryApps) {
    apps.push(app);
    await app.register(lookasideTls, { shared });
    app.get('/', async () => 'hello');
    await app.listen({ host: 'localhost', port: 0 });
    assert.equal(app.server.keepAliveTimeout, 1234);
    addresses.push(...addressesOf(app));
  }
  assert.ok(addresses.length >= 2);
  for (const from of addresses) {
    const { session } = await get(from);
    for (const to of addresses) assert.equal((await get(to, session)).isReused, true, `${from.address} ${to.address}`);
  }
  // a server that takes no part is counted by nobody
  assert.equal(shared.counts().tickets_current_total, addresses.length ** 2);
  await shared.close();
});

test('the http2 factory makes servers that resume and speak HTTP/2', async () => {
  const app = Fastify({ http2: true, https, serverFactory: http2ServerFactory({ ...options, fleet: 'http2' }) });
  apps.push(app);
  app.get('/', async () => 'hello');
  await app.listen({ host: 'localhost', port: 0 });
  const [address] = addressesOf(app);
  assert.ok(address !== undefined);
  let session: Buffer | undefined;
  for (const isReused of [false, true]) {
    const socket: TLSSocket = connect({
      host: address.address,
      port: address.port,
      rejectUnauthorized: false,
      ALPNProtocols: ['h2'],
      ...(session && { session }),
    });
    const given = new Promise<Buffer>((resolve) => socket.once('session', resolve));
    const client = connectHttp2('https://localhost', { createConnection: () => socket });
    const stream = client.request({ ':path': '/' }).setEncoding('latin1');
    let text = '';
    for await (const chunk of stream) text += chunk;
    session = await given;
    assert.deepEqual([text, socket.isSessionReused()], ['hello', isReused]);
    await new Promise<void>((resolve) => client.close(resolve));
  }
});

test('a factory without the option https says so', () => {
  const withoutHttps = () => Fastify({ serverFactory: serverFactory({ ...options, fleet: 'none' }), https: null });
  assert.throws(withoutHttps, /needs the option "https"/);
});
