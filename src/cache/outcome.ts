import type { Reason, Verdict } from './verdict.js';

/** What a cache decided about a request, for `Cache-Status`, the log and the metrics. */
export interface CacheOutcome {
  readonly verdict: Verdict;
  /** Why it is a hit, a miss or a bypass. */
  readonly reason: Reason;
  /** Seconds the entry may still be used, negative once it is stale; only when there is one, and only when known. */
  readonly ttlSeconds?: number | undefined;
  /** Status of the origin's response, where it went forward and that is not the one the client gets. */
  readonly forwardStatus?: number | undefined;
}
