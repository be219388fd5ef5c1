import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { isMustStaple, responderUrls } from '../../src/tls/certificate.js';
import { der, TAG } from '../../src/tls/der.js';
import { certificateId, encodeRequest, MAX_RESPONSE_BYTES, sha1, TRY_LATER } from '../../src/tls/ocsp.js';
import { type Judgement, judge } from '../../src/tls/ocsp-verify.js';
import { extensions, hex, makeAnswer, makeResponse, type ResponseOptions } from './ocsp-responder.js';
import { type Issued, type KeyType, OCSP_SIGNING, openssl, Pki, serialText } from './pki.js';

const DAY_MS = 24 * 60 * 60 * 1000;
const SKEW_MS = 300_000;

const pki = new Pki();
const issuer = pki.authority('CA');
const leaf = pki.server('example.test', issuer, 'http://ocsp.example.test/a');
const delegate = pki.delegate('Delegate', issuer);

function judged(response: Buffer, nowMs = Date.now(), of: Issued = leaf, by: Issued = issuer): Judgement {
  const id = certificateId(of.certificate, by.certificate);
  return judge(response, { id, issuer: by.certificate }, nowMs);
}

/** The status of the response, or why it is refused. */
function verdict(options: Partial<ResponseOptions>, nowMs?: number): string {
  const judgement = judged(makeResponse({ issuer, of: leaf, ...options }), nowMs);
  return 'refusal' in judgement ? judgement.refusal : judgement.status;
}

/** What `openssl ocsp` answers for `of`, given its database. */
function opensslResponse(of: Issued, by: Issued, signer: Issued, line: string): Buffer {
  const index = pki.write('index.txt', line);
  const request = pki.write('request.der', encodeRequest(certificateId(of.certificate, by.certificate)));
  const out = join(pki.directory, 'response.der');
  const database = ['-index', index, '-CA', by.file, '-rsigner', signer.file, '-rkey', signer.keyFile];
  execFileSync('openssl', ['ocsp', ...database, '-reqin', request, '-respout', out, '-ndays', '7'], { stdio: 'pipe' });
  return readFileSync(out);
}

function databaseLine(status: 'V' | 'R', of: Issued): string {
  return `${status}\t491231235959Z\t${status === 'R' ? '250101000000Z,keyCompromise' : ''}\t${serialText(of)}\tunknown\t/CN=x\n`;
}

test('the request is the one that openssl makes', () => {
  const out = join(pki.directory, 'openssl-request.der');
  openssl(['ocsp', '-no_nonce', '-issuer', issuer.file, '-cert', leaf.file, '-reqout', out]);
  const request = encodeRequest(certificateId(leaf.certificate, issuer.certificate));
  assert.deepEqual(request, readFileSync(out));
});

for (const keyType of ['rsa', 'ec', 'ed25519'] as const satisfies KeyType[]) {
  test(`responses of openssl are understood and verified, with ${keyType}`, () => {
    const authority = pki.authority(`${keyType} CA`, keyType);
    const of = pki.server('a.test', authority, undefined, { keyType });
    const signer = pki.delegate(`${keyType} delegate`, authority, keyType);
    // openssl ocsp signs with a digest only
    const signers = keyType === 'ed25519' ? [] : [authority, signer];
    for (const by of signers) {
      const good = judged(opensslResponse(of, authority, by, databaseLine('V', of)), undefined, of, authority);
      assert.ok('status' in good && good.status === 'good', JSON.stringify(good));
      assert.equal(good.nextUpdateMs - good.thisUpdateMs, 7 * DAY_MS);
      const revoked = judged(opensslResponse(of, authority, by, databaseLine('R', of)), undefined, of, authority);
      assert.equal('status' in revoked && revoked.status, 'revoked');
      const unknown = judged(opensslResponse(of, authority, by, ''), undefined, of, authority);
      assert.deepEqual(unknown, { refusal: 'unknown' });
    }
    for (const by of [authority, signer]) {
      const made = judged(makeResponse({ issuer: authority, of, signer: by }), undefined, of, authority);
      assert.equal('status' in made && made.status, 'good');
    }
  });
}

