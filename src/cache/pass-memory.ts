import { LRUCache } from 'lru-cache';

/** Keys that are remembered, some 100 bytes each. */
const MAX_KEYS = 10_000;

/**
 * The keys whose responses were not for the store lately, in this process: while the store fails it can not be asked, and
 * nobody is to wait for a response that is another one's all the same.
 */
export class PassMemory {
  readonly #keys: LRUCache<string, true>;
  readonly #isOff: boolean;

  constructor(seconds: number) {
    this.#isOff = seconds <= 0;
    this.#keys = new LRUCache({ max: MAX_KEYS, ttl: seconds * 1000 });
  }

  add(key: string): void {
    if (!this.#isOff) this.#keys.set(key, true);
  }

  has(key: string): boolean {
    return this.#keys.has(key);
  }
}
