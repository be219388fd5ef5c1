import { sign } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { DerReader, der, explicitTag, implicitTag, TAG } from '../../src/tls/der.js';
import { type CertificateId, certificateId, encodeCertificateId, sha1 } from '../../src/tls/ocsp.js';
import type { Issued } from './pki.js';

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

/** A response to be made. What is left out is as a decent responder has it. */
export interface ResponseOptions {
  readonly issuer: Issued;
  readonly of: Issued;
  /** Default: the issuer. */
  readonly signer?: Issued;
  readonly status?: 'good' | 'revoked' | 'unknown';
  /** Default: an hour ago. */
  readonly thisUpdateMs?: number;
  /** Default: a week after `thisUpdateMs`; `null` leaves it out. */
  readonly nextUpdateMs?: number | null;
  /** Default: the signer, unless it is the issuer. */
  readonly certificates?: readonly Buffer[];
  /** Default `key`. */
  readonly responderId?: 'name' | 'key';
  /** DER to put in place of or beside the parts of a sound response. */
  readonly id?: CertificateId;
  readonly algorithm?: Buffer;
  readonly unusedBits?: number;
  readonly moreAnswers?: readonly Buffer[];
  readonly extensions?: Buffer;
  readonly answerExtensions?: Buffer;
  readonly version?: number;
}

/** The DER of a response that is signed as it says. */
export function makeResponse(options: ResponseOptions): Buffer {
  const { issuer, signer = issuer, certificates = signer === issuer ? [] : [signer.certificate.encoded] } = options;
  const { responderId = 'key', algorithm = algorithmOf(signer), unusedBits = 0, version } = options;
  const tbs = der(
    TAG.sequence,
    version === undefined ? Buffer.alloc(0) : der(explicitTag(0), der(TAG.integer, Buffer.of(version))),
    responderId === 'name'
      ? der(explicitTag(1), signer.certificate.subject)
      : der(explicitTag(2), der(TAG.octetString, sha1(signer.certificate.publicKey))),
    time(Date.now()),
    der(TAG.sequence, makeAnswer(options), ...(options.moreAnswers ?? [])),
    options.extensions === undefined ? Buffer.alloc(0) : der(explicitTag(1), options.extensions),
  );
  return signedResponse(tbs, signer, certificates, algorithm, unusedBits);
}

/** A response around any bytes for a ResponseData, signed by `signer`. */
export function signedResponse(
  tbs: Buffer,
  signer: Issued,
  certificates: readonly Buffer[],
  algorithm = algorithmOf(signer),
  unusedBits = 0,
): Buffer {
  const signature = sign(signer.key.asymmetricKeyType === 'ed25519' ? null : 'sha256', tbs, signer.key);
  const basic = der(
    TAG.sequence,
    tbs,
    algorithm,
    der(TAG.bitString, Buffer.of(unusedBits), signature),
    certificates.length === 0 ? Buffer.alloc(0) : der(explicitTag(0), der(TAG.sequence, ...certificates)),
  );
  const typed = der(TAG.sequence, der(TAG.oid, hex('2b0601050507300101')), der(TAG.octetString, basic));
  return der(TAG.sequence, der(TAG.enumerated, Buffer.of(0)), der(explicitTag(0), typed));
}

/** One SingleResponse. */
export function makeAnswer(options: ResponseOptions): Buffer {
  const { issuer, of, status = 'good', thisUpdateMs = Date.now() - 60 * MINUTE_MS, answerExtensions } = options;
  const { id = certificateId(of.certificate, issuer.certificate), nextUpdateMs = thisUpdateMs + 7 * DAY_MS } = options;
  const statuses = {
    good: der(implicitTag(0)),
    revoked: der(explicitTag(1), time(thisUpdateMs), der(explicitTag(0), der(TAG.enumerated, Buffer.of(1)))),
    unknown: der(implicitTag(2)),
  };
  return der(
    TAG.sequence,
    encodeCertificateId(id),
    statuses[status],
    time(thisUpdateMs),
    nextUpdateMs === null ? Buffer.alloc(0) : der(explicitTag(0), time(nextUpdateMs)),
    answerExtensions === undefined ? Buffer.alloc(0) : der(explicitTag(1), answerExtensions),
  );
}

/** One Extension in the SEQUENCE of them. */
export function extensions(isCritical: boolean): Buffer {
  const critical = isCritical ? der(TAG.boolean, Buffer.of(0xff)) : Buffer.alloc(0);
  return der(TAG.sequence, der(TAG.sequence, der(TAG.oid, hex('2a0304')), critical, der(TAG.octetString)));
}

const ALGORITHMS = {
  rsa: der(TAG.sequence, der(TAG.oid, hex('2a864886f70d01010b')), der(TAG.null)),
  ec: der(TAG.sequence, der(TAG.oid, hex('2a8648ce3d040302'))),
  ed25519: der(TAG.sequence, der(TAG.oid, hex('2b6570'))),
};

function algorithmOf({ key }: Issued): Buffer {
  const type = key.asymmetricKeyType;
  if (type !== 'rsa' && type !== 'ec' && type !== 'ed25519') throw new Error(`no algorithm for ${type}`);
  return ALGORITHMS[type];
}

function time(ms: number): Buffer {
  const text = new Date(ms).toISOString().replace(/[-:T]|\.\d+/g, '');
  return der(TAG.generalizedTime, Buffer.from(text));
}

export function hex(digits: string): Buffer {
  return Buffer.from(digits, 'hex');
}

/** What a responder does with a request (in DER). */
export type Behaviour = (request: Buffer, response: ServerResponse) => void;

/** An OCSP responder on a port of loopback, which does as it is told. */
export interface TestResponder {
  readonly url: string;
  /** The methods of the requests it was sent. */
  readonly methods: string[];
  behaviour: Behaviour;
  close(): Promise<void>;
}

export async function startResponder(behaviour: Behaviour = hanging): Promise<TestResponder> {
  const server = createServer((request, response) => {
    const { method = '', url = '' } = request;
    responder.methods.push(method);
    if (method === 'GET') {
      const base64 = decodeURIComponent(url.slice(url.lastIndexOf('/') + 1));
      responder.behaviour(Buffer.from(base64, 'base64'), response);
    } else {
      void buffer(request).then((body) => responder.behaviour(body, response));
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const responder: TestResponder = {
    url: `http://127.0.0.1:${address.port}/ocsp`,
    methods: [],
    behaviour,
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
  return responder;
}

/** Answers with what `make` makes of the serial number it is asked for. */
export function answering(make: (serial: Buffer) => Buffer): Behaviour {
  return (request, response) => {
    response.setHeader('content-type', 'application/ocsp-response');
    response.end(make(serialIn(request)));
  };
}

export const hanging: Behaviour = () => {};

export function failing(status: number, fields: Record<string, string> = {}): Behaviour {
  return (_request, response) => response.writeHead(status, fields).end();
}

function serialIn(request: Buffer): Buffer {
  const list = new DerReader(request).inside().inside().inside();
  const id = list.inside().inside();
  id.inside();
  id.content(TAG.octetString);
  id.content(TAG.octetString);
  return id.integer();
}
