import assert from 'node:assert/strict';
import { type ChildProcess, execFile, execFileSync, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect as connectHttp2, createSecureServer } from 'node:http2';
import { createServer as createHttps } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { type ConnectionOptions, connect, createSecureContext, createServer, type Server } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { EmbeddedStore } from '../../src/store/embedded.js';
import { openStore } from '../../src/store/open.js';
import type { Store } from '../../src/store/store.js';
import { attachStapler } from '../../src/tls/attach-stapler.js';
import { fingerprintOf } from '../../src/tls/stapled-certificate.js';
import { Stapler, type StaplerOptions } from '../../src/tls/stapler.js';
import { Staples } from '../../src/tls/staples.js';
import { startMemcached } from '../support/memcached.js';
import { until } from '../support/until.js';
import { answering, makeResponse, startResponder } from './ocsp-responder.js';
import { type Issued, OCSP_SIGNING, Pki, serialText } from './pki.js';
import type { StapleServerRecipe } from './staple-server-process.js';

/** Handshakes of these tests wait for the staple, however slow the machine is. */
const PATIENT_MS = 5_000;

const run = promisify(execFile);
const pki = new Pki();
const issuer = pki.authority('CA');
const rsaIssuer = pki.authority('RSA CA', 'rsa');
const responder = await startResponder();
const certificates = {
  ec: pki.server('ec.test', issuer, responder.url),
  other: pki.server('other.test', issuer, responder.url),
  rsa: pki.server('rsa.test', rsaIssuer, responder.url, { keyType: 'rsa' }),
};
responder.behaviour = answering((serial) => {
  const of = Object.values(certificates).find(({ certificate }) => certificate.serial.equals(serial));
  assert.ok(of, 'asked for a certificate that there is not');
  return makeResponse({ issuer: of === certificates.rsa ? rsaIssuer : issuer, of });
});
after(() => responder.close());

function context(of: Issued, by = of === certificates.rsa ? rsaIssuer : issuer) {
  return { key: of.keyPem, cert: of.pem + by.pem };
}

/** Makes `server` staple and listen for the length of `use`. */
async function stapling(
  server: Server,
  use: (port: number, stapler: Stapler) => Promise<void>,
  options: StaplerOptions = {},
  store: Store = new EmbeddedStore(),
): Promise<void> {
  const stapler = new Stapler(
    { name: 'f', store, log: { debug() {}, info() {}, warn() {} } },
    { waitMs: PATIENT_MS, ...options },
  );
  const detach = attachStapler(server, stapler);
  server.on('tlsClientError', () => {});
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    await use((server.address() as AddressInfo).port, stapler);
  } finally {
    detach();
    stapler.close();
    server.close();
    await store.close();
  }
}

/** Makes a client of Node ask for a staple. */
const ASKING: object = { requestOCSP: true };

/** What `openssl s_client -status` saw: what the staple says of the certificate that was shown. */
async function clientStatus(port: number, args: readonly string[] = []): Promise<string> {
  const client = run('openssl', ['s_client', '-connect', `127.0.0.1:${port}`, '-status', ...args], {
    timeout: 3 * PATIENT_MS,
  });
  client.child.stdin?.end();
  const { stdout } = await client;
  if (stdout.includes('OCSP response: no response sent')) return 'none';
  const status = /Cert Status: (\w+)/.exec(stdout)?.[1];
  const serial = /Serial Number: (\w+)/.exec(stdout)?.[1];
  const stapled = Object.entries(certificates).find(([, one]) => serialText(one) === serial);
  const shown = /^ 0 s:CN = (\w+)\.test/m.exec(stdout)?.[1];
  assert.equal(stapled?.[0], shown, 'the certificate that is shown is the one that is stapled');
  return status ?? 'unclear';
}

/** `openssl ocsp` as the responder of the certificate authority. */
async function startOpensslResponder(signer: Issued, known: readonly Issued[]): Promise<{ url: string; stop(): void }> {
  const lines = known.map((one) => `V\t491231235959Z\t\t${serialText(one)}\tunknown\t/CN=x\n`);
  const database = ['-index', pki.write('index.txt', lines.join('')), '-CA', issuer.file];
  const args = ['ocsp', ...database, '-rsigner', signer.file, '-rkey', signer.keyFile, '-port', '0', '-ndays', '7'];
  const child = spawn('openssl', args, { stdio: ['ignore', 'pipe', 'ignore'] });
  const stop = () => child.kill('SIGKILL');
  process.once('exit', stop);
  const [line] = await once(child.stdout, 'data');
  const port = /ACCEPT \S+:(\d+) /.exec(String(line))?.[1];
  assert.ok(port, `no port in ${line}`);
  return { url: `http://127.0.0.1:${port}/`, stop };
}

