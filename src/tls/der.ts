/** What {@link DerReader} throws: the bytes are not the DER that the caller's grammar asks for. */
export class DerError extends Error {
  override readonly name = 'DerError';
}

/** The identifier octets (X.690 8.1.2) of the universal types that certificates and OCSP responses are made of. */
export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  enumerated: 0x0a,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
} as const;

/** The identifier octet of the context-specific tag `[number]` around an element (EXPLICIT, or of a constructed type). */
export function explicitTag(number: number): number {
  return 0xa0 | number;
}

/** The identifier octet of the context-specific tag `[number]` in place of that of a primitive type (IMPLICIT). */
export function implicitTag(number: number): number {
  return 0x80 | number;
}

/** Any identifier octet with these bits set announces a tag number of several octets: no type here has one. */
const LONG_TAG = 0x1f;

/** 16 MiB of content: the bytes to read are bounded already, far below. */
const MAX_LENGTH_OCTETS = 3;

/**
 * The elements of one constructed value, read in order. DER has one encoding for a value, and every other one is refused:
 * indefinite or padded lengths, and what lies behind the last element (see {@link end}). Nothing is copied: what is
 * returned are views of the bytes given.
 *
 * Every method throws a {@link DerError}, and nothing else, when the bytes are not what it asks for.
 */
export class DerReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  /** The identifier octet of the next element; `undefined` at the end. */
  get nextTag(): number | undefined {
    return this.#bytes[this.#at];
  }

  /** Nothing may follow. */
  end(): void {
    if (!this.isAtEnd) throw new DerError(`${this.#bytes.length - this.#at} bytes too many`);
  }

  /** The content of the next element. */
  content(tag: number): Buffer {
    return this.#next(tag).content;
  }

  /** The next element with its identifier and length octets, as a signature or a digest covers it. */
  encoded(tag: number): Buffer {
    return this.#next(tag).encoded;
  }

  /** The content of the next element if it has this tag. */
  optional(tag: number): Buffer | undefined {
    return this.nextTag === tag ? this.content(tag) : undefined;
  }

  /** The elements within the next one, a SEQUENCE unless told otherwise. */
  inside(tag: number = TAG.sequence): DerReader {
    return new DerReader(this.content(tag));
  }

  /** The elements within the next one, if it has this tag. */
  optionalInside(tag: number): DerReader | undefined {
    const content = this.optional(tag);
    return content === undefined ? undefined : new DerReader(content);
  }

  /** The octets of an INTEGER: two's complement, big-endian, as few as possible. Equal numbers have equal octets. */
  integer(tag: number = TAG.integer): Buffer {
    const content = this.content(tag);
    const [first, second] = content;
    if (first === undefined) throw new DerError('an INTEGER without octets');
    const isPadded = second !== undefined && (first === 0x00 ? second < 0x80 : first === 0xff && second >= 0x80);
    if (isPadded) throw new DerError('a padded INTEGER');
    return content;
  }

  /** An INTEGER or ENUMERATED of 0 to 127. */
  smallInteger(tag: number = TAG.integer): number {
    const octets = this.integer(tag);
    const [value = 0x80] = octets;
    if (octets.length !== 1 || value > 0x7f) throw new DerError('a number out of range');
    return value;
  }

  /** An OBJECT IDENTIFIER: the hexadecimal digits of its content. */
  oid(): string {
    return this.content(TAG.oid).toString('hex');
  }

  /** A BIT STRING that is made of octets, as signatures and keys are: there may be no unused bits. */
  octetsOfBitString(): Buffer {
    const content = this.content(TAG.bitString);
    if (content[0] !== 0) throw new DerError('a BIT STRING with unused bits');
    return content.subarray(1);
  }

  /** A BOOLEAN that is there only to be TRUE, as FALSE is its default. */
  defaultFalse(): boolean {
    const content = this.optional(TAG.boolean);
    if (content === undefined) return false;
    if (content.length !== 1 || content[0] !== 0xff) throw new DerError('a BOOLEAN that is not TRUE');
    return true;
  }

  /** A GeneralizedTime in the one form of RFC 5280 4.1.2.5.2, in ms since 1970. */
  generalizedTime(): number {
    return timeOf(this.content(TAG.generalizedTime).toString('latin1'));
  }

  /** A Time (RFC 5280 4.1.2.5): the two digits of a UTCTime's year mean 1950 to 2049. In ms since 1970. */
  time(): number {
    if (this.nextTag !== TAG.utcTime) return this.generalizedTime();
    const text = this.content(TAG.utcTime).toString('latin1');
    return timeOf((text < '5' ? '20' : '19') + text);
  }

  #next(tag: number): { readonly content: Buffer; readonly encoded: Buffer } {
    const bytes = this.#bytes;
    const from = this.#at;
    const found = bytes[from];
    if (found !== tag || (tag & LONG_TAG) === LONG_TAG) {
      throw new DerError(`found ${found === undefined ? 'the end' : hex(found)} where ${hex(tag)} belongs`);
    }
    let start = from + 2;
    let length = bytes[from + 1] ?? 0x80;
    if (length >= 0x80) {
      const octets = length & 0x7f;
      if (octets === 0 || octets > MAX_LENGTH_OCTETS) throw new DerError('a length that can not be');
      if (start + octets > bytes.length) throw new DerError('an element that is cut off');
      length = bytes.readUIntBE(start, octets);
      if (length < 0x80 || length < 2 ** (8 * (octets - 1))) throw new DerError('a padded length');
      start += octets;
    }
    const end = start + length;
    if (end > bytes.length) throw new DerError('an element that is cut off');
    this.#at = end;
    return { content: bytes.subarray(start, end), encoded: bytes.subarray(from, end) };
  }
}

/** The DER of an element. */
export function der(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(contents);
  if (content.length < 0x80) return Buffer.concat([Buffer.of(tag, content.length), content]);
  const octets = content.length < 0x100 ? 1 : content.length < 0x10000 ? 2 : MAX_LENGTH_OCTETS;
  const head = Buffer.alloc(2 + octets);
  head.writeUInt8(tag);
  head.writeUInt8(0x80 | octets, 1);
  head.writeUIntBE(content.length, 2, octets);
  return Buffer.concat([head, content]);
}

const TIME = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/;

function timeOf(text: string): number {
  const digits = TIME.exec(text);
  if (digits === null) throw new DerError('a time in another form than YYYYMMDDHHMMSSZ');
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = digits.slice(1).map(Number);
  const time = new Date(0);
  time.setUTCFullYear(year, month - 1, day);
  time.setUTCHours(hour, minute, second);
  // what is no date (32 January, 24:00) comes back as another one
  const written = time.toISOString().replace(/[-:T]|\.\d+/g, '');
  if (written !== text) throw new DerError('a time that is none');
  return time.getTime();
}

function hex(tag: number): string {
  return `0x${tag.toString(16).padStart(2, '0')}`;
}
