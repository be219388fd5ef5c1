import { z } from 'zod';
import { explainIssue, problemsOf } from '../actions/issues.js';
import { storeKey } from '../cache/key.js';
import { memcachedSchema } from '../config/memcached.js';
import type { MemcachedSettings } from '../config/schema.js';
import { utf8ToBytes } from '../http/byte-string.js';
import type { Address } from '../store/memcached/address.js';
import { openStore } from '../store/open.js';
import type { Store } from '../store/store.js';
import type { Option } from './command.js';
import { UsageError } from './exit.js';

/** memcached where it is when nobody said otherwise. */
const DEFAULT_SERVER = '127.0.0.1:11211';

/** The options that say which memcached a command works on. */
export const SERVER_OPTIONS: readonly Option[] = [
  {
    flags: '--memcached <addresses>',
    help:
      'servers, separated by commas: host, host:port, [IPv6]:port or unix:/path (default: $LOOKASIDE_MEMCACHED or ' +
      `${DEFAULT_SERVER})`,
  },
  { flags: '--config <file>', help: 'configuration whose memcached section says which servers, instead' },
];

/** The same, and how it takes keys. */
export const MEMCACHED_OPTIONS: readonly Option[] = [
  ...SERVER_OPTIONS,
  { flags: '--raw', help: 'take the key as it goes over the wire, without the rule that makes an SHA-1 of unfit ones' },
];

const serverList = z
  .string()
  .transform((text): z.input<typeof memcachedSchema> => ({ servers: text.split(',') }))
  .pipe(memcachedSchema);

export const memcachedOptions = {
  memcached: serverList.optional(),
  config: z.string().optional(),
  raw: z.literal(true).optional(),
};

export interface MemcachedOptions {
  readonly memcached?: MemcachedSettings | undefined;
  readonly config?: string | undefined;
  readonly raw?: true | undefined;
}

/** The settings of memcached servers, given as a list with commas. Throws a {@link UsageError}. */
function parseServers(text: string): MemcachedSettings {
  const checked = serverList.safeParse(text, { error: explainIssue });
  if (checked.success) return checked.data;
  throw new UsageError(
    problemsOf(checked.error)
      .map(({ message }) => message)
      .join('; '),
  );
}

/** A script would rather wait than be told that the server was slow: a visitor's deadline is not for it. */
const TIMEOUT_MS = 2000;
const DEADLINES = { timeoutMs: TIMEOUT_MS, connectTimeoutMs: TIMEOUT_MS };

/**
 * The memcached that the options name, or the environment, or else the one of this machine, as a store. No connection
 * is made before the first operation.
 */
export async function openMemcached(options: MemcachedOptions): Promise<Store> {
  return openConfigured(await namedMemcached(options), options);
}

/** The store of a configuration. Throws a {@link UsageError} when that is the embedded one. */
export function openConfigured(memcached: MemcachedSettings | undefined, { config }: MemcachedOptions): Store {
  if (memcached !== undefined) return openStore({ memcached: { ...memcached, ...DEADLINES } });
  throw new UsageError(
    `${config} names no memcached: the embedded store is in the memory of the server's process, out of reach from here`,
  );
}

/** One server by itself, as the `server` option of an action names it. */
export function openServer(address: Address): Store {
  return openStore({ memcached: { servers: [{ address }], ...DEADLINES } });
}

/** The memcached that the options name; `undefined` when their configuration has none. */
export async function namedMemcached({ memcached, config }: MemcachedOptions): Promise<MemcachedSettings | undefined> {
  if (memcached !== undefined && config !== undefined) throw new UsageError('give either --memcached or --config');
  if (memcached !== undefined) return memcached;
  if (config === undefined) return parseServers(process.env.LOOKASIDE_MEMCACHED ?? DEFAULT_SERVER);
  // Most commands are given none, and what it takes to read one is half of their time.
  const { loadConfig } = await import('../config/load.js');
  return (await loadConfig(config)).memcached;
}

/** Runs `use` with the store that the options name, and lets go of it. */
export async function withMemcached<Result>(
  options: MemcachedOptions,
  use: (store: Store) => Promise<Result>,
): Promise<Result> {
  const store = await openMemcached(options);
  try {
    return await use(store);
  } finally {
    await store.close();
  }
}

/** The store key of a key that was given on the command line. */
export function keyOnWire(key: string, { raw }: MemcachedOptions): string {
  return raw ? key : storeKey(utf8ToBytes(key));
}
