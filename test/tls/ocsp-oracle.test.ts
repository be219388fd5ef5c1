import assert from 'node:assert/strict';
import { webcrypto } from 'node:crypto';
import { before, test } from 'node:test';
import { fromBER } from 'asn1js';
import fc from 'fast-check';
import * as pkijs from 'pkijs';
import { parseCertificate } from '../../src/tls/certificate.js';
import { DerError } from '../../src/tls/der.js';
import { type CertificateId, certificateId, parseResponse } from '../../src/tls/ocsp.js';
import { judge } from '../../src/tls/ocsp-verify.js';
import { type Obstacle, readStapled } from '../../src/tls/stapled-certificate.js';
import { makeResponse, type ResponseOptions, signedResponse as signAgain } from './ocsp-responder.js';
import { type Issued, OCSP_SIGNING, Pki } from './pki.js';

/** Most are refused by us; of the others pkijs takes some 5 ms each. */
const RUNS = 600;

const pki = new Pki();
const authorities = { rsa: pki.authority('RSA CA', 'rsa'), ec: pki.authority('EC CA') };

interface Case {
  readonly name: string;
  readonly issuer: Issued;
  readonly leaf: Issued;
  readonly signer: Issued;
  readonly response: Buffer;
}

const cases: readonly Case[] = Object.entries(authorities).flatMap(([keyType, issuer]) => {
  const leaf = pki.server('example.test', issuer);
  const signers = {
    issuer,
    delegate: pki.delegate('Delegate', issuer, keyType === 'rsa' ? 'rsa' : 'ec'),
    server: pki.issue('Server', { by: issuer, extensions: ['extendedKeyUsage=serverAuth'] }),
    rogue: pki.issue('Rogue', { extensions: [OCSP_SIGNING] }),
    'any purpose': pki.issue('Any', { by: issuer, extensions: ['extendedKeyUsage=anyExtendedKeyUsage'] }),
  };
  const kinds: Record<string, Partial<ResponseOptions>> = {
    good: {},
    revoked: { status: 'revoked' },
    unknown: { status: 'unknown' },
    'of another': { of: signers.delegate },
    'named by name': { responderId: 'name' },
  };
  return Object.entries(signers).flatMap(([who, signer]) =>
    Object.entries(kinds).map(([kind, options]) => {
      // pkijs looks for the issuer among them, too
      const certificates = [signer.certificate.encoded];
      const response = makeResponse({ issuer, of: leaf, signer, certificates, ...options });
      return { name: `${keyType}, ${who}, ${kind}`, issuer, leaf, signer, response };
    }),
  );
});

before(() => {
  pkijs.setEngine('node', new pkijs.CryptoEngine({ name: 'node', crypto: webcrypto }));
});

function target({ leaf, issuer }: Case): { id: CertificateId; issuer: Case['issuer']['certificate'] } {
  return { id: certificateId(leaf.certificate, issuer.certificate), issuer: issuer.certificate };
}

/** `good`, `revoked` or `refused`, whatever the reason. */
function ours(one: Case, response = one.response): string {
  const judgement = judge(response, target(one), Date.now());
  return 'refusal' in judgement ? 'refused' : judgement.status;
}

async function oracle({ issuer, leaf }: Case, response: Buffer): Promise<string> {
  try {
    const [by, of] = [issuer, leaf].map(({ certificate }) => pkijs.Certificate.fromBER(certificate.encoded));
    assert.ok(by && of);
    const bytes = pkijs.OCSPResponse.fromBER(response).responseBytes?.response.valueBlock.valueHexView ?? Buffer.of();
    const basic = pkijs.BasicOCSPResponse.fromBER(bytes);
    if (!(await basic.verify({ trustedCerts: [by] }))) return 'refused';
    const { isForCertificate, status } = await basic.getCertificateStatus(of, by);
    return isForCertificate ? (['good', 'revoked', 'refused'][status] ?? 'refused') : 'refused';
  } catch {
    return 'refused';
  }
}

test('pkijs says the same of sound and unsound responses', async () => {
  const verdicts = new Map<string, number>();
  for (const one of cases) {
    const verdict = ours(one);
    assert.equal(verdict, await oracle(one, one.response), one.name);
    verdicts.set(verdict, (verdicts.get(verdict) ?? 0) + 1);
  }
  assert.deepEqual(Object.fromEntries(verdicts), { good: 8, revoked: 4, refused: 38 });
});

