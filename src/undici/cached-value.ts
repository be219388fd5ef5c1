import type { interceptors } from 'undici';
import { z } from 'zod';
import { Fields, isFieldName, isFieldValue } from '../http/fields.js';

/** What `interceptors.cache` of undici takes for its `store`. */
export type CacheStore = NonNullable<NonNullable<Parameters<typeof interceptors.cache>[0]>['store']>;
export type CacheKey = Parameters<CacheStore['get']>[0];
/** A response as undici hands it to a store. */
export type CacheValue = Parameters<CacheStore['createWriteStream']>[1];
/** The same as undici takes it back. */
export type CachedResponse = Extract<ReturnType<CacheStore['get']>, { readonly statusCode: number }>;

/** Where undici's own view of a response lies among the fields of the entry. */
const VALUE_FIELD = 'undici';

const milliseconds = z.int().min(0);
const fieldName = z.string().refine(isFieldName);
const fieldValue = z.string().refine(isFieldValue);
const flag = z.literal(true);
const flagOrNames = z.union([flag, z.array(z.string())]);

const directives = z.strictObject({
  'max-stale': z.number().optional(),
  'min-fresh': z.number().optional(),
  'max-age': z.number().optional(),
  's-maxage': z.number().optional(),
  'stale-while-revalidate': z.number().optional(),
  'stale-if-error': z.number().optional(),
  public: flag.optional(),
  private: flagOrNames.optional(),
  'no-store': flag.optional(),
  'no-cache': flagOrNames.optional(),
  'must-revalidate': flag.optional(),
  'proxy-revalidate': flag.optional(),
  immutable: flag.optional(),
  'no-transform': flag.optional(),
  'must-understand': flag.optional(),
  'only-if-cached': flag.optional(),
});

/** What the fields of an entry do not say of the response, or leave out: an entry has no Content-Length. */
const rest = z.strictObject({
  message: fieldValue,
  length: z
    .string()
    .regex(/^[0-9]{1,15}$/)
    .optional(),
  vary: z.array(z.tuple([fieldName, z.union([fieldValue, z.array(fieldValue), z.null()])])).optional(),
  etag: fieldValue.optional(),
  directives,
  cachedAt: milliseconds,
  staleAt: milliseconds,
  deleteAt: milliseconds,
});

/**
 * The fields of the entry: those of the response, a `Vary` of all that selected it, and last the rest of undici's
 * value in JSON. `undefined` when they can not be stored.
 */
export function entryFields(value: CacheValue): Fields | undefined {
  const { headers, statusMessage, vary, etag, cacheControlDirectives = {}, cachedAt, staleAt, deleteAt } = value;
  const fields = Fields.from(headers);
  for (const [name, text] of fields) if (!isFieldName(name) || !isFieldValue(text)) return undefined;
  const selecting = Object.keys(vary ?? {});
  // A response that was redirected to varies with what selected the redirect, which its own Vary says nothing of.
  const own = (fields.get('vary') ?? '').toLowerCase().split(/[\t ,]+/);
  for (const name of selecting) if (!own.includes(name)) fields.append('Vary', name);
  const parsed = rest.safeParse({
    message: statusMessage,
    length: fields.get('content-length'),
    vary: vary && Object.entries(vary),
    etag,
    directives: cacheControlDirectives,
    cachedAt: Math.floor(cachedAt),
    staleAt: Math.floor(staleAt),
    deleteAt: Math.floor(deleteAt),
  });
  if (!parsed.success) return undefined;
  fields.delete(VALUE_FIELD);
  fields.append(VALUE_FIELD, asciiJson(parsed.data));
  return fields;
}

/** The value that {@link entryFields} made an entry of, or `undefined` when the entry is none of those. */
export function cachedResponse(status: number, entry: Fields): CachedResponse | undefined {
  const parsed = rest.safeParse(jsonIn(entry.get(VALUE_FIELD) ?? ''));
  if (!parsed.success) return undefined;
  const { message, length, vary, etag, directives: cacheControlDirectives, cachedAt, staleAt, deleteAt } = parsed.data;
  const headers = new Map<string, string | string[]>();
  for (const [name] of entry) {
    const lowerName = name.toLowerCase();
    if (lowerName === VALUE_FIELD) continue;
    const [only = '', ...more] = entry.all(name);
    headers.set(lowerName, more.length === 0 ? only : [only, ...more]);
  }
  if (length !== undefined) headers.set('content-length', length);
  return {
    statusCode: status,
    statusMessage: message,
    headers: Object.fromEntries(headers),
    ...(vary === undefined ? {} : { vary: Object.fromEntries(vary) }),
    ...(etag === undefined ? {} : { etag }),
    cacheControlDirectives,
    cachedAt,
    staleAt,
    deleteAt,
  };
}

/** JSON that can be a field value. */
function asciiJson(value: unknown): string {
  return JSON.stringify(value).replace(
    /[^\x20-\x7e]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
