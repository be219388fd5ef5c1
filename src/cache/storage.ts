import type { Fields } from '../http/fields.js';
import { type StoragePlan, storagePlan } from '../http/storage-rules.js';
import { hasTooManyTags, tags } from '../http/surrogate-keys.js';
import { hasValidator } from '../http/validators.js';
import type { CachePolicy, ResponseRule } from './policy.js';
import type { Reason } from './verdict.js';

/** What is stored of a response besides itself. */
export interface EntryPlan extends StoragePlan {
  /** How long the store keeps the entry: as long as it may be of any use. */
  readonly ttlSeconds: number;
  readonly tags: readonly string[];
}

export type StorageDecision =
  | { readonly isStored: true; readonly plan: EntryPlan }
  | { readonly isStored: false; readonly reason: Reason };

/** One response, with the request it answers. */
export interface ReceivedResponse {
  readonly method: string;
  readonly url: string;
  readonly requestFields: Fields;
  readonly status: number;
  readonly fields: Fields;
  readonly requestedMs: number;
  readonly receivedMs: number;
}

/** Whether a response is stored, and for how long: the rules of HTTP, the operator's, and the policy. */
export function decideStorage(received: ReceivedResponse, policy: CachePolicy, rule: ResponseRule): StorageDecision {
  if (rule.bypass === true) return { isStored: false, reason: 'rule' };
  const { method, url, status, fields, requestedMs, receivedMs } = received;
  if (hasTooManyTags(fields, policy.tagFields)) return { isStored: false, reason: 'too-many-tags' };
  const request = { method, url, fields: received.requestFields };
  const { profile, targets } = policy;
  const { ttlSeconds: ruledSeconds, defaultTtlSeconds, unsafe } = rule;
  const rules = { profile, targets, ttlSeconds: ruledSeconds, defaultTtlSeconds, unsafe };
  const plan = storagePlan(request, { status, fields }, rules, { requestedMs, receivedMs });
  if (typeof plan === 'string') return { isStored: false, reason: plan };
  const bounded = withinBounds(plan, rule);
  const ttlSeconds = usefulSeconds(bounded, fields, policy);
  if (ttlSeconds <= 0) return { isStored: false, reason: 'expired' };
  return { isStored: true, plan: { ...bounded, ttlSeconds, tags: tags(fields, policy.tagFields) } };
}

/** Takes out what the rule strips. To be done before the decision. */
export function strip(fields: Fields, { strip: names = [] }: ResponseRule): void {
  for (const name of names) fields.delete(name);
}

/** The plan with a lifetime within the operator's bounds. */
function withinBounds(plan: StoragePlan, { minTtlSeconds, maxTtlSeconds }: ResponseRule): StoragePlan {
  if (plan.revalidation === 'always') return plan;
  // Negative for what was stale when it came: how long it has been is what its windows count from.
  const left = plan.lifetimeSeconds - plan.ageSeconds;
  const atLeast = Math.max(left, minTtlSeconds ?? left);
  const seconds = Math.min(atLeast, maxTtlSeconds ?? atLeast);
  return seconds === left ? plan : { ...plan, lifetimeSeconds: plan.ageSeconds + seconds };
}

/** Until when the entry may be used, fresh or stale, or at least be revalidated. */
function usefulSeconds(plan: StoragePlan, fields: Fields, policy: CachePolicy): number {
  const { ageSeconds, lifetimeSeconds, revalidation } = plan;
  const stale =
    revalidation === 'may'
      ? Math.max(
          plan.staleWhileRevalidateSeconds,
          policy.staleWhileRevalidateSeconds,
          plan.staleIfErrorSeconds ?? policy.staleIfErrorSeconds,
        )
      : 0;
  const kept = hasValidator(fields) ? policy.keepSeconds : 0;
  return Math.max(0, lifetimeSeconds - ageSeconds) + Math.max(stale, kept);
}