/** Flips, cuts, repeats and moves bytes. */
function mutation(original: Buffer): fc.Arbitrary<Buffer> {
  const at = fc.nat({ max: original.length - 1 });
  const flip = fc.tuple(at, fc.integer({ min: 1, max: 255 })).map(([index, bits]) => {
    const bytes = Buffer.from(original);
    bytes[index] = (bytes[index] ?? 0) ^ bits;
    return bytes;
  });
  const splice = fc
    .tuple(at, fc.nat({ max: 40 }), fc.uint8Array({ maxLength: 40 }))
    .map(([from, cut, put]) => Buffer.concat([original.subarray(0, from), put, original.subarray(from + cut)]));
  const cut = at.map((length) => original.subarray(0, length));
  return fc.oneof({ weight: 4, arbitrary: flip }, splice, cut).filter((bytes) => !bytes.equals(original));
}

/** With nothing in them that no signature covers: of the issuer without, and of a delegate with its certificate. */
const sound = cases
  .filter(({ name }) => /(issuer|delegate), good/.test(name))
  .map((one) => ({ ...one, response: makeResponse({ issuer: one.issuer, of: one.leaf, signer: one.signer }) }));

test('no mutation is proof of anything', () => {
  assert.equal(sound.length, 4);
  for (const one of sound) {
    assert.equal(ours(one), 'good', one.name);
    fc.assert(
      fc.property(mutation(one.response), (bytes) => {
        assert.equal(ours(one, bytes), 'refused');
      }),
      { numRuns: 1500 },
    );
  }
});

test('what is signed, strange as it may be, is proof to us only if it is to pkijs', async () => {
  const signed = cases.filter(({ name }) => /(issuer|delegate), (good|revoked)/.test(name));
  const strange = fc.constantFrom(...signed).chain((one) => {
    const { tbs, certificates } = partsOf(one.response);
    return mutation(tbs).map((bytes) => ({ one, bytes: signAgain(bytes, one.signer, certificates) }));
  });
  const verdicts = new Set<string>();
  for (const { one, bytes } of fc.sample(strange, RUNS)) {
    const verdict = ours(one, bytes);
    verdicts.add(verdict);
    if (verdict !== 'refused') assert.equal(await oracle(one, bytes), verdict, bytes.toString('hex'));
  }
  assert.ok(verdicts.size > 1, 'mutations that are proof, and others');
});

function partsOf(response: Buffer): { readonly tbs: Buffer; readonly certificates: readonly Buffer[] } {
  const parsed = parseResponse(response);
  assert.ok(parsed.status === 'successful');
  return parsed;
}

test('parsing throws DerErrors and nothing else', () => {
  const texts = [...sound.map(({ response }) => response), ...sound.map(({ leaf }) => leaf.certificate.encoded)];
  const anything = fc.oneof(
    fc.constantFrom(...texts).chain(mutation),
    fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
  );
  fc.assert(
    fc.property(anything, (bytes) => {
      for (const parse of [parseResponse, parseCertificate]) {
        try {
          parse(bytes);
        } catch (error) {
          assert.ok(error instanceof DerError, String(error));
        }
      }
    }),
    { numRuns: 5000 },
  );
});

test('a mutated certificate is read or not, and never throws', () => {
  const { leaf, issuer } = cases[0] ?? assert.fail();
  const sources = { responder: 'http://127.0.0.1/', issuers: [] };
  const seen = new Set<Obstacle | 'none'>();
  const bytes = fc.tuple(mutation(leaf.certificate.encoded), mutation(issuer.certificate.encoded), fc.boolean());
  fc.assert(
    fc.property(bytes, ([certificate, by, isIssuerSound]) => {
      const read = readStapled(certificate, isIssuerSound ? issuer.certificate.encoded : by, sources);
      seen.add('obstacle' in read ? read.obstacle : 'none');
      assert.ok('obstacle' in read);
    }),
    { numRuns: 1000 },
  );
  assert.deepEqual([...seen].sort(), ['no-issuer', 'unreadable']);
});

test('asn1js reads our requests', () => {
  const { leaf, issuer } = cases[0] ?? assert.fail();
  const read = readStapled(leaf.certificate.encoded, issuer.certificate.encoded, {
    responder: 'http://127.0.0.1/',
    issuers: [],
  });
  assert.ok('request' in read);
  const request = pkijs.OCSPRequest.fromBER(read.request);
  const [asked] = request.tbsRequest.requestList;
  assert.deepEqual(Buffer.from(asked?.reqCert.serialNumber.valueBlock.valueHexView ?? []), leaf.certificate.serial);
  assert.equal(fromBER(Uint8Array.from(read.request).buffer).offset, read.request.length);
});
