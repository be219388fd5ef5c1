import { z } from 'zod';
import { cacheOptions } from '../actions/cache-options.js';
import type { CacheRule } from '../actions/cache-rules.js';
import type { BoundChain } from '../actions/chain.js';
import type { CacheRules } from '../actions/exchange-cache.js';
import { durationSeconds } from '../actions/units.js';
import { isFieldName } from '../http/fields.js';
import { lifetime } from '../http/freshness.js';
import type { ResponseHead } from '../http/response-head.js';
import { governingControl } from '../http/targeted-cache-control.js';
import { checked } from './check.js';
import { tagBytes, tagFault } from './tags.js';

/** The options of `memcached.cache`. On a route, the handler is what makes the response. */
const actionOptions = cacheOptions(z.custom<BoundChain>());
const { chain: _chain, purge: _purge, tags: _tags, ...actionShape } = actionOptions.in.shape;

const tag = z
  .string()
  .superRefine((text, check) => {
    const message = tagFault(text);
    if (message !== undefined) check.addIssue({ code: 'custom', message });
  })
  .transform(tagBytes);

const varyName = z
  .string()
  .refine((name) => isFieldName(name) && name !== '*', { error: 'is not the name of a request field' })
  .toLowerCase();

const ownShape = {
  ttl: durationSeconds({ max: '3650d' }).optional(),
  tags: oneOrMore(tag).default([]),
  stripTags: z.boolean().default(true),
  vary: oneOrMore(varyName).default([]),
};

const routeSchema = z.strictObject({ ...actionShape, ...ownShape });

/**
 * The route option `config.cache`: `true` for the defaults, or the options of the action `memcached.cache` but for `chain`,
 * `purge` and `tags`, and these:
 *
 * | option | meaning | default |
 * |---|---|---|
 * | `ttl` | how long a response with a status below 300 may be used that does not say it itself | not at all |
 * | `tags` | tags of all the route's responses, besides those of `reply.cacheTags` and those in their fields | none |
 * | `stripTags` | whether clients do not get the fields that hold tags | `true` |
 * | `vary` | request fields that make for another response: they are added to its `Vary` | none |
 *
 * What a response says itself goes first: its Cache-Control, `private`, `no-store`, Set-Cookie.
 */
export type RouteCacheOptions = boolean | z.input<typeof routeSchema>;

/** What `config.cache` comes to. */
export interface RouteCacheSettings {
  readonly rules: CacheRules;
  /** In lower case. */
  readonly vary: readonly string[];
  /** Byte strings. */
  readonly tags: readonly string[];
  /** Equal for routes that make keys of the same kind in the same store. */
  readonly keyKind: string;
}

/** Throws an `InvalidOptionsError`. */
export function routeCacheSettings(options: unknown, where: string): RouteCacheSettings {
  const own = checked(routeSchema, options, where);
  const {
    ttl: _ttl,
    tags: _own,
    stripTags,
    vary: _vary,
    ...others
  }: Partial<Record<string, unknown>> = {
    ...(options instanceof Object ? options : {}),
  };
  const action = { ...others, chain: NO_CHAIN, tags: { strip: own.stripTags } };
  const { chain: _none, ...rules } = checked(actionOptions, action, where);
  const { server, key, query, keyParts, noVarySearch } = others;
  const lastRule = own.ttl === undefined ? [] : [silentResponsesRule(own.ttl, rules.policy.targets)];
  return {
    rules: { ...rules, rules: [...rules.rules, ...lastRule] },
    vary: own.vary,
    tags: own.tags,
    keyKind: JSON.stringify([server, key, query, keyParts, noVarySearch]),
  };
}

const NO_CHAIN: BoundChain = () => () => {};

/** Gives a lifetime to successful responses that say nothing of theirs, or leave it to be guessed. */
function silentResponsesRule(ttlSeconds: number, targets: readonly string[]): CacheRule {
  const effect = { ttlSeconds };
  return {
    matches: ({ response }) => response !== undefined && response.status < 300 && isSilent(response, targets),
    isAboutResponse: true,
    effect,
    ambiguousEffect: effect,
  };
}

function isSilent(head: ResponseHead, targets: readonly string[]): boolean {
  const known = lifetime(head, governingControl(head.fields, targets), Date.now());
  return known === undefined || known.source === 'heuristic';
}

function oneOrMore<Item extends z.ZodType<string, string>>(item: Item) {
  return z.union([item.transform((one) => [one]), z.array(item)]);
}
