import type { Reuse } from '../http/reuse.js';
import type { Item } from '../store/store.js';
import { type CachedMetadata, decodeCachedEntry, recordOf } from './cached-entry.js';
import type { Decision } from './decision.js';
import { decodeEntry } from './entry.js';
import type { Failure } from './failure.js';
import { openItem } from './item.js';
import type { Authenticator } from './mac.js';
import { decodeMarker } from './marker.js';
import type { StoredEntry } from './stored-entry.js';
import { decodeIndex, type Variant } from './variants.js';

/** What lies under a store key, for people to know. */
export type Inspected =
  | { readonly kind: 'nothing' }
  | (Size & (InspectedEntry | InspectedForeign | InspectedIndex | InspectedMarker | Unreadable));

interface Size {
  /** Of the item's value. */
  readonly itemBytes: number;
  /** How long the store still keeps it; `undefined`: without end, or the server can not tell. */
  readonly keptSeconds: number | undefined;
}

/** A stored response as `memcached.cache` keeps it. */
interface InspectedEntry {
  readonly kind: 'entry';
  readonly status: number;
  readonly metadata: CachedMetadata;
  /** Tags it can be purged by; `undefined` when what it recorded of purges can not be read. */
  readonly tags: readonly string[] | undefined;
}

/** One as `memcached.store` keeps it, or as another program has written it. */
interface InspectedForeign {
  readonly kind: 'message';
  readonly status: number;
  readonly isOurs: boolean;
}

/** The index of the variants of a key. */
interface InspectedIndex {
  readonly kind: 'variants';
  readonly variants: readonly Variant[];
}

interface InspectedMarker {
  readonly kind: 'lease' | 'pass';
}

/** `malformed`: neither a response nor anything of ours, such as the bare body that `headers: false` stores. */
interface Unreadable {
  readonly kind: 'malformed' | 'unauthenticated';
}

/** An item, and where it lies. */
export interface InspectedItem {
  readonly storeKey: string;
  /** As the store calls it; `undefined` when it does not say. */
  readonly server: string | undefined;
  /** Or why the store did not say. */
  readonly found: Inspected | Failure;
}

/** What a lookup comes to at one moment, and what of. */
export interface LookupExplanation {
  /** Where `find` has looked: under the base key and, where an index of variants lies there, in the variant's place. */
  readonly items: readonly InspectedItem[];
  /** The entry that was found, whatever can be done with it, and the decision of HTTP about it. */
  readonly entry: StoredEntry | undefined;
  readonly reuse: Reuse | undefined;
  readonly decision: Decision;
  /** The status the client gets, where the answer comes from the store. */
  readonly status: number | undefined;
}

/** What `item` is, under its store key, to whoever holds these secrets. */
export function inspect(storeKey: string, item: Item | null, authenticator: Authenticator | undefined): Inspected {
  if (item === null) return { kind: 'nothing' };
  const { value, ttlSeconds: keptSeconds } = item;
  return { itemBytes: value.length, keptSeconds, ...inspectValue(storeKey, value, authenticator) };
}

function inspectValue(storeKey: string, value: Buffer, authenticator: Authenticator | undefined) {
  const opened = openItem(storeKey, value, authenticator);
  if (typeof opened === 'string') return { kind: opened };
  const { kind, restAt } = opened;
  const rest = () => value.toString('latin1', restAt);
  switch (kind) {
    case 'lease':
    case 'pass':
      return decodeMarker(kind, rest()) === undefined ? MALFORMED : { kind };
    case 'variants': {
      const index = decodeIndex(rest());
      return index === undefined ? MALFORMED : { kind, variants: index.variants };
    }
    case 'entry': {
      const entry = decodeCachedEntry(value, { partials: true });
      if (entry === undefined) return MALFORMED;
      return { kind, status: entry.status, metadata: entry.metadata, tags: recordOf(entry)?.labels.tags };
    }
    case 'foreign': {
      const entry = decodeEntry(value);
      if (entry === undefined) return MALFORMED;
      return { kind: 'message' as const, status: entry.status, isOurs: entry.metadata !== undefined };
    }
  }
}

const MALFORMED = { kind: 'malformed' } as const;
