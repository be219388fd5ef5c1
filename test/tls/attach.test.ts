import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect as connectTcp } from 'node:net';
import { Duplex } from 'node:stream';
import { after, before, test } from 'node:test';
import { connect, createServer, type Server, type TLSSocket, type TlsOptions } from 'node:tls';
import { EmbeddedStore } from '../../src/store/embedded.js';
import { StoreError } from '../../src/store/store.js';
import { attach } from '../../src/tls/attach.js';
import { SharedTls, tlsOptions } from '../../src/tls/shared-tls.js';
import { makeCertificate, NO_TICKETS, nodeClient, SECRET, temporaryDirectory } from './fleet.js';

const log = { debug() {}, info() {}, warn() {} };
const servers: Server[] = [];
let https: { key: Buffer; cert: Buffer };

before(async () => {
  const { key, cert } = await makeCertificate(temporaryDirectory(), 'localhost');
  https = { key: readFileSync(key), cert: readFileSync(cert) };
});

after(() => {
  for (const server of servers) server.close();
});

function server(options: TlsOptions): Server {
  const made = createServer({ ...https, ...options }, (socket) => {
    socket.on('error', () => {});
    socket.write('resumed=');
  });
  servers.push(made);
  return made;
}

async function portOf(listening: Server): Promise<number> {
  listening.listen(0, '127.0.0.1');
  await once(listening, 'listening');
  const address = listening.address();
  assert.ok(typeof address === 'object' && address !== null);
  return address.port;
}

test('a server is attached once, and may be again when it has been closed', async () => {
  const options = { store: new EmbeddedStore(), secrets: [SECRET], log };
  const one = server(tlsOptions(options));
  attach(one, options);
  assert.throws(() => attach(one, options), /attached already/);
  await portOf(one);
  one.close();
  await once(one, 'close');
  assert.deepEqual(one.listenerCount('newSession') + one.listenerCount('resumeSession'), 0);
  assert.ok(!Object.hasOwn(one, 'setSecureContext'));
  attach(one, options);
});

test('what would let clients past a demand for certificates, or keep sessions from being stateful, is refused', () => {
  const options = { store: new EmbeddedStore(), secrets: [SECRET], log };
  const policy = { requestCert: true, ca: https.cert };
  assert.throws(() => attach(server({ ...policy, ...tlsOptions(options) }), options), /client certificates/);
  attach(server({ ...policy, ...tlsOptions(options, policy) }), options);
  const stateful = { ...options, statefulTls13: true };
  assert.throws(() => attach(server(tlsOptions(options)), stateful), /tlsOptions/);
  attach(server(tlsOptions(stateful)), stateful);
});

test('options that can not be used are refused, without telling the secret', () => {
  const store = new EmbeddedStore();
  const refused = (options: object, reason: RegExp) => {
    assert.throws(
      () => new SharedTls({ store, secrets: [SECRET], log, ...options }),
      (error) => error instanceof RangeError && reason.test(error.message) && !error.message.includes('short one'),
    );
  };
  refused({ secrets: [] }, /needs a secret/);
  refused({ secrets: ['short one'] }, /32 bytes/);
  refused({ secrets: [SECRET, SECRET, SECRET] }, /two secrets/);
  refused({ fleet: 'a fleet' }, /no name of a fleet/);
  refused({ rotateSeconds: 0 }, /rotateSeconds/);
  refused({ sessions: { timeoutSeconds: 0.5 } }, /timeoutSeconds/);
  refused({ sessions: { timeoutMs: 60_000 } }, /timeoutMs/);
  refused({ sessions: false, statefulTls13: true }, /session store/);
});

test('a server for TLS 1.3 alone has no listeners that would cost anything', () => {
  const options = { store: new EmbeddedStore(), secrets: [SECRET], log };
  const modern = server({ minVersion: 'TLSv1.3', ...tlsOptions(options) });
  attach(modern, options);
  assert.equal(modern.listenerCount('newSession') + modern.listenerCount('resumeSession'), 0);
});

test('connections that say nothing, or nothing of TLS, or stop within the hello, do no harm', async () => {
  const options = { store: new EmbeddedStore(), secrets: [SECRET], log };
  const one = server(tlsOptions(options));
  attach(one, options);
  const errors: Error[] = [];
  one.on('tlsClientError', (error) => errors.push(error));
  const port = await portOf(one);
  const hello = Buffer.from('16030100c8010000c40303', 'hex');
  for (const bytes of ['', 'GET / HTTP/1.1\r\n\r\n', hello.subarray(0, 3), hello, Buffer.alloc(40_000, 0x16)]) {
    for (const isReset of [false, true]) {
      const socket = connectTcp(port, '127.0.0.1').on('error', () => {});
      await once(socket, 'connect');
      if (bytes.length > 0) await new Promise((sent) => socket.write(bytes, sent));
      socket.resume();
      if (isReset) socket.resetAndDestroy();
      else socket.end();
      await once(socket, 'close');
    }
  }
  assert.equal((await nodeClient(port)).isReused, false);
  assert.ok(errors.length > 0, 'what is not TLS is told as Node tells it');
});

