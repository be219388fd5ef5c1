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
    this.#flat = [...flat];
  }

  /** Fields of a header object, as undici, Fastify and `@fastify/send` give them. */
  static from(headers: Iterable<readonly [string, FieldValue]> | { readonly [name: string]: FieldValue }): Fields {
    const fields = new Fields();
    const pairs = Symbol.iterator in headers ? headers : Object.entries(headers);
    for (const [name, value] of pairs as Iterable<readonly [string, FieldValue]>) {
      if (value === undefined) continue;
      for (const one of Array.isArray(value) ? value : [value]) fields.append(name, String(one));
    }
    return fields;
  }

  /** All values of the field joined with ", " (RFC 9110, section 5.3), or `undefined` when it is absent. */
  get(name: string): string | undefined {
    const values = this.all(name);
    return values.length === 0 ? undefined : values.join(', ');
  }

  /** The values of the field, one a line. */
  all(name: string): string[] {
    const wanted = name.toLowerCase();
    const values: string[] = [];
    for (const [field, value] of this) if (field.toLowerCase() === wanted) values.push(value);
    return values;
  }

  has(name: string): boolean {
    return this.all(name).length > 0;
  }

  /** Adds a line, whatever is there already. */
  append(name: string, value: string): void {
    this.#flat.push(name, value);
  }

  /** Makes `value` the only line of the field, in the place of its first line. */
  set(name: string, value: string): void {
    const wanted = name.toLowerCase();
    const first = this.#indexOf(wanted);
    if (first < 0) return this.append(name, value);
    this.#flat[first] = name;
    this.#flat[first + 1] = value;
    for (let i = this.#flat.length - 2; i > first; i -= 2) {
      if (this.#flat[i]?.toLowerCase() === wanted) this.#flat.splice(i, 2);
    }
  }

  /** Removes every line of the field. */
  delete(name: string): void {
    const wanted = name.toLowerCase();
    for (let i = this.#indexOf(wanted); i >= 0; i = this.#indexOf(wanted)) this.#flat.splice(i, 2);
  }

  clone(): Fields {
    return new Fields(this.#flat);
  }

  /** A copy in the form of rawHeaders: name, value, name, value … */
  flat(): string[] {
    return [...this.#flat];
  }

  /** How many lines there are. */
  get size(): number {
    return this.#flat.length / 2;
  }

  *[Symbol.iterator](): Iterator<[name: string, value: string]> {
    for (let i = 0; i < this.#flat.length; i += 2) yield [this.#flat[i] ?? '', this.#flat[i + 1] ?? ''];
  }

  #indexOf(lowerName: string): number {
    for (let i = 0; i < this.#flat.length; i += 2) if (this.#flat[i]?.toLowerCase() === lowerName) return i;
    return -1;
  }
}

/** What header objects hold under a name. */
export type FieldValue = string | number | readonly (string | number)[] | undefined;

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
  const named = new Set((fields.get('connection') ?? '').split(',').map((name) => name.trim().toLowerCase()));
  const kept = new Fields();
  for (const [name, value] of fields) {
    const lower = name.toLowerCase();
    if (!CONNECTION_FIELDS.has(lower) && !named.has(lower)) kept.append(name, value);
  }
  return kept;
}
