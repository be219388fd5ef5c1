import {
  FRAME_HEADER_BYTES,
  MAX_FRAME_DATA_BYTES,
  MAX_PAYLOAD_BYTES,
  type Message,
  type MessageKind,
  OPERATIONS,
  type Operation,
  PROTOCOL_VERSION,
} from './wire.js';

/** What is wrong with a stream, and what a log says of it. There is no way to read on after any of them. */
export const WIRE_FAULTS = {
  version: 'another protocol version, or no distcache at all',
  direction: 'a request where responses go, or a response where requests go',
  class: 'an unknown class of operation',
  operation: 'an unknown operation',
  complete: 'a frame that is neither complete nor incomplete',
  length: 'a frame longer than 2048 bytes, or an incomplete one that is shorter',
  'follow-up': 'a frame of another message in the middle of one',
  total: 'a message longer than 32768 bytes',
} as const;
export type WireFault = keyof typeof WIRE_FAULTS;

export class WireError extends Error {
  override readonly name = 'WireError';
  readonly fault: WireFault;

  constructor(fault: WireFault) {
    super(WIRE_FAULTS[fault]);
    this.fault = fault;
  }
}

/**
 * Makes messages of the bytes of a stream, however they are cut. Holds at most what was pushed and not yet read, and one
 * partial message. Each byte of a header is judged as soon as it is there.
 *
 * Messages are pulled, so that a reader which can not take more leaves the rest where it is: push a chunk, take messages
 * until there is none, and push the next.
 */
export class MessageDecoder {
  readonly #kind: MessageKind;
  /** Pushed and not yet read: what lies in `#chunk` from `#at` on. */
  #chunk: Buffer = NOTHING;
  #at = 0;
  /** The header of the frame being read, of which `#headerBytes` are there. */
  readonly #header = Buffer.alloc(FRAME_HEADER_BYTES);
  #headerBytes = 0;
  /** Whether frames of the same message came before this one. Then `#header` still has its uid and operation. */
  #isFollowUp = false;
  /** Bytes of the frame's data still to come. */
  #missing = 0;
  /** The message's data so far: the first `#gatheredBytes` of `#gathered`. */
  #gathered: Buffer = NOTHING;
  #gatheredBytes = 0;
  #error: WireError | undefined;

  constructor(kind: MessageKind) {
    this.#kind = kind;
  }

  /** Takes the next bytes of the stream. They must not be written to any more. */
  push(chunk: Buffer): void {
    this.#chunk = this.hasBytes ? Buffer.concat([this.#chunk.subarray(this.#at), chunk]) : chunk;
    this.#at = 0;
  }

  /** Whether there are bytes that `next` has not looked at. */
  get hasBytes(): boolean {
    return this.#at < this.#chunk.length;
  }

