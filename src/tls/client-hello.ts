/** What is read of a ClientHello (RFC 8446 4.1.2, RFC 5246 7.4.1.2) before TLS has seen it. */
export interface ClientHello {
  /** Of TLS <= 1.2; from a client of TLS 1.3 it is random (RFC 8446 D.4). May be empty. */
  readonly sessionId: Buffer;
  /** Whether `supported_versions` names TLS 1.3. */
  readonly offersTls13: boolean;
  /** The ticket of TLS <= 1.2 (RFC 5077): empty when the client takes one and has none, `undefined` when it takes none. */
  readonly ticket: Buffer | undefined;
  /** The first identity of `pre_shared_key`: the ticket, or the session id of a stateful server. */
  readonly pskIdentity: Buffer | undefined;
}

/** No client that we know of comes near it; more is not waited for. */
export const MAX_CLIENT_HELLO_BYTES = 16 * 1024;

const RECORD_HEADER_BYTES = 5;
const HANDSHAKE_HEADER_BYTES = 4;
const CONTENT_HANDSHAKE = 22;
const MESSAGE_CLIENT_HELLO = 1;
const EXTENSION_SESSION_TICKET = 35;
const EXTENSION_PRE_SHARED_KEY = 41;
const EXTENSION_SUPPORTED_VERSIONS = 43;
const TLS_1_3 = 0x0304;
const VERSION_AND_RANDOM_BYTES = 34;

/**
 * The ClientHello that `bytes`, the first of a connection, begin with; `incomplete` when more of them are needed;
 * `undefined` when they are none. What is odd in it is OpenSSL's to refuse.
 */
export function readClientHello(bytes: Buffer): ClientHello | 'incomplete' | undefined {
  const message = handshakeBytes(bytes);
  if (message === undefined) return undefined;
  if (message.length < HANDSHAKE_HEADER_BYTES) return 'incomplete';
  if (message.readUInt8(0) !== MESSAGE_CLIENT_HELLO) return undefined;
  const end = HANDSHAKE_HEADER_BYTES + message.readUIntBE(1, 3);
  if (end > MAX_CLIENT_HELLO_BYTES) return undefined;
  if (message.length < end) return 'incomplete';
  return helloIn(message.subarray(HANDSHAKE_HEADER_BYTES, end));
}

/** The handshake messages in the records that `bytes` begin with; a record that is not whole counts as far as it is there. */
function handshakeBytes(bytes: Buffer): Buffer | undefined {
  const fragments: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    if (bytes.readUInt8(at) !== CONTENT_HANDSHAKE) return fragments.length === 0 ? undefined : Buffer.concat(fragments);
    if (bytes.length < at + RECORD_HEADER_BYTES) break;
    const length = bytes.readUInt16BE(at + 3);
    if (length === 0) return undefined;
    const start = at + RECORD_HEADER_BYTES;
    fragments.push(bytes.subarray(start, start + length));
    at = start + length;
  }
  const [only] = fragments;
  return only !== undefined && fragments.length === 1 ? only : Buffer.concat(fragments);
}

function helloIn(body: Buffer): ClientHello | undefined {
  const reader = new Reader(body);
  reader.skip(VERSION_AND_RANDOM_BYTES);
  const sessionId = reader.vector(1);
  reader.vector(2); // cipher suites
  reader.vector(1); // compression methods
  let offersTls13 = false;
  let ticket: Buffer | undefined;
  let pskIdentity: Buffer | undefined;
  const extensions = reader.isAtEnd ? new Reader(Buffer.alloc(0)) : new Reader(reader.vector(2));
  while (!extensions.isAtEnd && !extensions.isBroken) {
    const type = extensions.uint16();
    const content = extensions.vector(2);
    const extension = new Reader(content);
    if (type === EXTENSION_SUPPORTED_VERSIONS) {
      const versions = new Reader(extension.vector(1));
      while (!versions.isAtEnd && !versions.isBroken) offersTls13 = versions.uint16() === TLS_1_3 || offersTls13;
    } else if (type === EXTENSION_PRE_SHARED_KEY) {
      pskIdentity = new Reader(extension.vector(2)).vector(2);
    } else if (type === EXTENSION_SESSION_TICKET) {
      ticket = content;
    }
  }
  if (reader.isBroken || extensions.isBroken) return undefined;
  return { sessionId, offersTls13, ticket, pskIdentity };
}

/** Reads on behind the end as zeros and empty vectors, and tells so afterwards. */
class Reader {
  isBroken = false;
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#bytes.length;
  }

  skip(length: number): Buffer {
    const start = this.#at;
    if (start + length > this.#bytes.length) {
      this.isBroken = true;
      this.#at = this.#bytes.length;
      return Buffer.alloc(0);
    }
    this.#at = start + length;
    return this.#bytes.subarray(start, this.#at);
  }

  uint16(): number {
    const bytes = this.skip(2);
    return bytes.length === 2 ? bytes.readUInt16BE(0) : 0;
  }

  /** Bytes behind their length, which takes `lengthBytes`. */
  vector(lengthBytes: 1 | 2): Buffer {
    const length = this.skip(lengthBytes);
    return this.skip(length.length === lengthBytes ? length.readUIntBE(0, lengthBytes) : 0);
  }
}
