import { z } from 'zod';
import { addressSchema } from '../actions/address.js';
import { fileText } from '../actions/file-text.js';
import { byteSize, durationMs } from '../actions/units.js';
import { formatAddress } from '../store/memcached/address.js';
import { FAILOVERS } from '../store/memcached/pool.js';
import { RING_KINDS } from '../store/memcached/ring.js';
import { checkOneSecret, secretFileSchema, secretsSchema } from './secret.js';

/** The `memcached` section: the servers, how keys are spread over them, and what an operation may cost. */

/** Weights are ratios; the ring has some 160 points for each server and unit of relative weight. */
const MAX_WEIGHT = 1000;

const weightedServer = z.strictObject({
  address: addressSchema.describe('host, host:port, [IPv6]:port or unix:/path; the port is 11211 unless given.'),
  weight: z.int().min(1).max(MAX_WEIGHT).default(1).describe('Share of the keys, relative to the other servers.'),
});

const server = z.union([addressSchema.transform((at) => ({ address: at, weight: 1 })), weightedServer]);

const auth = z
  .strictObject({
    user: z
      .string()
      .regex(/^[^\s\p{Cc}]+$/u, { error: 'a user name has no spaces' })
      .describe('User name.'),
    password: z.string().min(1).optional().describe('Password.'),
    passwordFile: fileText.optional().describe('File that holds the password; a line break at its end does not count.'),
  })
  .transform(({ user, password, passwordFile }, check) => {
    const secret = password ?? passwordFile?.replace(/\r?\n$/, '');
    if (secret !== undefined && (password === undefined || passwordFile === undefined))
      return { user, password: secret };
    check.issues.push({ code: 'custom', message: 'give either password or passwordFile', input: undefined });
    return z.NEVER;
  });

const tls = z.union([
  z.boolean().transform((on) => (on ? {} : undefined)),
  z.strictObject({
    ca: fileText.optional().describe('PEM file of the authorities that may have signed the servers’ certificates.'),
    cert: fileText.optional().describe('PEM file of the certificate to show to the servers.'),
    key: fileText.optional().describe('PEM file of the key of that certificate.'),
    servername: z.string().min(1).optional().describe('Name that the servers’ certificates must hold.'),
  }),
]);

export const memcachedSchema = z
  .strictObject({
    servers: z
      .array(server)
      .min(1)
      .describe(
        'The servers. Every process of a fleet must list the same ones, or they will not find each other’s entries.',
      ),
    ring: z
      .enum(RING_KINDS)
      .default('ketama')
      .describe('How keys are spread over the servers: ketama is libmemcached’s weighted consistent hashing.'),
    failover: z
      .enum(FAILOVERS)
      .default('miss')
      .describe('What becomes of the keys of a dead server: they are misses, or they go to the next live server.'),
    timeout: durationMs({ min: '1ms', max: '10s' })
      .prefault('100ms')
      .describe('How long an operation may take before it counts as a miss.'),
    connectTimeout: durationMs({ min: '1ms', max: '1m' })
      .prefault('500ms')
      .describe('How long making a connection may take.'),
    connections: z.int().min(1).max(16).default(1).describe('Connections to each server from each process.'),
    maxItemSize: byteSize({ min: '1KiB', max: '1GiB' })
      .prefault('1023KiB')
      .describe('The largest value to send: what memcached’s -I allows, less 1 KiB for the key and the item’s header.'),
    maxInFlight: z
      .int()
      .min(1)
      .max(1_000_000)
      .default(16_384)
      .describe('Operations that may be unanswered by one server at a time; further ones fail at once.'),
    maxInFlightSize: byteSize({ min: '1MiB', max: '1GiB' })
      .prefault('32MiB')
      .describe('The same in bytes of keys and values.'),
    secret: secretsSchema
      .optional()
      .describe(
        'Signs what memcached.cache stores, so that nobody who can write to memcached can forge it: a secret of at least 32 characters, or [the current one, the one before].',
      ),
    secretFile: secretFileSchema.optional().describe('File that holds the secret; a second line is the one before.'),
    auth: auth.optional().describe('For servers started with -Y: sent over each connection before anything else.'),
    tls: tls.optional().describe('Talk TLS to the servers: true, or with which files.'),
  })
  .superRefine(({ servers, ring, ...secrets }, check) => {
    checkOneSecret(secrets, check);
    const addresses = servers.map((one) => formatAddress(one.address));
    for (const [index, { weight }] of servers.entries()) {
      const path = ['servers', index];
      if (addresses.indexOf(addresses[index] ?? '') < index) {
        check.addIssue({ code: 'custom', path, message: `${addresses[index]} is in the list already` });
      } else if (weight !== 1 && ring !== 'ketama') {
        check.addIssue({ code: 'custom', path: [...path, 'weight'], message: `the ring "${ring}" knows no weights` });
      }
    }
  })
  .transform(({ timeout, connectTimeout, maxItemSize, maxInFlight, maxInFlightSize, secret, secretFile, ...rest }) => ({
    ...rest,
    secrets: secret ?? secretFile ?? [],
    maxInFlightOperations: maxInFlight,
    maxInFlightBytes: maxInFlightSize,
    timeoutMs: timeout,
    connectTimeoutMs: connectTimeout,
    maxItemBytes: maxItemSize,
  }));
