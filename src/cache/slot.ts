import type { Fields } from '../http/fields.js';
import type { Labels } from './generation-record.js';
import type { Moment } from './generations.js';
import type { VariantIndex } from './variants.js';

/**
 * Where the response to a request can be stored: what a lookup saw, and the lease that was taken since. Whatever is
 * written into a slot is written only if the store still has what the lookup saw there; so a purge in between, by
 * whomever, is never undone.
 */
export interface Slot {
  readonly key: string;
  /** `scheme://authority/path?query`. */
  readonly url: string;
  /** The fields of the request. */
  readonly request: Fields;
  /** The store key of `key`, under which all that is stored of it hangs. */
  readonly base: string;
  /** The store key that requests share which can be answered by the same response, as far as one can tell by now. */
  readonly place: string;
  /** The epoch at the lookup. */
  readonly moment: Moment;
  /** No fetch for the slot began before this time (`performance.now`). */
  readonly begunMs: number;
  /** What the response is likely to be purged by. */
  readonly labels: Labels;
  readonly under: UnderBase;
  /** The lease that is held for the slot. */
  readonly lease: Lease | undefined;
}

/**
 * What lies under the base key. `lease`: that of another process, or our own. `unusable`: nothing that is of any use to
 * anybody, and a lease may take its place.
 */
export type UnderBase =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'entry' | 'lease' | 'unusable'; readonly cas: string }
  | IndexUnderBase;

export interface IndexUnderBase {
  readonly kind: 'index';
  readonly cas: string;
  readonly index: VariantIndex;
  /** The keys of variants that were looked at, and the `cas` of what lies there; `undefined`: nothing. */
  readonly seen: ReadonlyMap<string, string | undefined>;
  /** Digests of the variants that are in the index, but not in the store any more. */
  readonly gone: ReadonlySet<string>;
}

/** A lease that is held: the base key itself, or an item of its own when something lies there that is still of use. */
export interface Lease {
  readonly storeKey: string;
  readonly cas: string;
}
