import { type Dictionary, type InnerList, type Item, parseDictionary } from 'structured-headers';
import type { Fields } from './fields.js';
import { parameterName, parameterNormaliser, type QueryNormaliser } from './query.js';

/**
 * What the response says of queries that get the same response (No-Vary-Search, draft-ietf-httpbis-no-vary-search):
 * `key-order`, `params` (all, or the listed ones, do not matter) and `except`. `undefined` when every query is another
 * one, also because the field is invalid or says something we do not know.
 *
 * Stricter than the draft in one thing: values are compared as they were sent, not decoded.
 */
export function noVarySearch(response: Fields): QueryNormaliser | undefined {
  const dictionary = parsed(response.get('no-vary-search') ?? '');
  if (dictionary === undefined || dictionary.size === 0) return undefined;
  if ([...dictionary.keys()].some((name) => !KNOWN_KEYS.has(name))) return undefined;
  const keyOrder = dictionary.get('key-order')?.[0] ?? false;
  const keeps = parameterFilter(dictionary.get('params'), dictionary.get('except'));
  if (typeof keyOrder !== 'boolean' || keeps === undefined) return undefined;
  return parameterNormaliser(keeps, keyOrder);
}

const KNOWN_KEYS: ReadonlySet<string> = new Set(['key-order', 'params', 'except']);

type Member = Item | InnerList;

/** Whether a parameter matters, by its name; `undefined` when the members can not be understood. */
function parameterFilter(params: Member | undefined, except: Member | undefined) {
  const all = params?.[0] ?? false;
  if (except !== undefined) {
    const kept = all === true ? names(except) : undefined;
    return kept && ((name: string) => kept.has(name));
  }
  if (typeof all === 'boolean') return () => !all;
  const ignored = params === undefined ? undefined : names(params);
  return ignored && ((name: string) => !ignored.has(name));
}

/** The parameter names in an inner list of strings, which write them as queries do; `undefined` for anything else. */
function names([list]: Member): ReadonlySet<string> | undefined {
  if (!Array.isArray(list)) return undefined;
  const found = new Set<string>();
  for (const [name] of list) {
    if (typeof name !== 'string') return undefined;
    // An equals sign in the list belongs to the name; in a query it would end it.
    found.add(parameterName(name.replaceAll('=', '%3D')));
  }
  return found;
}

function parsed(value: string): Dictionary | undefined {
  try {
    return parseDictionary(value);
  } catch {
    // The parser says by throwing that the field is invalid, and it is ignored as a whole (RFC 9651, section 4.2).
    return undefined;
  }
}