test('the issuer or a delegate signs, named by key or by name', () => {
  for (const signer of [issuer, delegate]) {
    for (const responderId of ['name', 'key'] as const) assert.equal(verdict({ signer, responderId }), 'good');
  }
  assert.equal(verdict({ signer: delegate, status: 'revoked' }), 'revoked');
  assert.equal(verdict({ signer: delegate, status: 'unknown' }), 'unknown');
});

test('nobody else does', () => {
  const other = pki.authority('CA');
  const purposes = {
    'a certificate without a purpose': [],
    'a server': ['extendedKeyUsage=serverAuth'],
    'one for any purpose': ['extendedKeyUsage=anyExtendedKeyUsage'],
    'one whose key is not for signatures': ['keyUsage=keyEncipherment', OCSP_SIGNING],
    'one with an extension that nobody knows': ['1.2.3.4=critical,DER:0500', OCSP_SIGNING],
  };
  for (const [who, more] of Object.entries(purposes)) {
    assert.equal(verdict({ signer: pki.issue('X', { by: issuer, extensions: more }) }), 'signer', who);
  }
  assert.equal(verdict({ signer: leaf }), 'signer', 'the certificate itself');
  assert.equal(verdict({ signer: pki.delegate('Delegate', other) }), 'signer', 'a delegate of a CA of the same name');
  assert.equal(verdict({ signer: pki.delegate('D2', delegate) }), 'signer', 'a delegate of a delegate');
  const renamed = pki.issue('CA 2', { key: issuer.key, extensions: ['basicConstraints=critical,CA:TRUE'] });
  assert.equal(verdict({ signer: pki.delegate('D3', renamed) }), 'signer', 'a delegate of another name with the key');
  assert.equal(verdict({ signer: other, responderId: 'name' }), 'signature', 'a CA of the same name');
  assert.equal(verdict({ signer: other }), 'signer', 'a CA with another key');
  assert.equal(verdict({ signer: delegate, certificates: [] }), 'signer', 'a delegate that does not show itself');
});

test('a delegate signs as long as its certificate is valid', () => {
  const signer = pki.issue('Brief', { by: issuer, extensions: [OCSP_SIGNING], days: 1 });
  const later = Date.now() + 2 * DAY_MS;
  const earlier = Date.now() - DAY_MS;
  assert.equal(verdict({ signer }), 'good');
  assert.equal(verdict({ signer, thisUpdateMs: later - 1000 }, later), 'signer');
  assert.equal(verdict({ signer, thisUpdateMs: earlier - 1000 }, earlier), 'signer');
});

test('a response is good for its period, give or take five minutes', () => {
  const now = 1_800_000_000_000;
  const signer = issuer;
  const period = (thisUpdateMs: number, nextUpdateMs: number | null) => ({ signer, thisUpdateMs, nextUpdateMs });
  assert.equal(verdict(period(now + SKEW_MS, now + DAY_MS), now), 'good');
  assert.equal(verdict(period(now + SKEW_MS + 1000, now + DAY_MS), now), 'not-yet-valid');
  assert.equal(verdict(period(now - DAY_MS, now - SKEW_MS), now), 'good');
  assert.equal(verdict(period(now - DAY_MS, now - SKEW_MS - 1000), now), 'expired');
  assert.equal(verdict(period(now + 2000, now + 1000), now), 'expired', 'it ends before it begins');
  assert.equal(verdict(period(now - 3600_000, null), now), 'good', 'an hour when it names no end');
  assert.equal(verdict(period(now - 3600_000 - SKEW_MS - 1000, null), now), 'expired');
});

test('an answer for another certificate is none', () => {
  const another = pki.server('other.test', issuer);
  assert.equal(verdict({ of: another }), 'other-certificate');
  const id = certificateId(leaf.certificate, issuer.certificate);
  assert.equal(verdict({ id: { ...id, issuerKeyHash: sha1(Buffer.of()) } }), 'other-certificate');
  assert.equal(verdict({ id: { ...id, issuerNameHash: sha1(Buffer.of()) } }), 'other-certificate');
  const other = makeAnswer({ issuer, of: another, status: 'revoked' });
  assert.equal(verdict({ moreAnswers: [other] }), 'good', 'one among several');
  const same = makeAnswer({ issuer, of: leaf, status: 'revoked' });
  assert.equal(verdict({ moreAnswers: [same] }), 'other-certificate', 'two for the same');
});

