import { type Certificate, demandsMore, isOcspSigner, parseCertificate } from './certificate.js';
import { DerError } from './der.js';
import { type Answer, type BasicResponse, type CertificateId, isSameCertificate, parseResponse, sha1 } from './ocsp.js';
import { isKnownAlgorithm, isSignedBy } from './signature.js';

/** By how much the clocks of responders and servers may differ. */
const SKEW_MS = 300_000;

/** For how long a response that names no end is taken to be true: there is always a newer one (RFC 6960 4.2.2.1). */
const DEFAULT_VALIDITY_MS = 60 * 60 * 1000;

/** What a response is judged against. */
export interface Target {
  readonly id: CertificateId;
  readonly issuer: Certificate;
}

/** What a response that was signed by who may sign it says, for a time that includes now. */
export interface Testimony {
  readonly status: 'good' | 'revoked';
  readonly thisUpdateMs: number;
  /** An hour after `thisUpdateMs` when the response names none. */
  readonly nextUpdateMs: number;
}

/** Why a response proves nothing. {@link REFUSALS} says what each means. */
export type Refusal = keyof typeof REFUSALS;

export const REFUSALS = {
  malformed: 'it is not an OCSP response in DER, or too large for one',
  unsuccessful: 'the responder had no answer (an error, "try later")',
  'other-certificate': 'it does not answer for this certificate, or does so twice',
  unknown: 'the responder does not know the certificate',
  'critical-extension': 'it must not be used without understanding an extension',
  algorithm: 'it is signed with an algorithm that is not known or not safe',
  signer: 'neither the issuer nor a delegate of the issuer says to have signed it',
  signature: 'its signature is not the signer’s',
  'not-yet-valid': 'it is of a time to come',
  expired: 'there should be a newer one by now',
} as const;

export type Judgement = Testimony | { readonly refusal: Refusal };

/**
 * What `response` proves about the target at `nowMs` (RFC 6960 3.2, RFC 5019 4). Any bytes at all may be given: they are
 * a stranger's. Throws nothing.
 */
export function judge(response: Buffer, target: Target, nowMs: number): Judgement {
  try {
    const parsed = parseResponse(response);
    if (parsed.status !== 'successful') return { refusal: 'unsuccessful' };
    return testimonyOf(parsed, target, nowMs);
  } catch (error) {
    if (error instanceof DerError) return { refusal: 'malformed' };
    throw error;
  }
}

function testimonyOf(response: BasicResponse, target: Target, nowMs: number): Judgement {
  const [answer, another] = response.answers.filter(
    ({ certificate }) => certificate !== undefined && isSameCertificate(certificate, target.id),
  );
  if (answer === undefined || another !== undefined) return { refusal: 'other-certificate' };
  if (demandsMore(response.extensions) || demandsMore(answer.extensions)) return { refusal: 'critical-extension' };
  const period = periodOf(answer);
  const untimely = timeliness(period, nowMs);
  if (untimely !== undefined) return { refusal: untimely };
  // the signature comes last, as it is what costs
  const unsigned = authenticity(response, target.issuer, nowMs);
  if (unsigned !== undefined) return { refusal: unsigned };
  if (answer.status === 'unknown') return { refusal: 'unknown' };
  return { status: answer.status, ...period };
}

type Period = Pick<Testimony, 'thisUpdateMs' | 'nextUpdateMs'>;

function periodOf({ thisUpdateMs, nextUpdateMs = thisUpdateMs + DEFAULT_VALIDITY_MS }: Answer): Period {
  return { thisUpdateMs, nextUpdateMs };
}

function timeliness({ thisUpdateMs, nextUpdateMs }: Period, nowMs: number): Refusal | undefined {
  if (thisUpdateMs > nowMs + SKEW_MS) return 'not-yet-valid';
  if (nextUpdateMs < nowMs - SKEW_MS || nextUpdateMs < thisUpdateMs) return 'expired';
  return undefined;
}

function authenticity(response: BasicResponse, issuer: Certificate, nowMs: number): Refusal | undefined {
  if (!isKnownAlgorithm(response.algorithm)) return 'algorithm';
  const candidates = [...signers(response, issuer, nowMs)];
  if (candidates.length === 0) return 'signer';
  return candidates.some((signer) => isSignedBy(response, signer.publicKeyInfo)) ? undefined : 'signature';
}

/**
 * Those who may sign for the issuer and go by the name in the response: the issuer, and delegates that it certified
 * itself (RFC 6960 4.2.2.2). Whether a delegate has been revoked in turn is not asked.
 */
function* signers(response: BasicResponse, issuer: Certificate, nowMs: number): Generator<Certificate> {
  if (isResponder(response, issuer)) yield issuer;
  for (const encoded of response.certificates) {
    const delegate = parseCertificate(encoded);
    if (isResponder(response, delegate) && isDelegate(delegate, issuer, nowMs)) yield delegate;
  }
}

function isResponder({ responder }: BasicResponse, { subject, publicKey }: Certificate): boolean {
  return 'name' in responder ? responder.name.equals(subject) : responder.keyHash.equals(sha1(publicKey));
}

function isDelegate(delegate: Certificate, issuer: Certificate, nowMs: number): boolean {
  return (
    delegate.notBeforeMs <= nowMs + SKEW_MS &&
    delegate.notAfterMs >= nowMs - SKEW_MS &&
    isOcspSigner(delegate) &&
    delegate.issuer.equals(issuer.subject) &&
    isSignedBy(delegate, issuer.publicKeyInfo)
  );
}
