/**
 * Random numbers that a seed determines, for tests that can be repeated: mulberry32, with a state of 32 bits. Not for
 * secrets.
 */
export class SeededRandom {
  #state: number;

  /** `seed`: 0 to 2^32 - 1. */
  constructor(seed: number) {
    this.#state = seed | 0;
  }

  /** 0 up to, and without, `limit`. */
  below(limit: number): number {
    return Math.floor((this.#next() / 0x1_0000_0000) * limit);
  }

  bytes(length: number): Buffer {
    const words = Buffer.allocUnsafe(Math.ceil(length / 4) * 4);
    for (let at = 0; at < words.length; at += 4) words.writeUInt32LE(this.#next(), at);
    return words.subarray(0, length);
  }

  #next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  }
}