test('a hello that comes byte by byte is waited for, and its session is resumed', async () => {
  const options = { store: new EmbeddedStore(), secrets: [SECRET], log };
  const one = server(tlsOptions(options));
  attach(one, options);
  const port = await portOf(one);
  const { session } = await nodeClient(port);
  const socket = connectTcp(port, '127.0.0.1').setNoDelay(true);
  await once(socket, 'connect');
  const slow = new Duplex({
    read() {},
    async write(chunk: Buffer, _encoding, done) {
      const cuts = [1, 2, 3, 5, 9, 44, 100];
      let from = 0;
      for (const cut of [...cuts, chunk.length]) {
        if (cut <= from || cut > chunk.length) continue;
        socket.write(chunk.subarray(from, cut));
        await new Promise((resolve) => setTimeout(resolve, 2));
        from = cut;
      }
      done();
    },
    final(done) {
      socket.end(done);
    },
  });
  socket.on('data', (chunk) => slow.push(chunk)).on('close', () => slow.push(null));
  const handshake = await nodeClient(port, { socket: slow, session });
  socket.destroy();
  assert.equal(handshake.isReused, true);
});

test('a store that throws, rejects with a defect, or never answers costs no handshake', async () => {
  const never = new Promise<never>(() => {});
  const failures: (() => Promise<never>)[] = [
    () => {
      throw new TypeError('a defect');
    },
    () => Promise.reject(new TypeError('a defect')),
    () => Promise.reject(new StoreError('server-error', 'out of memory')),
    () => never,
  ];
  for (const fail of failures) {
    const store = new EmbeddedStore();
    const options = { store, secrets: [SECRET], log, ticketKeys: 'derived' as const };
    const one = server(tlsOptions(options));
    const shared = attach(one, options);
    const port = await portOf(one);
    const { session } = await nodeClient(port, NO_TICKETS);
    Object.assign(store, { getMany: fail, set: fail });
    const again = await nodeClient(port, { ...NO_TICKETS, session });
    assert.equal(again.isReused, false);
    assert.equal(shared.counts().sessions_errors_total, 2);
  }
});

test('a client that leaves while its session is looked up or written leaves no trace', async () => {
  const store = new EmbeddedStore();
  const options = { store, secrets: [SECRET], log, ticketKeys: 'derived' as const };
  const one = server(tlsOptions(options));
  const shared = attach(one, options);
  const port = await portOf(one);
  const { session } = await nodeClient(port, NO_TICKETS);
  const leave = () => {
    client.destroy();
    return new Promise<never>(() => {});
  };
  let client: TLSSocket;
  for (const [operation, resumed] of [
    ['getMany', session],
    ['set', undefined],
  ] as const) {
    Object.assign(store, { [operation]: leave });
    client = connect({
      port,
      host: '127.0.0.1',
      rejectUnauthorized: false,
      ...NO_TICKETS,
      ...(resumed && { session: resumed }),
    });
    await once(client, 'close');
  }
  const deadline = Date.now() + 10_000;
  while (shared.counts().sessions_errors_total < 2 && Date.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.equal(shared.counts().sessions_errors_total, 2);
  one.close();
  await once(one, 'close');
});

test('a listener for one connection is called once, with the hello read ahead', async () => {
  const options = { store: new EmbeddedStore(), secrets: [SECRET], log };
  const one = server(tlsOptions(options));
  let calls = 0;
  one.once('connection', () => calls++);
  attach(one, options);
  const port = await portOf(one);
  await nodeClient(port);
  await nodeClient(port);
  assert.equal(calls, 1);
});

test('the diagnostics channel tells what becomes of sessions and keys, and nothing secret', async () => {
  const told: unknown[] = [];
  const listener = (event: unknown) => told.push(event);
  subscribe('lookaside.tls', listener);
  try {
    const options = { store: new EmbeddedStore(), secrets: [SECRET], fleet: 'told', log };
    const one = server(tlsOptions(options));
    await attach(one, options).ready;
    const port = await portOf(one);
    const { session } = await nodeClient(port, NO_TICKETS);
    await nodeClient(port, { ...NO_TICKETS, session });
    const events = told.map((event) => Object.entries(event ?? {}).filter(([, value]) => typeof value === 'string'));
    const own = events.map((event) => Object.fromEntries(event)).filter(({ fleet }) => fleet === 'told');
    assert.deepEqual(
      own.map(({ subject, outcome }) => `${subject} ${outcome}`),
      ['ticket-key current', 'session stored', 'session hit'],
    );
  } finally {
    unsubscribe('lookaside.tls', listener);
  }
});
