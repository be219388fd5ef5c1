import { FRAME_HEADER_BYTES, MAX_FRAME_DATA_BYTES } from './wire.js';

/** Cuts a stream into its frames, without a look at anything but their lengths. Holds one partial frame at most. */
export class FrameSplitter {
  #rest: Buffer = Buffer.alloc(0);
  #illegalLength: number | undefined;

  /** The frames that `chunk` completes. The bytes from an illegal frame on are not cut any more. */
  push(chunk: Buffer): Buffer[] {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const frames: Buffer[] = [];
    let at = 0;
    while (this.#illegalLength === undefined && bytes.length - at >= FRAME_HEADER_BYTES) {
      const dataLength = bytes.readUInt16BE(at + FRAME_HEADER_BYTES - 2);
      const end = at + FRAME_HEADER_BYTES + dataLength;
      if (dataLength > MAX_FRAME_DATA_BYTES) this.#illegalLength = dataLength;
      else if (end > bytes.length) break;
      else {
        frames.push(bytes.subarray(at, end));
        at = end;
      }
    }
    this.#rest = bytes.subarray(at);
    return frames;
  }

  /** `data_len` of the first frame that is longer than one can be. */
  get illegalLength(): number | undefined {
    return this.#illegalLength;
  }

  /** The bytes behind the last frame, which are forgotten here. */
  takeRest(): Buffer {
    const rest = this.#rest;
    this.#rest = Buffer.alloc(0);
    return rest;
  }
}
