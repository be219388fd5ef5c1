import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import { DerError, type DerReader, TAG } from './der.js';

/** The SIGNED{} form that certificates and OCSP responses share: something, the algorithm, and the signature of it. */
export interface Signed {
  /** What is signed: the DER of one SEQUENCE. */
  readonly tbs: Buffer;
  /** The algorithm's identifier, as {@link DerReader.oid} gives it. */
  readonly algorithm: string;
  readonly signature: Buffer;
}

interface Algorithm {
  readonly keyType: 'rsa' | 'ec' | 'ed25519' | 'ed448';
  readonly digest: 'sha256' | 'sha384' | 'sha512' | null;
  /** RFC 4055 5 wants NULL with RSA, RFC 5758 3.2 and RFC 8410 3 want nothing with the others. */
  readonly parameters: 'null' | 'none';
}

/**
 * What a signature may be made with. SHA-1 is left out: a collision would make a staple of the attacker's choice (the CA/
 * Browser Forum forbids it for OCSP since 2022). So is RSASSA-PSS, which no responder of the public Web uses.
 */
const ALGORITHMS: ReadonlyMap<string, Algorithm> = new Map([
  // 1.2.840.113549.1.1.11 to 13
  ['2a864886f70d01010b', { keyType: 'rsa', digest: 'sha256', parameters: 'null' }],
  ['2a864886f70d01010c', { keyType: 'rsa', digest: 'sha384', parameters: 'null' }],
  ['2a864886f70d01010d', { keyType: 'rsa', digest: 'sha512', parameters: 'null' }],
  // 1.2.840.10045.4.3.2 to 4
  ['2a8648ce3d040302', { keyType: 'ec', digest: 'sha256', parameters: 'none' }],
  ['2a8648ce3d040303', { keyType: 'ec', digest: 'sha384', parameters: 'none' }],
  ['2a8648ce3d040304', { keyType: 'ec', digest: 'sha512', parameters: 'none' }],
  // 1.3.101.112 and 113
  ['2b6570', { keyType: 'ed25519', digest: null, parameters: 'none' }],
  ['2b6571', { keyType: 'ed448', digest: null, parameters: 'none' }],
]);

/** Reads the three elements, of which the reader stands at the first. Throws a DerError. */
export function readSigned(reader: DerReader): Signed {
  const tbs = reader.encoded(TAG.sequence);
  const algorithm = readAlgorithm(reader);
  return { tbs, algorithm, signature: reader.octetsOfBitString() };
}

/** Reads an AlgorithmIdentifier, whose parameters may be NULL or absent, and nothing else where it is one of ours. */
export function readAlgorithm(reader: DerReader): string {
  const identifier = reader.inside();
  const algorithm = identifier.oid();
  const known = ALGORITHMS.get(algorithm);
  if (known === undefined) return algorithm;
  if (known.parameters === 'null') readNull(identifier);
  identifier.end();
  return algorithm;
}

/** Reads NULL, if it is there. */
export function readNull(reader: DerReader): void {
  const content = reader.optional(TAG.null);
  if (content !== undefined && content.length > 0) throw new DerError('a NULL with content');
}

/** Whether signatures with this algorithm can be verified at all. */
export function isKnownAlgorithm(algorithm: string): boolean {
  return ALGORITHMS.has(algorithm);
}

/**
 * Whether the key in `publicKeyInfo` (the DER of a SubjectPublicKeyInfo) made the signature. A key that can not be used,
 * or is not of the algorithm's kind, made none. Give it only keys that are trusted, or certified by one that is: what a
 * verification costs is up to the key.
 */
export function isSignedBy({ tbs, algorithm, signature }: Signed, publicKeyInfo: Buffer): boolean {
  const known = ALGORITHMS.get(algorithm);
  if (known === undefined) return false;
  try {
    const key: KeyObject = createPublicKey({ key: publicKeyInfo, format: 'der', type: 'spki' });
    return key.asymmetricKeyType === known.keyType && verify(known.digest, tbs, key, signature);
  } catch {
    // OpenSSL throws for keys it does not understand
    return false;
  }
}
