import { DerError, DerReader, explicitTag, implicitTag, TAG } from './der.js';
import { readAlgorithm, readSigned, type Signed } from './signature.js';

/** What stapling needs to know of an X.509 certificate. All buffers are views of the bytes that were parsed. */
export interface Certificate extends Signed {
  /** The DER of the whole certificate. */
  readonly encoded: Buffer;
  /** The octets of the serial number. */
  readonly serial: Buffer;
  /** Names, in DER: two are the same when their bytes are. */
  readonly issuer: Buffer;
  readonly subject: Buffer;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** The SubjectPublicKeyInfo, in DER. */
  readonly publicKeyInfo: Buffer;
  /** The octets of the key itself, which is what OCSP makes its key hashes of. */
  readonly publicKey: Buffer;
  readonly extensions: Extensions;
}

/** Extensions by their identifiers ({@link DerReader.oid}). */
export type Extensions = ReadonlyMap<string, Extension>;

interface Extension {
  readonly isCritical: boolean;
  /** The DER of the extension's own type. */
  readonly value: Buffer;
}

const OID = {
  /** 2.5.29.15 */
  keyUsage: '551d0f',
  /** 2.5.29.17 */
  subjectAltName: '551d11',
  /** 2.5.29.19 */
  basicConstraints: '551d13',
  /** 2.5.29.32 */
  certificatePolicies: '551d20',
  /** 2.5.29.37 */
  extKeyUsage: '551d25',
  /** 1.3.6.1.5.5.7.1.1 */
  authorityInfoAccess: '2b06010505070101',
  /** 1.3.6.1.5.5.7.1.24 (RFC 7633) */
  tlsFeature: '2b06010505070118',
  /** 1.3.6.1.5.5.7.3.9 */
  ocspSigning: '2b06010505070309',
  /** 1.3.6.1.5.5.7.48.1 */
  ocsp: '2b06010505073001',
  /** 1.3.6.1.5.5.7.48.1.5 */
  ocspNoCheck: '2b0601050507300105',
} as const;

/** What a delegate's certificate may demand to be understood (RFC 5280 4.2) without being refused. */
const UNDERSTOOD: ReadonlySet<string> = new Set([
  OID.keyUsage,
  OID.subjectAltName,
  OID.basicConstraints,
  OID.certificatePolicies,
  OID.extKeyUsage,
  OID.ocspNoCheck,
]);

/** The TLS extension `status_request` (RFC 6066), as a TLS feature. */
const STATUS_REQUEST = 5;

/** Longer URLs are no responder's. */
const MAX_URL_BYTES = 1024;

/** Parses one certificate (RFC 5280 4.1). Throws a DerError. */
export function parseCertificate(encoded: Buffer): Certificate {
  const outer = new DerReader(encoded);
  const reader = outer.inside();
  outer.end();
  const signed = readSigned(reader);
  reader.end();
  const tbs = new DerReader(signed.tbs).inside();
  tbs.optional(explicitTag(0));
  const serial = tbs.integer();
  if (readAlgorithm(tbs) !== signed.algorithm) throw new DerError('two signature algorithms');
  const issuer = tbs.encoded(TAG.sequence);
  const validity = tbs.inside();
  const [notBeforeMs, notAfterMs] = [validity.time(), validity.time()];
  validity.end();
  const subject = tbs.encoded(TAG.sequence);
  const publicKeyInfo = tbs.encoded(TAG.sequence);
  tbs.optional(implicitTag(1));
  tbs.optional(implicitTag(2));
  const extensions = readExtensions(tbs.optionalInside(explicitTag(3)));
  tbs.end();
  const publicKey = keyIn(publicKeyInfo);
  return {
    ...signed,
    encoded,
    serial,
    issuer,
    subject,
    notBeforeMs,
    notAfterMs,
    publicKeyInfo,
    publicKey,
    extensions,
  };
}

/**
 * The algorithm of a certificate's key, as {@link DerReader.oid} gives it: a TLS context has room for one certificate of
 * each. `undefined` when `encoded` is not a certificate.
 */
