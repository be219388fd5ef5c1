import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { lookaside } from '../support/command.js';
import { type Served, startLookaside } from '../support/lookaside.js';
import { type Memcached, startMemcached } from '../support/memcached.js';
import { until } from '../support/until.js';
import { opensslClient } from '../tls/fleet.js';
import { answering, makeResponse, startResponder, type TestResponder } from '../tls/ocsp-responder.js';
import { Pki } from '../tls/pki.js';

const pki = new Pki();
const authority = pki.authority('authority');
const site = pki.server('site.test', authority);
const renewed = pki.server('renewed.test', authority);
const folder = join(pki.directory, 'site');
mkdirSync(folder);
const cert = pki.write('site/site.pem', site.pem + authority.pem);
const key = pki.write('site/site.key', site.keyPem);
const secretFile = pki.write('secret', `${'0123456789abcdef'.repeat(4)}\n`);

const portOf = ({ url }: Served) => Number(new URL(url).port);

/** Clients of all kinds, as arguments of openssl. */
const CLIENTS: readonly (readonly [kind: string, args: readonly string[]])[] = [
  ['TLS 1.2 by session id', ['-tls1_2', '-no_ticket', '-alpn', 'http/1.1']],
  ['TLS 1.2 by ticket', ['-tls1_2', '-alpn', 'http/1.1']],
  ['TLS 1.3', ['-tls1_3', '-alpn', 'http/1.1']],
  ['HTTP/2', ['-tls1_3', '-alpn', 'h2']],
];

describe('two processes of lookaside serve, one memcached', () => {
  let memcached: Memcached;
  let responder: TestResponder;
  let servers: [Served, Served];
  let config: string;
  let sessions = 0;

  before(async () => {
    [memcached, responder] = await Promise.all([startMemcached(), startResponder()]);
    responder.behaviour = answering(() => makeResponse({ issuer: authority, of: site }));
    const text = JSON.stringify({
      listen: '127.0.0.1:0',
      memcached: { servers: [memcached.server], timeout: '3s' },
      tls: {
        ...{ cert, key, secretFile, fleet: 'shop' },
        sessions: { lookupTimeout: '5s' },
        stapling: { responder: responder.url },
      },
      actions: { respond: { body: 'x' } },
    });
    config = pki.write('site.yaml', text);
    servers = await Promise.all([startLookaside({ config: text }), startLookaside({ config: text })]);
  });
  after(async () => {
    await Promise.all((servers ?? []).map((server) => server.stop()));
    await memcached?.stop();
    await responder?.close();
  });

  const tls = (...args: string[]) => lookaside(['tls', ...args]);

  /** The file with the session of a full handshake. */
  async function sessionOf(server: Served, args: readonly string[]): Promise<string> {
    const file = join(pki.directory, `session-${sessions++}`);
    const { isReused } = await opensslClient(portOf(server), args, file);
    assert.equal(isReused, false);
    return file;
  }
  const resumes = async (server: Served, session: string, args: readonly string[]) =>
    (await opensslClient(portOf(server), [...args, '-sess_in', session])).isReused;

  for (const [kind, args] of CLIENTS) {
    test(`what one negotiated the other resumes: ${kind}`, async () => {
      const [first, second] = servers;
      assert.ok(await resumes(second, await sessionOf(first, args), args));
    });
  }

  test('staples are fetched once, and seen by clients and by "tls staples info"', async () => {
    for (const server of servers) {
      await until(async () => {
        const { text } = await opensslClient(portOf(server), ['-status', '-alpn', 'http/1.1']);
        return text.includes('OCSP Response Status: successful');
      }, 'there is no staple');
    }
    assert.equal(responder.methods.length, 1);
    const { exitCode, stdout } = await tls('staples', 'info', '--config', config, '--json');
    const [info] = JSON.parse(stdout);
    assert.deepEqual([exitCode, info.staple, info.mustStaple], [0, 'good', false]);

    const given = ['--memcached', memcached.server, '--fleet', 'shop', '--responder', responder.url];
    const inText = await tls('staples', 'info', ...given, '--tls-cert', cert);
    assert.match(inText.stdout, new RegExp(`^${info.fingerprint}: good, of \\S+, until \\S+Z`));
    assert.equal((await tls('staples', 'refresh', '--config', config)).exitCode, 0);
    assert.equal((await tls('staples', 'clear', '--config', config)).exitCode, 0);
    const cleared = await tls('staples', 'info', ...given, '--tls-cert', cert);
    assert.deepEqual([cleared.exitCode, / none in memcached/.test(cleared.stdout)], [1, true], cleared.stdout);
  });

  test('"tls sessions clear" ends those in the store', async () => {
    const [first, second] = servers;
    const args = CLIENTS[0]?.[1] ?? [];
    const session = await sessionOf(first, args);
    assert.ok(await resumes(second, session, args));
    assert.equal((await tls('sessions', 'clear', '--config', config)).exitCode, 0);
    assert.equal(await resumes(second, session, args), false);
  });

  test('"tls keys" names the key that tickets are sealed with, and gives the fleet another', async () => {
    const info = async () => {
      const { exitCode, stdout } = await tls('keys', 'info', '--config', config);
      assert.equal(exitCode, 0);
      return /^current {2}\S+ \S+ ([0-9a-f]{32})$/m.exec(stdout)?.[1];
    };
    const before = await info();
    const { stdout } = await tls('keys', 'rotate', '--config', config, '--json');
    const now = await info();
    assert.notEqual(now, before);
    assert.deepEqual(JSON.parse(stdout), { fleet: 'shop', key: now });
    const given = ['--memcached', memcached.server, '--fleet', 'shop'];
    const stranger = pki.write('stranger', `${'fedcba9876543210'.repeat(4)}\n`);
    const other = await tls('keys', 'info', ...given, '--tls-secret-file', stranger);
    assert.equal(other.exitCode, 1);
    assert.match(other.stdout, /^current {2}\S+ \S+ none$/m);
  });

  test('SIGHUP brings another certificate, and ends no session', async () => {
    const [first, second] = servers;
    const args = CLIENTS[2]?.[1] ?? [];
    const session = await sessionOf(first, args);
    copyFileSync(renewed.keyFile, key);
    copyFileSync(renewed.file, cert);
    for (const server of servers) {
      server.signal('SIGHUP');
      await until(async () => {
        const { text } = await opensslClient(portOf(server), args);
        return text.includes('CN = renewed.test');
      }, 'the new certificate is not shown');
    }
    assert.ok(await resumes(second, session, args));
  });

  test('what they counted is told by "tls sessions info"', async () => {
    const ends = await Promise.all(servers.map((server) => server.stop()));
    assert.deepEqual(ends, [0, 0]);
    const { stdout } = await tls('sessions', 'info', '--config', config, '--json');
    const counts = JSON.parse(stdout);
    assert.equal(counts.fleet, 'shop');
    assert.deepEqual([counts.sessions_hits_total, counts.sessions_stores_total >= 2], [2, true], stdout);
    const inText = await tls('sessions', 'info', '--memcached', memcached.server, '--fleet', 'shop');
    assert.match(inText.stdout, /^sessions_hits_total +2 {2}\S/m);
  });
});

