import { z } from 'zod';
import type { ResponseRule } from '../cache/policy.js';
import { isFieldName } from '../http/fields.js';
import type { ResponseHead } from '../http/response-head.js';
import type { Test } from './comparison.js';
import { compileCondition } from './condition.js';
import type { ExchangeView } from './exchange.js';
import { compiledText } from './text-error.js';
import { durationSeconds } from './units.js';

/**
 * One of the operator's rules about what is stored, and for how long.
 *
 * Rules are read from the first to the last, and each property is taken from the first rule that matches and has it:
 * special rules go before general ones. `unsafe` belongs to the `ttl` it stands beside, and is not taken without it.
 */
export interface CacheRule {
  readonly matches: Test;
  /** Whether that can be known only once there is a response. */
  readonly isAboutResponse: boolean;
  readonly effect: ResponseRule;
  /**
   * The effect where the path is ambiguous (`http/path.ts`). A condition on the path may then hold for another resource
   * than the origin answers with (`/account/..%2fstatic/x`), so the rule can only make less be stored, not more.
   */
  readonly ambiguousEffect: ResponseRule;
}

/** What the rules say before there is a response: those about the response are passed over. */
export function requestRule(rules: readonly CacheRule[], view: ExchangeView): ResponseRule {
  return merged(rules, viewOf(view, undefined));
}

/** What all rules say about a response with this head. */
export function responseRule(rules: readonly CacheRule[], view: ExchangeView, head: ResponseHead): ResponseRule {
  return merged(rules, viewOf(view, head));
}

/** Of its own: a regular expression leaves its captures there, and the exchange is to keep those it has. */
function viewOf({ request, physical, environment }: ExchangeView, head: ResponseHead | undefined): ExchangeView {
  const response = head && { status: head.status, fields: head.fields, body: null, delimited: true };
  return { request, response, physical, environment, captures: [] };
}

const NOTHING: ResponseRule = {};

function merged(rules: readonly CacheRule[], view: ExchangeView): ResponseRule {
  let found = NOTHING;
  for (const rule of rules) {
    if (rule.isAboutResponse && view.response === undefined) continue;
    if (!rule.matches(view)) continue;
    const effect = view.request.ambiguousPath ? rule.ambiguousEffect : rule.effect;
    if (found === NOTHING) {
      found = effect;
      continue;
    }
    const { bypass, ttlSeconds, defaultTtlSeconds, minTtlSeconds, maxTtlSeconds, strip, minUses, unsafe } = found;
    found = {
      bypass: bypass ?? effect.bypass,
      ttlSeconds: ttlSeconds ?? effect.ttlSeconds,
      defaultTtlSeconds: defaultTtlSeconds ?? effect.defaultTtlSeconds,
      minTtlSeconds: minTtlSeconds ?? effect.minTtlSeconds,
      maxTtlSeconds: maxTtlSeconds ?? effect.maxTtlSeconds,
      strip: strip ?? effect.strip,
      minUses: minUses ?? effect.minUses,
      unsafe: ttlSeconds === undefined ? effect.unsafe : unsafe,
    };
  }
  return found;
}

/** Ten years. More is a slip of the pen, and 2^31 seconds are the end of what HTTP can say. */
const MAX_TTL = '3650d';

/** A rule as a config writes it. */
export const cacheRuleSchema = z
  .strictObject({
    when: compiledText(compileWhen)
      .optional()
      .describe('condition that must hold, such as req.path =^ "/images/"; default: every request'),
    status: oneOrMore(
      z.union([
        z.int().min(200).max(599),
        z.string().regex(/^[2-5]xx$/, { error: 'is not a status such as 404, nor a class such as "4xx"' }),
      ]),
    )
      .optional()
      .describe('statuses of the response, such as 404 or [404, "5xx"]; default: every status'),
    contentType: oneOrMore(
      z.string().regex(/^[\w!#$&^.+-]+\/(?:\*|[\w!#$&^.+-]+)$/, {
        error: 'is not a media type such as text/css, nor a range such as image/*',
      }),
    )
      .optional()
      .describe('media types of the response, such as text/css or [image/*, font/*]; default: every type'),
    bypass: z
      .boolean()
      .optional()
      .describe('store nothing; about the request alone, it also keeps what is stored from being used'),
    ttl: durationSeconds({ max: MAX_TTL })
      .optional()
      .describe('how long the response may be used from its arrival, whatever it says of that itself'),
    defaultTtl: durationSeconds({ max: MAX_TTL })
      .optional()
      .describe('the same for a response that says nothing of that itself, as nginx’s proxy_cache_valid'),
    minTtl: durationSeconds({ max: MAX_TTL }).optional().describe('the least that the same may be'),
    maxTtl: durationSeconds({ max: MAX_TTL }).optional().describe('the most that the same may be'),
    strip: z
      .array(z.string())
      .min(1)
      .optional()
      .describe('fields to take out of the response before it is judged: neither the store nor a client gets them'),
    minUses: z.int().min(1).optional().describe('how often a key must be asked for before its response is stored'),
    unsafe: z
      .boolean()
      .default(false)
      .describe(
        'lets ttl hold against private, no-store, Set-Cookie and Authorization, and strip take out Set-Cookie and the ' +
          'like: what one user may see, all can get (default: false)',
      ),
  })
  .superRefine((rule, check) => {
    const fault = (message: string, ...path: PropertyKey[]) => check.addIssue({ code: 'custom', path, message });
    const { bypass, ttl, defaultTtl, minTtl, maxTtl, strip = [], unsafe } = rule;
    if (EFFECTS.every((name) => rule[name] === undefined)) {
      fault(`the rule does nothing: give it one of ${EFFECTS.join(', ')}`);
    }
    if (bypass === true && (ttl ?? defaultTtl ?? minTtl ?? rule.minUses) !== undefined) {
      fault('what is not stored has no ttl and no minUses: leave either them or bypass out', 'bypass');
    }
    if (ttl !== undefined && (defaultTtl ?? minTtl ?? maxTtl) !== undefined) {
      fault('ttl leaves nothing for defaultTtl, minTtl and maxTtl to say: leave either it or them out', 'ttl');
    }
    if (minTtl !== undefined && maxTtl !== undefined && minTtl > maxTtl) {
      fault('minTtl is more than maxTtl', 'minTtl');
    }
    if (unsafe && ttl === undefined && strip.length === 0) {
      fault('unsafe says what ttl and strip may overrule: give one of them, or leave it out', 'unsafe');
    }
    for (const [index, name] of strip.entries()) {
      const message = stripFault(name.toLowerCase(), unsafe);
      if (message !== undefined) fault(message, 'strip', index);
    }
  })
  .transform(({ when, status, contentType, ttl, defaultTtl, minTtl, maxTtl, strip, ...rest }): CacheRule => {
    const tests = [when?.test, status && hasStatus(status), contentType && hasContentType(contentType)];
    const effect = {
      ...rest,
      ttlSeconds: ttl,
      defaultTtlSeconds: defaultTtl,
      minTtlSeconds: minTtl,
      maxTtlSeconds: maxTtl,
      strip: strip?.map((name) => name.toLowerCase()),
    };
    return {
      matches: all(tests.filter((test) => test !== undefined)),
      isAboutResponse: status !== undefined || contentType !== undefined || when?.isAboutResponse === true,
      effect,
      ambiguousEffect: when?.isAboutPath === true ? restricting(effect) : effect,
    };
  });

