import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { keyTypeOf } from '../tls/certificate.js';
import { certificatesIn } from '../tls/pem.js';

/** A file and what was in it when it was read. */
export interface FileText {
  readonly path: string;
  readonly text: string;
}

/** A certificate with its chain, and its key, in PEM. */
export interface CertifiedKey {
  readonly cert: FileText;
  readonly key: FileText;
}

/** Another certificate for clients that ask for this name. */
export interface NamedCertificate extends CertifiedKey {
  /** In lower case: a host name, or `*.` and a domain for the names right below it. */
  readonly servername: string;
}

/** What a server that speaks TLS shows to its clients, and whom it believes. */
export interface TlsFiles extends CertifiedKey {
  /** The authorities one of which must have signed the certificate that each client then has to show. */
  readonly clientCa?: FileText | undefined;
  readonly contexts: readonly NamedCertificate[];
}

/** Why a server can not be run with these files. */
export interface TlsFault {
  /** The option that it is about. */
  readonly path: readonly (string | number)[];
  readonly message: string;
}

/** Everything for which OpenSSL would refuse the files, or show a wrong certificate. */
export function faultsIn({ contexts, clientCa, ...own }: TlsFiles): TlsFault[] {
  const faults = [...faultsOfPair(own, []), ...faultsOfAuthorities(clientCa)];
  const names = contexts.map(({ servername }) => servername);
  for (const [index, context] of contexts.entries()) {
    const path = ['contexts', index];
    faults.push(...faultsOfPair(context, path));
    if (names.indexOf(context.servername) < index) {
      faults.push({ path: [...path, 'servername'], message: `${context.servername} is in the list already` });
    }
    if (keyTypeIn(own) !== keyTypeIn(context)) faults.push({ path: [...path, 'cert'], message: OTHER_KEY_TYPE });
  }
  return faults;
}

/**
 * Node adds the certificate of a name to the server's own, which it replaces only where their keys are of one type; of
 * two that are left OpenSSL shows the one that it likes better for this client.
 */
const OTHER_KEY_TYPE =
  'its key is of another type than that of the first certificate: clients could be shown the wrong one of the two';

function keyTypeIn({ cert }: CertifiedKey): string | undefined {
  const [leaf] = certificatesIn(cert.text);
  return leaf && keyTypeOf(leaf);
}

function faultsOfPair({ cert, key }: CertifiedKey, path: readonly (string | number)[]): TlsFault[] {
  const [certPath, keyPath] = [
    [...path, 'cert'],
    [...path, 'key'],
  ];
  const certificate = firstCertificate(cert.text);
  if (certificate === undefined) return [{ path: certPath, message: `${cert.path} has no certificate in PEM` }];
  const privateKey = privateKeyIn(key.text);
  if (privateKey === undefined) {
    return [{ path: keyPath, message: `${key.path} has no private key in PEM without a passphrase` }];
  }
  if (!certificate.checkPrivateKey(privateKey)) {
    return [{ path: keyPath, message: `${key.path} is not the key of the certificate in ${cert.path}` }];
  }
  const refusal = refusalOf(() => createSecureContext({ cert: cert.text, key: key.text }));
  return refusal === undefined ? [] : [{ path: certPath, message: `${cert.path} can not be used: ${refusal}` }];
}

function faultsOfAuthorities(clientCa: FileText | undefined): TlsFault[] {
  if (clientCa === undefined) return [];
  const path = ['clientCa'];
  // without a single one Node would fall back to all authorities of the web
  if (certificatesIn(clientCa.text).length === 0) {
    return [{ path, message: `${clientCa.path} has no certificate in PEM` }];
  }
  const refusal = refusalOf(() => createSecureContext({ ca: clientCa.text }));
  return refusal === undefined ? [] : [{ path, message: `${clientCa.path} can not be used: ${refusal}` }];
}

function firstCertificate(pem: string): X509Certificate | undefined {
  const [leaf] = certificatesIn(pem);
  try {
    return leaf && new X509Certificate(leaf);
  } catch {
    return undefined;
  }
}

function privateKeyIn(pem: string): KeyObject | undefined {
  try {
    return createPrivateKey(pem);
  } catch {
    return undefined;
  }
}

function refusalOf(attempt: () => unknown): string | undefined {
  try {
    attempt();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
