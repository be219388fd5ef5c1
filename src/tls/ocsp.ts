import { createHash } from 'node:crypto';
import type { Certificate, Extensions } from './certificate.js';
import { readExtensions } from './certificate.js';
import { DerError, DerReader, der, explicitTag, implicitTag, TAG } from './der.js';
import { readNull, readSigned, type Signed } from './signature.js';

/** Responses have 500 to 3000 bytes; a whole chain of certificates fits in here twice. */
export const MAX_RESPONSE_BYTES = 64 * 1024;

/** Delegation needs one. Each may cost a verification, so that their number is a bound of work. */
const MAX_CERTIFICATES = 8;

/** 1.3.14.3.2.26, SHA-1: which certificate is meant, nothing that must be safe against collisions. */
const SHA1 = '2b0e03021a';

/** 1.3.6.1.5.5.7.48.1.1, id-pkix-ocsp-basic */
const BASIC_RESPONSE = '2b0601050507300101';

/** What identifies a certificate to its responder (RFC 6960 4.1.1). */
export interface CertificateId {
  readonly issuerNameHash: Buffer;
  readonly issuerKeyHash: Buffer;
  readonly serial: Buffer;
}

/** `successful` comes with an answer, the others instead of one (RFC 6960 4.2.1). */
export type ResponseStatus = 'successful' | (typeof UNSUCCESSFUL)[keyof typeof UNSUCCESSFUL];

const UNSUCCESSFUL = {
  1: 'malformed-request',
  2: 'internal-error',
  3: 'try-later',
  5: 'signature-required',
  6: 'unauthorized',
} as const;

export type OcspResponse =
  | { readonly status: Exclude<ResponseStatus, 'successful'> }
  | ({ readonly status: 'successful' } & BasicResponse);

/** RFC 6960 4.2.1, BasicOCSPResponse. Nothing in it is verified. */
export interface BasicResponse extends Signed {
  /** Who says to have signed it: the DER of a name, or the SHA-1 of a key. */
  readonly responder: { readonly name: Buffer } | { readonly keyHash: Buffer };
  readonly producedAtMs: number;
  readonly answers: readonly Answer[];
  readonly extensions: Extensions;
  /** In DER. */
  readonly certificates: readonly Buffer[];
}

/** RFC 6960 4.2.1, SingleResponse: what is said of one certificate. */
export interface Answer {
  /** `undefined` when it is told by another hash than SHA-1, which is what we ask by. */
  readonly certificate: CertificateId | undefined;
  readonly status: 'good' | 'revoked' | 'unknown';
  readonly thisUpdateMs: number;
  readonly nextUpdateMs: number | undefined;
  readonly extensions: Extensions;
}

export function certificateId(certificate: Certificate, issuer: Certificate): CertificateId {
  return {
    issuerNameHash: sha1(issuer.subject),
    issuerKeyHash: sha1(issuer.publicKey),
    serial: certificate.serial,
  };
}

export function isSameCertificate(one: CertificateId, other: CertificateId): boolean {
  return (
    one.serial.equals(other.serial) &&
    one.issuerKeyHash.equals(other.issuerKeyHash) &&
    one.issuerNameHash.equals(other.issuerNameHash)
  );
}

/** The SHA-1 by which OCSP identifies names and keys, and the seed its cache items. */
export function sha1(bytes: Uint8Array): Buffer {
  return createHash('sha1').update(bytes).digest();
}

/**
 * The DER of a request for one certificate, without a nonce (RFC 6960 4.1.1): the answer is kept and shared, and
 * responders of the Web answer from what they made beforehand (RFC 5019).
 */
export function encodeRequest(id: CertificateId): Buffer {
  const request = der(TAG.sequence, encodeCertificateId(id));
  const list = der(TAG.sequence, request);
  return der(TAG.sequence, der(TAG.sequence, list));
}

export function encodeCertificateId({ issuerNameHash, issuerKeyHash, serial }: CertificateId): Buffer {
  return der(
    TAG.sequence,
    der(TAG.sequence, der(TAG.oid, Buffer.from(SHA1, 'hex')), der(TAG.null)),
    der(TAG.octetString, issuerNameHash),
    der(TAG.octetString, issuerKeyHash),
    der(TAG.integer, serial),
  );
}

/** A response that says nothing but "try later" (RFC 6960 4.2.1): what it costs a client to ask once more. */
export const TRY_LATER = der(TAG.sequence, der(TAG.enumerated, Buffer.of(3)));