const EFFECTS = ['bypass', 'ttl', 'defaultTtl', 'minTtl', 'maxTtl', 'strip', 'minUses'] as const;

function oneOrMore<Item>(schema: z.ZodType<Item, Item>) {
  return z.union([schema.transform((item) => [item]), z.array(schema).min(1)]);
}

export interface When {
  readonly test: Test;
  readonly isAboutResponse: boolean;
  readonly isAboutPath: boolean;
}

function compileWhen(text: string): When {
  const test = compileCondition(text);
  // A word that only looks like a variable does no harm: the rule then decides later, or less.
  const names = text.replace(/"(?:[^"\\]|\\.)*"|\[[^\]]*\]/gs, ' ').match(/[A-Za-z_][\w.]*/g) ?? [];
  const isNamed = (pattern: RegExp) => names.some((name) => pattern.test(name));
  return { test, isAboutResponse: isNamed(RESPONSE_VARIABLE), isAboutPath: isNamed(PATH_VARIABLE) };
}

const RESPONSE_VARIABLE = /^resp(?:onse)?\./;
const PATH_VARIABLE = /^(?:req(?:uest)?\.(?:path|raw_path|env(?:ironment)?)$|phys(?:ical)?\.)/;

function restricting({ bypass, ttlSeconds, maxTtlSeconds, strip, minUses, unsafe }: ResponseRule): ResponseRule {
  return {
    bypass: bypass === true ? true : undefined,
    maxTtlSeconds: maxTtlSeconds ?? ttlSeconds,
    strip: unsafe === true ? undefined : strip,
    minUses,
  };
}

/** Without these the body would be read as something that it is not. */
const FRAMING_FIELDS: ReadonlySet<string> = new Set([
  'content-encoding',
  'content-length',
  'content-range',
  'transfer-encoding',
]);

/** Fields that keep a response from others than the one who asked for it; `…cache-control` are more. */
const PROTECTING_FIELDS: ReadonlySet<string> = new Set(['pragma', 'set-cookie', 'set-cookie2', 'vary']);

/** What is wrong with taking the field out of responses, or `undefined`. */
function stripFault(lowerName: string, unsafe: boolean): string | undefined {
  if (!isFieldName(lowerName)) return `"${lowerName}" can not be the name of a field`;
  if (FRAMING_FIELDS.has(lowerName)) return `${lowerName} says how to read the body: it has to stay`;
  const protects = PROTECTING_FIELDS.has(lowerName) || lowerName.endsWith('cache-control');
  if (!protects || unsafe) return undefined;
  return `${lowerName} can say that a response is for one user: to take it out all the same, write "unsafe: true" beside it`;
}

function all(tests: readonly Test[]): Test {
  return (view) => tests.every((test) => test(view));
}

function hasStatus(listed: readonly (number | string)[]): Test {
  const statuses = new Set(listed);
  return ({ response }) =>
    response !== undefined && (statuses.has(response.status) || statuses.has(`${Math.floor(response.status / 100)}xx`));
}

function hasContentType(listed: readonly string[]): Test {
  const types = new Set(listed.map((type) => type.toLowerCase()));
  return ({ response }) => {
    const [type = '', ...more] = response?.fields.all('content-type') ?? [];
    const essence = type.split(';', 1)[0]?.trim().toLowerCase() ?? '';
    return more.length === 0 && (types.has(essence) || types.has(essence.replace(/\/.*$/, '/*')));
  };
}
