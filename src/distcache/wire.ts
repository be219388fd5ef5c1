/**
 * The distcache wire format, protocol version 0x11 (the distcache 1.5 line). A message is a request or a response; on
 * the wire it is one or more frames of a 14-byte header and at most 2048 bytes, all integers big-endian:
 *
 *     proto_level u32 | is_response u8 | request_uid u32 | op_class u8 | operation u8 | complete u8 | data_len u16 | data
 *
 * Every frame but the last is full and has `complete` 0. The frames of a message follow one another, and repeat its
 * uid, class and operation.
 */

/** High half of `proto_level`. The low half is a patch level: anything is accepted, 0 is sent. */
export const PROTOCOL_VERSION = 0x0011;

export const FRAME_HEADER_BYTES = 14;
export const MAX_FRAME_DATA_BYTES = 2048;
export const MAX_FRAME_BYTES = FRAME_HEADER_BYTES + MAX_FRAME_DATA_BYTES;

/** What a message may carry: 16 full frames. */
export const MAX_PAYLOAD_BYTES = 16 * MAX_FRAME_DATA_BYTES;

/** The operations; their place is their code on the wire. */
export const OPERATIONS = ['add', 'get', 'remove', 'have'] as const;
export type Operation = (typeof OPERATIONS)[number];

/** Which way a message goes. A stream carries requests one way, and responses the other. */
export type MessageKind = 'request' | 'response';

export interface Message {
  /** 32 bits of the requester's choosing, by which it pairs the response. Means nothing to the one who answers. */
  readonly uid: number;
  readonly operation: Operation;
  /** At most {@link MAX_PAYLOAD_BYTES}; see `payload.ts` for what it holds. */
  readonly payload: Buffer;
}

/** The whole message as it goes on the wire, under this `uid`. Throws a RangeError when the payload is above the limit. */
export function encodeMessage(kind: MessageKind, message: Message, uid: number = message.uid): Buffer {
  const { payload } = message;
  const size = payload.length;
  if (size > MAX_PAYLOAD_BYTES) throw new RangeError(`a payload of ${size} bytes is above ${MAX_PAYLOAD_BYTES}`);
  const frames = framesOf(size);
  const bytes = Buffer.allocUnsafe(wireBytesOf(size));
  let at = 0;
  let taken = 0;
  for (let frame = 1; frame <= frames; frame++) {
    const length = Math.min(size - taken, MAX_FRAME_DATA_BYTES);
    bytes.writeUInt32BE(PROTOCOL_VERSION << 16, at);
    bytes[at + 4] = kind === 'response' ? 1 : 0;
    bytes.writeUInt32BE(uid, at + 5);
    bytes[at + 9] = 0;
    bytes[at + 10] = CODES[message.operation];
    bytes[at + 11] = frame === frames ? 1 : 0;
    bytes.writeUInt16BE(length, at + 12);
    payload.copy(bytes, at + FRAME_HEADER_BYTES, taken, taken + length);
    taken += length;
    at += FRAME_HEADER_BYTES + length;
  }
  return bytes;
}

const CODES: Readonly<Record<Operation, number>> = { add: 0, get: 1, remove: 2, have: 3 };

function framesOf(payloadBytes: number): number {
  return Math.max(1, Math.ceil(payloadBytes / MAX_FRAME_DATA_BYTES));
}

/** What a message with this much payload takes on the wire. */
export function wireBytesOf(payloadBytes: number): number {
  return framesOf(payloadBytes) * FRAME_HEADER_BYTES + payloadBytes;
}

/** The payload's size of a message that takes `wireBytes` as {@link encodeMessage} makes it. */
export function payloadBytesOf(wireBytes: number): number {
  return wireBytes - FRAME_HEADER_BYTES * Math.ceil(wireBytes / MAX_FRAME_BYTES);
}

/**
 * Whether a message with this much payload breaks a peer of the C toolkit when it arrives in one burst. C takes a frame
 * for complete when up to 4 bytes are missing, and its fixed read buffers end just there for these sizes: those of
 * 4096 bytes (clients, dc_server), of 4176 (dc_client towards its clients) and of 16704 (dc_client towards the server).
 * With a pause between the frames such a message is read right.
 */
export function isTrapSize(payloadBytes: number): boolean {
  if (payloadBytes <= MAX_FRAME_DATA_BYTES) return false;
  const rest = payloadBytes % MAX_FRAME_DATA_BYTES;
  if (rest >= 2021 && rest <= 2024) return true;
  const fullFrames = Math.floor(payloadBytes / MAX_FRAME_DATA_BYTES);
  if (rest >= 39 && rest <= 42 && fullFrames % 2 === 0) return true;
  return payloadBytes >= 16579 && payloadBytes <= 16582;
}

/**
 * Request uids: 1, 2, 3 … round to 0 after 2^32 of them, without those that still wait for their response. (The C
 * tools' counter has 64 bits, and no response ever matches again once it is above 32.)
 */
export class UidSequence {
  #next: number;

  constructor(first = 1) {
    this.#next = first;
  }

  next(outstanding: { has(uid: number): boolean }): number {
    while (outstanding.has(this.#next)) this.#advance();
    const uid = this.#next;
    this.#advance();
    return uid;
  }

  #advance(): void {
    this.#next = (this.#next + 1) >>> 0;
  }
}
