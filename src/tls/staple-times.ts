import type { Testimony } from './ocsp-verify.js';

/** After a fetch, failed or not, the whole fleet leaves the responder alone for this long, per certificate. */
export const BACK_OFF_SECONDS = 300;

/**
 * No longer between two looks for a newer one. Certificates of the Web have staples of 10 days at most (CA/Browser Forum
 * 4.9.10), whose half this is; a longer one must not hide a revocation for longer.
 */
const MAX_REFRESH_MS = 5 * 24 * 60 * 60 * 1000;

/** By which part of what it is due after a refresh comes later, so that a fleet does not move as one. */
const JITTER = 0.1;

/** What time it is. */
export interface Clock {
  /** In ms since 1970: what responses are dated by. */
  now(): number;
  /** In ms that never go back: what is waited by. */
  monotonic(): number;
}

export const SYSTEM_CLOCK: Clock = { now: () => Date.now(), monotonic: () => performance.now() };

type Period = Pick<Testimony, 'thisUpdateMs' | 'nextUpdateMs'>;

/** Whether half of the period lies behind, so that a newer response is wanted. */
export function isHalfOver({ thisUpdateMs, nextUpdateMs }: Period, nowMs: number): boolean {
  return nowMs >= thisUpdateMs + Math.min((nextUpdateMs - thisUpdateMs) / 2, MAX_REFRESH_MS);
}

/**
 * In how many ms a newer response is to be had: at half-life. What comes when that is over already (responders make their
 * answers beforehand) is good for half of what is left of it. `random` is in [0, 1).
 */
export function refreshDelay({ thisUpdateMs, nextUpdateMs }: Period, nowMs: number, random: number): number {
  const untilHalf = thisUpdateMs + (nextUpdateMs - thisUpdateMs) / 2 - nowMs;
  const delay = untilHalf > 0 ? untilHalf : (nextUpdateMs - nowMs) / 2;
  return withJitter(Math.min(Math.max(delay, BACK_OFF_SECONDS * 1000), MAX_REFRESH_MS), random);
}

/** In how many ms to try again what has failed, or is being left alone for another `seconds`. */
export function retryDelay(seconds: number, random: number): number {
  return withJitter(Math.max(seconds, 1) * 1000, random);
}

function withJitter(delayMs: number, random: number): number {
  return delayMs * (1 + JITTER * random);
}
