import type { Fields } from '../http/fields.js';
import { languageDigest, variantDigest, varyNames } from '../http/vary.js';
import type { SetOptions, SetResult, Store } from '../store/store.js';
import { type Failure, failureOf } from './failure.js';
import { openItem } from './item.js';
import type { Authenticator } from './mac.js';
import type { Slot } from './slot.js';
import {
  decodeIndex,
  encodeIndex,
  indexTtlSeconds,
  isFull,
  isIndexable,
  newIndex,
  type Variant,
  type VariantIndex,
  variantKey,
  withVariant,
} from './variants.js';
import type { Reason } from './verdict.js';

/** Where an entry goes, and on what condition. */
export type Placement = BasePlacement | VariantPlacement;

interface CommonPlacement {
  /** Of the entry. */
  readonly storeKey: string;
  readonly condition: Pick<SetOptions, 'cas' | 'mode'>;
  /** What the entry's metadata has to say. */
  readonly variant: string;
  readonly mark: number;
}

/** Under the base key, in the place of what the lookup saw there. */
interface BasePlacement extends CommonPlacement {
  readonly kind: 'base';
}

/** Beside other variants of the key, with a line in the index. */
interface VariantPlacement extends CommonPlacement {
  readonly kind: 'variant';
  readonly base: string;
  readonly names: readonly string[];
  /** As in `Variant`. */
  readonly language: string | undefined;
  /** The index as it was seen, or a new one, which nobody knows of yet. */
  readonly index: VariantIndex;
  readonly isListed: boolean;
  /** Of what the index is to replace. */
  readonly baseCas: string;
  readonly gone: ReadonlySet<string>;
}

/**
 * Where a response to `request` with these fields is stored, or why it is not. Without anything under the base
 * key there is nothing by which a purge during the fetch would be noticed: a lease has to be taken first.
 */
export function placementOf(
  { under, base, key }: Slot,
  response: Fields,
  request: Fields,
  maxVariants: number,
  nowSeconds: number,
): Placement | 'vary' | 'variants' | 'no-lease' {
  const names = varyNames(response);
  if (names === '*' || !isIndexable(names)) return 'vary';
  if (under.kind === 'nothing') return 'no-lease';
  if (under.kind !== 'index' && names.length === 0) {
    return { kind: 'base', storeKey: base, condition: { cas: under.cas }, variant: '', mark: 0 };
  }
  const { index, gone, seen } =
    under.kind === 'index'
      ? under
      : { index: newIndex(key), gone: new Set<string>(), seen: new Map<string, undefined>() };
  const variant = variantDigest(names, request);
  const storeKey = variantKey(index.id, variant);
  const isListed = index.variants.some(({ digest }) => digest === variant);
  if (!isListed && isFull(index, gone, maxVariants, nowSeconds)) return 'variants';
  const cas = seen.get(storeKey);
  const condition = cas !== undefined ? { cas } : seen.has(storeKey) ? ({ mode: 'add' } as const) : {};
  const common = { kind: 'variant', storeKey, condition, variant, mark: index.mark } as const;
  const spoken = response.get('content-language')?.trim().toLowerCase();
  const language = spoken === undefined ? undefined : languageDigest(names, request, spoken);
  return { ...common, base, names, language, index, isListed, baseCas: under.cas, gone };
}

/** What has become of a write: `purged` and `overtaken` when its place was not any more what the lookup saw. */
export type Put = 'stored' | 'purged' | 'overtaken' | 'variants' | Failure;

export interface PutContext {
  readonly store: Store;
  readonly authenticator: Authenticator | undefined;
  readonly maxVariants: number;
}

/** Writes an entry to its place. `ttlSeconds`: 0 = for ever. */
export async function put(
  placement: Placement,
  value: readonly Uint8Array[],
  ttlSeconds: number,
  context: PutContext,
): Promise<Put> {
  const { storeKey, condition } = placement;
  const write = () => context.store.set(storeKey, value, { ...condition, ttlSeconds }).then(outcomeOf, failureOf);
  if (placement.kind === 'base') return write();
  const expiresAt = ttlSeconds === 0 ? 0 : Math.ceil(Date.now() / 1000) + ttlSeconds;
  const { names, language } = placement;
  const variant = { digest: placement.variant, expiresAt, names, language };
  if (placement.isListed) {
    const [written, listed] = await Promise.all([write(), list(variant, placement, context)]);
    return written === 'stored' ? listed : written;
  }
  // Before the entry is there, nobody must find it in the index.
  const written = await write();
  if (written !== 'stored') return written;
  const listed = await list(variant, placement, context);
  if (listed !== 'stored') await context.store.delete(storeKey).catch(failureOf);
  return listed;
}

/** How often an index is written again that others keep changing. */
const MAX_ATTEMPTS = 5;

/** Puts the variant into the index, in whatever state that is by now, as long as it is the same index. */
async function list(variant: Variant, placement: VariantPlacement, context: PutContext): Promise<Put> {
  const { base, gone } = placement;
  const { store, authenticator, maxVariants } = context;
  let { index, baseCas: cas } = placement;
  try {
    for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
      const nowSeconds = Math.floor(Date.now() / 1000);
      const next = withVariant(index, variant, gone, nowSeconds);
      if (next.variants.length > maxVariants) return 'variants';
      const ttlSeconds = indexTtlSeconds(next, nowSeconds);
      const result = await store.set(base, encodeIndex(base, next, authenticator), { cas, ttlSeconds });
      if (result !== 'exists') return outcomeOf(result);
      const item = await store.get(base);
      if (item === null) return 'purged';
      const opened = openItem(base, item.value, authenticator);
      const isIndex = typeof opened === 'object' && opened.kind === 'variants';
      const changed = isIndex ? decodeIndex(item.value.toString('latin1', opened.restAt)) : undefined;
      if (changed?.id !== index.id) return 'overtaken';
      index = changed;
      cas = item.cas;
    }
  } catch (error) {
    return failureOf(error);
  }
  return 'overtaken';
}

/** A place that is empty was emptied: by a purge, or by the store, which one can not tell. */
function outcomeOf(result: SetResult): 'stored' | 'purged' | 'overtaken' {
  if (result === 'stored') return 'stored';
  return result === 'not-found' ? 'purged' : 'overtaken';
}

/** Whether it is the size of the response that keeps it out, which the next one is likely to share. */
export function isLasting(reason: Reason): boolean {
  return LASTING.has(reason);
}

const LASTING: ReadonlySet<Reason> = new Set<Reason>(['above-maxsize', 'head-too-large', 'too-large', 'vary']);
