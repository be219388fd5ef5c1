import { Writable } from 'node:stream';
import type { BufferBudget } from '../cache/buffer-budget.js';
import { Entries } from '../cache/entries.js';
import type { EntryWriter } from '../cache/entry-writer.js';
import { Purger } from '../cache/purger.js';
import type { Slot } from '../cache/slot.js';
import type { EntryPlan } from '../cache/storage.js';
import { utf8ToBytes } from '../http/byte-string.js';
import { Fields } from '../http/fields.js';
import { hasTooManyTags, tags } from '../http/surrogate-keys.js';
import type { Store } from '../store/store.js';
import {
  type CachedResponse,
  type CacheKey,
  type CacheStore,
  type CacheValue,
  cachedResponse,
  entryFields,
} from './cached-value.js';

export interface UndiciCacheStoreOptions {
  /** What bodies on their way to the store are taken from. */
  readonly budget: BufferBudget;
  /** As for `Entries`. */
  readonly secrets?: readonly string[] | undefined;
  /** The largest body that is stored. Default 64 MiB. */
  readonly maxBodyBytes?: number | undefined;
  /** Whether the store is closed with this one. Default: it is not. */
  readonly closesStore?: boolean | undefined;
}

/** Response fields whose tags the responses can be purged by. */
const TAG_FIELDS = ['Surrogate-Key', 'xkey', 'Cache-Tag', 'Cache-Groups'];

/** How far ahead of ours the clock may be by which an entry was made. */
const MAX_SKEW_MS = 5000;

/**
 * A `CacheStore` of undici (7.x) in a store that a fleet shares: what one client has fetched, all have. undici decides
 * what is stored and for how long; here it becomes an entry like others, with variants, segments for large bodies and,
 * with a secret, a MAC; and it can be purged like others, by its tags, by a prefix of its URL, and all.
 *
 * Nothing rejects because of the store: what fails is a miss, or is not stored. What only a private cache may keep is not
 * taken, as many share this one.
 */
export class UndiciCacheStore implements CacheStore {
  readonly #entries: Entries;
  readonly #purger: Purger;
  readonly #closeStore: () => Promise<void>;
  /** Where the responses go that are being fetched, as the lookups saw it. */
  readonly #slots = new WeakMap<CacheKey, Promise<Slot | undefined>>();

  constructor(store: Store, { budget, secrets, maxBodyBytes, closesStore }: UndiciCacheStoreOptions) {
    this.#entries = new Entries(store, { budget, secrets, maxBodyBytes });
    this.#purger = new Purger(store, { secrets });
    this.#closeStore = async () => {
      if (closesStore === true) await store.close();
    };
  }

  async get(key: CacheKey): Promise<CachedResponse | undefined> {
    const { text, url, request } = placeOf(key);
    const found = await this.#entries.find(text, url, request);
    const nowMs = Date.now();
    if (found.kind === 'entry') {
      const { entry, slot } = found;
      const value = cachedResponse(entry.status, entry.fields);
      if (value !== undefined && value.cachedAt <= nowMs + MAX_SKEW_MS && value.deleteAt > nowMs) {
        const staleAt = entry.freshness.isSoftPurged ? Math.min(value.staleAt, nowMs - 1) : value.staleAt;
        const body = await entry.body.read(0, entry.body.bytes);
        if (body !== undefined) {
          if (staleAt < nowMs) this.#slots.set(key, Promise.resolve(slot));
          return { ...value, staleAt, body: body instanceof Uint8Array ? [body] : body };
        }
      }
    }
    this.#slots.set(key, this.#leased(found.slot));
    return undefined;
  }

  createWriteStream(key: CacheKey, value: CacheValue): Writable | undefined {
    const nowMs = Date.now();
    const fields = isForOne(key, value) || value.deleteAt <= nowMs ? undefined : entryFields(value);
    if (fields === undefined || hasTooManyTags(fields, TAG_FIELDS)) return undefined;
    const { text, url, request } = placeOf(key);
    const slot =
      this.#slots.get(key) ?? this.#entries.find(text, url, request).then((found) => this.#leased(found.slot));
    this.#slots.delete(key);
    const head = { status: value.statusCode, fields };
    return new EntryStream(
      slot.then((taken) => {
        const writer = taken && this.#entries.writer(taken, head, request, planOf(value, fields, nowMs));
        return typeof writer === 'string' ? undefined : writer;
      }),
    );
  }

  /** What is stored for the method of the key. undici asks for each method by itself. */
  async delete(key: CacheKey): Promise<void> {
    await this.#purger.purge({ kind: 'key', key: placeOf(key).text });
  }

  /** Gives up what could not be deleted yet. */
  close(): Promise<void> {
    this.#purger.close();
    return this.#closeStore();
  }

  /** Begun with the fetch, so that a deletion during the fetch is noticed. */
  async #leased(slot: Slot | undefined): Promise<Slot | undefined> {
    const leased = slot && (await this.#entries.lease(slot));
    return leased === undefined || leased.kind === 'failed' ? undefined : leased.slot;
  }
}

/** Takes a body for the store. It is never behind, and never fails: what the store can not take is dropped. */
class EntryStream extends Writable {
  #writer: EntryWriter | undefined;
  readonly #opened: Promise<EntryWriter | undefined>;

  constructor(opened: Promise<EntryWriter | undefined>) {
    super();
    this.#opened = opened;
  }

  override _construct(callback: (error?: Error | null) => void): void {
    // The base class calls it when this constructor has returned.
    this.#opened.then((writer) => {
      this.#writer = writer;
      callback();
    }, callback);
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: () => void): void {
    this.#writer?.write(chunk);
    callback();
  }

  override _final(callback: (error?: Error | null) => void): void {
    if (this.#writer === undefined) callback();
    else this.#writer.end().then(() => callback(), callback);
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#writer?.abandon();
    callback(error);
  }
}

interface Place {
  /** The key of the entry. Another one than that of the HTTP cache for the same URL: they do not go by the same rules. */
  readonly text: string;
  readonly url: string;
  readonly request: Fields;
}

function placeOf({ origin, method, path, headers = {} }: CacheKey): Place {
  const url = utf8ToBytes(`${origin}${path}`);
  return { text: `undici:${method === 'GET' ? '' : `${method}:`}${url}`, url, request: Fields.from(headers) };
}

/** Whether the response is for whoever asked for it, and nobody else: undici's private caches keep those, too. */
function isForOne({ headers = {} }: CacheKey, { headers: response, cacheControlDirectives = {} }: CacheValue): boolean {
  if (cacheControlDirectives.private === true || Object.hasOwn(response, 'set-cookie')) return true;
  const { public: isPublic, 's-maxage': shared, 'must-revalidate': must } = cacheControlDirectives;
  // RFC 9111, section 3.5.
  return Object.hasOwn(headers, 'authorization') && isPublic !== true && shared === undefined && must !== true;
}

/** As far as it matters: the lifetimes that count are in undici's own value. */
function planOf({ cachedAt, staleAt, deleteAt }: CacheValue, fields: Fields, nowMs: number): EntryPlan {
  return {
    ageSeconds: seconds(nowMs - cachedAt),
    lifetimeSeconds: seconds(staleAt - cachedAt),
    staleWhileRevalidateSeconds: 0,
    staleIfErrorSeconds: undefined,
    revalidation: 'may',
    source: 'none',
    immutable: false,
    droppedFields: [],
    ttlSeconds: Math.max(1, seconds(deleteAt - nowMs)),
    tags: tags(fields, TAG_FIELDS),
  };
}

function seconds(ms: number): number {
  return Math.max(0, Math.floor(ms / 1000));
}
