import { DEFAULT_NAME, integer, quoted, tokenOrString } from './structured-field.js';

/**
 * What a cache did with a request, as RFC 9211 reports it in the `Cache-Status` response field. `hit` and `fwd` exclude
 * each other; a response that the cache made up itself (a 504 for `only-if-cached`) has neither.
 */
export type CacheStatus = HitStatus | ForwardStatus;

interface CommonStatus {
  /** Remaining freshness lifetime in seconds; negative when the response is stale. */
  readonly ttl?: number | undefined;
  /** The key the response is kept under. Left out when it has other characters than printable ASCII. */
  readonly key?: string | undefined;
  /** Why, in a word of ours. */
  readonly detail?: string | undefined;
}

/** The request was answered without going forward to the origin. */
export interface HitStatus extends CommonStatus {
  readonly hit: true;
}

export interface ForwardStatus extends CommonStatus {
  readonly hit: false;
  /** Why the request went forward. */
  readonly fwd?: ForwardReason | undefined;
  /** Status of the response to the forwarded request, when it may differ from the one the client gets. */
  readonly fwdStatus?: number | undefined;
  /** Whether that response was stored. */
  readonly stored?: boolean | undefined;
  /** Whether the request waited for another one's response instead of going forward itself. */
  readonly collapsed?: boolean | undefined;
}

/** RFC 9211, section 2.2. */
export type ForwardReason = 'bypass' | 'method' | 'uri-miss' | 'vary-miss' | 'miss' | 'request' | 'stale' | 'partial';

/** One member of a `Cache-Status` field: `lookaside; hit; ttl=12; detail=fresh`. */
export function formatCacheStatus(cacheName: string, status: CacheStatus): string {
  let text = tokenOrString(cacheName) ?? DEFAULT_NAME;
  if (status.hit) {
    text += '; hit';
  } else {
    if (status.fwd !== undefined) text += `; fwd=${status.fwd}`;
    if (status.fwdStatus !== undefined) text += `; fwd-status=${integer(status.fwdStatus)}`;
    if (status.stored === true) text += '; stored';
    if (status.collapsed === true) text += '; collapsed';
  }
  if (status.ttl !== undefined) text += `; ttl=${integer(status.ttl)}`;
  const key = status.key === undefined ? undefined : quoted(status.key);
  if (key !== undefined) text += `; key=${key}`;
  const detail = status.detail === undefined ? undefined : tokenOrString(status.detail);
  if (detail !== undefined) text += `; detail=${detail}`;
  return text;
}
