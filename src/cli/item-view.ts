import { decodeCachedEntry, recordOf } from '../cache/cached-entry.js';
import { decodeEntry } from '../cache/entry.js';
import { type ItemKind, openItem } from '../cache/item.js';
import { type SegmentLayout, segmentKey } from '../cache/segment.js';
import { decodeIndex, variantKey } from '../cache/variants.js';
import type { Fields } from '../http/fields.js';

/** What lies in an item, for people to read: as far as it can be told without knowing the secret. */
export interface ItemView {
  /**
   * `message`: a response that `memcached.store` or another program has written; `value`: anything else that is none of
   * ours; the others: see `ItemKind`.
   */
  readonly kind: ItemKind | 'message' | 'value';
  readonly head?: HeadView;
  /** Where the body of a response is. */
  readonly body?: Uint8Array | SegmentLayout;
  readonly variants?: readonly VariantView[];
}

interface HeadView {
  readonly status: number;
  readonly fields: readonly (readonly [name: string, value: string])[];
  readonly metadata: object | undefined;
  /** What it can be purged by besides its key, and the counters it goes by. */
  readonly purge?: object | undefined;
}

interface VariantView {
  readonly storeKey: string;
  /** Unix time in seconds; `null`: never. */
  readonly expiresAt: number | null;
  readonly vary: readonly string[];
}

export function viewItem(storeKey: string, value: Buffer): ItemView {
  const opened = openItem(storeKey, value, undefined);
  if (typeof opened === 'string') return { kind: 'value' };
  switch (opened.kind) {
    case 'entry':
      return viewEntry(value);
    case 'foreign':
      return viewMessage(value);
    case 'variants':
      return { kind: 'variants', variants: viewVariants(value.toString('latin1', opened.restAt)) };
    default:
      return { kind: opened.kind };
  }
}

function viewEntry(value: Buffer): ItemView {
  const entry = decodeCachedEntry(value, { partials: true });
  if (entry === undefined) return { kind: 'value' };
  const { status, metadata } = entry;
  const record = recordOf(entry);
  const purge = record && { ...record.labels, counters: record.counters };
  const head = { status, fields: pairs(entry.fields), metadata, purge };
  return { kind: 'entry', head, body: metadata.layout ?? entry.body };
}

function viewMessage(value: Buffer): ItemView {
  const entry = decodeEntry(value);
  if (entry === undefined) return { kind: 'value' };
  const { status, fields, metadata, body } = entry;
  return { kind: 'message', head: { status, fields: pairs(fields), metadata }, body };
}

function viewVariants(rest: string): readonly VariantView[] {
  const index = decodeIndex(rest);
  if (index === undefined) return [];
  return index.variants.map(({ digest, expiresAt, names }) => ({
    storeKey: variantKey(index.id, digest),
    expiresAt: expiresAt === 0 ? null : expiresAt,
    vary: names,
  }));
}

function pairs(fields: Fields): [name: string, value: string][] {
  return [...fields].map(([name, value]) => [name, value]);
}

/** The store keys of the segments of a body, in order. */
export function segmentKeys({ id, bytes, segmentBytes }: SegmentLayout): string[] {
  return Array.from({ length: Math.ceil(bytes / segmentBytes) }, (_, index) => segmentKey(id, index));
}
