import { z } from 'zod';
import { chainSchema } from '../actions/actions.js';
import { byteSize, durationMs } from '../actions/units.js';
import { LISTEN_FORMS, type ListenAddress, listenAddress } from './listen.js';
import { managementSchema } from './management.js';
import { memcachedSchema } from './memcached.js';
import { tlsSchema } from './tls.js';

/**
 * The single source of the configuration: its types, its defaults, its checks, its JSON Schema and its reference are all
 * made from the schemas here, and the actions' from the table in `actions/actions.ts`.
 *
 * What goes in is what a config says; what comes out are {@link Settings}, complete, with the unit of every number in
 * its name.
 */

/** More processes than this are a mistake in the configuration of any machine there is. */
const MAX_WORKERS = 1024;

const listenSchema = z.union([
  listenAddress.transform((address): ListenAddress[] => [address]),
  z.array(listenAddress).min(1),
]);

const embeddedSchema = z
  .strictObject({
    maxSize: byteSize({ min: '1MiB' }).prefault('64MiB').describe('The most that all entries may take together.'),
  })
  .transform(({ maxSize }) => ({ maxBytes: maxSize }));

const serverSchema = z
  .strictObject({
    headersTimeout: durationMs({ min: '100ms', max: '1h' })
      .prefault('10s')
      .describe('How long a client may take to send the head of a request.'),
    requestTimeout: durationMs({ min: '100ms', max: '1d' })
      .prefault('60s')
      .describe('How long a client may take to send a whole request, body included.'),
    idleTimeout: durationMs({ min: '100ms', max: '1d' })
      .prefault('120s')
      .describe('How long a connection may stay silent in both directions while a request is being answered.'),
    keepAliveTimeout: durationMs({ min: '100ms', max: '1h' })
      .prefault('60s')
      .describe('How long a connection is kept open between two requests.'),
    maxHeaderSize: byteSize({ min: '1KiB', max: '1MiB' })
      .prefault('16KiB')
      .describe('The largest request head that is accepted.'),
    maxConnections: z
      .int()
      .min(1)
      .default(10_000)
      .describe('The most connections that are open at a time in one worker; further ones are closed at once.'),
    maxConcurrentStreams: z
      .int()
      .min(1)
      .max(1000)
      .default(128)
      .describe('The most requests that are answered at a time over one HTTP/2 connection.'),
    drainTimeout: durationMs({ max: '1h' })
      .prefault('10s')
      .describe('How long requests in flight may take to finish when the server stops.'),
  })
  .transform((limits) => ({
    headersTimeoutMs: limits.headersTimeout,
    requestTimeoutMs: limits.requestTimeout,
    idleTimeoutMs: limits.idleTimeout,
    keepAliveTimeoutMs: limits.keepAliveTimeout,
    maxHeaderBytes: limits.maxHeaderSize,
    maxConnections: limits.maxConnections,
    maxConcurrentStreams: limits.maxConcurrentStreams,
    drainTimeoutMs: limits.drainTimeout,
  }));

const logSchema = z.strictObject({
  level: z
    .enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'])
    .default('info')
    .describe('The least severe message that is logged.'),
});

export const settingsSchema = z
  .strictObject({
    listen: listenSchema
      .prefault('127.0.0.1:8080')
      .describe(
        `Where to listen: ${LISTEN_FORMS}, or a list of those. A bare port listens on 127.0.0.1; port 0 is any free one.`,
      ),
    name: z
      .string()
      .regex(/^[A-Za-z*][\w!#$%&'*+\-.^`|~:/]*$/, {
        error: 'a cache name is a token: a letter, then letters, digits and -._:/ without spaces',
      })
      .default('lookaside')
      .describe('What this cache calls itself in Cache-Status.'),
    memcached: memcachedSchema
      .optional()
      .describe('The memcached servers that keep the entries. Left out, each process keeps its own (see embedded).'),
    embedded: embeddedSchema.prefault({}).describe('The store inside the process, used when there is no memcached.'),
    bodyMemory: byteSize({ min: '64KiB' })
      .prefault('64MiB')
      .describe(
        'The memory that bodies on their way to the store may take together. Above it responses go out unstored.',
      ),
    tls: tlsSchema
      .optional()
      .describe('Speak HTTPS, with HTTP/1.1 and HTTP/2, and share sessions and staples. Left out, it is plain HTTP.'),
    management: managementSchema
      .optional()
      .describe('An endpoint of its own to purge by, apart from the one for visitors. Left out, there is none.'),
    log: logSchema.prefault({}).describe('What is logged, as JSON lines on stderr.'),
    server: serverSchema.prefault({}).describe('Limits of the HTTP listener.'),
    workers: z.int().min(1).max(MAX_WORKERS).default(1).describe('How many processes answer requests.'),
    actions: chainSchema.describe('What is done with a request: a chain of actions.'),
  })
  .transform(({ bodyMemory, ...settings }) => ({ ...settings, bodyMemoryBytes: bodyMemory }));

/** A configuration that was found right. */
export type Settings = z.output<typeof settingsSchema>;

export type MemcachedSettings = NonNullable<Settings['memcached']>;

/** A configuration as it is written. */
export type Config = Omit<z.input<typeof settingsSchema>, 'actions'> & { readonly actions: ConfigChain };

/** A chain as it is written: one action or a list of them. `src/actions/actions.ts` knows their names and options. */
type ConfigChain = ConfigAction | readonly ConfigAction[];

/** An action by its name, or its name with its options. */
type ConfigAction = string | { readonly [name: string]: unknown };
