/** A key that seals session tickets, in the form that Node's `ticketKeys` has. */
export interface TicketKey {
  /** The number of the period in which it seals. It opens in the next one as well. */
  readonly epoch: number;
  /** 16 bytes that each ticket carries in clear. */
  readonly name: Buffer;
  readonly hmacKey: Buffer;
  readonly aesKey: Buffer;
  /** All three, one behind the other. */
  readonly bytes: Buffer;
}

export const TICKET_KEY_BYTES = 48;

const PART_BYTES = 16;

/** The key in 48 bytes, which are copied. */
export function ticketKey(epoch: number, bytes: Uint8Array): TicketKey {
  if (bytes.length !== TICKET_KEY_BYTES) throw new RangeError(`a ticket key has ${TICKET_KEY_BYTES} bytes`);
  const own = Buffer.from(bytes);
  return {
    epoch,
    name: own.subarray(0, PART_BYTES),
    hmacKey: own.subarray(PART_BYTES, 2 * PART_BYTES),
    aesKey: own.subarray(2 * PART_BYTES),
    bytes: own,
  };
}

/** Periods before and after the current one whose keys open tickets: after, for a server whose clock is fast. */
const REACH = 1;

/** Keys of one period: the fleet's, and those that it replaced. A store that gives ever new ones must not fill memory. */
const MAX_KEYS_PER_EPOCH = 8;

/**
 * The keys of a server by name. One of them seals; those of the periods around open as well.
 *
 * Several keys can belong to one period: the one that the fleet agreed on, and such as this server used before it knew.
 */
export class TicketRing {
  /** Newest first in each period: the first one is the one that seals. */
  readonly #keys = new Map<number, TicketKey[]>();
  #sealing: TicketKey;

  constructor(first: TicketKey) {
    this.#sealing = first;
    this.adopt(first);
  }

  /** The key that seals. */
  get sealing(): TicketKey {
    return this.#sealing;
  }

  /** Takes `key` for the one of its period. */
  adopt(key: TicketKey): void {
    const keys = this.of(key.epoch);
    const others = keys.filter(({ name }) => !name.equals(key.name));
    this.#keys.set(key.epoch, [key, ...others].slice(0, MAX_KEYS_PER_EPOCH));
    if (key.epoch === this.#sealing.epoch) this.#sealing = key;
  }

  /** Takes `key` as one that opens and does not seal. */
  accept(key: TicketKey): void {
    const keys = this.of(key.epoch);
    if (keys.some(({ name }) => name.equals(key.name))) return;
    this.#keys.set(key.epoch, [...keys, key].slice(0, MAX_KEYS_PER_EPOCH));
  }

  /** The keys of a period, the one that seals first. */
  of(epoch: number): readonly TicketKey[] {
    return this.#keys.get(epoch) ?? [];
  }

  /** From now on the key of `epoch` seals, which must be there; keys out of reach are forgotten. */
  turnTo(epoch: number): void {
    const [key] = this.of(epoch);
    if (key === undefined) throw new RangeError(`there is no ticket key for period ${epoch}`);
    this.#sealing = key;
    for (const known of this.#keys.keys()) if (Math.abs(known - epoch) > REACH) this.#keys.delete(known);
  }

  /** The key that a ticket names. */
  named(name: Buffer): TicketKey | undefined {
    if (name.equals(this.#sealing.name)) return this.#sealing;
    for (const keys of this.#keys.values()) {
      for (const key of keys) if (name.equals(key.name)) return key;
    }
    return undefined;
  }
}