test('the staple of a real responder convinces openssl, over TLS 1.2 and 1.3', async (t) => {
  const delegate = pki.delegate('Delegate', issuer);
  const real = await startOpensslResponder(delegate, [certificates.ec]);
  t.after(() => real.stop());
  const server = createServer(context(certificates.ec));
  await stapling(
    server,
    async (port, stapler) => {
      assert.equal(await clientStatus(port, ['-tls1_2']), 'good');
      assert.equal(await clientStatus(port, ['-tls1_3']), 'good');
      assert.equal(stapler.counts.staples_fetches_total, 1);

      const options: ConnectionOptions = { port, host: '127.0.0.1', rejectUnauthorized: false };
      const client = connect({ ...options, ...ASKING });
      const [staple] = await once(client, 'OCSPResponse');
      client.destroy();
      const file = pki.write('staple.der', staple);
      const args = ['-issuer', issuer.file, '-cert', certificates.ec.file, '-CAfile', issuer.file, '-no_nonce'];
      const { stdout, stderr } = await run('openssl', ['ocsp', '-respin', file, ...args]);
      assert.match(stderr + stdout, /Response verify OK[\s\S]*: good/);
    },
    { responder: real.url },
  );
});

test('a client that does not ask is given none', async () => {
  await stapling(createServer(context(certificates.ec)), async (port, stapler) => {
    const client = connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
    await once(client, 'secureConnect');
    client.destroy();
    assert.equal(stapler.counts.staples_served_total + stapler.counts.staples_missing_total, 0);
  });
});

test('https and HTTP/2 servers staple', async () => {
  const h2 = createSecureServer(context(certificates.rsa));
  h2.on('stream', (stream) => stream.respond({ ':status': 204 }, { endStream: true }));
  await stapling(h2, async (port) => {
    assert.equal(await clientStatus(port, ['-alpn', 'h2']), 'good');
    const session = connectHttp2(`https://127.0.0.1:${port}`, { ...ASKING, rejectUnauthorized: false });
    const [fields] = await once(session.request({ ':path': '/' }).end(), 'response');
    assert.equal(fields[':status'], 204);
    session.destroy();
  });
  await stapling(createHttps(context(certificates.rsa)), async (port) => {
    assert.equal(await clientStatus(port), 'good');
  });
});

test('each context of SNI has its staple, from addContext and from SNICallback', async () => {
  const callback = createServer({
    ...context(certificates.ec),
    SNICallback: (_name, done) => done(null, createSecureContext(context(certificates.other))),
  });
  const added = createServer(context(certificates.ec));
  added.addContext('other.test', context(certificates.other));
  for (const server of [callback, added]) {
    await stapling(server, async (port, stapler) => {
      assert.equal(await clientStatus(port, ['-servername', 'other.test']), 'good');
      assert.equal(await clientStatus(port, ['-noservername']), 'good');
      assert.equal(stapler.counts.staples_served_total, 2);
    });
  }
});

test('a certificate out of a PKCS #12 file is stapled', async () => {
  const { keyFile, file } = certificates.ec;
  const out = join(pki.directory, 'ec.p12');
  execFileSync('openssl', [
    'pkcs12',
    '-export',
    '-inkey',
    keyFile,
    '-in',
    file,
    '-certfile',
    issuer.file,
    '-passout',
    'pass:x',
    '-out',
    out,
  ]);
  await stapling(createServer({ pfx: readFileSync(out), passphrase: 'x' }), async (port) => {
    assert.equal(await clientStatus(port), 'good');
  });
});

const both = [certificates.rsa, certificates.ec].map((one) => context(one));
const double = { key: both.map(({ key }) => key), cert: both.map(({ cert }) => cert) };
const ONLY = { rsa: ['-sigalgs', 'RSA-PSS+SHA256'], ec: ['-sigalgs', 'ECDSA+SHA256'] };

test('a context with an RSA and an ECDSA certificate gets no staple, whichever is shown', async () => {
  const server = createServer(double);
  await stapling(server, async (port, stapler) => {
    server.addContext('other.test', context(certificates.other));
    assert.equal(await clientStatus(port, ONLY.rsa), 'none');
    assert.equal(await clientStatus(port, ONLY.ec), 'none');
    assert.equal(await clientStatus(port, ['-servername', 'other.test']), 'none', 'a context of SNI beside the two');
    assert.equal(stapler.counts.staples_missing_total, 3);
    server.setSecureContext(context(certificates.ec));
    assert.equal(await clientStatus(port), 'good', 'after a reload with one');
    server.setSecureContext(double);
    assert.equal(await clientStatus(port, ONLY.rsa), 'none', 'after a reload with two');
  });
});

