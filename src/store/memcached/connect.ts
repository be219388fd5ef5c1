import { type Store, storeFailure } from '../store.js';
import { parseAddress } from './address.js';
import { failedResponse, type GetResponse, getResponse, type SetResponse, setResponse } from './response.js';
import { Server, type ServerOptions } from './server.js';

/**
 * A connection to the memcached at `address` (`host`, `host:port`, `[v6]:port`, `unix:/path`), as lighttpd2's
 * `memcached.new` makes one for scripts. It is opened with the first operation, and again when it was lost. Throws when
 * `address` is not an address.
 *
 * @example
 * const memcached = connect('127.0.0.1');
 * const response = await memcached.get('greeting');
 * if (response.code === ResponseCode.Ok) console.log(response.data);
 */
export function connect(address: string, options?: Partial<ServerOptions>): ScriptConnection {
  return new ScriptConnection(new Server(parseAddress(address), options));
}

/** Called once, with what the promise would have resolved to. */
export type ResponseCallback<Response> = (response: Response) => void;

export interface ScriptSetOptions {
  /** Seconds, 0 = no expiry. Default {@link DEFAULT_SCRIPT_TTL_SECONDS}. */
  readonly ttl?: number;
  /** 32 bits. Default 0. */
  readonly flags?: number;
}

/** lighttpd2's. */
export const DEFAULT_SCRIPT_TTL_SECONDS = 300;

/**
 * lighttpd2's scripting interface over a store: every outcome, failures included, is a response object, and nothing
 * rejects or throws. Keys are taken as they are; one that memcached can not keep gives code 5 ("Invalid key: '…'").
 */
export class ScriptConnection {
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
  }

  get(key: string): Promise<GetResponse>;
  get(key: string, callback: ResponseCallback<GetResponse>): void;
  get(key: string, callback?: ResponseCallback<GetResponse>): Promise<GetResponse> | undefined {
    return deliver(this.#get(key), callback);
  }

  /** Text is stored as UTF-8. `ttl` is in seconds, default {@link DEFAULT_SCRIPT_TTL_SECONDS}. */
  set(key: string, value: string | Uint8Array, options?: ScriptSetOptions): Promise<SetResponse>;
  set(key: string, value: string | Uint8Array, callback: ResponseCallback<SetResponse>, ttl?: number): void;
  set(
    key: string,
    value: string | Uint8Array,
    how: ScriptSetOptions | ResponseCallback<SetResponse> = {},
    ttl?: number,
  ): Promise<SetResponse> | undefined {
    if (typeof how === 'function') return deliver(this.#set(key, value, { ttl }), how);
    return this.#set(key, value, how);
  }

  /** A `set` whose outcome nobody wants to know. */
  setq(key: string, value: string | Uint8Array, ttl?: number): void {
    void this.#set(key, value, { ttl });
  }

  /** Closes the connection; what is asked of it from then on gives code 5. */
  close(): Promise<void> {
    return this.#store.close();
  }

  async #get(key: string): Promise<GetResponse> {
    try {
      return getResponse(key, await this.#store.get(key));
    } catch (error) {
      return failedResponse(key, failureOf(error));
    }
  }

  async #set(key: string, value: string | Uint8Array, options: ScriptSetOptions): Promise<SetResponse> {
    const { ttl: ttlSeconds = DEFAULT_SCRIPT_TTL_SECONDS, flags = 0 } = options;
    const bytes = typeof value === 'string' ? Buffer.from(value) : value;
    try {
      return setResponse(key, await this.#store.set(key, bytes, { ttlSeconds, flags }));
    } catch (error) {
      return failedResponse(key, failureOf(error));
    }
  }
}

/** A ttl or flags that no server could take are answered like a key that it could not. */
function failureOf(error: unknown): Error {
  return error instanceof RangeError ? error : storeFailure(error);
}

/** A callback runs outside of the promise, so that what it throws is the caller's uncaught exception. */
function deliver<Response>(
  pending: Promise<Response>,
  callback: ResponseCallback<Response> | undefined,
): Promise<Response> | undefined {
  if (callback === undefined) return pending;
  void pending.then((response) => process.nextTick(callback, response));
  return undefined;
}
