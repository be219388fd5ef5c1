import type { Server } from 'node:tls';
import { keyTypeOf } from './certificate.js';
import { certificatesIn } from './pem.js';
import { fingerprintOf } from './stapled-certificate.js';
import type { Done, Stapler } from './stapler.js';

/**
 * Makes a `tls`, `https` or `http2` server staple, and returns how to end that. One stapler serves any number of servers.
 * No other listener of `OCSPRequest` may be there: Node takes a second answer for an error of the connection.
 *
 * There are no staples where Node names one certificate and may show another: where the server's own context has
 * certificates of several key types (RSA and ECDSA), or an SNI context has another key type than that one. (Node adds the
 * certificate of an SNI context to those of the server's own, and OpenSSL picks one by what the client can verify.)
 */
export function attachStapler(server: Server, stapler: Stapler): () => void {
  const own = new OwnContext(server);
  const listener = (certificate: Buffer, issuer: Buffer | null, done: Done) => {
    if (own.isAloneWith(certificate)) stapler.staple(certificate, issuer, done);
    else stapler.decline(certificate, issuer, done);
  };
  server.on('OCSPRequest', listener);
  const [leaf, issuer] = own.chain();
  // without its issuer it has to wait for a handshake: the context may know one from elsewhere
  if (leaf !== undefined && issuer !== undefined && own.isAloneWith(leaf)) stapler.prepare(leaf, issuer);
  return () => void server.off('OCSPRequest', listener);
}

/** So many certificates of SNI are remembered; it costs little to look at one again. */
const MAX_REMEMBERED = 4096;

/** The certificates of a server's own context. */
class OwnContext {
  readonly #server: Server;
  /** Node keeps what the context was made of as properties of the server: others after a reload. */
  #cert: unknown;
  #pfx: unknown;
  #keyTypes: ReadonlySet<string | undefined> = new Set();
  /** By fingerprint. */
  readonly #verdicts = new Map<string, boolean>();

  constructor(server: Server) {
    this.#server = server;
  }

  /** The first certificate and what lies behind it. */
  chain(): Buffer[] {
    return certificatesIn(pemFiles(Reflect.get(this.#server, 'cert'))[0] ?? '');
  }

  /** Whether no certificate of another key type may be shown in its place. */
  isAloneWith(certificate: Buffer): boolean {
    this.#follow();
    const fingerprint = fingerprintOf(certificate);
    const known = this.#verdicts.get(fingerprint);
    if (known !== undefined) return known;
    if (this.#verdicts.size === MAX_REMEMBERED) this.#verdicts.clear();
    const isAlone = new Set([...this.#keyTypes, keyTypeOf(certificate)]).size === 1;
    this.#verdicts.set(fingerprint, isAlone);
    return isAlone;
  }

  #follow(): void {
    const [cert, pfx]: unknown[] = [Reflect.get(this.#server, 'cert'), Reflect.get(this.#server, 'pfx')];
    if (cert === this.#cert && pfx === this.#pfx) return;
    this.#cert = cert;
    this.#pfx = pfx;
    this.#verdicts.clear();
    const leaves = pemFiles(cert).flatMap((file) => certificatesIn(file).slice(0, 1));
    // a PKCS #12 file is encrypted: the context tells the last certificate it has, and nothing of those before
    if (Array.isArray(pfx) && pfx.length > 1) leaves.push(NO_CERTIFICATE);
    else if (pfx !== undefined && pfx !== null) leaves.push(certificateOf(this.#server) ?? NO_CERTIFICATE);
    this.#keyTypes = new Set(leaves.map(keyTypeOf));
  }
}

/** Has no key type, and so another one than every certificate. */
const NO_CERTIFICATE = Buffer.alloc(0);

/** The files in the option `cert`: one for each certificate with its chain. */
function pemFiles(cert: unknown): (string | Uint8Array)[] {
  const files: unknown[] = Array.isArray(cert) ? cert : [cert];
  return files.filter((file) => typeof file === 'string' || file instanceof Uint8Array);
}

/** What the server's own context names as its certificate; `undefined` when this Node does not tell. */
function certificateOf(server: Server): Buffer | undefined {
  const context: unknown = propertyOf(propertyOf(server, '_sharedCreds'), 'context');
  const getCertificate = propertyOf(context, 'getCertificate');
  const certificate: unknown =
    typeof getCertificate === 'function' ? Reflect.apply(getCertificate, context, []) : undefined;
  return Buffer.isBuffer(certificate) ? certificate : undefined;
}

function propertyOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
}
