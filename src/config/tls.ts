import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { durationMs, durationSeconds } from '../actions/units.js';
import { FLEET_NAME, type SessionOptions } from '../tls/options.js';
import { ENCODINGS } from '../tls/session-entry.js';
import { TICKET_KEY_MODES } from '../tls/ticket-keys.js';
import { checkOneSecret, secretFileSchema, secretsSchema } from './secret.js';
import { type FileText, faultsIn } from './tls-files.js';

/** The `tls` section: what the listeners show to their clients, and what they share with the other servers of a fleet. */

const pemFile: z.ZodType<FileText, string> = z.string().transform((path, check) => {
  try {
    return { path, text: readFileSync(path, 'latin1') };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    check.issues.push({ code: 'custom', message: `the file can not be read: ${reason}`, input: path });
    return z.NEVER;
  }
});

const certificate = pemFile.describe('PEM file of the certificate, the chain up to its authority behind it.');
const key = pemFile.describe('PEM file of the key of the certificate.');

const HOST_NAME = /^(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*$/;

const context = z.strictObject({
  servername: z
    .string()
    .toLowerCase()
    .regex(HOST_NAME, { error: 'expected a host name, or *. and a domain' })
    .describe('The name that clients ask for: a host, or *.example.org for the names right below example.org.'),
  cert: certificate,
  key,
});

const sessions = z
  .strictObject({
    encoding: z
      .enum(ENCODINGS)
      .default('binary')
      .describe('How a session is written: json has the fields of ProFTPD’s mod_tls_memcache.'),
    timeout: durationSeconds({ min: '1s', max: '7d' })
      .prefault('30m')
      .describe('How long a session is kept, unless its own end comes first.'),
    sealed: z
      .boolean()
      .default(true)
      .describe('false keeps sessions in clear: who can read memcached can then decrypt what was recorded of them.'),
    lookupTimeout: durationMs({ min: '1ms', max: '10s' })
      .prefault('50ms')
      .describe('How long a handshake may wait for a lookup, and again for a write.'),
  })
  .transform(
    ({ encoding, timeout, sealed, lookupTimeout }): SessionOptions => ({
      encoding,
      timeoutSeconds: timeout,
      sealed,
      timeoutMs: lookupTimeout,
    }),
  );

const stapling = z
  .strictObject({
    responder: z
      .string()
      .regex(/^http:\/\//i, { error: 'expected an http: URL' })
      .refine(URL.canParse, { error: 'expected an http: URL' })
      .optional()
      .describe('The http: URL of the OCSP responder to ask, in place of the one that the certificate names.'),
    timeout: durationMs({ min: '1ms', max: '30s' })
      .prefault('10s')
      .describe('How long a responder may take. No handshake waits for it.'),
    tryLater: z.boolean().default(false).describe('Staple "try later" when there is nothing else, instead of nothing.'),
  })
  .transform(({ responder, timeout, tryLater }) => ({ responder, timeoutMs: timeout, tryLater }));

export const tlsSchema = z
  .strictObject({
    cert: certificate,
    key,
    clientCa: pemFile
      .optional()
      .describe(
        'PEM file of the authorities that sign clients’ certificates. With it, clients without one are refused.',
      ),
    contexts: z
      .array(context)
      .default([])
      .describe('Further certificates, by the name that the client asks for. All keys must be of the same type.'),
    minVersion: z.enum(['TLSv1.2', 'TLSv1.3']).default('TLSv1.2').describe('The oldest version that is spoken.'),
    fleet: z
      .string()
      .regex(FLEET_NAME, { error: 'expected 1 to 64 of A-Z a-z 0-9 . _ -' })
      .default('default')
      .describe('Name of the servers that resume one another’s sessions. Those of other names share nothing.'),
    secret: secretsSchema
      .optional()
      .describe(
        'The secret of the fleet, at least 32 characters and equal on all its servers, or [the current one, the one before]. Without it nothing is shared but staples.',
      ),
    secretFile: secretFileSchema.optional().describe('File that holds the secret; a second line is the one before.'),
    ticketKeys: z
      .enum([...TICKET_KEY_MODES, 'off'])
      .default('shared')
      .describe(
        'Where the keys of session tickets come from: shared = random ones that the fleet agrees on in memcached, derived = computed of the secret and the time, off = each process has its own.',
      ),
    rotate: durationSeconds({ min: '1s', max: '7d' })
      .prefault('2h')
      .describe('How long a ticket key seals. It opens for as long again.'),
    sessions: z
      .union([z.boolean().transform((on) => on && sessions.parse({})), sessions])
      .prefault({})
      .describe('The session store, for clients of TLS 1.2 that take no tickets; false: none.'),
    statefulTls13: z
      .boolean()
      .default(false)
      .describe(
        'Issue no tickets and keep the sessions of TLS 1.3 in the store as well, each good for one resumption.',
      ),
    stapling: z
      .union([z.boolean().transform((on) => on && stapling.parse({})), stapling])
      .prefault({})
      .describe('OCSP staples, fetched once for the fleet; false: none.'),
  })
  .superRefine((tls, check) => {
    checkOneSecret(tls, check);
    const hasSecret = tls.secret !== undefined || tls.secretFile !== undefined;
    if (tls.statefulTls13 && (!hasSecret || tls.sessions === false)) {
      const message = hasSecret ? 'it needs the session store' : 'it needs a secret';
      check.addIssue({ code: 'custom', path: ['statefulTls13'], message });
    }
    for (const { path, message } of faultsIn(tls)) check.addIssue({ code: 'custom', path: [...path], message });
  })
  .transform(({ secret, secretFile, ticketKeys, rotate, ...rest }) => ({
    ...rest,
    secrets: secret ?? secretFile ?? [],
    ticketKeys: ticketKeys === 'off' ? (false as const) : ticketKeys,
    rotateSeconds: rotate,
  }));

/** What the listeners need to speak TLS. */
export type TlsSettings = z.output<typeof tlsSchema>;
