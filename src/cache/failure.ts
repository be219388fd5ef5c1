import { type StoreErrorCode, storeFailure } from '../store/store.js';

/** Why the store gave no answer: the reasons that are the store's own. */
export type Failure = Exclude<StoreErrorCode, 'bad-key'>;

/**
 * The failure that `error` is. Throws everything else, and `bad-key`, as the cache makes only keys that a store takes.
 */
export function failureOf(error: unknown): Failure {
  const { code } = storeFailure(error);
  if (code === 'bad-key') throw error;
  return code;
}
