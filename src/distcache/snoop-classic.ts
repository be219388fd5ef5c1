import type { Direction, Watcher } from './snoop.js';

/** Says what passes as dc_snoop did: a line for each frame, byte for byte. */
export class ClassicWatcher implements Watcher {
  readonly #prefix: string;
  readonly #write: (line: string) => void;

  constructor(connection: number, write: (line: string) => void) {
    this.#prefix = `SNOOP_DBG_MSG: connection ${connection}`;
    this.#write = write;
  }

  /** Nothing but the length of a frame is looked at. */
  bytes(): boolean {
    return true;
  }

  frame(direction: Direction, frame: Buffer): void {
    const uid = frame.readUInt32BE(5);
    this.#write(`${this.#prefix}, ${direction}, message completed (request_uid = ${uid}), total_len=${frame.length}`);
  }

  illegalFrame(direction: Direction, dataLength: number): void {
    this.#write(`${this.#prefix}, ${direction}, message has illegal 'data_len' (${dataLength})`);
    this.#write(`[TODO: change me] ${direction} error`);
  }

  closed(): void {}
}
