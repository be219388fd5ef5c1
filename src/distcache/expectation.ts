import type { Operation } from './wire.js';

/** What a tester knows of a session in the cache: nothing is there, or it was added for a time, or neither is sure. */
export type Mark = 'absent' | 'unknown' | Added;

export interface Added {
  /** When the ADD was sent, and when it was answered; ms on a clock that never goes back, like all times here. */
  readonly sentAt: number;
  readonly answeredAt: number;
  readonly timeoutMs: number;
}

/** Whether a session must be there, must not, or may be. */
export type Expectation = 'present' | 'absent' | 'either';

/** The cache counts from some moment while the ADD was under way, in whole ms, and not by the clock that is used here. */
const EXPIRY_SLACK_MS = 50;

/**
 * What is to be expected by an operation that ran from `sentAt` to `answeredAt`. That it
 * is gone when its time has passed is asked for with `strictExpiry` only: a server may be set to raise timeouts.
 */
export function expected(
  mark: Mark,
  { sentAt, answeredAt }: Omit<Added, 'timeoutMs'>,
  strictExpiry: boolean,
): Expectation {
  if (mark === 'absent') return 'absent';
  if (mark === 'unknown') return 'either';
  if (answeredAt < mark.sentAt + mark.timeoutMs - EXPIRY_SLACK_MS) return 'present';
  const isSurelyOver = sentAt > mark.answeredAt + mark.timeoutMs + EXPIRY_SLACK_MS;
  return isSurelyOver && strictExpiry ? 'absent' : 'either';
}

/**
 * What is left of an expectation when the cache may lose sessions, and may refuse to do anything: a session is found only
 * where one was added.
 */
export function loosened(expectation: Expectation, operation: Operation): Expectation {
  return expectation === 'present' || operation === 'add' ? 'either' : expectation;
}

/** What can go wrong in a test, and how dc_test says so. */
export const TEST_FAILURES = {
  'add-failed': 'add failed!',
  'add-succeeded': "add succeeded and shouldn't have!",
  'remove-failed': 'remove failed!',
  'remove-succeeded': "remove succeeded and shouldn't have!",
  'get-failed': 'get failed!',
  'get-succeeded': "get succeeded and shouldn't have!",
  mismatch: 'received mismatched session',
  'have-failed': 'have failed!',
  'have-succeeded': "have succeeded and shouldn't have!",
  'no-answer': 'transaction failure',
} as const;
export type TestFailure = keyof typeof TEST_FAILURES;

/** How an operation ended: whether it succeeded, and what a GET found. */
export interface Outcome {
  readonly operation: Operation;
  readonly isSuccess: boolean;
  readonly data?: Buffer | undefined;
}

/** What is wrong with an outcome; `undefined` when it is as it must be. */
export function judge(
  { operation, isSuccess, data }: Outcome,
  session: Expectation,
  rightData: Buffer,
): TestFailure | undefined {
  // an ADD succeeds where there is nothing, everything else where there is something
  const isForeseen = session === 'either' || isSuccess === ((session === 'present') !== (operation === 'add'));
  if (!isForeseen) return isSuccess ? `${operation}-succeeded` : `${operation}-failed`;
  return data === undefined || data.equals(rightData) ? undefined : 'mismatch';
}
