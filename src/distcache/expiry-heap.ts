/**
 * The rows of a table, the soonest to expire first, of two that expire together the one added earlier: a binary heap
 * whose rows know their place, so that any of them is taken out in logarithmic time. Invariant: `#places[#rows[i]] === i`,
 * and no row goes before its parent at `(i - 1) >> 1`.
 */
export class ExpiryHeap {
  readonly #rows: Int32Array;
  readonly #places: Int32Array;
  readonly #expiresAt: Float64Array;
  readonly #order: Float64Array;
  #size = 0;
  #added = 0;

  /** For rows from 0 to `maxRows - 1`. */
  constructor(maxRows: number) {
    this.#rows = new Int32Array(maxRows);
    this.#places = new Int32Array(maxRows);
    this.#expiresAt = new Float64Array(maxRows);
    this.#order = new Float64Array(maxRows);
  }

  get size(): number {
    return this.#size;
  }

  get first(): number | undefined {
    return this.#size > 0 ? this.#rows[0] : undefined;
  }

  /** Of a row that is in the heap. */
  expiresAt(row: number): number {
    return this.#expiresAt[row] ?? 0;
  }

  /** `row` is not in the heap. */
  add(row: number, expiresAt: number): void {
    this.#expiresAt[row] = expiresAt;
    this.#order[row] = this.#added++;
    this.#rise(row, this.#size++);
  }

  /** `row` is in the heap. */
  remove(row: number): void {
    const last = this.#rowAt(--this.#size);
    if (last === row) return;
    this.#sink(last, this.#placeOf(row));
    this.#rise(last, this.#placeOf(last));
  }

  #rise(row: number, from: number): void {
    let at = from;
    while (at > 0) {
      const parent = this.#rowAt((at - 1) >> 1);
      if (!this.#goesBefore(row, parent)) break;
      this.#put(parent, at);
      at = (at - 1) >> 1;
    }
    this.#put(row, at);
  }

  #sink(row: number, from: number): void {
    let at = from;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= this.#size) break;
      if (child + 1 < this.#size && this.#goesBefore(this.#rowAt(child + 1), this.#rowAt(child))) child++;
      if (!this.#goesBefore(this.#rowAt(child), row)) break;
      this.#put(this.#rowAt(child), at);
      at = child;
    }
    this.#put(row, at);
  }

  #put(row: number, at: number): void {
    this.#rows[at] = row;
    this.#places[row] = at;
  }

  #rowAt(place: number): number {
    return this.#rows[place] ?? 0;
  }

  #placeOf(row: number): number {
    return this.#places[row] ?? 0;
  }

  #goesBefore(one: number, other: number): boolean {
    const [expiresAt, otherExpiresAt] = [this.expiresAt(one), this.expiresAt(other)];
    if (expiresAt !== otherExpiresAt) return expiresAt < otherExpiresAt;
    return (this.#order[one] ?? 0) < (this.#order[other] ?? 0);
  }
}
