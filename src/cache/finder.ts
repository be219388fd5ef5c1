import type { Fields } from '../http/fields.js';
import type { Item, Store } from '../store/store.js';
import { decodeCachedEntry, recordOf } from './cached-entry.js';
import { failureOf } from './failure.js';
import { type Labels, labelsOf } from './generation-record.js';
import type { Generations } from './generations.js';
import { openItem } from './item.js';
import { storeKey } from './key.js';
import type { Authenticator } from './mac.js';
import { decodeMarker } from './marker.js';
import type { IndexUnderBase, Slot } from './slot.js';
import { foreignEntry, inlineBody, type StoredEntry, segmentedBody } from './stored-entry.js';
import {
  decodeIndex,
  isFull,
  likelyDigest,
  matchingVariants,
  type Variant,
  type VariantIndex,
  variantKey,
} from './variants.js';
import type { Reason } from './verdict.js';

/** What a lookup ends in. */
export type Found = FoundEntry | FoundNothing;

export interface FoundEntry {
  readonly kind: 'entry';
  readonly entry: StoredEntry;
  readonly slot: Slot;
}

/**
 * `none`: nothing that can be used. `leased`: another process is fetching. `pass`: responses are not stored at present,
 * so that it makes no sense to wait for another's.
 */
export type FoundNothing =
  | {
      readonly kind: 'none';
      readonly reason: Reason /** `undefined`: the store fails. */;
      readonly slot: Slot | undefined;
    }
  | { readonly kind: 'leased' | 'pass'; readonly slot: Slot };

export interface FinderOptions {
  readonly generations: Generations;
  readonly authenticator: Authenticator | undefined;
  readonly maxVariants: number;
  readonly partials: boolean;
}

/**
 * Looks a request up: one round trip for the item under the base key and the epoch, one more when the key has variants,
 * and one when something was purged since. Whatever is odd about what lies there is a reason, never an exception.
 */
export class Finder {
  readonly #store: Store;
  readonly #options: FinderOptions;

  constructor(store: Store, options: FinderOptions) {
    this.#store = store;
    this.#options = options;
  }

  async find(key: string, url: string, request: Fields): Promise<Found> {
    const { generations } = this.#options;
    const base = storeKey(key);
    const epochKey = generations.epochKey(base);
    let item: Item | undefined;
    let epoch: string;
    try {
      const items = await this.#store.getMany([base, epochKey]);
      item = items.get(base);
      epoch = await generations.epoch(epochKey, items.get(epochKey));
    } catch (error) {
      return { kind: 'none', reason: failureOf(error), slot: undefined };
    }
    const begunMs = performance.now();
    const labels = labelsOf({ key, url }, []);
    const common = { key, url, request, base, place: base, moment: { epochKey, epoch }, begunMs, labels };
    const slot: Slot = { ...common, under: { kind: 'nothing' }, lease: undefined };
    return item === undefined ? { kind: 'none', reason: 'absent', slot } : this.#underBase(item, slot);
  }

  async #underBase(item: Item, looked: Slot): Promise<Found> {
    const { key, base } = looked;
    const { cas, value } = item;
    const unusable: Slot = { ...looked, under: { kind: 'unusable', cas } };
    const none = (reason: Reason): Found => ({ kind: 'none', reason, slot: unusable });
    const opened = openItem(base, value, this.#options.authenticator);
    if (typeof opened === 'string') return none(opened);
    const { kind, restAt } = opened;
    switch (kind) {
      case 'lease':
      case 'pass': {
        const marker = decodeMarker(kind, value.toString('latin1', restAt));
        if (marker === undefined) return none('malformed');
        if (marker.key !== key) return none('wrong-key');
        return kind === 'pass'
          ? { kind, slot: unusable }
          : { kind: 'leased', slot: { ...looked, under: { kind, cas } } };
      }
      case 'variants': {
        const index = decodeIndex(value.toString('latin1', restAt));
        if (index === undefined) return none('malformed');
        return index.key === key ? this.#variant(index, cas, looked) : none('wrong-key');
      }
      case 'entry': {
        const found = await this.#entry(item, looked, { mark: 0, variant: '' });
        if (typeof found === 'string') return none(found);
        return { kind, entry: found.entry, slot: { ...looked, labels: found.labels, under: { kind, cas } } };
      }
      case 'foreign': {
        const entry = foreignEntry(item, key, looked.request, Date.now());
        if (typeof entry === 'string') return none(entry);
        return { kind: 'entry', entry, slot: { ...looked, under: { kind: 'entry', cas } } };
      }
    }
  }

