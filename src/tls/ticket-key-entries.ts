import { randomBytes } from 'node:crypto';
import type { Item } from '../store/store.js';
import type { Fleet } from './options.js';
import { TICKET_KEY_BYTES, type TicketKey, ticketKey } from './ticket-ring.js';

/** What the store has for a period. */
export interface FoundKey {
  /** The fleet's key. */
  readonly key: TicketKey | undefined;
  /** What servers use that have the secrets in another order, while these are being changed. */
  readonly others: readonly TicketKey[];
  /** What lies where the key belongs; when there is no `key`, it is not the fleet's. */
  readonly item: Item | undefined;
}

/** The fleet's ticket keys in the store, one for each period of `rotateSeconds`, sealed. All methods reject as the store does. */
export class TicketKeyEntries {
  readonly rotateSeconds: number;
  readonly #fleet: Fleet;

  constructor(fleet: Fleet, rotateSeconds: number) {
    this.#fleet = fleet;
    this.rotateSeconds = rotateSeconds;
  }

  /** The number of the period at `nowMs`, Unix time. */
  epochAt(nowMs: number): number {
    return Math.floor(nowMs / 1000 / this.rotateSeconds);
  }

  async find(epoch: number): Promise<FoundKey> {
    const name = this.#name(epoch);
    const places = this.#fleet.seal.storeKeys('ticket-key', name);
    const items = await this.#fleet.store.getMany(places);
    const item = items.get(places[0] ?? '');
    const keys = places.flatMap((place) => {
      const sealed = items.get(place)?.value;
      const bytes = sealed === undefined ? undefined : this.#fleet.seal.open('ticket-key', name, sealed);
      return bytes?.length === TICKET_KEY_BYTES ? [ticketKey(epoch, bytes)] : [];
    });
    const [key, ...others] = keys;
    return { key, others, item };
  }

  /** Writes `key` where `found` says that there is none of the fleet's; whether no other server was faster. */
  async offer(key: TicketKey, found: FoundKey): Promise<boolean> {
    const condition = found.item === undefined ? { mode: 'add' as const } : { cas: found.item.cas };
    return (await this.#write(key, condition)) === 'stored';
  }

  /** Gives the fleet a new key for the period at `nowMs`. The servers take it over within half a minute. */
  async rotate(nowMs: number): Promise<TicketKey> {
    const key = ticketKey(this.epochAt(nowMs), randomBytes(TICKET_KEY_BYTES));
    await this.#write(key, {});
    return key;
  }

  #write(key: TicketKey, condition: { mode?: 'add'; cas?: string }) {
    const { seal, store } = this.#fleet;
    const name = this.#name(key.epoch);
    const value = seal.seal('ticket-key', name, key.bytes);
    // it opens tickets for one period more than it seals them
    const ends = (key.epoch + 2) * this.rotateSeconds;
    const ttlSeconds = Math.max(1, Math.ceil(ends - Date.now() / 1000));
    return store.set(seal.storeKey('ticket-key', name), value, { ...condition, ttlSeconds });
  }

  #name(epoch: number): Buffer {
    return Buffer.from(`${this.rotateSeconds} ${epoch}`);
  }
}
