import { MAX_PAYLOAD_BYTES, type Message } from './wire.js';

/** What the payloads of messages hold. */

export const MAX_ID_BYTES = 64;

/** Seven days. */
export const MAX_TIMEOUT_MS = 604_800_000;

/** The timeout and the length of the id, in front of an ADD's id. */
export const ADD_HEADER_BYTES = 8;

/** The longest data that an ADD can carry, with an id of one byte. */
export const MAX_DATA_BYTES = MAX_PAYLOAD_BYTES - ADD_HEADER_BYTES - 1;

/**
 * Nothing tells data from a result code in the response to a GET: a payload shorter than this is a failure to every
 * client. A server keeps shorter data and gives it back, but no client can read it.
 */
export const MIN_READABLE_DATA_BYTES = 5;

/** The one-byte payloads of responses. From `addCorrupt` on they belong to ADD. */
export const RESULT = {
  ok: 0x00,
  notOk: 0x01,
  /** Said by dc_client in the server's place: the server is away, or was lost with the request in flight. */
  disconnected: 0x02,
  /** The id would be as long as all of the rest, or longer. */
  addCorrupt: 0x64,
  /** There is a session with this id; or it could not be kept. */
  addMatchingSession: 0x65,
  addTimeoutRange: 0x66,
  addIdRange: 0x67,
} as const;
export type ResultCode = (typeof RESULT)[keyof typeof RESULT];

/** The payload of an ADD. A RangeError tells what can not be said in one: an id or data of no legal size. */
export function addPayload(id: Uint8Array, data: Uint8Array, timeoutMs: number): Buffer {
  const size = ADD_HEADER_BYTES + id.length + data.length;
  if (id.length < 1 || id.length > MAX_ID_BYTES) throw new RangeError(`an id has 1 to ${MAX_ID_BYTES} bytes`);
  if (data.length < 1 || size > MAX_PAYLOAD_BYTES)
    throw new RangeError(`${data.length} bytes of data can not be added`);
  const payload = Buffer.allocUnsafe(size);
  payload.writeUInt32BE(timeoutMs, 0);
  payload.writeUInt32BE(id.length, 4);
  payload.set(id, ADD_HEADER_BYTES);
  payload.set(data, ADD_HEADER_BYTES + id.length);
  return payload;
}

/** What a request asks for. */
export type Request =
  | { readonly operation: 'add'; readonly id: Buffer; readonly data: Buffer; readonly timeoutMs: number }
  | { readonly operation: 'get' | 'remove' | 'have'; readonly id: Buffer };

/**
 * The request in `message`; or the result it is refused with; or `undefined` when it is not even one, and the connection
 * is to be closed. The checks of an ADD come in the order of the C server's. Ids of the other operations may have any
 * length: no session has such an id.
 */
export function readRequest({ operation, payload }: Message): Request | ResultCode | undefined {
  if (operation !== 'add') return { operation, id: payload };
  if (payload.length < ADD_HEADER_BYTES) return undefined;
  const timeoutMs = payload.readUInt32BE(0);
  if (timeoutMs > MAX_TIMEOUT_MS) return RESULT.addTimeoutRange;
  const idBytes = payload.readUInt32BE(4);
  if (idBytes >= payload.length - ADD_HEADER_BYTES) return RESULT.addCorrupt;
  if (idBytes < 1 || idBytes > MAX_ID_BYTES) return RESULT.addIdRange;
  const dataAt = ADD_HEADER_BYTES + idBytes;
  return { operation, timeoutMs, id: payload.subarray(ADD_HEADER_BYTES, dataAt), data: payload.subarray(dataAt) };
}

/** The payload that says `code`. */
export function resultPayload(code: ResultCode): Buffer {
  return Buffer.from([code]);
}
