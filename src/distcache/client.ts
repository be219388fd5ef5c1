import type { ConnectionOptions } from 'node:tls';
import { type Address, canConnect, connectTo, formatAddress, parseAddress } from './address.js';
import { Channel, type Response } from './channel.js';
import { DistcacheError } from './client-error.js';
import { ADD_HEADER_BYTES, addPayload, MAX_ID_BYTES, MIN_READABLE_DATA_BYTES, RESULT } from './payload.js';
import { MAX_PAYLOAD_BYTES, type Operation } from './wire.js';

export interface ClientOptions {
  /** Where the server or its proxy listens: `UNIX:path` or `IP:host:port`. Names are looked up with each connection. */
  readonly address: Address | string;
  /** Speak TLS. Default: no. */
  readonly tls?: ConnectionOptions;
  /** One connection for all operations (default), or a new one for each. */
  readonly persistent?: boolean;
  /**
   * Send an operation once more when the connection broke before the answer came. Default `false`. A REMOVE that is sent
   * twice may say `false` though it removed the session.
   */
  readonly retry?: boolean;
  /** Has no effect: a Node process never shares a connection with one that was forked from it. */
  readonly pidCheck?: boolean;
  /** Limit of an operation, connecting and repeating included. Default {@link DEFAULT_TIMEOUT_MS}. */
  readonly timeoutMs?: number;
  /**
   * Bytes of requests that may wait for their responses on a connection. Default
   * 4096, which the C server bears; `Infinity` is right for one of Lookaside's.
   */
  readonly maxOutstandingBytes?: number;
}

export interface OperationOptions {
  /** Rejects the operation with the signal's reason. What was sent already may still take effect. */
  readonly signal?: AbortSignal;
}

/** A server or proxy that is well answers much sooner, even when its memcached is away. */
export const DEFAULT_TIMEOUT_MS = 2000;

/** The send buffer of the C server, which closes a connection when its responses do not fit. */
const DEFAULT_MAX_OUTSTANDING_BYTES = 4096;

/** The C library's: Apache's shortest. */
export const MIN_SESSION_TIMEOUT_MS = 501;

/** What the field of the request holds. The server refuses what is above its own limit of seven days. */
const MAX_SESSION_TIMEOUT_MS = 0xffff_ffff;

/**
 * A client of a distcache server: the C library's `DC_CTX` with promises. Operations may overlap; they go out in the
 * order in which they are called.
 *
 * What the server answers resolves: `true` or data, `false` or `undefined`. Without an answer an operation rejects with a
 * {@link DistcacheError}; whoever takes any failure for a miss writes `client.get(id).catch(() => undefined)`. A
 * RangeError rejects what no server could be asked: ids of 1 to 64 bytes, 5 bytes of data or more, and timeouts above
 * 500 ms are possible.
 *
 * The flags of `DC_CTX_new`:
 *
 * | C | here |
 * |---|---|
 * | 0 | `new DistcacheClient({ persistent: false })` |
 * | PERSISTENT | `DistcacheClient.connect({})` |
 * | PERSISTENT, PERSISTENT_LATE | `new DistcacheClient({})` |
 * | PERSISTENT_RETRY | `{ retry: true }` |
 * | PERSISTENT_PIDCHECK | `{ pidCheck: true }` |
 *
 * A lost connection is made again with the next operation in every mode.
 */
export class DistcacheClient {
  readonly #newChannel: () => Channel;
  readonly #channel: Channel | undefined;
  /** What `reget` gives: found by the latest operation. */
  #last: { readonly id: Buffer; readonly data: Buffer } | undefined;
  #started = 0;
  readonly #temporary = new Set<Channel>();
  #isClosed = false;

  /** Does not connect. Throws an error when the address is none, or says where to listen only. */
  constructor(options: ClientOptions) {
    const address = typeof options.address === 'string' ? parseAddress(options.address) : options.address;
    if (!canConnect(address)) throw new RangeError(`${formatAddress(address)} can not be connected to`);
    const { tls } = options;
    const channelOptions = {
      connect: (onBytes: (bytes: Buffer) => void) => connectTo(address, { tls, onBytes }),
      readyEvent: tls === undefined ? ('connect' as const) : ('secureConnect' as const),
      retry: options.retry ?? false,
      timeoutMs: options.timeoutMs ?? DEFAULT_TIMEOUT_MS,
      maxOutstandingBytes: options.maxOutstandingBytes ?? DEFAULT_MAX_OUTSTANDING_BYTES,
    };
    this.#newChannel = () => new Channel(channelOptions);
    this.#channel = options.persistent === false ? undefined : this.#newChannel();
  }

