import { type Item, type SetResult, StoreError } from '../store.js';

/** Outcomes as lighttpd2's mod_memcached numbers them. */
export const ResponseCode = { Ok: 1, NotStored: 2, Exists: 3, NotFound: 4, Error: 5 } as const;
export type ResponseCode = (typeof ResponseCode)[keyof typeof ResponseCode];

/** What became of a `get`. */
export type GetResponse = Found | Refused | Failed;

/** What became of a `set`. */
export type SetResponse = Stored | Refused | Failed;

export interface Found {
  readonly code: typeof ResponseCode.Ok;
  readonly key: string;
  /** 32 bits of the writer's choosing. */
  readonly flags: number;
  /** Whole seconds until the item expires; 0 when it never does, or the server cannot tell. */
  readonly ttl: number;
  /** Changes with every write: a decimal string of up to 64 bits. */
  readonly cas: string;
  readonly data: Buffer;
}

export interface Stored {
  readonly code: typeof ResponseCode.Ok;
  readonly key: string;
}

/** An answer of the server that is not "ok": a miss, for one. */
export interface Refused {
  readonly code: typeof ResponseCode.NotStored | typeof ResponseCode.Exists | typeof ResponseCode.NotFound;
}

/** No answer could be had. */
export interface Failed {
  readonly code: typeof ResponseCode.Error;
  /** Why, for a person to read. */
  readonly error: string;
}

export function getResponse(key: string, item: Item | null): Found | Refused {
  if (item === null) return { code: ResponseCode.NotFound };
  return { code: ResponseCode.Ok, key, flags: item.flags, ttl: item.ttlSeconds ?? 0, cas: item.cas, data: item.value };
}

export function setResponse(key: string, result: SetResult): Stored | Refused {
  if (result === 'stored') return { code: ResponseCode.Ok, key };
  return { code: REFUSALS[result] };
}

export function failedResponse(key: string, failure: Error): Failed {
  const error = failure instanceof StoreError && failure.code === 'bad-key' ? `Invalid key: '${key}'` : failure.message;
  return { code: ResponseCode.Error, error };
}

const REFUSALS = {
  'not-stored': ResponseCode.NotStored,
  exists: ResponseCode.Exists,
  'not-found': ResponseCode.NotFound,
} as const;
