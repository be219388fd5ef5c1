/**
 * The bottom seam of the house. A store keeps bytes under a key for a time; it knows no HTTP, no TLS and no distcache.
 *
 * ## What failure means
 *
 * Every operation settles within the store's deadline (100 ms unless configured, see {@link StoreErrorCode} `timeout`).
 * An *answer* of the store, "not there" included, resolves; anything that kept the store from answering rejects with a
 * {@link StoreError}. A rejection never says whether a write took effect: after a `timeout` or `connection` failure of
 * a `set`, `delete` or `increment`, the item may be in the old or in the new state, never in a third.
 *
 * Options that no store could take (a negative or fractional time to live, flags beyond 32 bits, `cas` with another mode
 * than `set`) are a bug of the caller and reject with a RangeError.
 *
 * A store failure is never a request failure. The wings above turn it into a miss (HTTP), a full handshake (TLS) or a
 * negative answer (distcache); {@link storeFailure} is the one place that decides whether an error is such a failure.
 *
 * ## Keys
 *
 * Keys are 1 to {@link MAX_KEY_BYTES} characters of 0x21–0x7e. Anything else rejects with `bad-key` before a byte is
 * written: no caller's bytes can become a command. `cache/key.ts` makes such keys of arbitrary ones.
 */
export interface Store {
  /** The item under `key`, or `null` when there is none. */
  get(key: string): Promise<Item | null>;

  /**
   * The items that exist among `keys`, by key; the absent ones are left out. One failing server fails the call only
   * when no server answered: otherwise its keys count as absent.
   */
  getMany(keys: readonly string[]): Promise<Map<string, Item>>;

  /** Keeps `value` under `key`. See {@link SetOptions} for the conditions and {@link SetResult} for the outcomes. */
  set(key: string, value: Value, options?: SetOptions): Promise<SetResult>;

  /** Removes the item; `false` when there was none (or, with `cas`, when it has changed since). */
  delete(key: string, options?: DeleteOptions): Promise<boolean>;

  /** Gives the item a new time to live, counted from now; `false` when there is no such item. */
  touch(key: string, ttlSeconds: number): Promise<boolean>;

  /**
   * Adds `delta` (a negative one subtracts, never below 0) to a decimal counter and resolves to its new value, modulo
   * 2^64. An absent counter is created with the value `initial` when that is given, and resolves to `null` otherwise.
   * An item that is not a decimal number rejects with `server-error`.
   */
  increment(key: string, delta: bigint, options?: IncrementOptions): Promise<bigint | null>;

  /**
   * The first of `names` that is kept where `key` is, or the first of all when none is: whoever asks for both together
   * asks one server only, and a server that is away takes no more with it than what lies there. `names` are keys, at
   * least one; they are not to change, as the answer may be remembered. {@link nearest} asks stores that do not have it.
   */
  near?(key: string, names: readonly string[]): string;

  /** The server that `key` belongs to, as in {@link ServerStats}, whether or not it is there: for people to know. */
  serverOf?(key: string): string;

  /** One entry a server, in the order they were configured. Never rejects: a server that does not answer says so. */
  stats(): Promise<ServerStats[]>;

  /** Largest `value` a `set` can keep, in bytes, as configured; the key and the server's own header come on top. */
  readonly maxItemBytes: number;

  /** Lets go of every connection and timer. Idempotent. Outstanding and later operations reject with `closed`. */
  close(): Promise<void>;
}

/**
 * What a `set` may be given: one piece, or pieces that lie one behind the other. They are not copied: they must not
 * change until the `set` has settled.
 */
export type Value = Uint8Array | readonly Uint8Array[];

/** One stored item as `get` found it. */
export interface Item {
  /**
   * The bytes. Callers must not write to them, as several readers may share them, and should copy what they keep, as
   * they may be a view of a larger read (64 KiB).
   */
  readonly value: Buffer;
  /** 32 bits of the client's choosing, 0 unless a writer set them. */
  readonly flags: number;
  /** Changes with every write of the item: a decimal string of up to 64 bits, to be handed back and compared only. */
  readonly cas: string;
  /** Whole seconds until the item expires; `undefined` when it never does, or the server cannot tell. */
  readonly ttlSeconds: number | undefined;
}

/** The condition under which a `set` writes. `append` and `prepend` keep flags and time to live as they are. */
export type SetMode = 'set' | 'add' | 'replace' | 'append' | 'prepend';

