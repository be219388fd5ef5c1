/** How a cache behaves where HTTP leaves it the choice. Times in the unit their name says. */
export interface CachePolicy {
  /** `rfc`: whatever RFC 9111 allows. `safe`: less, where origins are known to say more than they mean. */
  readonly profile: 'rfc' | 'safe';
  /** Names of the targeted fields that are for this cache, in order (RFC 9213). */
  readonly targets: readonly string[];
  /** Whether Cache-Control and Pragma of requests decide about reuse (RFC 9111, section 5.2.1). */
  readonly honorRequestCacheControl: boolean;
  /** How long the operator lets a stale response be used while it is being refreshed. */
  readonly staleWhileRevalidateSeconds: number;
  /** How long the operator lets a stale response stand in for an origin that fails, where the response is silent. */
  readonly staleIfErrorSeconds: number;
  /** How long a stale response with a validator is kept to be revalidated. */
  readonly keepSeconds: number;
  /** The largest body that is stored. */
  readonly maxBodyBytes: number;
  /** How long a process waits for the response that another one of the fleet fetches, before it goes itself. */
  readonly leaseWaitMs: number;
  /** How long it is remembered that the responses of a key are not stored. */
  readonly passSeconds: number;
  /** How long an origin that has failed is not asked again, where a stale response can be used. */
  readonly failureBackoffMs: number;
  /** Names of the response fields that carry tags. */
  readonly tagFields: readonly string[];
  /** Whether those fields are kept from clients. */
  readonly stripTags: boolean;
}

/** What the operator's rules say about one response. All optional: what is not given is left to HTTP. */
export interface ResponseRule {
  /** Not to be stored. */
  readonly bypass?: boolean | undefined;
  /** How long it is used from now on, whatever it says itself. */
  readonly ttlSeconds?: number | undefined;
  /** The same where the response does not say it itself. */
  readonly defaultTtlSeconds?: number | undefined;
  readonly minTtlSeconds?: number | undefined;
  readonly maxTtlSeconds?: number | undefined;
  /** Fields to take out of the response, stored or not. */
  readonly strip?: readonly string[] | undefined;
  /** How often a key must be asked for before its response is stored. */
  readonly minUses?: number | undefined;
  /** Whether the rule holds against `private`, `no-store`, Set-Cookie and Authorization, too. */
  readonly unsafe?: boolean | undefined;
}
