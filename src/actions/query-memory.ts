import { LRUCache } from 'lru-cache';
import type { Fields } from '../http/fields.js';
import { noVarySearch } from '../http/no-vary-search.js';
import type { QueryNormaliser } from '../http/query.js';

/** What a path has said about its queries, with the field's value, by which it is known again. */
export interface QueryEquivalence {
  readonly value: string;
  readonly normalise: QueryNormaliser;
}

/** Paths it remembers something of; some 200 bytes each. Forgotten, they cost a miss for every query. */
const MAX_PATHS = 10_000;

/**
 * What the responses of each path have said in No-Vary-Search: by this the next request is recognised as one for the
 * same response, when all there is to go by is its URL.
 */
export class QueryMemory {
  readonly #paths = new LRUCache<string, QueryEquivalence>({ max: MAX_PATHS });

  /** @param url `scheme://authority/path?query`; of the query nothing is read. */
  of(url: string): QueryEquivalence | undefined {
    return this.#paths.get(withoutQuery(url));
  }

  /**
   * Takes in what the origin's response for `url` says. Returns whether the response may have a key made by `known`, or
   * by nothing when that is `undefined`: not when it says something else.
   */
  learn(url: string, known: QueryEquivalence | undefined, response: Fields): boolean {
    const path = withoutQuery(url);
    const value = response.get('no-vary-search');
    if (value !== this.#paths.peek(path)?.value) {
      const normalise = noVarySearch(response);
      if (value === undefined || normalise === undefined) this.#paths.delete(path);
      else this.#paths.set(path, { value, normalise });
    }
    return known === undefined || value === known.value;
  }
}

/** `url` up to its query. */
export function withoutQuery(url: string): string {
  const mark = url.indexOf('?');
  return mark < 0 ? url : url.slice(0, mark);
}
