import { randomBytes } from 'node:crypto';
import { type Fields, isFieldName } from '../http/fields.js';
import { languageDigest, preferredLanguage, variantDigest } from '../http/vary.js';
import { itemValue } from './item.js';
import { escapeKey, internalKey, unescapeKey } from './key.js';
import type { Authenticator } from './mac.js';

/**
 * The index of the variants of one key. It lies under the base key, where a purge by URL removes it, and the entries
 * under keys made of its id, which nobody else knows: with the index they are gone.
 *
 *     lookaside-variants: 1 mac=- id=<32 hex> mark=0 key=http://example.org/
 *     0123456789abcdef0123456789abcdef 1763640060 accept-encoding,accept-language
 *     - 1763640000 -
 *
 * A line is a variant, the newest first: its digest, the Unix time at which the store drops it (0: never), and the
 * fields its Vary names; behind them, where it is in a language, the digest under which requests are known that like that
 * language best. A response without Vary is a variant that fits every request. The `mark` is the number of soft
 * purges: an entry that was stored under another one is stale.
 */
export interface VariantIndex {
  readonly id: string;
  readonly mark: number;
  readonly key: string;
  readonly variants: readonly Variant[];
}

export interface Variant {
  /** Of `http/vary.ts`; empty when `names` is. */
  readonly digest: string;
  /** Unix time in seconds; 0: never. */
  readonly expiresAt: number;
  /** In lower case, sorted. */
  readonly names: readonly string[];
  /** `languageDigest` of `http/vary.ts` for its Content-Language. */
  readonly language?: string | undefined;
}

/** Variants of one key, unless configured: languages times encodings of a large site, and no flood. */
export const DEFAULT_MAX_VARIANTS = 64;

/** Different Vary lists under one key. Each costs a lookup one more key; a site has one or two. */
const MAX_LISTS = 8;

/** Fields in a Vary list, and characters. What varies on more can be kept by no cache to any use. */
const MAX_NAMES = 32;
const MAX_LIST_LENGTH = 1024;

export function newIndex(key: string): VariantIndex {
  return { id: randomBytes(16).toString('hex'), mark: 0, key, variants: [] };
}

export function variantKey(id: string, digest: string): string {
  return internalKey('v', `${id}:${digest === '' ? '-' : digest}`);
}

/** Whether a response that varies on `names` can be found again by an index. */
export function isIndexable(names: readonly string[]): boolean {
  return names.length <= MAX_NAMES && names.join().length <= MAX_LIST_LENGTH && names.every(isFieldName);
}

/** The variants that fit a request, the newest first; without any, those in the language it likes best. */
export function matchingVariants(index: VariantIndex, request: Fields): Variant[] {
  const exact = exactVariants(index, request);
  const language = exact.length === 0 ? preferredLanguage(request) : undefined;
  if (language === undefined) return exact;
  return index.variants.filter(
    (variant) =>
      variant.language !== undefined && variant.language === languageDigest(variant.names, request, language),
  );
}

function exactVariants(index: VariantIndex, request: Fields): Variant[] {
  const digests = new Map<string, string>();
  return index.variants.filter(({ digest, names }) => {
    const list = names.join();
    const wanted = digests.get(list) ?? variantDigest(names, request);
    digests.set(list, wanted);
    return digest === wanted;
  });
}

/**
 * The digest under which a request that no variant fits is known, by the newest Vary list: all who would be answered
 * by the same response, as far as one can tell before there is one.
 */
export function likelyDigest(index: VariantIndex, request: Fields): string {
  return variantDigest(index.variants[0]?.names ?? [], request);
}

/** The index with `variant` in front. Expired variants, `gone` ones and those of too old a Vary list are left out. */
export function withVariant(
  index: VariantIndex,
  variant: Variant,
  gone: ReadonlySet<string>,
  nowSeconds: number,
): VariantIndex {
  const others = liveVariants(index, gone, nowSeconds).filter(({ digest }) => digest !== variant.digest);
  const lists = new Set<string>();
  const variants = [variant, ...others].filter(({ names }) => {
    const list = names.join();
    if (lists.size < MAX_LISTS) lists.add(list);
    return lists.has(list);
  });
  return { ...index, variants };
}

/** Whether there is no room for a variant that is not in the index yet. */
export function isFull(
  index: VariantIndex,
  gone: ReadonlySet<string>,
  maxVariants: number,
  nowSeconds: number,
): boolean {
  return liveVariants(index, gone, nowSeconds).length >= maxVariants;
}

function liveVariants(index: VariantIndex, gone: ReadonlySet<string>, nowSeconds: number): readonly Variant[] {
  return index.variants.filter(
    ({ digest, expiresAt }) => !gone.has(digest) && (expiresAt === 0 || expiresAt > nowSeconds),
  );
}

/** How long the store must keep the index, in seconds: as long as one of its variants. 0 = for ever. */
export function indexTtlSeconds({ variants }: VariantIndex, nowSeconds: number): number {
  if (variants.some(({ expiresAt }) => expiresAt === 0)) return 0;
  return Math.max(1, ...variants.map(({ expiresAt }) => expiresAt - nowSeconds));
}

export function encodeIndex(
  storeKey: string,
  { id, mark, key, variants }: VariantIndex,
  authenticator: Authenticator | undefined,
): readonly Uint8Array[] {
  let rest = ` id=${id} mark=${mark} key=${escapeKey(key)}\r\n`;
  for (const { digest, expiresAt, names, language } of variants) {
    const inLanguage = language === undefined ? '' : ` ${language}`;
    rest += `${digest === '' ? '-' : digest} ${expiresAt} ${names.length === 0 ? '-' : names.join()}${inLanguage}\r\n`;
  }
  return itemValue(storeKey, 'lookaside-variants: 1 mac=', [Buffer.from(rest, 'latin1')], authenticator);
}

/** The index in what stands behind the MAC of an item, or `undefined` when there is none. */
export function decodeIndex(rest: string): VariantIndex | undefined {
  const lines = rest.split('\r\n', MAX_LINES);
  const head = HEAD.exec(lines.shift() ?? '');
  if (head === null || lines.pop() !== '') return undefined;
  const [, id = '', mark, key = ''] = head;
  const variants: Variant[] = [];
  for (const line of lines) {
    const match = VARIANT.exec(line);
    if (match === null) return undefined;
    const [, digest = '-', expiresAt, list = '', language] = match;
    const names = digest === '-' ? [] : list.split(',');
    if (!isIndexable(names)) return undefined;
    variants.push({
      digest: digest === '-' ? '' : digest,
      expiresAt: Number(expiresAt),
      names,
      ...(language && { language }),
    });
  }
  return { id, mark: Number(mark), key: unescapeKey(key), variants };
}

const HEAD = /^ id=([0-9a-f]{32}) mark=([0-9]{1,10}) key=([\x21-\x7e]*)$/;
const VARIANT = /^([0-9a-f]{32}|-) ([0-9]{1,15}) ([\x21-\x7e]+)(?: ([0-9a-f]{32}))?$/;

/** The largest `maxVariants` there can be, the head, and the empty line at the end. */
export const MAX_VARIANTS = 1024;
const MAX_LINES = MAX_VARIANTS + 2;
