import { isFieldName } from './fields.js';

/**
 * The directives of a Cache-Control field (RFC 9111, section 5.2). Unknown ones are kept and do no harm; where a
 * directive is repeated or malformed, the stricter reading holds.
 */
export class CacheControl {
  /** By lower-case name, one argument for every occurrence; `undefined` where it stood without one. */
  readonly #directives: ReadonlyMap<string, readonly (string | undefined)[]>;

  constructor(directives: ReadonlyMap<string, readonly (string | undefined)[]>) {
    this.#directives = directives;
  }

  /** Whether the directive is there, with or without an argument. `name` is in lower case, here and below. */
  has(name: string): boolean {
    return this.#directives.has(name);
  }

  /** Whether the directive is there, every time without an argument. */
  hasBare(name: string): boolean {
    return this.#directives.get(name)?.every((value) => value === undefined) ?? false;
  }

  /**
   * The directive's delta-seconds, or `undefined` when it is absent. Of several the smallest; 0 for anything but
   * digits (quoted or not), so that what we can not read is stale; at most {@link MAX_DELTA_SECONDS}.
   */
  seconds(name: string): number | undefined {
    const values = this.#directives.get(name);
    if (values === undefined) return undefined;
    let seconds = MAX_DELTA_SECONDS;
    for (const value of values) seconds = Math.min(seconds, deltaSeconds(value));
    return seconds;
  }

  /**
   * The field names, in lower case, that a qualified directive is confined to: `no-cache="set-cookie"`. `undefined`
   * when the directive is absent or concerns the whole response: because it stands without names once at least, or
   * because its argument is not a list of names.
   */
  fieldNames(name: string): string[] | undefined {
    const values = this.#directives.get(name);
    if (values === undefined) return undefined;
    const names = new Set<string>();
    for (const value of values) {
      const listed = value?.toLowerCase().split(',') ?? [''];
      for (const one of listed.map((item) => item.trim())) {
        // A single quote may stand in a name, but is meant as a quote.
        if (!isFieldName(one) || one.includes("'")) return undefined;
        names.add(one);
      }
    }
    return [...names];
  }
}

/** Larger values mean the same: for ever (RFC 9111, section 1.2.2). */
export const MAX_DELTA_SECONDS = 2 ** 31;

function deltaSeconds(text: string | undefined): number {
  return text !== undefined && /^[0-9]+$/.test(text) ? Math.min(Number(text), MAX_DELTA_SECONDS) : 0;
}

const NONE = new CacheControl(new Map());

/**
 * Reads the field, its lines joined with commas. A quoted string begins right behind the `=` and hides what it holds;
 * a quote that is never closed hides nothing, so that no directive behind it is lost.
 */
export function parseCacheControl(value: string | undefined): CacheControl {
  if (value === undefined) return NONE;
  const directives = new Map<string, (string | undefined)[]>();
  for (const member of members(value)) {
    const equals = member.indexOf('=');
    const name = (equals < 0 ? member : member.slice(0, equals)).trim().toLowerCase();
    if (name === '') continue;
    const argument = equals < 0 ? undefined : unquote(member.slice(equals + 1));
    const known = directives.get(name);
    if (known === undefined) directives.set(name, [argument]);
    else known.push(argument);
  }
  return new CacheControl(directives);
}

/** The members of the list, trimmed, split at the commas outside quoted strings. Linear in the length of `value`. */
function members(value: string): string[] {
  if (!value.includes('"')) return value.split(',').map((member) => member.trim());
  const found: string[] = [];
  let start = 0;
  let equals = -1;
  let unclosed = false;
  for (let i = 0; i < value.length; i++) {
    if (value[i] === ',') {
      found.push(value.slice(start, i).trim());
      start = i + 1;
      equals = -1;
    } else if (value[i] === '=' && equals < 0) {
      equals = i;
    } else if (value[i] === '"' && equals === i - 1 && equals >= start && !unclosed) {
      const end = closingQuote(value, i);
      unclosed = end < 0;
      if (!unclosed) i = end;
    }
  }
  found.push(value.slice(start).trim());
  return found;
}

function closingQuote(text: string, opening: number): number {
  for (let i = opening + 1; i < text.length; i++) {
    if (text[i] === '\\') i++;
    else if (text[i] === '"') return i;
  }
  return -1;
}

/** What a quoted string says; any other text is itself. */
function unquote(text: string): string {
  if (!text.startsWith('"') || closingQuote(text, 0) !== text.length - 1) return text;
  return text.slice(1, -1).replace(/\\(.)/g, '$1');
}
