/** A session as it is kept, before it is sealed. */
export interface SessionEntry {
  /** Which of the fleet's generations it belongs to: see `Generation`. */
  readonly generation: bigint;
  /** Unix time in seconds. Checked when it is read: memcached may keep an item longer than it was told to. */
  readonly expiresAt: number;
  /** The DER of SSL_SESSION. */
  readonly data: Buffer;
}

/**
 * `binary`: a version, the generation and the expiry in 13 bytes, then the session as it is. `json`: `version`,
 * `generation`, and the `expires`, `data` (base64) and `data_len` of ProFTPD's mod_tls_memcache.
 */
export const ENCODINGS = ['binary', 'json'] as const;
export type Encoding = (typeof ENCODINGS)[number];

const VERSION = 1;
const HEADER_BYTES = 13;

/** `{`: no version of the binary encoding will have that number. */
const JSON_BEGIN = 0x7b;

export function encodeSession({ generation, expiresAt, data }: SessionEntry, encoding: Encoding): Buffer {
  if (encoding === 'json') {
    const fields = { version: VERSION, generation: String(generation), expires: expiresAt, data_len: data.length };
    return Buffer.from(JSON.stringify({ ...fields, data: data.toString('base64') }));
  }
  const header = Buffer.allocUnsafe(HEADER_BYTES);
  header.writeUInt8(VERSION, 0);
  header.writeBigUInt64BE(generation, 1);
  header.writeUInt32BE(expiresAt, 9);
  return Buffer.concat([header, data]);
}

/** The entry in `bytes`, in either encoding, so that a fleet can change it; `undefined` when there is none. */
export function decodeSession(bytes: Buffer): SessionEntry | undefined {
  if (bytes[0] === JSON_BEGIN) return decodeJson(bytes);
  if (bytes.length <= HEADER_BYTES || bytes.readUInt8(0) !== VERSION) return undefined;
  return {
    generation: bytes.readBigUInt64BE(1),
    expiresAt: bytes.readUInt32BE(9),
    data: bytes.subarray(HEADER_BYTES),
  };
}

const DECIMAL = /^\d{1,20}$/;

function decodeJson(bytes: Buffer): SessionEntry | undefined {
  const { version, generation, expires, data, data_len: length } = jsonFields(bytes);
  if (version !== VERSION || typeof generation !== 'string' || !DECIMAL.test(generation)) return undefined;
  if (typeof expires !== 'number' || !Number.isSafeInteger(expires) || typeof data !== 'string') return undefined;
  const decoded = Buffer.from(data, 'base64');
  if (decoded.length === 0 || decoded.length !== length) return undefined;
  return { generation: BigInt(generation), expiresAt: expires, data: decoded };
}

function jsonFields(bytes: Buffer): Partial<Record<string, unknown>> {
  try {
    const parsed: unknown = JSON.parse(bytes.toString('latin1'));
    return typeof parsed === 'object' && parsed !== null ? { ...parsed } : {};
  } catch {
    return {};
  }
}
