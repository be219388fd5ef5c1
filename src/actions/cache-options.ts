import { z } from 'zod';
import type { CachePolicy } from '../cache/policy.js';
import { utf8ToBytes } from '../http/byte-string.js';
import { isFieldName } from '../http/fields.js';
import { queryNormaliser } from '../http/query.js';
import type { ChainSchema } from './action.js';
import { addressSchema } from './address.js';
import type { KeyRules } from './cache-key.js';
import { cacheRuleSchema } from './cache-rules.js';
import { patternSchema } from './pattern.js';
import { purgeAccessSchema } from './purge-access.js';
import { byteSize, durationMs, durationSeconds } from './units.js';

/**
 * The options of `memcached.cache`. What comes out is what the parts of the cache take: the policy of the engine, the
 * rules that make keys, the operator's rules, and who may purge.
 */
export function cacheOptions(chains: ChainSchema) {
  return z
    .strictObject({ ...options, chain: chains.describe('actions that make the response, such as proxy') })
    .superRefine(({ targets, tags, rules }, check) => {
      if (tags.strip && tags.fields.length === 0) {
        const message = 'tags.fields is empty, so there is nothing to strip: name the fields, or leave strip out';
        check.addIssue({ code: 'custom', path: ['tags', 'strip'], message });
      }
      for (const [index, { effect }] of rules.entries()) {
        const name = effect.strip?.find((stripped) => targets.some((target) => target.toLowerCase() === stripped));
        if (name === undefined || effect.unsafe === true) continue;
        const message = `${name} can say that a response is for one user: to take it out all the same, write "unsafe: true" beside it`;
        check.addIssue({ code: 'custom', path: ['rules', index, 'strip'], message });
      }
    })
    .transform(({ chain, ...given }) => ({
      server: given.server,
      policy: policyOf(given),
      keyRules: keyRulesOf(given),
      noVarySearch: given.noVarySearch,
      maxVariants: given.maxVariants,
      minUses: given.minUses,
      rules: given.rules,
      purge: given.purge,
      chain,
    }));
}

/** What `cacheOptions` makes of a configuration. */
export type CacheOptions = z.output<ReturnType<typeof cacheOptions>>;

const fieldName = z.string().refine(isFieldName, { error: 'can not be the name of a field' });

/** A `*` anywhere else would be taken for itself, and match nothing that was meant. */
const parameterName = z
  .string()
  .regex(/^[^*&=]*[^*&=]$|^[^*&=]*\*$/, {
    error: 'is not the name of a parameter: a wildcard stands at its end, as in utm_*',
  })
  .transform(utf8ToBytes);

const query = z
  .strictObject({
    ignore: z
      .array(parameterName)
      .default([])
      .describe(
        'parameters that do not matter, such as [utm_*, fbclid]: they are in no key, and the origin does not get them',
      ),
    keep: z
      .array(parameterName)
      .min(1)
      .optional()
      .describe('the only parameters that matter, less those in ignore (default: all)'),
    sort: z.boolean().default(false).describe('whether the order of parameters does not matter (default: false)'),
  })
  .prefault({});

/** Fields that are in the key already, or hold what is nobody else's business. */
const NO_KEY_PARTS: ReadonlyMap<string, string> = new Map([
  ['authorization', 'what a response to Authorization is good for is not decided by a key: leave it out'],
  ['cookie', 'a cookie more, and it is another key: name the ones that matter in keyParts.cookies'],
  ['host', 'the host is in the key already: leave it out'],
]);

const keyHeader = fieldName.toLowerCase().superRefine((name, check) => {
  const message = NO_KEY_PARTS.get(name);
  if (message !== undefined) check.addIssue({ code: 'custom', message });
});

const keyParts = z
  .strictObject({
    headers: z
      .array(keyHeader)
      .default([])
      .describe('request fields whose values are part of the key, such as [x-country]; Vary needs nothing here'),
    cookies: z
      .array(
        z
          .string()
          .regex(/^[^\s;=]+$/, { error: 'can not be the name of a cookie' })
          .transform(utf8ToBytes),
      )
      .default([])
      .describe('cookies whose values are part of the key, such as [theme]'),
    device: z
      .boolean()
      .default(false)
      .describe(
        'whether phones, tablets, desktops and bots get entries of their own; the origin reads the class in Lookaside-Device (default: false)',
      ),
  })
  .prefault({});

const target = fieldName.refine((name) => name.toLowerCase() !== 'cache-control', {
  error: 'Cache-Control is what targeted fields replace: leave it out',
});

const tags = z
  .strictObject({
    fields: z
      .array(fieldName)
      .default(['Surrogate-Key', 'xkey', 'Cache-Tag', 'Cache-Groups'])
      .describe('response fields that hold tags (default: Surrogate-Key, xkey, Cache-Tag, Cache-Groups)'),
    strip: z.boolean().default(false).describe('whether clients do not get those fields (default: false)'),
  })
  .prefault({});

