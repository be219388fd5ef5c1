import { type Judgement, judge } from './ocsp-verify.js';
import type { Fleet } from './options.js';
import { certificatesIn } from './pem.js';
import { readStapled, type StapledCertificate, type UnstapledCertificate } from './stapled-certificate.js';
import type { StaplerOptions } from './stapler.js';
import { type Lock, Staples } from './staples.js';

/** What the store holds for one certificate. */
export interface StapleInfo {
  readonly certificate: StapledCertificate | UnstapledCertificate;
  /** What the shared response proves; `undefined` when there is none. */
  readonly shared: Judgement | undefined;
  /** What the fleet does, or did lately, to get another one. */
  readonly lock: Lock | undefined;
}

/**
 * What the fleet has of the staple of the first certificate in `chain` (PEM, the issuer behind it). `undefined` when there
 * is no certificate in it. Rejects as the store does.
 */
export async function stapleInfo(
  fleet: Pick<Fleet, 'name' | 'store'>,
  chain: string | Uint8Array,
  options: Pick<StaplerOptions, 'responder' | 'issuers'> = {},
): Promise<StapleInfo | undefined> {
  const [leaf, ...others] = certificatesIn(chain);
  if (leaf === undefined) return undefined;
  const issuers = [...others, ...certificatesIn(options.issuers ?? '')];
  const certificate = readStapled(leaf, null, { responder: options.responder, issuers });
  if ('obstacle' in certificate) return { certificate, shared: undefined, lock: undefined };
  const staples = new Staples(fleet);
  const generation = await staples.generation();
  const [item, lock] = await Promise.all([
    staples.read(certificate.fingerprint, generation),
    staples.lockOn(certificate.fingerprint, generation),
  ]);
  return { certificate, shared: item && judge(item.response, certificate, Date.now()), lock };
}