test('extensions may be there unless they must be understood', () => {
  assert.equal(verdict({ extensions: extensions(false), answerExtensions: extensions(false) }), 'good');
  assert.equal(verdict({ extensions: extensions(true) }), 'critical-extension');
  assert.equal(verdict({ answerExtensions: extensions(true) }), 'critical-extension');
});

test('the algorithm is a known and safe one, and the key is of its kind', () => {
  const algorithm = (oid: string, ...parameters: Buffer[]) => der(TAG.sequence, der(TAG.oid, hex(oid)), ...parameters);
  assert.equal(verdict({ algorithm: algorithm('2a8648ce3d0401') }), 'algorithm', 'ecdsa-with-SHA1');
  assert.equal(verdict({ algorithm: algorithm('2a864886f70d010105') }), 'algorithm', 'sha1WithRSAEncryption');
  assert.equal(verdict({ algorithm: algorithm('2a864886f70d01010b') }), 'signature', 'RSA, with an EC key');
  assert.equal(verdict({ algorithm: algorithm('2a8648ce3d040303') }), 'signature', 'another digest');
  assert.equal(verdict({ algorithm: algorithm('2a8648ce3d040302', der(TAG.null)) }), 'malformed', 'parameters');
});

test('what is not exactly the DER of a response is refused', () => {
  const sound = makeResponse({ issuer, of: leaf });
  assert.equal(verdict({ unusedBits: 1 }), 'malformed', 'unused bits');
  assert.equal(verdict({ version: 0 }), 'good', 'the default, spelt out');
  assert.equal(verdict({ version: 1 }), 'malformed', 'another version');
  assert.deepEqual(judged(Buffer.concat([sound, Buffer.of(0)])), { refusal: 'malformed' }, 'a byte behind the end');
  assert.deepEqual(judged(sound.subarray(0, -1)), { refusal: 'malformed' }, 'a byte too few');
  assert.deepEqual(judged(Buffer.alloc(0)), { refusal: 'malformed' });
  const many = Array.from({ length: 9 }, () => delegate.certificate.encoded);
  assert.equal(verdict({ signer: delegate, certificates: many }), 'malformed', 'nine certificates');
  const moreAnswers = Array.from({ length: 600 }, () => makeAnswer({ issuer, of: delegate }));
  const large = makeResponse({ issuer, of: leaf, moreAnswers });
  assert.ok(large.length > MAX_RESPONSE_BYTES);
  assert.deepEqual(judged(large), { refusal: 'malformed' }, 'too large');
});

test('a responder without an answer is believed that', () => {
  assert.deepEqual(judged(TRY_LATER), { refusal: 'unsuccessful' });
  assert.deepEqual(judged(hex('30030a0106')), { refusal: 'unsuccessful' });
  assert.deepEqual(judged(hex('30030a0104')), { refusal: 'malformed' }, 'a status that is not defined');
  assert.deepEqual(judged(hex('30030a0100')), { refusal: 'malformed' }, 'successful, and nothing else');
});

test('the http URLs of responders are read out of the certificate', () => {
  const access =
    'authorityInfoAccess=OCSP;URI:https://a.test/,OCSP;URI:http://b.test/x,caIssuers;URI:http://c.test/,OCSP;URI:http://d.test/';
  const { certificate } = pki.issue('Access', { extensions: [access] });
  assert.deepEqual(responderUrls(certificate), ['http://b.test/x', 'http://d.test/']);
  assert.deepEqual(responderUrls(issuer.certificate), []);
});

test('must-staple is read out of the certificate', () => {
  assert.ok(isMustStaple(pki.issue('Must', { extensions: ['tlsfeature=status_request'] }).certificate));
  assert.ok(
    isMustStaple(pki.issue('Both', { extensions: ['tlsfeature=status_request_v2,status_request'] }).certificate),
  );
  assert.ok(!isMustStaple(pki.issue('V2', { extensions: ['tlsfeature=status_request_v2'] }).certificate));
  assert.ok(!isMustStaple(leaf.certificate));
});
