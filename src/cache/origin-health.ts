import { LRUCache } from 'lru-cache';
import { storeKey } from './key.js';

/** Failures in a row after which it is the origin that fails, and not some of its pages. */
const FAILURES_OF_ORIGIN = 50;

/** Keys whose failure is remembered, at most some 350 bytes each. */
const MAX_KEYS = 10_000;

/**
 * Whether an origin that has failed is asked again. As long as a stale response can be used in its place, it is asked
 * once in every back-off for a key; and once it has failed time after time, once for all keys: what it needs is quiet.
 */
export class OriginHealth {
  readonly #backoffMs: number;
  /** Until when nobody asks for a key, by `performance.now`. */
  readonly #quietUntil = new LRUCache<string, number>({ max: MAX_KEYS });
  #failures = 0;
  #allQuietUntil = 0;

  constructor(backoffMs: number) {
    this.#backoffMs = backoffMs;
  }

  /** Whether to ask for `key` now. Of an origin that fails altogether, the one who gets `true` is to ask. */
  mayAsk(key: string, nowMs: number = performance.now()): boolean {
    if (nowMs < (this.#quietUntil.get(storeKey(key)) ?? 0)) return false;
    if (this.#failures < FAILURES_OF_ORIGIN) return true;
    if (nowMs < this.#allQuietUntil) return false;
    this.#allQuietUntil = nowMs + this.#backoffMs;
    return true;
  }

  /** It has answered, with whatever. */
  answered(key: string): void {
    this.#failures = 0;
    this.#quietUntil.delete(storeKey(key));
  }

  /** It has not answered, or with an error that lets a stale response stand in. */
  failed(key: string, nowMs: number = performance.now()): void {
    this.#failures++;
    this.#quietUntil.set(storeKey(key), nowMs + this.#backoffMs);
    this.#allQuietUntil = nowMs + this.#backoffMs;
  }
}
