import { type Dictionary, parseDictionary } from 'structured-headers';
import { CacheControl, parseCacheControl } from './cache-control.js';
import type { Fields } from './fields.js';

/** The directives a response is to be cached by. */
export interface GoverningControl {
  readonly control: CacheControl;
  /** The directives come from a targeted field (RFC 9213): Cache-Control and Expires are out of force. */
  readonly isTargeted: boolean;
  /** Name of the field they come from, in lower case. */
  readonly field: string;
}

/**
 * The directives in force: those of the first field of `targets` that is a valid and not empty dictionary, else those of
 * Cache-Control (RFC 9213, section 2.2). Directives are never taken from two fields.
 *
 * @param targets names of targeted fields, the most specific one first.
 */
export function governingControl(response: Fields, targets: readonly string[]): GoverningControl {
  for (const target of targets) {
    const value = response.get(target);
    const control = value === undefined ? undefined : parseTargeted(value);
    if (control !== undefined) return { control, isTargeted: true, field: target.toLowerCase() };
  }
  return { control: parseCacheControl(response.get('cache-control')), isTargeted: false, field: 'cache-control' };
}

/** Directives that say a number of seconds. */
const SECONDS: ReadonlySet<string> = new Set(['max-age', 's-maxage', 'stale-while-revalidate', 'stale-if-error']);
/** Directives that say all by being there. */
const FLAGS: ReadonlySet<string> = new Set([
  'immutable',
  'must-revalidate',
  'must-understand',
  'no-store',
  'proxy-revalidate',
  'public',
]);
/** Directives that are flags, or are confined to the fields they name in a string. */
const QUALIFIABLE: ReadonlySet<string> = new Set(['no-cache', 'private']);

/** The directives of a targeted field, or `undefined` when it is to be ignored: empty, invalid, or with a value of a wrong type. */
function parseTargeted(value: string): CacheControl | undefined {
  const dictionary = parsed(value);
  if (dictionary === undefined || dictionary.size === 0) return undefined;
  const directives = new Map<string, (string | undefined)[]>();
  for (const [name, [member]] of dictionary) {
    if (SECONDS.has(name)) {
      if (typeof member !== 'number' || !Number.isInteger(member)) return undefined;
      directives.set(name, [String(member)]);
    } else if (QUALIFIABLE.has(name) && typeof member === 'string') {
      directives.set(name, [member]);
    } else if (FLAGS.has(name) || QUALIFIABLE.has(name)) {
      if (typeof member !== 'boolean') return undefined;
      if (member) directives.set(name, [undefined]);
    }
  }
  return new CacheControl(directives);
}

function parsed(value: string): Dictionary | undefined {
  try {
    return parseDictionary(value);
  } catch {
    // The parser says by throwing that the field is invalid; such a field is ignored as a whole (RFC 9651, section 4.2).
    return undefined;
  }
}
