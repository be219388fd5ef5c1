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
  vary: 'the entry is another variant than the one asked for, or the response fits no other request (Vary: *)',
  unauthenticated: 'what lies under the key was not written by anybody who knows the secret',
  purged: 'the entry, or its place, was purged or dropped by the store',
  leased: 'another process is fetching the response',
  'hit-for-miss': 'responses of the key were not stored lately: nobody waits for another one’s',
  'lost-segment': 'a part of the body is not in the store any more',
  'stale-while-revalidate': 'the entry is stale, but may be used while it is refreshed',
  'soft-purged': 'the entry was marked stale by a soft purge',
  'clock-skew': 'the entry is from the future: the clocks of the fleet differ',
  'request-no-cache': 'the client wants the origin to be asked (Cache-Control or Pragma: no-cache)',
  'request-no-store': 'the client forbids storing (Cache-Control: no-store)',
  'request-max-age': 'the client wants a younger response (Cache-Control: max-age)',
  'request-min-fresh': 'the client wants a response that stays fresh for longer (Cache-Control: min-fresh)',
  'request-max-stale': 'the client takes a response that is stale (Cache-Control: max-stale)',
  'origin-failing': 'the origin fails, and the stale entry stands in for it',
  'only-if-cached': 'the client wants a stored response or none (Cache-Control: only-if-cached)',
  // of a bypass
  rule: 'a rule of the configuration says so',
  method: 'only GET and HEAD are looked up, and only GET is stored',
  precondition: 'If-Match and If-Unmodified-Since are for the origin to judge',
  'request-body': 'the request carries a body',
  upgrade: 'the client offers to leave HTTP (Upgrade), which is between it and the origin',
  'ambiguous-path': 'the path means something else decoded and simplified than as it was sent',
  // of a store
  stored: 'the response goes into the store',
  status: 'responses with this status are not stored',
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
  'must-understand': 'only caches that know the status may store the response (Cache-Control: must-understand)',
  'no-freshness': 'nothing says how long the response may be used, nor lets the origin be asked about it',
  authorization: 'the request carried Authorization',
  cookie: 'the request carried a cookie, and the response does not say that it is for everybody',
  'error-status': 'an error, and the origin does not say how long it lasts',
  partial: 'a part of a response that does not say which part of what it is',
  'too-many-tags': 'the response bears more tags, or longer ones, than are kept',
  'head-too-large': 'the head of the response, with its tags, is larger than what is stored',
  'min-uses': 'the key was not asked for often enough yet',
  variants: 'the key has as many variants as are kept',
  'no-lease': 'without a lease nobody would notice that the key was purged during the fetch',
  overtaken: 'somebody else has stored a response meanwhile',
  'content-encoding': 'an encoded body can not be stored without its fields',
} as const;

/** What a reason means, as a sentence without its end. */
export function meaningOf(reason: Reason): string {
  return isOwn(reason) ? REASONS[reason] : `the store gives no answer: ${reason}`;
}

function isOwn(reason: Reason): reason is keyof typeof REASONS {
  return Object.hasOwn(REASONS, reason);
}

/** The rule a reason follows from, where it is one of HTTP's. */
export const REASON_SECTIONS: { readonly [reason in Reason]?: string } = {
  fresh: 'RFC 9111, section 4.2',
  expired: 'RFC 9111, section 4.2.4',
  vary: 'RFC 9111, section 4.1',
  'stale-while-revalidate': 'RFC 5861, section 3',
  'request-no-cache': 'RFC 9111, section 5.2.1.4',
  'request-no-store': 'RFC 9111, section 5.2.1.5',
  'request-max-age': 'RFC 9111, section 5.2.1.1',
  'request-min-fresh': 'RFC 9111, section 5.2.1.3',
  'request-max-stale': 'RFC 9111, section 5.2.1.2',
  'origin-failing': 'RFC 9111, section 4.2.4',
  'only-if-cached': 'RFC 9111, section 5.2.1.7',
  method: 'RFC 9111, section 3',
  precondition: 'RFC 9111, section 4.3.2',
  status: 'RFC 9111, section 3',
  incomplete: 'RFC 9111, section 3.3',
  private: 'RFC 9111, section 5.2.2.7',
  'no-store': 'RFC 9111, section 5.2.2.5',
  'no-cache': 'RFC 9111, section 5.2.2.4',
  'must-understand': 'RFC 9111, section 5.2.2.3',
  'no-freshness': 'RFC 9111, section 3',
  authorization: 'RFC 9111, section 3.5',
  'set-cookie': 'RFC 9111, section 7.3',
  partial: 'RFC 9111, section 3.3',
};