test('nor does one of SNI with another key type than the server’s own: Node shows either', async () => {
  const server = createServer(context(certificates.ec));
  server.addContext('rsa.test', context(certificates.rsa));
  await stapling(server, async (port) => {
    for (const args of [ONLY.rsa, ONLY.ec]) {
      assert.equal(await clientStatus(port, ['-servername', 'rsa.test', ...args]), 'none');
    }
    assert.equal(await clientStatus(port, ['-noservername']), 'good');
  });
});

test('this Node names the last certificate of such a context, also when it shows the other one', async () => {
  const server = createServer(double).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const named: string[] = [];
  server.on('OCSPRequest', (certificate, _issuer, done) => {
    named.push(fingerprintOf(certificate));
    done(null, null);
  });
  const { port } = server.address() as AddressInfo;
  for (const args of [ONLY.rsa, ONLY.ec]) assert.equal(await clientStatus(port, args), 'none');
  server.close();
  const last = fingerprintOf(certificates.ec.certificate.encoded);
  assert.deepEqual(named, [last, last]);
});

test('the staple of the new certificate follows a reload', async () => {
  const server = createServer(context(certificates.ec));
  await stapling(server, async (port) => {
    assert.equal(await clientStatus(port), 'good');
    server.setSecureContext(context(certificates.rsa));
    assert.equal(await clientStatus(port), 'good');
  });
});

test('cold processes of a fleet ask the responder once', async (t) => {
  const memcached = await startMemcached();
  t.after(() => memcached.stop());
  const before = responder.methods.length;
  const { behaviour } = responder;
  t.after(() => {
    responder.behaviour = behaviour;
  });
  // long enough for all of them to find that there is none
  responder.behaviour = (request, response) => setTimeout(() => behaviour(request, response), 500);
  const recipe: StapleServerRecipe = {
    memcached: memcached.server,
    keyFile: certificates.ec.keyFile,
    chainFile: pki.write('chain.pem', context(certificates.ec).cert),
    waitMs: PATIENT_MS,
  };
  const script = fileURLToPath(new URL('staple-server-process.js', import.meta.url));
  const children: ChildProcess[] = [];
  t.after(() => {
    for (const child of children) child.kill('SIGKILL');
  });
  const ports = Array.from({ length: 5 }, async () => {
    const child = fork(script, [JSON.stringify(recipe)]);
    children.push(child);
    const [{ port }] = await once(child, 'message');
    return Number(port);
  });
  const statuses = await Promise.all(ports.map(async (port) => clientStatus(await port)));
  assert.deepEqual(statuses, Array(5).fill('good'));
  assert.equal(responder.methods.length - before, 1);
});

test('a staple that was forged in memcached is not served, and a true one there is', async (t) => {
  const memcached = await startMemcached();
  t.after(() => memcached.stop());
  const open = () => openStore({ memcached: { servers: [{ address: memcached.address }] } });
  const rogue = pki.issue('CA', { extensions: [OCSP_SIGNING] });
  const of = certificates.ec;
  const plantings = [
    { response: makeResponse({ issuer, of, signer: rogue, responderId: 'name' }), fetches: 1 },
    { response: makeResponse({ issuer, of: certificates.other }), fetches: 1 },
    { response: makeResponse({ issuer, of }), fetches: 0 },
  ];
  for (const { response, fetches } of plantings) {
    await memcached.restart();
    const store = open();
    const staples = new Staples({ name: 'f', store });
    await until(() => staples.generation().then(Boolean, () => false), 'memcached does not answer');
    await staples.write(fingerprintOf(of.certificate.encoded), await staples.generation(), response, 3600);
    const use = async (port: number, stapler: Stapler) => {
      assert.equal(await clientStatus(port), 'good');
      assert.equal(stapler.counts.staples_fetches_total, fetches);
      assert.equal(stapler.counts.staples_refused_total, fetches);
    };
    await stapling(createServer(context(of)), use, {}, store);
  }
});

test('handshakes complete, and staples come, without memcached', async (t) => {
  const memcached = await startMemcached();
  t.after(() => memcached.stop());
  const store = openStore({ memcached: { servers: [{ address: memcached.address }] } });
  memcached.pause();
  await stapling(
    createServer(context(certificates.ec)),
    async (port, stapler) => {
      assert.equal(await clientStatus(port), 'good');
      assert.ok(stapler.counts.staples_store_errors_total > 0);
    },
    {},
    store,
  );
});