describe('lookaside serve --tls-cert', { concurrency: true }, () => {
  test('speaks HTTPS, and says that a fleet needs a secret', async () => {
    const given = ['--upstream', 'http://127.0.0.1:1', '--tls-cert', site.file, '--tls-key', site.keyFile];
    const served = await startLookaside({ args: [...given, '--memcached', '127.0.0.1:1'] });
    assert.match(served.url, /^https:/);
    assert.match(served.log(), /tls has no secret/);
    const { text } = await opensslClient(portOf(served), ['-alpn', 'h2']);
    assert.match(text, /ALPN protocol: h2/);
    assert.equal(await served.stop(), 0);
  });

  /** Arguments, and what is said. */
  const FAILURES: readonly (readonly [args: readonly string[], sentence: RegExp])[] = [
    [['--upstream', 'http://a', '--tls-cert', site.file], /^lookaside serve: TLS needs both: /],
    [
      ['--upstream', 'http://a', '--tls-cert', site.file, '--tls-key', renewed.keyFile],
      /^lookaside serve: command line: tls\.key: \S+ is not the key of the certificate in /,
    ],
    [['--config', 'x.yaml', '--tls-cert', site.file], /^lookaside serve: --tls-cert and --config exclude each other$/m],
  ];
  for (const [args, sentence] of FAILURES) {
    test(`refuses ${args.map((arg) => arg.replace(/.*\//, '')).join(' ')}`, async () => {
      const { exitCode, stderr } = await lookaside(['serve', ...args]);
      assert.match(stderr, sentence);
      assert.equal(exitCode, 2);
    });
  }
});

describe('lookaside tls', { concurrency: true }, () => {
  const UNREACHABLE = ['--memcached', '127.0.0.1:1'];

  /** Arguments, how it ends, and what is said. */
  const FAILURES: readonly (readonly [args: readonly string[], exitCode: number, sentence: RegExp])[] = [
    [['sessions', 'rotate'], 2, /there is no "sessions rotate": expected sessions info, /],
    [['sessions', 'info', ...UNREACHABLE], 3, /127\.0\.0\.1:1/],
    [['staples', 'info', ...UNREACHABLE], 2, /say of which certificates/],
    [['keys', 'info', ...UNREACHABLE], 2, /say with which secret/],
    [['keys', 'info', '--config', 'a.yaml', '--fleet', 'b'], 2, /--config says everything: leave --fleet out/],
    [['keys', 'info', '--tls-secret-file', '/nowhere'], 2, /--tls-secret-file: the file can not be read/],
  ];
  for (const [args, expected, sentence] of FAILURES) {
    test(`${args.join(' ')} ends with ${expected}`, async () => {
      const { exitCode, stderr } = await lookaside(['tls', ...args]);
      assert.match(stderr, sentence);
      assert.equal(exitCode, expected);
    });
  }
});