/** Parses a response of at most {@link MAX_RESPONSE_BYTES}, and every part of it. Throws a DerError. */
export function parseResponse(bytes: Buffer): OcspResponse {
  if (bytes.length > MAX_RESPONSE_BYTES) throw new DerError(`a response of more than ${MAX_RESPONSE_BYTES} bytes`);
  const outer = new DerReader(bytes);
  const reader = outer.inside();
  outer.end();
  const status = statusOf(reader.smallInteger(TAG.enumerated));
  const tagged = reader.optionalInside(explicitTag(0));
  reader.end();
  if (status !== 'successful') return { status };
  const responseBytes = tagged?.inside();
  tagged?.end();
  if (responseBytes?.oid() !== BASIC_RESPONSE) throw new DerError('a response of an unknown type');
  const basic = responseBytes.content(TAG.octetString);
  responseBytes.end();
  return { status, ...parseBasicResponse(basic) };
}

function parseBasicResponse(bytes: Buffer): BasicResponse {
  const outer = new DerReader(bytes);
  const reader = outer.inside();
  outer.end();
  const signed = readSigned(reader);
  const certificates = readCertificates(reader.optionalInside(explicitTag(0)));
  reader.end();
  const data = new DerReader(signed.tbs).inside();
  const version = data.optionalInside(explicitTag(0));
  if (version !== undefined) {
    if (version.smallInteger() !== 0) throw new DerError('a response of an unknown version');
    version.end();
  }
  const responder = readResponder(data);
  const producedAtMs = data.generalizedTime();
  const list = data.inside();
  const answers: Answer[] = [];
  while (!list.isAtEnd) answers.push(readAnswer(list.inside()));
  const extensions = readExtensions(data.optionalInside(explicitTag(1)));
  data.end();
  return { ...signed, responder, producedAtMs, answers, extensions, certificates };
}

function readCertificates(tagged: DerReader | undefined): Buffer[] {
  const certificates: Buffer[] = [];
  if (tagged === undefined) return certificates;
  const list = tagged.inside();
  tagged.end();
  while (!list.isAtEnd) {
    if (certificates.length === MAX_CERTIFICATES) throw new DerError(`more than ${MAX_CERTIFICATES} certificates`);
    certificates.push(list.encoded(TAG.sequence));
  }
  return certificates;
}

function readResponder(data: DerReader): BasicResponse['responder'] {
  const named = data.optionalInside(explicitTag(1));
  const responder = named ?? data.inside(explicitTag(2));
  const id =
    named !== undefined ? { name: responder.encoded(TAG.sequence) } : { keyHash: responder.content(TAG.octetString) };
  responder.end();
  return id;
}

function readAnswer(reader: DerReader): Answer {
  const certificate = readCertificateId(reader.inside());
  const status = readStatus(reader);
  const thisUpdateMs = reader.generalizedTime();
  const next = reader.optionalInside(explicitTag(0));
  const nextUpdateMs = next?.generalizedTime();
  next?.end();
  const extensions = readExtensions(reader.optionalInside(explicitTag(1)));
  reader.end();
  return { certificate, status, thisUpdateMs, nextUpdateMs, extensions };
}

function readCertificateId(reader: DerReader): CertificateId | undefined {
  const algorithm = reader.inside();
  const isSha1 = algorithm.oid() === SHA1;
  if (isSha1) {
    readNull(algorithm);
    algorithm.end();
  }
  const issuerNameHash = reader.content(TAG.octetString);
  const issuerKeyHash = reader.content(TAG.octetString);
  const serial = reader.integer();
  reader.end();
  return isSha1 ? { issuerNameHash, issuerKeyHash, serial } : undefined;
}

function readStatus(reader: DerReader): Answer['status'] {
  const revoked = reader.optionalInside(explicitTag(1));
  if (revoked !== undefined) {
    revoked.generalizedTime();
    const reason = revoked.optionalInside(explicitTag(0));
    reason?.smallInteger(TAG.enumerated);
    reason?.end();
    revoked.end();
    return 'revoked';
  }
  const good = reader.optional(implicitTag(0));
  const content = good ?? reader.content(implicitTag(2));
  if (content.length > 0) throw new DerError('a status with content');
  return good !== undefined ? 'good' : 'unknown';
}

function statusOf(number: number): ResponseStatus {
  if (number === 0) return 'successful';
  const status = Object.entries(UNSUCCESSFUL).find(([known]) => Number(known) === number)?.[1];
  if (status === undefined) throw new DerError('a response status that is not defined');
  return status;
}