  /**
   * The next message, or `undefined` when it is not complete. Throws a {@link WireError}, from then on always. The payload
   * may share its memory with what was pushed.
   */
  next(): Message | undefined {
    if (this.#error !== undefined) throw this.#error;
    for (;;) {
      if (this.#headerBytes < FRAME_HEADER_BYTES && !this.#readHeader()) return undefined;
      const whole = this.#wholePayload();
      if (whole !== undefined) return this.#finish(whole);
      if (!this.#gather()) return undefined;
      if (this.#isLastFrame) return this.#finish(this.#gathered.subarray(0, this.#gatheredBytes));
      this.#headerBytes = 0;
      this.#isFollowUp = true;
    }
  }

  /** Reads on in the header; whether it is complete. */
  #readHeader(): boolean {
    while (this.#headerBytes < FRAME_HEADER_BYTES) {
      const byte = this.#chunk[this.#at];
      if (byte === undefined) return this.#letGo();
      const fault = this.#faultOf(this.#headerBytes, byte);
      if (fault !== undefined) return this.#fail(fault);
      this.#header[this.#headerBytes++] = byte;
      this.#at++;
    }
    this.#missing = this.#length;
    const total = this.#gatheredBytes + this.#missing;
    return total > MAX_PAYLOAD_BYTES ? this.#fail('total') : true;
  }

  /** What is wrong with `byte` as the header's byte at `index`, those before it being right. */
  #faultOf(index: number, byte: number): WireFault | undefined {
    switch (index) {
      case 0:
        return byte === PROTOCOL_VERSION >> 8 ? undefined : 'version';
      case 1:
        return byte === (PROTOCOL_VERSION & 0xff) ? undefined : 'version';
      case 4:
        return byte === (this.#kind === 'response' ? 1 : 0) ? undefined : 'direction';
      case 5:
      case 6:
      case 7:
      case 8:
        return this.#isFollowUp && byte !== this.#header[index] ? 'follow-up' : undefined;
      case 9:
        return byte === 0 ? undefined : 'class';
      case 10:
        if (OPERATIONS[byte] === undefined) return 'operation';
        return this.#isFollowUp && byte !== this.#header[index] ? 'follow-up' : undefined;
      case 11:
        return byte <= 1 ? undefined : 'complete';
      case 12:
        if (this.#isLastFrame) return byte <= MAX_FRAME_DATA_BYTES >> 8 ? undefined : 'length';
        return byte === MAX_FRAME_DATA_BYTES >> 8 ? undefined : 'length';
      case 13:
        return this.#header[12] === MAX_FRAME_DATA_BYTES >> 8 && byte !== 0 ? 'length' : undefined;
      default:
        return undefined;
    }
  }

  get #isLastFrame(): boolean {
    return this.#header[11] === 1;
  }

  get #length(): number {
    return this.#header.readUInt16BE(12);
  }

  get #operation(): Operation {
    return OPERATIONS[this.#header[10] ?? 0] ?? 'add';
  }

  get #uid(): number {
    return this.#header.readUInt32BE(5);
  }

  /** The payload of a message of one frame when all of it lies in the chunk: the common case, without a copy. */
  #wholePayload(): Buffer | undefined {
    if (this.#isFollowUp || !this.#isLastFrame || this.#gatheredBytes > 0) return undefined;
    const end = this.#at + this.#missing;
    if (end > this.#chunk.length) return undefined;
    const payload = this.#chunk.subarray(this.#at, end);
    this.#at = end;
    return payload;
  }

  /** Moves the frame's data out of the chunk; whether all of it is there. */
  #gather(): boolean {
    const taken = Math.min(this.#missing, this.#chunk.length - this.#at);
    if (taken > 0) {
      this.#makeRoom();
      this.#chunk.copy(this.#gathered, this.#gatheredBytes, this.#at, this.#at + taken);
      this.#gatheredBytes += taken;
      this.#missing -= taken;
      this.#at += taken;
    }
    return this.#missing === 0 || this.#letGo();
  }

  /** Room for the rest of the frame. A message that goes on gets twice as much each time, so that copies stay few. */
  #makeRoom(): void {
    const needed = this.#gatheredBytes + this.#missing;
    if (needed <= this.#gathered.length) return;
    const size = this.#isLastFrame ? needed : Math.min(2 * needed, MAX_PAYLOAD_BYTES);
    const larger = Buffer.allocUnsafeSlow(size);
    this.#gathered.copy(larger, 0, 0, this.#gatheredBytes);
    this.#gathered = larger;
  }

  #finish(payload: Buffer): Message {
    const message = { uid: this.#uid, operation: this.#operation, payload };
    this.#headerBytes = 0;
    this.#isFollowUp = false;
    this.#gathered = NOTHING;
    this.#gatheredBytes = 0;
    return message;
  }

  /** Nothing of the chunk is needed any more: an idle stream must not keep it alive. */
  #letGo(): false {
    this.#chunk = NOTHING;
    this.#at = 0;
    return false;
  }

  #fail(fault: WireFault): never {
    this.#letGo();
    this.#gathered = NOTHING;
    this.#error = new WireError(fault);
    throw this.#error;
  }
}

const NOTHING = Buffer.alloc(0);