  /** A client that has its connection already. Rejects with a {@link DistcacheError} when none can be made. */
  static async connect(options: ClientOptions): Promise<DistcacheClient> {
    const client = new DistcacheClient(options);
    await client.#channel?.connect();
    return client;
  }

  /**
   * Keeps `data` under `id` for `timeoutMs`. `false`: there is a session with this id, which stays as it is; or the data
   * is too large (32 KiB, less the id and 8 bytes); or the server refused. With `retry`, an ADD that was sent twice and
   * found the id taken succeeded if it is this data that lies there.
   */
  async add(id: Uint8Array, data: Uint8Array, timeoutMs: number, options: OperationOptions = {}): Promise<boolean> {
    this.#begin();
    checkId(id);
    if (data.length < MIN_READABLE_DATA_BYTES) {
      throw new RangeError(`no client could read ${data.length} bytes of data: at least ${MIN_READABLE_DATA_BYTES}`);
    }
    if (!(timeoutMs >= MIN_SESSION_TIMEOUT_MS && timeoutMs <= MAX_SESSION_TIMEOUT_MS)) {
      throw new RangeError(`a timeout of ${timeoutMs} ms is not one of ${MIN_SESSION_TIMEOUT_MS} ms or more`);
    }
    if (ADD_HEADER_BYTES + id.length + data.length > MAX_PAYLOAD_BYTES) return false;
    const { payload, isResent } = await this.#request('add', addPayload(id, data, timeoutMs), options);
    if (!isResent || !isResult(payload, RESULT.addMatchingSession)) return isResult(payload, RESULT.ok);
    return (await this.#find(Buffer.from(id), options))?.equals(data) ?? false;
  }

  /** The data under `id`, or `undefined` when there is none. */
  async get(id: Uint8Array, options: OperationOptions = {}): Promise<Buffer | undefined> {
    const operation = this.#begin();
    checkId(id);
    const key = Buffer.from(id);
    const data = await this.#find(key, options);
    if (data !== undefined && operation === this.#started) this.#last = { id: key, data };
    return data;
  }

  /** Once more what `get` of this id gave, when that was the latest operation and found something; without I/O. */
  async reget(id: Uint8Array): Promise<Buffer | undefined> {
    return this.#last?.id.equals(id) ? this.#last.data : undefined;
  }

  /** Whether there was a session to remove. */
  async remove(id: Uint8Array, options: OperationOptions = {}): Promise<boolean> {
    this.#begin();
    checkId(id);
    const { payload } = await this.#request('remove', Buffer.from(id), options);
    return isResult(payload, RESULT.ok);
  }

  async has(id: Uint8Array, options: OperationOptions = {}): Promise<boolean> {
    this.#begin();
    checkId(id);
    const { payload } = await this.#request('have', Buffer.from(id), options);
    if (isResult(payload, RESULT.ok)) return true;
    if (payload.length > 1 || isResult(payload, RESULT.notOk)) return false;
    throw new DistcacheError('protocol', `the server answered a HAVE with the code ${payload[0]}`);
  }

  /** Fails what is outstanding with the code `closed`, and resolves when there is no connection any more. Idempotent. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#last = undefined;
    await Promise.all([this.#channel, ...this.#temporary].map((channel) => channel?.close()));
  }

  /** Counts an operation, and makes what the one before it found unavailable to `reget`. */
  #begin(): number {
    this.#last = undefined;
    return ++this.#started;
  }

  async #find(id: Buffer, options: OperationOptions): Promise<Buffer | undefined> {
    const { payload } = await this.#request('get', id, options);
    return payload.length >= MIN_READABLE_DATA_BYTES ? payload : undefined;
  }

  #request(operation: Operation, payload: Buffer, { signal }: OperationOptions): Promise<Response> {
    return this.#channel?.request(operation, payload, signal) ?? this.#requestOnce(operation, payload, signal);
  }

  async #requestOnce(operation: Operation, payload: Buffer, signal: AbortSignal | undefined): Promise<Response> {
    if (this.#isClosed) throw new DistcacheError('closed', 'the client is closed');
    const channel = this.#newChannel();
    this.#temporary.add(channel);
    try {
      return await channel.request(operation, payload, signal);
    } finally {
      this.#temporary.delete(channel);
      void channel.close();
    }
  }
}

function checkId(id: Uint8Array): void {
  if (id.length < 1 || id.length > MAX_ID_BYTES) {
    throw new RangeError(`an id of ${id.length} bytes is not one of 1 to ${MAX_ID_BYTES}`);
  }
}

function isResult(payload: Buffer, code: number): boolean {
  return payload.length === 1 && payload[0] === code;
}
