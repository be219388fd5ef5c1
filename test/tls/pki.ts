import { execFileSync } from 'node:child_process';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Certificate, parseCertificate } from '../../src/tls/certificate.js';
import { certificatesIn } from '../../src/tls/pem.js';

/** A certificate made by openssl, and its key. */
export interface Issued {
  readonly key: KeyObject;
  readonly keyPem: string;
  readonly pem: string;
  readonly certificate: Certificate;
  /** Where the two lie, for the tools of openssl. */
  readonly keyFile: string;
  readonly file: string;
}

export type KeyType = 'rsa' | 'ec' | 'ed25519';

export interface IssueOptions {
  readonly keyType?: KeyType;
  /** Default: a new one. */
  readonly key?: KeyObject;
  /** Default: self-signed. */
  readonly by?: Issued;
  /** As in an openssl.cnf, such as `basicConstraints=critical,CA:TRUE`. */
  readonly extensions?: readonly string[];
  readonly days?: number;
}

/** Certificates of all kinds, in a directory that is gone when the process ends. */
export class Pki {
  readonly directory = mkdtempSync(join(tmpdir(), 'lookaside-pki-'));
  readonly #config = join(this.directory, 'req.cnf');
  #count = 0;

  constructor() {
    writeFileSync(this.#config, '[req]\ndistinguished_name=dn\n[dn]\n');
    process.once('exit', () => rmSync(this.directory, { recursive: true, force: true }));
  }

  /** Writes a file into the directory and tells where it is. */
  write(name: string, content: string | Uint8Array): string {
    const path = join(this.directory, name);
    writeFileSync(path, content);
    return path;
  }

  issue(name: string, options: IssueOptions = {}): Issued {
    const { keyType = 'ec', by, extensions = [], days = 30 } = options;
    const number = this.#count++;
    const { key = newKey(keyType) } = options;
    const keyPem = key.export({ format: 'pem', type: 'pkcs8' }).toString();
    const keyFile = this.write(`${number}.key`, keyPem);
    const file = join(this.directory, `${number}.pem`);
    openssl([
      ...['req', '-x509', '-new', '-config', this.#config, '-sha256', '-subj', `/CN=${name}`, '-days', `${days}`],
      ...['-key', keyFile, '-out', file],
      ...(by === undefined ? [] : ['-CA', by.file, '-CAkey', by.keyFile]),
      ...extensions.flatMap((extension) => ['-addext', extension]),
    ]);
    const pem = readFileSync(file, 'latin1');
    return { key, keyPem, keyFile, pem, file, certificate: certificateIn(pem) };
  }

  authority(name: string, keyType: KeyType = 'ec'): Issued {
    const extensions = ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign,cRLSign'];
    return this.issue(name, { keyType, extensions });
  }

  /** A certificate for a server; `responder` is where it says that its status can be had. */
  server(name: string, by: Issued, responder?: string, options: IssueOptions = {}): Issued {
    const { extensions = [], ...rest } = options;
    const access = responder === undefined ? [] : [`authorityInfoAccess=OCSP;URI:${responder}`];
    return this.issue(name, { ...rest, by, extensions: [`subjectAltName=DNS:${name}`, ...access, ...extensions] });
  }

  delegate(name: string, by: Issued, keyType: KeyType = 'ec'): Issued {
    return this.issue(name, { keyType, by, extensions: ['keyUsage=critical,digitalSignature', OCSP_SIGNING] });
  }
}

export const OCSP_SIGNING = 'extendedKeyUsage=OCSPSigning';

/** The serial number as openssl writes it: without the octet of zeros that keeps an INTEGER positive. */
export function serialText({ certificate }: Issued): string {
  return certificate.serial.toString('hex').replace(/^00/, '').toUpperCase();
}

/** What a program of openssl printed. */
export function openssl(args: readonly string[], input?: string): string {
  return execFileSync('openssl', args, { input, encoding: 'latin1', stdio: ['pipe', 'pipe', 'pipe'] });
}

export function certificateIn(pem: string): Certificate {
  const [encoded] = certificatesIn(pem);
  if (encoded === undefined) throw new Error('there is no certificate in it');
  return parseCertificate(encoded);
}

function newKey(keyType: KeyType): KeyObject {
  switch (keyType) {
    case 'rsa':
      return generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
    case 'ec':
      return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
    case 'ed25519':
      return generateKeyPairSync('ed25519').privateKey;
  }
}
