import { z } from 'zod';
import { byteSize } from '../actions/units.js';
import { DEFAULT_BODY_MEMORY_BYTES } from '../cache/buffer-budget.js';
import { memcachedSchema } from '../config/memcached.js';
import type { Store } from '../store/store.js';
import { checked } from './check.js';
import { InvalidOptionsError } from './errors.js';

/** The section `memcached` of a config. */
const memcachedShape = memcachedSchema.in.shape;

/** Every option there is, so that an unknown one can be told what it was meant to be. */
const optionsSchema = z
  .strictObject({
    ...memcachedShape,
    embedded: z.strictObject({ maxSize: byteSize({ min: '1MiB' }) }),
    store: z.custom<Store>(isStore, { error: 'expected a Store: an object with get, set, delete and the others' }),
    bodyMemory: byteSize({ min: '64KiB' }),
    name: z.string().min(1),
  })
  .partial();

/**
 * Options of the plugin: those of the section `memcached` of a config, and the plugin's own.
 *
 * | option | meaning | default |
 * |---|---|---|
 * | `servers` | list of `host`, `host:port`, `[IPv6]:port`, `unix:/path` or `{ address, weight }` | none: an embedded store |
 * | `ring` | how keys are spread over the servers: `ketama`, `ketama-unweighted` or `modula` | `ketama` |
 * | `failover` | what becomes of the keys of a dead server: `miss` or `next` | `miss` |
 * | `timeout`, `connectTimeout` | how long an operation may take, and making a connection | `100ms`, `500ms` |
 * | `connections` | connections to each server | 1 |
 * | `maxItemSize` | the largest value to send | `1023KiB` |
 * | `maxInFlight`, `maxInFlightSize` | operations, and bytes, that one server may leave unanswered at a time | 16384, `32MiB` |
 * | `auth`, `tls` | how to log in, and how to talk TLS | not at all |
 * | `secret`, `secretFile` | what the entries of `config.cache` are signed with, so that none can be forged | not at all |
 * | `embedded.maxSize` | what the embedded store may hold, when there are no servers | `64MiB` |
 * | `store` | a store of the app's own instead of either; the plugin does not close it | none |
 * | `bodyMemory` | what bodies on their way to the store may take together | `64MiB` |
 * | `name` | what this cache calls itself in `Cache-Status` | `lookaside` |
 */
export type PluginOptions = z.input<typeof optionsSchema>;

/** The options, checked and complete. */
export interface PluginSettings {
  readonly memcached: z.output<typeof memcachedSchema> | undefined;
  readonly embedded: { readonly maxBytes: number } | undefined;
  readonly store: Store | undefined;
  readonly bodyMemoryBytes: number;
  readonly name: string;
}

/** Throws an `InvalidOptionsError`. */
export function pluginSettings(options: PluginOptions): PluginSettings {
  const where = 'options of the plugin';
  const { embedded, store, bodyMemory, name } = checked(optionsSchema, options, where);
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  refuseConflicts(new Set(given.map(([option]) => option)), where);
  const servers = Object.fromEntries(given.filter(([option]) => option in memcachedShape));
  return {
    memcached: options.servers === undefined ? undefined : checked(memcachedSchema, servers, where),
    embedded: embedded === undefined ? undefined : { maxBytes: embedded.maxSize },
    store,
    bodyMemoryBytes: bodyMemory ?? DEFAULT_BODY_MEMORY_BYTES,
    name: name ?? 'lookaside',
  };
}

/** The store must not be another one than was meant: every option that speaks of one must have its say. */
function refuseConflicts(given: ReadonlySet<string>, where: string): void {
  const conflicts = [...given].flatMap((option) => {
    const reason = conflictOf(option, given);
    return reason === undefined ? [] : `"${option}" has no meaning ${reason}`;
  });
  if (conflicts.length > 0) throw new InvalidOptionsError(where, conflicts.join('; '));
}

function conflictOf(option: string, given: ReadonlySet<string>): string | undefined {
  if (isOfStore(option) && given.has('store')) return 'with a store of your own';
  if (option in memcachedShape && !given.has('servers')) return 'without servers';
  return option === 'embedded' && given.has('servers') ? 'with servers' : undefined;
}

function isOfStore(name: string): boolean {
  return name === 'embedded' || name in memcachedShape;
}

const STORE_METHODS = ['get', 'getMany', 'set', 'delete', 'touch', 'increment', 'stats', 'close'];

/** Whether `value` is a store, as far as one can see. */
export function isStore(value: unknown): value is Store {
  if (typeof value !== 'object' || value === null) return false;
  return STORE_METHODS.every((method) => typeof Reflect.get(value, method) === 'function');
}
