import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { ConfigError } from '../../src/config/config-error.js';
import { settingsOf } from '../../src/config/load.js';
import type { Config } from '../../src/config/schema.js';
import { openssl, Pki } from '../tls/pki.js';

const pki = new Pki();
const site = pki.issue('site.test');
const other = pki.issue('other.test');
const rsa = pki.issue('rsa.test', { keyType: 'rsa' });
const files = { cert: site.file, key: site.keyFile };
const SECRET = '0123456789abcdef0123456789abcdef';

type TlsConfig = NonNullable<Config['tls']>;

function tlsOf(tls: Partial<TlsConfig>) {
  const settings = settingsOf({ actions: [], tls: { ...files, ...tls } }, 'test').tls;
  assert.ok(settings);
  return settings;
}

/** What is wrong with the section, by option. */
function faults(tls: Partial<TlsConfig>): (readonly [option: string, message: string])[] {
  try {
    tlsOf(tls);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map(({ path, message }) => [path, message] as const);
    throw error;
  }
  return [];
}

describe('the tls section', () => {
  it('is complete with a certificate and its key', () => {
    const { cert, key, ...rest } = tlsOf({});
    assert.deepEqual(
      [cert, key],
      [
        { path: site.file, text: site.pem },
        { path: site.keyFile, text: site.keyPem },
      ],
    );
    assert.deepEqual(rest, {
      contexts: [],
      minVersion: 'TLSv1.2',
      fleet: 'default',
      secrets: [],
      ticketKeys: 'shared',
      rotateSeconds: 7200,
      sessions: { encoding: 'binary', timeoutSeconds: 1800, sealed: true, timeoutMs: 50 },
      statefulTls13: false,
      stapling: { responder: undefined, timeoutMs: 10_000, tryLater: false },
    });
  });

  it('takes the secret as text, as two, or from a file', () => {
    assert.deepEqual(tlsOf({ secret: SECRET }).secrets, [SECRET]);
    assert.deepEqual(tlsOf({ secret: [SECRET, `${SECRET}1`] }).secrets, [SECRET, `${SECRET}1`]);
    const secretFile = pki.write('secret', `${SECRET}\n${SECRET}1\n`);
    assert.deepEqual(tlsOf({ secretFile }).secrets, [SECRET, `${SECRET}1`]);
  });

  it('turns parts off', () => {
    const { ticketKeys, sessions, stapling } = tlsOf({ ticketKeys: 'off', sessions: false, stapling: false });
    assert.deepEqual([ticketKeys, sessions, stapling], [false, false, false]);
    assert.deepEqual(tlsOf({ sessions: true, stapling: true }), tlsOf({}));
  });

  it('takes further certificates by the names of servers, in lower case', () => {
    const { contexts } = tlsOf({
      contexts: [{ servername: 'Other.TEST', cert: other.file, key: other.keyFile }],
    });
    assert.deepEqual(
      contexts.map(({ servername, cert }) => [servername, cert.path]),
      [['other.test', other.file]],
    );
  });

  const encrypted = join(pki.directory, 'encrypted.key');
  openssl(['pkcs8', '-topk8', '-in', site.keyFile, '-passout', 'pass:x', '-out', encrypted]);
  const empty = pki.write('empty.pem', 'nothing');
  const secret = pki.write('one-secret', SECRET);

  /** A section, the option that is at fault, and the message. */
  const FAULTS: readonly (readonly [why: string, tls: Partial<TlsConfig>, option: string, message: RegExp])[] = [
    ['a file that is not there', { cert: '/nowhere.pem' }, 'tls.cert', /^the file can not be read: ENOENT/],
    ['a certificate that is none', { cert: empty }, 'tls.cert', /empty\.pem has no certificate in PEM/],
    ['a key that is none', { key: empty }, 'tls.key', /empty\.pem has no private key in PEM/],
    ['a key with a passphrase', { key: encrypted }, 'tls.key', /without a passphrase/],
    ['the key of another certificate', { key: other.keyFile }, 'tls.key', /is not the key of the certificate in/],
    ['authorities that are none', { clientCa: empty }, 'tls.clientCa', /empty\.pem has no certificate in PEM/],
    [
      'a certificate whose key is of another type',
      { contexts: [{ servername: 'rsa.test', cert: rsa.file, key: rsa.keyFile }] },
      'tls.contexts[0].cert',
      /shown the wrong one of the two/,
    ],
    [
      'a name that is there twice',
      { contexts: ['a.test', 'A.test'].map((servername) => ({ servername, cert: other.file, key: other.keyFile })) },
      'tls.contexts[1].servername',
      /^a\.test is in the list already/,
    ],
    [
      'a name that is none',
      { contexts: [{ servername: 'a.*.test', cert: other.file, key: other.keyFile }] },
      'tls.contexts[0].servername',
      /expected a host name/,
    ],
    ['a short secret', { secret: 'short' }, 'tls.secret', /can be guessed/],
    ['two sources of secrets', { secret: SECRET, secretFile: secret }, 'tls.secretFile', /give either/],
    ['a fleet whose name can not be a key', { fleet: 'a b' }, 'tls.fleet', /expected 1 to 64/],
    ['stateful TLS 1.3 without a secret', { statefulTls13: true }, 'tls.statefulTls13', /needs a secret/],
    [
      'stateful TLS 1.3 without sessions',
      { statefulTls13: true, secret: SECRET, sessions: false },
      'tls.statefulTls13',
      /needs the session store/,
    ],
    ['a responder that is not http:', { stapling: { responder: 'https://a/' } }, 'tls.stapling.responder', /http: URL/],
  ];
  for (const [why, tls, option, message] of FAULTS) {
    it(`refuses ${why}`, () => {
      const [[found, said] = ['', ''], ...more] = faults(tls);
      assert.equal(found, option, said);
      assert.match(said, message);
      assert.deepEqual(more, []);
    });
  }
});
