import { LRUCache } from 'lru-cache';
import { storeKey } from './key.js';

/** Keys whose uses are counted, at most some 350 bytes each. One that is forgotten is counted from the beginning. */
const MAX_KEYS = 50_000;

/** How often keys were asked for in this process: what is asked for once only need not take up the store. */
export class UseCounts {
  readonly #counts = new LRUCache<string, number>({ max: MAX_KEYS });

  /** Counts a use, and tells whether there have been `wanted` by now. Without a number nothing is counted. */
  reached(key: string, wanted: number | undefined): boolean {
    if (wanted === undefined || wanted <= 1) return true;
    const name = storeKey(key);
    const uses = (this.#counts.get(name) ?? 0) + 1;
    this.#counts.set(name, uses);
    return uses >= wanted;
  }
}
