import type { StoreErrorCode } from '../store/store.js';

/** What the cache decided about a request, in the words of RFC 9211. */
export type Verdict = 'hit' | 'miss' | 'stale' | 'revalidated' | 'bypass' | 'collapsed';

/**
 * Why. One closed union for the whole house: the same word goes to the log line, to the `detail` of `Cache-Status`, to
 * the metric label and to `lookaside explain`. {@link REASONS} says what each means.
 */
export type Reason = keyof typeof REASONS | Exclude<StoreErrorCode, 'bad-key'>;

/** Every reason that is not the name of a store failure (`StoreErrorCode`), with its meaning. */
export const REASONS = {
  // of a lookup
  fresh: 'an entry was found and may be used',
  absent: 'the store has no entry under the key',
  expired: 'the entry has outlived its own lifetime',
  malformed: 'what lies under the key is not an entry',
  'wrong-key': 'the entry says that it belongs to another key',
  vary: 'the entry is another variant than the one asked for',
  // of a bypass
  method: 'only GET and HEAD are looked up, and only GET is stored',
  precondition: 'If-Match and If-Unmodified-Since are for the origin to judge',
  'request-body': 'the request carries a body',
  'ambiguous-path': 'the path means something else decoded and simplified than as it was sent',
  // of a store
  stored: 'the response goes into the store',
  status: 'only responses with status 200 are stored',
  'no-response': 'there was no response to store',
  'from-store': 'the response came out of the store',
  incomplete: 'the body was not received completely',
  'unknown-length': 'the end of the body was marked by nothing but the end of the connection',
  'above-maxsize': 'the body is larger than maxsize',
  memory: 'the memory set aside for bodies on their way to the store is used up',
  'set-cookie': 'the response sets a cookie',
  private: 'the response is for one user only (Cache-Control: private)',
  'no-store': 'the response or the request forbids storing (Cache-Control: no-store)',
  'no-cache': 'the response must not be used again without asking the origin (Cache-Control: no-cache)',
  authorization: 'the request carried Authorization',
  'content-encoding': 'an encoded body can not be stored without its fields',
} as const;
