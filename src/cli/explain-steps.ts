import type { AskedAbout, CacheExplanation } from '../actions/cache-explanation.js';
import type { Fetching, Forwarding } from '../cache/decision.js';
import type { StaleEntry } from '../cache/fill.js';
import type { LookupExplanation } from '../cache/inspection.js';
import { isUnsafe } from '../http/invalidation.js';
import { conditionalFields } from '../http/validators.js';
import { formatSeconds } from './format-seconds.js';
import { printable } from './output.js';

/** What the cache would do now, a sentence a step. Empty when the question is about a response. */
export function nextSteps(explanation: CacheExplanation, { view }: AskedAbout): string[] {
  const { bypass, lookup, key, storage } = explanation;
  const { method, target } = view.request;
  if (storage !== undefined) return [];
  if (bypass !== undefined) return bypassSteps(bypass, method);
  if (lookup === undefined) return [];
  const asked = target === key.target || !asksOrigin(lookup) ? [] : [`the origin gets to see ${printable(key.target)}`];
  return [...lookupSteps(lookup, explanation), ...asked];
}

function asksOrigin({ decision }: LookupExplanation): boolean {
  return (
    decision.kind === 'fetch' || decision.kind === 'forward' || (decision.kind === 'replay' && decision.isRefreshed)
  );
}

function bypassSteps(bypass: CacheExplanation['bypass'], method: string): string[] {
  const passed = 'passes the request on: nothing is looked up, and nothing stored';
  if (bypass !== 'method' || !isUnsafe(method)) return [passed];
  return [passed, 'an answer that is no error purges what is stored for the URL'];
}

function lookupSteps({ decision, status, items }: LookupExplanation, { policy }: CacheExplanation): string[] {
  switch (decision.kind) {
    case 'replay':
    case 'replay-part': {
      const answer =
        status === 304
          ? 'answers 304 from the store: what the client has is still good'
          : `answers ${status} from the store, with Age: ${decision.ageSeconds}`;
      if (decision.kind === 'replay-part' || !decision.isRefreshed) return [answer];
      return [answer, `meanwhile ${question(decision.entry)}, unless it has just failed`];
    }
    case 'refuse':
      return ['answers 504: the client wants what is stored, or nothing'];
    case 'forward':
      return [...forwardSteps(decision), ...standInSteps(decision)];
    case 'fetch': {
      const isLeased = items.some(({ found }) => typeof found === 'object' && found.kind === 'lease');
      const wait = `waits for the process that is fetching it, up to ${policy.leaseWaitMs / 1000} s`;
      return [...(isLeased ? [wait] : []), ...fetchSteps(decision), ...standInSteps(decision)];
    }
  }
}

function forwardSteps({ keeps }: Forwarding): string[] {
  const passed = 'passes the request on as it is, for this client alone';
  return keeps === 'nothing'
    ? [`${passed}; its response is not stored: that of a GET would be`]
    : [`${passed}; its response is stored as it passes, if it may be`];
}

function fetchSteps({ stale, incomplete, isOnlyJoined }: Fetching): string[] {
  if (isOnlyJoined) {
    return [
      'joins a fetch of the whole response, if one is under way in the process',
      'else passes the request on as it is; its response is stored as it passes, if it may be',
    ];
  }
  if (incomplete !== undefined) return [`asks the origin for the rest, with Range: ${incomplete.missing}`];
  if (stale === undefined)
    return ['asks the origin, once for all who wait for it, and stores the response if it may be'];
  return [question(stale.entry), staleUse(stale)];
}

function question({ fields }: StaleEntry['entry']): string {
  const conditions = conditionalFields(fields).map(([name, value]) => `${name}: ${printable(value)}`);
  return conditions.length === 0
    ? 'asks the origin for all of it (the entry has neither ETag nor Last-Modified)'
    : `asks the origin with ${conditions.join(' and ')}`;
}

function staleUse({ ifUnreachable, ifError }: StaleEntry): string {
  if (ifError) return 'the entry stands in if the origin can not be reached or answers 500, 502, 503 or 504';
  return ifUnreachable
    ? 'the entry stands in if the origin can not be reached'
    : 'the entry does not stand in for an origin that fails';
}

function standInSteps({ standIn }: Fetching | Forwarding): string[] {
  return standIn === undefined ? [] : ['an origin that has just failed is left alone: then the entry answers at once'];
}

/** What becomes of a response, a sentence a step. */
export function storageSteps({ storage, policy }: CacheExplanation): string[] {
  if (storage === undefined) return [];
  const { decision, rule, isRemembered } = storage;
  if (!decision.isStored) {
    if (!isRemembered) return [];
    return [`for ${formatSeconds(policy.passSeconds)} nobody waits for another response of the key (hit-for-miss)`];
  }
  const { minUses = 1 } = rule;
  const { droppedFields } = decision.plan;
  return [
    ...(minUses > 1 ? [`stores it once the key is asked for ${minUses} times in a process (minUses)`] : []),
    ...(droppedFields.length > 0 ? [`stores it without ${droppedFields.join(', ')}`] : []),
  ];
}
