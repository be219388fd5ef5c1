import { randomInt } from 'node:crypto';

/** 32 bits of which all depend on all of an id. */
export type IdHash = (id: Uint8Array) => number;

const NONE = -1;

/**
 * The rows of a table by their binary ids: open addressing with linear probing. Invariant: a row lies in the first slot
 * from its place, `hash & mask`, that was free; between its place and its slot there is no free one.
 *
 * With tens of thousands of ids, of which some are removed and added again and again, a JavaScript `Map` would do badly: a
 * lookup walks past all that was removed from the same place since the map was last made anew (1.2 µs with 50,000 ids).
 */
export class IdTable {
  readonly #isIdOf: (row: number, id: Uint8Array) => boolean;
  readonly #hashOf: IdHash;
  readonly #slots: Int32Array;
  readonly #mask: number;
  readonly #hashes: Int32Array;

  /** For rows from 0 to `maxRows - 1`. `isIdOf` tells whether a row that was added has this id. */
  constructor(maxRows: number, isIdOf: (row: number, id: Uint8Array) => boolean, hashOf: IdHash = seededHash()) {
    this.#isIdOf = isIdOf;
    this.#hashOf = hashOf;
    // half of the slots stay free at least, so that rows lie near their places
    const slots = 2 ** Math.ceil(Math.log2(2 * maxRows));
    this.#slots = new Int32Array(slots).fill(NONE);
    this.#mask = slots - 1;
    this.#hashes = new Int32Array(maxRows);
  }

  /** The row with this id, or `undefined`. */
  find(id: Uint8Array): number | undefined {
    const hash = this.#hashOf(id) | 0;
    for (let slot = hash & this.#mask; ; slot = (slot + 1) & this.#mask) {
      const row = this.#rowIn(slot);
      if (row === NONE) return undefined;
      if (this.#hashes[row] === hash && this.#isIdOf(row, id)) return row;
    }
  }

  /** `row` is free, and no other one has this id. */
  add(row: number, id: Uint8Array): void {
    const hash = this.#hashOf(id) | 0;
    let slot = hash & this.#mask;
    while (this.#rowIn(slot) !== NONE) slot = (slot + 1) & this.#mask;
    this.#slots[slot] = row;
    this.#hashes[row] = hash;
  }

  /** `row` was added. */
  remove(row: number): void {
    let free = this.#placeOf(row);
    while (this.#rowIn(free) !== row) free = (free + 1) & this.#mask;
    for (let slot = (free + 1) & this.#mask; this.#rowIn(slot) !== NONE; slot = (slot + 1) & this.#mask) {
      const other = this.#rowIn(slot);
      // it stays where it is when its place lies behind the free slot
      if (this.#distance(this.#placeOf(other), slot) < this.#distance(free, slot)) continue;
      this.#slots[free] = other;
      free = slot;
    }
    this.#slots[free] = NONE;
  }

  #rowIn(slot: number): number {
    return this.#slots[slot] ?? NONE;
  }

  #placeOf(row: number): number {
    return (this.#hashes[row] ?? 0) & this.#mask;
  }

  #distance(from: number, to: number): number {
    return (to - from) & this.#mask;
  }
}

/** MurmurHash3's mixing, from a random start: clients choose the ids, and are not to choose where they lie. */
function seededHash(): IdHash {
  const seed = randomInt(2 ** 32);
  return (id) => {
    let hash = seed ^ id.length;
    for (let at = 0; at < id.length; at++) {
      hash = Math.imul(hash ^ (id[at] ?? 0), 0x5bd1e995);
      hash ^= hash >>> 15;
    }
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    return hash ^ (hash >>> 16);
  };
}
