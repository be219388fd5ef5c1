import type { Reason } from '../cache/verdict.js';
import { keyRefusal } from './cache-key.js';
import type { CacheOptions } from './cache-options.js';
import { requestRule } from './cache-rules.js';
import type { ExchangeClient, ExchangeView } from './exchange.js';

/** Why the cache has no part in a request, or `undefined` when it has. */
export function cacheBypass(
  view: ExchangeView,
  { upgrade }: Pick<ExchangeClient, 'upgrade'>,
  { rules, keyRules }: Pick<CacheOptions, 'rules' | 'keyRules'>,
): Reason | undefined {
  const { method, fields, hasBody } = view.request;
  if (method !== 'GET' && method !== 'HEAD') return 'method';
  if (hasBody) return 'request-body';
  if (upgrade !== undefined) return 'upgrade';
  if (fields.has('if-match') || fields.has('if-unmodified-since')) return 'precondition';
  if (requestRule(rules, view).bypass === true) return 'rule';
  return keyRefusal(keyRules, view.request);
}
