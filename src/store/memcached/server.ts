import { createSecureContext, type ConnectionOptions as TlsOptions } from 'node:tls';
import {
  type BreakerState,
  DEFAULT_MAX_ITEM_BYTES,
  type DeleteOptions,
  firstName,
  type IncrementOptions,
  type Item,
  isStoreKey,
  MAX_KEY_BYTES,
  type ServerStats,
  type SetOptions,
  type SetResult,
  type Store,
  StoreError,
  type StoreErrorCode,
  storeFailure,
  type Value,
} from '../store.js';
import { type Address, formatAddress } from './address.js';
import { BREAKER_DEFAULTS, Breaker, type BreakerOptions } from './breaker.js';
import { type ConnectionSettings, type Load, MetaConnection } from './connection.js';
import { type Credentials, checkedCredentials } from './greeting.js';
import { type Count, type Operation, Slot, type Write } from './operation.js';
import { checkedCas, checkedTtl, countOf, writeOf } from './requests.js';

export interface ServerOptions {
  /** Milliseconds an operation may take, waiting for a connection included. Default {@link DEFAULT_TIMEOUT_MS}. */
  readonly timeoutMs: number;
  /** Milliseconds a new connection may take until it is usable: name resolution, TLS and greeting. Default {@link DEFAULT_CONNECT_TIMEOUT_MS}. */
  readonly connectTimeoutMs: number;
  /** Connections to the server. A key always takes the same one, so that operations on it keep their order. Default 1. */
  readonly connections: number;
  /** Largest value to send. Default {@link DEFAULT_MAX_ITEM_BYTES}; raise it together with memcached's `-I`. */
  readonly maxItemBytes: number;
  /** Operations that may be unanswered at a time; beyond them `busy`. Default {@link DEFAULT_MAX_OPERATIONS}. */
  readonly maxInFlightOperations: number;
  /** Bytes of keys and values that may be unanswered at a time; beyond them `busy`. Default {@link DEFAULT_MAX_BYTES}. */
  readonly maxInFlightBytes: number;
  /** Speak TLS, with these options of `tls.connect`. Default: do not. */
  readonly tls: TlsOptions | undefined;
  /** Log in on each connection (memcached `-Y`). Default: do not. */
  readonly auth: Credentials | undefined;
  /** When to leave the server alone, and for how long. */
  readonly breaker: Partial<BreakerOptions>;
  /** Told when the server is given up and when it is back: a log line each. The probes in between are not reported. */
  readonly onStateChange: ((change: StateChange) => void) | undefined;
}

export interface StateChange {
  /** The address as configured. */
  readonly server: string;
  readonly state: Exclude<BreakerState, 'half-open'>;
  /** What the breaker opened for; `undefined` when it closes. */
  readonly cause: StoreError | undefined;
}

/** More than a server in the same network needs, and less than a visitor notices. */
export const DEFAULT_TIMEOUT_MS = 100;

/** Room for a TLS handshake on a loaded machine. No operation waits so long: it has its own deadline. */
export const DEFAULT_CONNECT_TIMEOUT_MS = 500;

/** What 160,000 operations a second leave behind within one deadline. */
export const DEFAULT_MAX_OPERATIONS = 16_384;

/** Some thirty of the largest items, or thousands of ordinary ones. */
export const DEFAULT_MAX_BYTES = 32 * 1024 * 1024;

/**
 * One memcached as a store.
 *
 * It is connected to when the first operation needs it, and again when the connection was lost; a `get` that was under way
 * on a connection that broke is sent once more over a new one, within its deadline. Gets of one key that are issued
 * before the first of them has left share one command.
 *
 * Values are sent from where they are: they must not change until the `set` has settled. Options that no server could
 * take (a negative or fractional time to live, flags beyond 32 bits, `cas` with a mode) reject with a RangeError.
 *
 * A server that answers `ERROR` to `mn` has no meta commands: its items have no known time to live, `delete` with `cas`
 * rejects with `server-error`, and a counter with an initial value is made in two steps.
 */
export class Server implements Store {
  readonly address: Address;
  readonly maxItemBytes: number;
  readonly #name: string;
  readonly #settings: ConnectionSettings;
  readonly #maxOperations: number;
  readonly #maxBytes: number;
  readonly #onStateChange: ((change: StateChange) => void) | undefined;
  readonly #breaker: Breaker;
  /** A connection for each lane that was needed since it was last lost. */
  readonly #lanes: (MetaConnection | undefined)[];
  readonly #load: Load = { operations: 0, bytes: 0 };
  readonly #busyError: StoreError;
  /** Why every operation is refused, while every operation is. */
  #refusal: StoreError | undefined;
  #isClosed = false;

