import { type Certificate, isMustStaple, parseCertificate, responderUrls } from './certificate.js';
import { DerError } from './der.js';
import { type CertificateId, certificateId, encodeRequest, sha1 } from './ocsp.js';
import { isSignedBy } from './signature.js';

/** A certificate that a server shows, with what is needed to get a staple for it and to judge one. */
export interface StapledCertificate {
  /** The SHA-1 of its DER, in hex: what `openssl x509 -fingerprint` prints, without the colons. */
  readonly fingerprint: string;
  readonly id: CertificateId;
  readonly issuer: Certificate;
  /** The OCSP request for it, in DER. */
  readonly request: Buffer;
  /** Whom to ask, in this order: at least one `http:` URL. */
  readonly responders: readonly string[];
  readonly isMustStaple: boolean;
  readonly notAfterMs: number;
}

/** A certificate that no staple can be had for, and why. */
export interface UnstapledCertificate {
  readonly fingerprint: string;
  readonly isMustStaple: boolean;
  readonly obstacle: Obstacle;
}

/** Why there can be no staple. {@link OBSTACLES} says what each means. */
export type Obstacle = keyof typeof OBSTACLES;

export const OBSTACLES = {
  'no-responder': 'the certificate names no OCSP responder, and none is configured',
  'no-issuer': 'the certificate’s issuer is not known: put it into the chain, or into `issuers`',
  'several-certificates': 'several certificates may be shown to the client, and Node does not tell which one is',
  unreadable: 'the certificate or its issuer is not X.509 in DER',
} as const;

/** What the operator says about where staples come from. */
export interface Sources {
  /** An `http:` URL to ask in place of the certificates' own. */
  readonly responder: string | undefined;
  /** Candidates for the issuers of certificates that are configured without their chain. */
  readonly issuers: readonly Buffer[];
}

/** A slow responder is waited for in vain; so the next one is asked, but not the whole world. */
export const MAX_RESPONDERS = 3;

export function fingerprintOf(certificate: Uint8Array): string {
  return sha1(certificate).toString('hex');
}

/** Reads a certificate as a TLS context holds it, with its issuer if the context has that (both in DER). */
export function readStapled(
  encoded: Buffer,
  issuer: Buffer | null,
  sources: Sources,
): StapledCertificate | UnstapledCertificate {
  const fingerprint = fingerprintOf(encoded);
  try {
    const certificate = parseCertificate(encoded);
    const mustStaple = isMustStaple(certificate);
    const urls = sources.responder === undefined ? responderUrls(certificate) : [sources.responder];
    const responders = urls.slice(0, MAX_RESPONDERS);
    if (responders.length === 0) return { fingerprint, isMustStaple: mustStaple, obstacle: 'no-responder' };
    const candidates = (issuer === null ? sources.issuers : [issuer]).map(parseCertificate);
    const found = candidates.find((candidate) => isIssuer(candidate, certificate));
    if (found === undefined) return { fingerprint, isMustStaple: mustStaple, obstacle: 'no-issuer' };
    const id = certificateId(certificate, found);
    const { notAfterMs } = certificate;
    const request = encodeRequest(id);
    return { fingerprint, id, issuer: found, request, responders, isMustStaple: mustStaple, notAfterMs };
  } catch (error) {
    if (error instanceof DerError) return { fingerprint, isMustStaple: false, obstacle: 'unreadable' };
    throw error;
  }
}

/** Whether `issuer` has signed `certificate`: two of the same name may have different keys. */
function isIssuer(issuer: Certificate, certificate: Certificate): boolean {
  return certificate.issuer.equals(issuer.subject) && isSignedBy(certificate, issuer.publicKeyInfo);
}