export interface SetOptions {
  /** Default `set`: write whatever is there. */
  readonly mode?: SetMode;
  /** Seconds from now, 0 = no expiry (default). Any length is allowed: memcached's 30-day rule is the store's concern. */
  readonly ttlSeconds?: number;
  /** Default 0. */
  readonly flags?: number;
  /** Write only when the item's `cas` is still this one. Only with mode `set`. */
  readonly cas?: string;
}

/**
 * `stored`: written. `not-stored`: the mode's condition did not hold (`add` found an item; `replace`, `append`,
 * `prepend` found none). `exists`: the item has changed since `cas`. `not-found`: `cas` was given and there is no item.
 */
export type SetResult = 'stored' | 'not-stored' | 'exists' | 'not-found';

export interface DeleteOptions {
  /** Delete only when the item's `cas` is still this one. */
  readonly cas?: string;
}

export interface IncrementOptions {
  /** The value an absent counter is created with. */
  readonly initial?: bigint;
  /** Time to live of a counter that is created, 0 = no expiry (default). An existing counter keeps its own. */
  readonly ttlSeconds?: number;
}

/** The state of one server's breaker: `closed` lets operations through, `open` fails them, `half-open` is probing. */
export type BreakerState = 'closed' | 'open' | 'half-open';

export interface ServerStats {
  /** The address as configured, or `embedded`. */
  readonly server: string;
  readonly breaker: BreakerState;
  /** What the server itself reports (memcached `stats`), or why it could not be asked. */
  readonly report: ReadonlyMap<string, string> | StoreError;
}

/**
 * Why an operation got no answer.
 *
 * | code | meaning |
 * |---|---|
 * | `timeout` | no answer within the deadline |
 * | `connection` | no connection, or it broke while the operation was outstanding |
 * | `breaker-open` | the server failed repeatedly and is being left alone for a while |
 * | `busy` | the limit of operations or bytes in flight is reached |
 * | `protocol` | the server sent something it must not; the connection was closed |
 * | `too-large` | the value is above the item limit, ours or the server's |
 * | `server-error` | the server answered with an error (out of memory, not a number, authentication …) |
 * | `bad-key` | the key is not one a store can keep: a caller's mistake, not the store's |
 * | `closed` | the store was closed |
 */
export type StoreErrorCode =
  | 'timeout'
  | 'connection'
  | 'breaker-open'
  | 'busy'
  | 'protocol'
  | 'too-large'
  | 'server-error'
  | 'bad-key'
  | 'closed';

/** The error a {@link Store} rejects with when it gives no answer. */
export class StoreError extends Error {
  override readonly name = 'StoreError';
  readonly code: StoreErrorCode;
  /** The server concerned, as configured; `undefined` when the operation never reached the choice of a server. */
  readonly server: string | undefined;

  constructor(code: StoreErrorCode, message: string, options: { server?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.server = options.server;
  }
}

/** The store failure in `error`. Throws everything that is not one: a bug must not pass for a miss. */
export function storeFailure(error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  throw error;
}

/** memcached's limit, and so everybody's. (The mod_memcached manual says 255, but such keys are refused.) */
export const MAX_KEY_BYTES = 250;

/** memcached's default item limit, less room for the key and the item's header. */
export const DEFAULT_MAX_ITEM_BYTES = 1024 * 1024 - 1024;

/** memcached takes a time to live above 30 days for a Unix time. */
export const MAX_RELATIVE_TTL_SECONDS = 30 * 24 * 60 * 60;

/** Whether `key` can go on the wire as it is: 1 to 250 bytes of 0x21–0x7e. */
export function isStoreKey(key: string): boolean {
  if (key.length === 0 || key.length > MAX_KEY_BYTES) return false;
  for (let i = 0; i < key.length; i++) {
    const code = key.charCodeAt(i);
    if (code < 0x21 || code > 0x7e) return false;
  }
  return true;
}

/**
 * What `store.near` answers. A store of a user's own that does not have it is taken for one server.
 *
 * @throws RangeError without `names`
 */
export function nearest(store: Store, key: string, names: readonly string[]): string {
  return store.near?.(key, names) ?? firstName(names);
}

/** The answer of a store that keeps everything in one place. */
export function firstName(names: readonly string[]): string {
  const [first] = names;
  if (first === undefined) throw new RangeError('near: no names');
  return first;
}

/** The bytes of all pieces of `value` together. */
export function valueBytes(value: Value): number {
  if (value instanceof Uint8Array) return value.length;
  let bytes = 0;
  for (const piece of value) bytes += piece.length;
  return bytes;
}
