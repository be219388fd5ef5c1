/** What is read of a session as OpenSSL writes it, the DER of SSL_SESSION. The rest, the master secret included, is left alone. */
export interface SessionFacts {
  /** `0x0304` is TLS 1.3, smaller ones are older. */
  readonly protocolVersion: number;
  /** By which the client asks for it. */
  readonly id: Buffer;
  /** Unix time in seconds when OpenSSL stops to take it. */
  readonly expiresAt: number;
}

export const TLS_1_3 = 0x0304;

const TAG_INTEGER = 0x02;
const TAG_OCTET_STRING = 0x04;
const TAG_SEQUENCE = 0x30;
const TAG_TIME = 0xa1;
const TAG_TIMEOUT = 0xa2;

/**
 * The facts in `der`; `undefined` when it is no session.
 *
 * ```
 * SEQUENCE { INTEGER 1, INTEGER protocol version, OCTET STRING cipher, OCTET STRING id, OCTET STRING master secret,
 *            … [1] INTEGER begin, [2] INTEGER lifetime in seconds, … }
 * ```
 */
export function sessionFacts(der: Buffer): SessionFacts | undefined {
  const outer = readElement(der, 0);
  if (outer?.tag !== TAG_SEQUENCE) return undefined;
  const elements = elementsOf(outer.value);
  const [format, protocol, , id] = elements ?? [];
  if (elements === undefined || format === undefined || integer(format) !== 1) return undefined;
  const protocolVersion = protocol === undefined ? undefined : integer(protocol);
  const begin = tagged(elements, TAG_TIME);
  const lifetime = tagged(elements, TAG_TIMEOUT);
  if (protocolVersion === undefined || id?.tag !== TAG_OCTET_STRING) return undefined;
  if (begin === undefined || lifetime === undefined) return undefined;
  return { protocolVersion, id: id.value, expiresAt: begin + lifetime };
}

interface Element {
  readonly tag: number;
  readonly value: Buffer;
  readonly end: number;
}

function elementsOf(bytes: Buffer): Element[] | undefined {
  const elements: Element[] = [];
  for (let at = 0; at < bytes.length; ) {
    const element = readElement(bytes, at);
    if (element === undefined) return undefined;
    elements.push(element);
    at = element.end;
  }
  return elements;
}

/** The element at `at`. Lengths take up to two bytes more: a session has less than 64 KiB. */
function readElement(bytes: Buffer, at: number): Element | undefined {
  const tag = bytes[at];
  const short = bytes[at + 1];
  if (tag === undefined || short === undefined) return undefined;
  const extra = short < 0x80 ? 0 : short - 0x80;
  const start = at + 2 + extra;
  if (extra > 2 || start > bytes.length) return undefined;
  const length = extra === 0 ? short : bytes.readUIntBE(at + 2, extra);
  const end = start + length;
  return end > bytes.length ? undefined : { tag, value: bytes.subarray(start, end), end };
}

function tagged(elements: readonly Element[], tag: number): number | undefined {
  const wrapper = elements.find((element) => element.tag === tag);
  const inner = wrapper === undefined ? undefined : readElement(wrapper.value, 0);
  return inner === undefined ? undefined : integer(inner);
}

/** A non-negative integer of up to 48 bits. */
function integer({ tag, value }: Element): number | undefined {
  const digits = value.length > 1 && value[0] === 0 ? value.subarray(1) : value;
  if (tag !== TAG_INTEGER || digits.length === 0 || digits.length > 6) return undefined;
  return digits.readUIntBE(0, digits.length);
}
