import { setTimeout as delay } from 'node:timers/promises';
import type { Item, Store } from '../store/store.js';
import { type Failure, failureOf } from './failure.js';
import type { Generations } from './generations.js';
import { openItem } from './item.js';
import { internalKey } from './key.js';
import type { Authenticator } from './mac.js';
import { decodeMarker, encodeMarker, newToken } from './marker.js';
import type { Lease, Slot } from './slot.js';

/**
 * `held`: the fetch is ours, and `slot` is the one to store its response in. `taken`: another process is at it; should
 * it not come to an end, `slot` can be stored in nevertheless. `failed`: the store gives no answer.
 */
export type Leased =
  | { readonly kind: 'held' | 'taken'; readonly slot: Slot }
  | { readonly kind: 'failed'; readonly reason: Failure };

export interface LeasesOptions {
  readonly generations: Generations;
  readonly authenticator: Authenticator | undefined;
  /** How long a process may hold a lease without a sign of life. Default {@link DEFAULT_LEASE_SECONDS}. */
  readonly leaseSeconds?: number | undefined;
}

/** Longer than origins take to begin an answer. Whoever waits does not wait so long: see `awaitEntry`. */
export const DEFAULT_LEASE_SECONDS = 30;

/** Times between two looks at another process's lease, in milliseconds. */
const FIRST_POLL_MS = 5;
const MAX_POLL_MS = 50;

/**
 * The right to fetch a key, held by one process of the fleet. It is an item: under the base key itself when nothing of
 * use lies there, so that a purge removes it and the holder notices; else under a key of its own.
 */
export class Leases {
  readonly leaseSeconds: number;
  readonly #store: Store;
  readonly #options: LeasesOptions;

  constructor(store: Store, options: LeasesOptions) {
    this.#store = store;
    this.#options = options;
    this.leaseSeconds = options.leaseSeconds ?? DEFAULT_LEASE_SECONDS;
  }

  async take(slot: Slot): Promise<Leased> {
    const { under, base, place } = slot;
    switch (under.kind) {
      case 'lease':
        return { kind: 'taken', slot };
      case 'nothing':
        return this.#acquire(slot, base, { mode: 'add' });
      case 'unusable':
        return this.#acquire(slot, base, { cas: under.cas });
      case 'entry':
        return this.#acquireBeside(slot, under.cas);
      case 'index':
        return this.#acquireBeside(slot, under.seen.get(place));
    }
  }

  /** Lets others go on at once. A lease that is not ours any more is left alone. */
  async release({ lease }: Slot): Promise<void> {
    if (lease !== undefined) await this.#store.delete(lease.storeKey, { cas: lease.cas }).catch(failureOf);
  }

  /** Another process holds the lease of `slot` and gives no sign of life: nobody is to wait for it any longer. */
  async break({ lease, under, base }: Slot): Promise<void> {
    if (lease !== undefined || under.kind !== 'lease') return;
    await this.#store.delete(base, { cas: under.cas }).catch(failureOf);
  }

  /** A sign of life from a holder whose fetch takes long. */
  async renew({ lease }: Slot): Promise<void> {
    if (lease !== undefined) await this.#store.touch(lease.storeKey, this.leaseSeconds).catch(failureOf);
  }

  /** Waits until nobody holds the lease of `slot` any more, the store fails, or `waitMs` have passed. */
  async awaitEnd({ under, base, place }: Slot, waitMs: number): Promise<void> {
    const deadline = performance.now() + waitMs;
    const storeKey = under.kind === 'entry' || under.kind === 'index' ? leaseKey(place) : base;
    for (let pollMs = FIRST_POLL_MS; ; pollMs = Math.min(2 * pollMs, MAX_POLL_MS)) {
      const leftMs = deadline - performance.now();
      if (leftMs <= 0) return;
      await delay(Math.min(pollMs, leftMs));
      const item = await this.#store.get(storeKey).catch(failureOf);
      if (typeof item === 'string' || this.#tokenIn(storeKey, item) === undefined) return;
    }
  }

  /** The one who had the lease before may have just stored what we were about to fetch; then `seenCas` is no more. */
  async #acquireBeside(slot: Slot, seenCas: string | undefined): Promise<Leased> {
    const looking = this.#store.get(slot.place).catch(failureOf);
    const leased = await this.#acquire(slot, leaseKey(slot.place), { mode: 'add' });
    const item = await looking;
    if (leased.kind !== 'held' || typeof item === 'string' || item?.cas === seenCas) return leased;
    await this.release(leased.slot);
    return { kind: 'taken', slot };
  }

  /**
   * Writes a lease, and reads in the same flight what lies there then: the store does not say the `cas` of what it has
   * written. What the fetch will need of the counters is read along.
   */
  async #acquire(slot: Slot, storeKey: string, condition: { mode: 'add' } | { cas: string }): Promise<Leased> {
    const { generations, authenticator } = this.#options;
    const token = newToken();
    const value = encodeMarker(storeKey, { kind: 'lease', token, key: slot.key }, authenticator);
    const warming = generations.warm(slot.labels, slot.moment);
    try {
      const writing = this.#store.set(storeKey, value, { ...condition, ttlSeconds: this.leaseSeconds });
      const [result, read] = await Promise.all([writing, this.#store.get(storeKey)]);
      await warming;
      // A read may share its command with one that was issued before the write.
      const isRead = result !== 'stored' || this.#tokenIn(storeKey, read) === token;
      const item = isRead ? read : await this.#store.get(storeKey);
      const isOurs = result === 'stored' && this.#tokenIn(storeKey, item) === token;
      if (item === null) return { kind: 'taken', slot };
      if (isOurs) return { kind: 'held', slot: leasedSlot(slot, { storeKey, cas: item.cas }) };
      const isUnderBase = storeKey === slot.base && this.#tokenIn(storeKey, item) !== undefined;
      return { kind: 'taken', slot: isUnderBase ? { ...slot, under: { kind: 'lease', cas: item.cas } } : slot };
    } catch (error) {
      return { kind: 'failed', reason: failureOf(error) };
    }
  }

  /** Whose lease lies there; `undefined` when it is none. */
  #tokenIn(storeKey: string, item: Item | null): string | undefined {
    const opened = item === null ? undefined : openItem(storeKey, item.value, this.#options.authenticator);
    if (item === null || typeof opened !== 'object' || opened.kind !== 'lease') return undefined;
    const marker = decodeMarker('lease', item.value.toString('latin1', opened.restAt));
    return marker?.kind === 'lease' ? marker.token : undefined;
  }
}

function leasedSlot(slot: Slot, lease: Lease): Slot {
  const under = lease.storeKey === slot.base ? ({ kind: 'lease', cas: lease.cas } as const) : slot.under;
  return { ...slot, under, lease, begunMs: performance.now() };
}

/** The lease for what lies under `place` when something of use is there. */
function leaseKey(place: string): string {
  return internalKey('lease', place);
}
