/**
 * HTTP fields in the order they came, repeated ones included (RFC 9110, section 5).
 *
 * Names are compared without regard to case and kept as they were written; values are strings of one character a byte
 * (latin1), as node:http delivers them, so that what goes out is byte for byte what came in.
 */
export class Fields {
  /** name, value, name, value …: the form of node:http's rawHeaders and of `writeHead`. */
  readonly #flat: string[];

  constructor(flat: readonly string[] = []) {
    this.#flat = flat.slice();
  }

  /** Fields of a header object, as undici, Fastify and `@fastify/send` give them. */
  static from(headers: FieldPairs | { readonly [name: string]: FieldValue }): Fields {
    const fields = new Fields();
    for (const [name, value] of isPairs(headers) ? headers : Object.entries(headers)) {
      if (value === undefined) continue;
      for (const line of Array.isArray(value) ? value : [value]) fields.append(name, String(line));
    }
    return fields;
  }

  /** All values of the field joined with ", " (RFC 9110, section 5.3), or `undefined` when it is absent. */
  get(name: string): string | undefined {
    const wanted = name.toLowerCase();
    let joined: string | undefined;
    for (let i = this.#next(wanted, 0); i >= 0; i = this.#next(wanted, i + 2)) {
      const value = this.#flat[i + 1] ?? '';
      joined = joined === undefined ? value : `${joined}, ${value}`;
    }
    return joined;
  }

  /** The values of the field, one a line. */
  all(name: string): string[] {
    const wanted = name.toLowerCase();
    const values: string[] = [];
    for (let i = this.#next(wanted, 0); i >= 0; i = this.#next(wanted, i + 2)) values.push(this.#flat[i + 1] ?? '');
    return values;
  }

  has(name: string): boolean {
    return this.#next(name.toLowerCase(), 0) >= 0;
  }

  /** Adds a line, whatever is there already. */
  append(name: string, value: string): void {
    this.#flat.push(name, value);
  }

  /** Makes `value` the only line of the field, in the place of its first line. */
  set(name: string, value: string): void {
    const wanted = name.toLowerCase();
    const first = this.#next(wanted, 0);
    if (first < 0) {
      this.append(name, value);
      return;
    }
    this.#flat[first] = name;
    this.#flat[first + 1] = value;
    this.#removeFrom(wanted, first + 2);
  }

  /** Removes every line of the field. */
  delete(name: string): void {
    this.#removeFrom(name.toLowerCase(), 0);
  }

  clone(): Fields {
    return new Fields(this.#flat);
  }

  /** A copy with those lines only whose name, given in lower case, is to be kept. */
  filter(keep: (lowerName: string) => boolean): Fields {
    const kept = new Fields();
    for (const [name, value] of this) if (keep(name.toLowerCase())) kept.append(name, value);
    return kept;
  }

  /** A copy in the form of rawHeaders: name, value, name, value … */
  flat(): string[] {
    return this.#flat.slice();
  }

  /** How many lines there are. */
  get size(): number {
    return this.#flat.length / 2;
  }

  *[Symbol.iterator](): Iterator<[name: string, value: string]> {
    for (let i = 0; i < this.#flat.length; i += 2) yield [this.#flat[i] ?? '', this.#flat[i + 1] ?? ''];
  }

  /** Where the next line of a field begins, at `from` or behind it; -1 when there is none. */
  #next(lowerName: string, from: number): number {
    for (let i = from; i < this.#flat.length; i += 2) {
      const name = this.#flat[i];
      // Comparing lengths first spares most names the conversion.
      if (name?.length === lowerName.length && name.toLowerCase() === lowerName) return i;
    }
    return -1;
  }

  #removeFrom(lowerName: string, from: number): void {
    for (let i = this.#next(lowerName, from); i >= 0; i = this.#next(lowerName, i)) this.#flat.splice(i, 2);
  }
}

/** What header objects hold under a name. */
export type FieldValue = string | number | readonly (string | number)[] | undefined;

export type FieldPairs = Iterable<readonly [name: string, value: FieldValue]>;

function isPairs(headers: FieldPairs | { readonly [name: string]: FieldValue }): headers is FieldPairs {
  return Symbol.iterator in headers;
}

/** Whether `name` is a token, the only thing a field name may be (RFC 9110, section 5.1). */
export function isFieldName(name: string): boolean {
  return /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(name);
}

/** Whether `value` can be a field value: no NUL, CR, LF or other control but tab, one byte a character (section 5.5). */
export function isFieldValue(value: string): boolean {
  for (let i = 0; i < value.length; i++) {
    const code = value.charCodeAt(i);
    if ((code < 0x20 && code !== 0x09) || code === 0x7f || code > 0xff) return false;
  }
  return true;
}

/**
 * Fields that belong to one connection and must not be passed on (RFC 9110, section 7.6.1; RFC 9111, section 3.1), in
 * lower case. `connection` names further ones: see {@link withoutConnectionFields}.
 */
const CONNECTION_FIELDS: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authentication-info',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** A copy of `fields` without those of the connection they came over. */
export function withoutConnectionFields(fields: Fields): Fields {
  const listed = new Set(
    fields
      .get('connection')
      ?.toLowerCase()
      .split(',')
      .map((name) => name.trim()),
  );
  return fields.filter((name) => !CONNECTION_FIELDS.has(name) && !listed.has(name));
}