  /** Throws a RangeError when the options contradict themselves, and what `tls` throws at contents it can not use. */
  constructor(address: Address, options: Partial<ServerOptions> = {}) {
    const { timeoutMs = DEFAULT_TIMEOUT_MS, connectTimeoutMs = DEFAULT_CONNECT_TIMEOUT_MS, connections = 1 } = options;
    const { maxInFlightOperations = DEFAULT_MAX_OPERATIONS, maxInFlightBytes = DEFAULT_MAX_BYTES } = options;
    const { maxItemBytes = DEFAULT_MAX_ITEM_BYTES, tls, auth } = options;
    if (maxInFlightBytes < MAX_KEY_BYTES + maxItemBytes) throw new RangeError('maxInFlightBytes is below one item');
    if (!(connections >= 1)) throw new RangeError(`connections: ${connections}`);
    this.address = address;
    this.maxItemBytes = maxItemBytes;
    this.#name = formatAddress(address);
    this.#settings = {
      address,
      timeoutMs,
      connectTimeoutMs,
      maxValueBytes: maxItemBytes + FOREIGN_ITEM_BYTES,
      tls: tls && { ...tls, secureContext: tls.secureContext ?? createSecureContext(tls) },
      auth: auth && checkedCredentials(auth),
    };
    this.#maxOperations = maxInFlightOperations;
    this.#maxBytes = maxInFlightBytes;
    this.#onStateChange = options.onStateChange;
    this.#lanes = new Array<undefined>(connections).fill(undefined);
    this.#busyError = this.#error('busy', 'too much in flight');
    this.#breaker = new Breaker(
      { ...BREAKER_DEFAULTS, ...options.breaker },
      { opened: (cause) => this.#opened(cause), probe: () => this.#dial(0) },
    );
  }

  get breaker(): BreakerState {
    return this.#breaker.state;
  }

  get(key: string): Promise<Item | null> {
    const refusal = this.#refuse(key, key.length);
    if (refusal !== undefined) return Promise.reject(refusal);
    return new Promise((resolve, reject) => this.#issue(new Slot('get', key, undefined, resolve, reject)));
  }

  async getMany(keys: readonly string[]): Promise<Map<string, Item>> {
    for (const key of keys) if (!isStoreKey(key)) throw badKey(key);
    const wanted = [...new Set(keys)];
    const answers = await Promise.allSettled(wanted.map((key) => this.get(key)));
    const items = new Map<string, Item>();
    let failure: StoreError | undefined;
    let isAnswered = false;
    for (const [i, answer] of answers.entries()) {
      const key = wanted[i];
      if (answer.status === 'rejected') failure ??= storeFailure(answer.reason);
      else isAnswered = true;
      if (key !== undefined && answer.status === 'fulfilled' && answer.value !== null) items.set(key, answer.value);
    }
    if (failure !== undefined && !isAnswered) throw failure;
    return items;
  }

  async set(key: string, value: Value, options: SetOptions = {}): Promise<SetResult> {
    return this.#write(key, writeOf(value, options));
  }

  async delete(key: string, options: DeleteOptions = {}): Promise<boolean> {
    const request = { cas: checkedCas(options.cas) };
    this.#admit(key, key.length);
    return new Promise((resolve, reject) => this.#issue(new Slot('delete', key, request, resolve, reject)));
  }

  async touch(key: string, ttlSeconds: number): Promise<boolean> {
    const request = { ttlSeconds: checkedTtl(ttlSeconds) };
    this.#admit(key, key.length);
    return new Promise((resolve, reject) => this.#issue(new Slot('touch', key, request, resolve, reject)));
  }

  async increment(key: string, delta: bigint, options: IncrementOptions = {}): Promise<bigint | null> {
    const count = countOf(delta, options);
    const { initial, ttlSeconds } = count;
    const deadline = performance.now() + this.#settings.timeoutMs;
    for (;;) {
      const counter = await this.#count(key, count, deadline);
      if (counter !== null || initial === undefined) return counter;
      // Without meta commands a counter does not create itself, and two clients may both find it missing.
      const write = writeOf(Buffer.from(String(initial)), { mode: 'add', ttlSeconds });
      if ((await this.#write(key, write, deadline)) === 'stored') return initial;
    }
  }

  near(_key: string, names: readonly string[]): string {
    return firstName(names);
  }

  serverOf(): string {
    return this.#name;
  }

  async stats(): Promise<ServerStats[]> {
    const report = await this.#report().catch(storeFailure);
    return [{ server: this.#name, breaker: this.breaker, report }];
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#refusal = this.#error('closed', 'the store was closed');
    this.#breaker.stop();
    for (const connection of this.#lanes) connection?.close(this.#refusal);
  }

  async #write(key: string, write: Write, deadline?: number): Promise<SetResult> {
    const bytes = key.length + write.valueBytes;
    if (write.valueBytes > this.maxItemBytes) {
      throw this.#error('too-large', `${write.valueBytes} bytes are above the item limit of ${this.maxItemBytes}`);
    }
    this.#admit(key, bytes);
    return new Promise((resolve, reject) => this.#issue(new Slot('set', key, write, resolve, reject, bytes, deadline)));
  }

  async #count(key: string, count: Count, deadline: number): Promise<bigint | null> {
    this.#admit(key, key.length);
    return new Promise((resolve, reject) =>
      this.#issue(new Slot('increment', key, count, resolve, reject, key.length, deadline)),
    );
  }

  async #report(): Promise<ReadonlyMap<string, string>> {
    if (this.#refusal !== undefined) throw this.#refusal;
    return new Promise((resolve, reject) => this.#issue(new Slot('stats', '', undefined, resolve, reject)));
  }

  /** Throws when the operation can not be let through. */
  #admit(key: string, bytes: number): void {
    const refusal = this.#refuse(key, bytes);
    if (refusal !== undefined) throw refusal;
  }

  /** Why an operation on `key` that takes `bytes` can not be let through. */
  #refuse(key: string, bytes: number): StoreError | undefined {
    if (!isStoreKey(key)) return badKey(key);
    if (this.#refusal !== undefined) return this.#refusal;
    const isBusy = this.#load.operations >= this.#maxOperations || this.#load.bytes + bytes > this.#maxBytes;
    return isBusy ? this.#busyError : undefined;
  }

  #issue(slot: Operation): void {
    const lane = this.#lanes.length === 1 ? 0 : laneOf(slot.key, this.#lanes.length);
    (this.#lanes[lane] ?? this.#dial(lane)).issue(slot);
  }

  #dial(lane: number): MetaConnection {
    const connection = new MetaConnection(this.#settings, this.#load, {
      answered: () => this.#breaker.succeeded(),
      overdue: (error) => this.#breaker.failed(error),
      lost: (error, orphans) => {
        this.#lanes[lane] = undefined;
        this.#lost(connection, error, orphans);
      },
    });
    this.#lanes[lane] = connection;
    connection.connect().then(
      () => this.#recovered(),
      // `lost` was told
      () => undefined,
    );
    return connection;
  }

  #lost(connection: MetaConnection, error: StoreError, orphans: readonly Operation[]): void {
    // A server may close an idle connection; that it can not be reached, or leaves operations unanswered, is a failure.
    const isFailure = orphans.length > 0 || !connection.wasReady;
    if (isFailure && !this.#isClosed) this.#breaker.failed(error);
    const mayRetry = connection.wasReady && error.code === 'connection' && this.#refusal === undefined;
    for (const slot of orphans) {
      if (mayRetry && slot.kind === 'get' && !slot.retried && slot.waiting) {
        slot.retried = true;
        this.#issue(slot);
      } else {
        slot.fail(error);
      }
    }
  }

  #opened(cause: StoreError): void {
    this.#refusal = this.#error('breaker-open', `left alone after ${cause.message}`, cause);
    for (const connection of this.#lanes) connection?.close(this.#refusal);
    this.#onStateChange?.({ server: this.#name, state: 'open', cause });
  }

  /** A connection has become usable. When it was the probe's, the server is back. */
  #recovered(): void {
    if (this.#isClosed || this.#breaker.state !== 'half-open') return;
    this.#breaker.recovered();
    this.#refusal = undefined;
    this.#onStateChange?.({ server: this.#name, state: 'closed', cause: undefined });
  }

  #error(code: StoreErrorCode, message: string, cause?: Error): StoreError {
    return new StoreError(code, `${this.#name}: ${message}`, { server: this.#name, cause });
  }
}

function badKey(key: string): StoreError {
  return new StoreError('bad-key', `Invalid key: '${key}'`);
}

/** Spreads keys evenly enough: FNV-1a. */
function laneOf(key: string, lanes: number): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
  return (hash >>> 0) % lanes;
}

/**
 * Another client may keep values up to memcached's own limit, of which {@link DEFAULT_MAX_ITEM_BYTES} leaves some for key
 * and header. Reading such an item must not look like a broken server.
 */
const FOREIGN_ITEM_BYTES = 1024;