  /** The newest variant that fits. The place of a pass marker is that of the variant the request is likely to get. */
  async #variant(index: VariantIndex, cas: string, looked: Slot): Promise<Found> {
    const { request } = looked;
    const { authenticator, maxVariants } = this.#options;
    const matching = matchingVariants(index, request);
    const place = variantKey(index.id, likelyDigest(index, request));
    let items: ReadonlyMap<string, Item>;
    try {
      items = await this.#store.getMany([...matching.map(({ digest }) => variantKey(index.id, digest)), place]);
    } catch (error) {
      return { kind: 'none', reason: failureOf(error), slot: undefined };
    }
    const under = indexUnderBase(index, cas, matching, place, items);
    let reason: Reason = matching.length === 0 ? 'vary' : 'absent';
    for (const { digest } of matching) {
      const storeKey = variantKey(index.id, digest);
      const item = items.get(storeKey);
      const opened = item === undefined ? undefined : openItem(storeKey, item.value, authenticator);
      if (item === undefined || opened === undefined) continue;
      if (typeof opened === 'string') reason = opened;
      if (typeof opened === 'string' || opened.kind !== 'entry') continue;
      const found = await this.#entry(item, looked, { mark: index.mark, variant: digest });
      if (typeof found === 'string') reason = found;
      else
        return { kind: 'entry', entry: found.entry, slot: { ...looked, place: storeKey, labels: found.labels, under } };
    }
    const slot: Slot = { ...looked, place, under };
    const isPassed = this.#isPass(items.get(place), slot);
    const hasNoRoom = matching.length === 0 && isFull(index, under.gone, maxVariants, Date.now() / 1000);
    return isPassed || hasNoRoom ? { kind: 'pass', slot } : { kind: 'none', reason, slot };
  }

  #isPass(item: Item | undefined, { place, key }: Slot): boolean {
    if (item === undefined) return false;
    const opened = openItem(place, item.value, this.#options.authenticator);
    if (typeof opened === 'string' || opened.kind !== 'pass') return false;
    return decodeMarker('pass', item.value.toString('latin1', opened.restAt))?.key === key;
  }

  /** The entry in an item that `openItem` took for one; or why it can not be used. */
  async #entry(
    { value, ttlSeconds = 0 }: Item,
    looked: Slot,
    expected: { readonly mark: number; readonly variant: string },
  ): Promise<{ readonly entry: StoredEntry; readonly labels: Labels } | Reason> {
    const { authenticator, partials } = this.#options;
    const decoded = decodeCachedEntry(value, { partials });
    if (decoded === undefined) return 'malformed';
    const { status, fields, metadata } = decoded;
    if (metadata.key !== looked.key) return 'wrong-key';
    if (metadata.variant !== expected.variant) return 'vary';
    let isSoftPurged = metadata.mark !== expected.mark;
    let { labels } = looked;
    if (metadata.epoch !== looked.moment.epoch) {
      const record = recordOf(decoded);
      if (record === undefined) return 'malformed';
      const validity = await this.#options.generations.check(record, looked.moment);
      if (validity === 'soft-purged') isSoftPurged = true;
      else if (validity !== 'valid') return validity;
      labels = record.labels;
    }
    const { layout } = metadata;
    const body =
      layout === undefined ? inlineBody(decoded.body) : segmentedBody(this.#store, layout, ttlSeconds, authenticator);
    return { entry: { status, fields, freshness: { ...metadata.freshness, isSoftPurged }, body }, labels };
  }
}

function indexUnderBase(
  index: VariantIndex,
  cas: string,
  matching: readonly Variant[],
  place: string,
  items: ReadonlyMap<string, Item>,
): IndexUnderBase {
  const keyed = matching.map(({ digest }) => ({ digest, storeKey: variantKey(index.id, digest) }));
  const seen = new Map([...keyed.map(({ storeKey }) => storeKey), place].map((key) => [key, items.get(key)?.cas]));
  const gone = new Set(keyed.filter(({ storeKey }) => !items.has(storeKey)).map(({ digest }) => digest));
  return { kind: 'index', cas, index, seen, gone };
}