export function keyTypeOf(encoded: Buffer): string | undefined {
  try {
    return new DerReader(parseCertificate(encoded).publicKeyInfo).inside().inside().oid();
  } catch (error) {
    if (error instanceof DerError) return undefined;
    throw error;
  }
}

/** Reads the Extensions within an explicit tag; there are none when the tag is absent. */
export function readExtensions(tagged: DerReader | undefined): Extensions {
  const extensions = new Map<string, Extension>();
  if (tagged === undefined) return extensions;
  const list = tagged.inside();
  tagged.end();
  while (!list.isAtEnd) {
    const extension = list.inside();
    const id = extension.oid();
    const isCritical = extension.defaultFalse();
    const value = extension.content(TAG.octetString);
    extension.end();
    if (extensions.has(id)) throw new DerError('an extension that is there twice');
    extensions.set(id, { isCritical, value });
  }
  return extensions;
}

/** Whether one of the extensions must be understood and is not among `understood`. */
export function demandsMore(extensions: Extensions, understood?: ReadonlySet<string>): boolean {
  for (const [id, { isCritical }] of extensions) {
    if (isCritical && understood?.has(id) !== true) return true;
  }
  return false;
}

/** The `http:` URLs of the certificate's OCSP responders (RFC 5280 4.2.2.1), in its order. Throws a DerError. */
export function responderUrls(certificate: Certificate): string[] {
  const urls: string[] = [];
  for (const description of valuesIn(certificate, OID.authorityInfoAccess)) {
    const method = description.oid();
    const uri = description.optional(implicitTag(6));
    if (method !== OID.ocsp || uri === undefined || uri.length > MAX_URL_BYTES) continue;
    const text = uri.toString('latin1');
    if (URL.canParse(text) && new URL(text).protocol === 'http:') urls.push(text);
  }
  return urls;
}

/** Whether clients are told to refuse the certificate without a staple (RFC 7633). Throws a DerError. */
export function isMustStaple(certificate: Certificate): boolean {
  const extension = certificate.extensions.get(OID.tlsFeature);
  if (extension === undefined) return false;
  const outer = new DerReader(extension.value);
  const features = outer.inside();
  outer.end();
  const found: number[] = [];
  while (!features.isAtEnd) found.push(features.smallInteger());
  return found.includes(STATUS_REQUEST);
}

/**
 * Whether the certificate may sign OCSP responses in its issuer's place (RFC 6960 4.2.2.2): it says so itself, by
 * id-kp-OCSPSigning and not by "any purpose". Whether the issuer signed it is not looked at. Throws a DerError.
 */
export function isOcspSigner(certificate: Certificate): boolean {
  const { extensions } = certificate;
  if (demandsMore(extensions, UNDERSTOOD) || !allowsDigitalSignatures(extensions)) return false;
  const extension = extensions.get(OID.extKeyUsage);
  if (extension === undefined) return false;
  const outer = new DerReader(extension.value);
  const purposes = outer.inside();
  outer.end();
  const found: string[] = [];
  while (!purposes.isAtEnd) found.push(purposes.oid());
  return found.includes(OID.ocspSigning);
}

/** Without the extension a key may be used for everything (RFC 5280 4.2.1.3). */
function allowsDigitalSignatures(extensions: Extensions): boolean {
  const extension = extensions.get(OID.keyUsage);
  if (extension === undefined) return true;
  const outer = new DerReader(extension.value);
  const [unusedBits = 0xff, firstBits = 0] = outer.content(TAG.bitString);
  outer.end();
  return unusedBits < 8 && (firstBits & 0x80) !== 0;
}

/** The SEQUENCEs within the SEQUENCE that is the extension's value. */
function* valuesIn({ extensions }: Certificate, id: string): Generator<DerReader> {
  const extension = extensions.get(id);
  if (extension === undefined) return;
  const outer = new DerReader(extension.value);
  const list = outer.inside();
  outer.end();
  while (!list.isAtEnd) yield list.inside();
}

function keyIn(publicKeyInfo: Buffer): Buffer {
  const reader = new DerReader(publicKeyInfo).inside();
  reader.content(TAG.sequence);
  const key = reader.octetsOfBitString();
  reader.end();
  return key;
}
