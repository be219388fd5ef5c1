/** What an {@link ExpiryHeap} orders. */
export interface Expiring {
  readonly expiresAt: number;
  /** Of two that expire together the lower one goes first. */
  readonly order: number;
  /** The heap's own. */
  heapIndex: number;
}

/**
 * The soonest to expire first: a binary heap whose items know their place, so that any of them is taken out in
 * logarithmic time. Invariant: `#items[i].heapIndex === i`, and no item goes before its parent at `(i - 1) >> 1`.
 */
export class ExpiryHeap<Item extends Expiring> {
  readonly #items: Item[] = [];

  get first(): Item | undefined {
    return this.#items[0];
  }

  add(item: Item): void {
    this.#items.push(item);
    this.#rise(item, this.#items.length - 1);
  }

  /** Takes out an item that is in the heap. */
  remove(item: Item): void {
    const last = this.#items.pop();
    if (last === undefined || last === item) return;
    this.#sink(last, item.heapIndex);
    this.#rise(last, last.heapIndex);
  }

  clear(): void {
    this.#items.length = 0;
  }

  #rise(item: Item, from: number): void {
    let at = from;
    while (at > 0) {
      const parent = this.#items[(at - 1) >> 1];
      if (parent === undefined || !goesBefore(item, parent)) break;
      this.#put(parent, at);
      at = (at - 1) >> 1;
    }
    this.#put(item, at);
  }

  #sink(item: Item, from: number): void {
    let at = from;
    for (;;) {
      const left = this.#items[2 * at + 1];
      const right = this.#items[2 * at + 2];
      const child = left !== undefined && right !== undefined && goesBefore(right, left) ? right : left;
      if (child === undefined || !goesBefore(child, item)) break;
      const next = child === left ? 2 * at + 1 : 2 * at + 2;
      this.#put(child, at);
      at = next;
    }
    this.#put(item, at);
  }

  #put(item: Item, at: number): void {
    this.#items[at] = item;
    item.heapIndex = at;
  }
}

function goesBefore(one: Expiring, other: Expiring): boolean {
  return one.expiresAt < other.expiresAt || (one.expiresAt === other.expiresAt && one.order < other.order);
}