/** Variants of one key in one index, which is read with every hit: a page has a handful, an attacker any number. */
const MAX_VARIANTS = 1024;

const options = {
  server: addressSchema
    .optional()
    .describe(
      'a memcached of its own for this action: host, host:port, [v6]:port or unix:/path; default: the configured store',
    ),
  key: patternSchema
    .optional()
    .describe('pattern that stands for the URL in the key (default: scheme, host, path as sent, and query)'),
  profile: z
    .enum(['safe', 'rfc'])
    .default('safe')
    .describe(
      'rfc: store all that RFC 9111 allows; safe: not what sets cookies, nor errors that say nothing of their freshness (default: safe)',
    ),
  query: query.describe('which parts of the query tell responses apart; what does not is not forwarded either'),
  noVarySearch: z
    .boolean()
    .default(false)
    .describe('whether responses may say by No-Vary-Search which parameters matter (default: false)'),
  keyParts: keyParts.describe('what tells responses apart besides the URL'),
  targets: z
    .array(target)
    .default(['Lookaside-Cache-Control', 'CDN-Cache-Control'])
    .describe(
      'fields that replace Cache-Control and Expires for this cache, the first one first (default: Lookaside-Cache-Control, CDN-Cache-Control)',
    ),
  staleWhileRevalidate: durationSeconds()
    .prefault('0s')
    .describe(
      'how long a stale response may be used while it is being refreshed, where it says less itself (default: 0s)',
    ),
  staleIfError: durationSeconds()
    .prefault('10m')
    .describe(
      'how long a stale response may stand in for an origin that is out of reach or answers 500, 502, 503 or 504, where it does not say itself (default: 10m)',
    ),
  keep: durationSeconds()
    .prefault('1h')
    .describe('how long a stale response is kept that can be refreshed by a 304 (default: 1h)'),
  maxSize: byteSize({ min: '1', max: '4GiB' })
    .prefault('64MiB')
    .describe('bodies larger than this are not stored (default: 64MiB)'),
  maxVariants: z
    .int()
    .min(1)
    .max(MAX_VARIANTS)
    .default(64)
    .describe('how many variants (Vary) of one key are stored (default: 64)'),
  leaseWait: durationMs({ max: '1m' })
    .prefault('5s')
    .describe('how long to wait for what another process is fetching, before asking the origin, too (default: 5s)'),
  hitForMiss: durationSeconds({ max: '1h' })
    .prefault('10s')
    .describe(
      'how long it is remembered that responses of a key are not stored, so that nobody waits for one (default: 10s)',
    ),
  honorRequestCacheControl: z
    .boolean()
    .optional()
    .describe(
      'whether clients may ask for fresher responses (no-cache, max-age …) (default: true with profile rfc, else false)',
    ),
  failureBackoff: durationMs({ max: '1h' })
    .prefault('1s')
    .describe('how long an origin that has failed is left alone, where a stale response can be used (default: 1s)'),
  tags: tags.describe('which fields of responses hold the tags to purge them by'),
  purge: purgeAccessSchema.optional().describe('who may purge with the method PURGE; left out, nobody may'),
  minUses: z
    .int()
    .min(1)
    .default(1)
    .describe('how often a key must be asked for before its response is stored (default: 1)'),
  rules: z
    .array(cacheRuleSchema)
    .default([])
    .describe(
      'what is stored and for how long, as the operator says; the first rule that matches and has a property decides it',
    ),
};

type Given = z.output<z.ZodObject<typeof options>>;

function policyOf(options: Given): CachePolicy {
  return {
    profile: options.profile,
    targets: options.targets,
    honorRequestCacheControl: options.honorRequestCacheControl ?? options.profile === 'rfc',
    staleWhileRevalidateSeconds: options.staleWhileRevalidate,
    staleIfErrorSeconds: options.staleIfError,
    keepSeconds: options.keep,
    maxBodyBytes: options.maxSize,
    leaseWaitMs: options.leaseWait,
    passSeconds: options.hitForMiss,
    failureBackoffMs: options.failureBackoff,
    tagFields: options.tags.fields,
    stripTags: options.tags.strip,
  };
}

function keyRulesOf({ key, query, keyParts }: Given): KeyRules {
  return {
    pattern: key,
    normaliseQuery: queryNormaliser(query),
    parts: { ...keyParts, headers: unique(keyParts.headers), cookies: unique(keyParts.cookies) },
  };
}

/** Sorted, so that the order in a config makes no other keys. */
function unique(names: readonly string[]): string[] {
  return [...new Set(names)].sort();
}
