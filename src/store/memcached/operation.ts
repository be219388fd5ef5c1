import type { Item, SetMode, SetResult, StoreError, Value } from '../store.js';

/**
 * One operation on its way to a server: what it asks, who waits for the answer, and until when.
 *
 * A slot keeps its place in the order of replies until its reply has come or its connection is gone, even when nobody
 * waits any more: a late reply must find its own slot, or it would answer somebody else.
 *
 * Gets of one key share a command: the slot that is sent leads, the others follow it and are settled with it.
 */
export class Slot<Kind extends string, Request, Answer> {
  readonly kind: Kind;
  /** A store key, checked. Empty for the kinds that concern no item. */
  readonly key: string;
  readonly request: Request;
  /** When the caller stops waiting, on the clock of `performance.now()`; infinite until {@link stamp}ed. */
  deadline: number;
  /** What the server is asked to echo beside the key: see `meta.ts`. */
  opaque = 0;
  /** Whether it was sent already, over a connection that broke. */
  retried = false;
  /** Whether the reply, should it still come, comes after a deadline here. */
  late = false;
  /** How many operations stand here: this one and those that follow. */
  operations = 1;
  /** What they count for in the limit of bytes in flight. */
  bytes: number;
  #follower: Slot<Kind, Request, Answer> | undefined;
  #settled = false;
  readonly #resolve: (answer: Answer) => void;
  readonly #reject: (error: StoreError) => void;

  constructor(
    kind: Kind,
    key: string,
    request: Request,
    resolve: (answer: Answer) => void,
    reject: (error: StoreError) => void,
    bytes = key.length,
    deadline = Number.POSITIVE_INFINITY,
  ) {
    this.kind = kind;
    this.key = key;
    this.request = request;
    this.bytes = bytes;
    this.deadline = deadline;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  /** Lets `slot`, and what follows it, be settled with this one. */
  lead(slot: Slot<Kind, Request, Answer>): void {
    let last = slot;
    while (last.#follower !== undefined) last = last.#follower;
    last.#follower = this.#follower;
    this.#follower = slot;
    this.operations += slot.operations;
    this.bytes += slot.bytes;
  }

  /** Hands the answer to all who still wait. */
  answer(answer: Answer): void {
    for (let slot: Slot<Kind, Request, Answer> | undefined = this; slot !== undefined; slot = slot.#follower) {
      if (slot.#settled) continue;
      slot.#settled = true;
      slot.#resolve(answer);
    }
  }

  /** Fails all who still wait. */
  fail(error: StoreError): void {
    for (let slot: Slot<Kind, Request, Answer> | undefined = this; slot !== undefined; slot = slot.#follower) {
      if (slot.#settled) continue;
      slot.#settled = true;
      slot.#reject(error);
    }
  }

  /** Fails those whose deadline has passed at `now`; whether there were any. */
  expire(now: number, error: StoreError): boolean {
    let expired = false;
    for (let slot: Slot<Kind, Request, Answer> | undefined = this; slot !== undefined; slot = slot.#follower) {
      if (slot.#settled || slot.deadline > now) continue;
      slot.#settled = true;
      expired = true;
      slot.#reject(error);
    }
    this.late ||= expired;
    return expired;
  }

  /** Gives every operation here that has no deadline yet this one. */
  stamp(deadline: number): void {
    for (let slot: Slot<Kind, Request, Answer> | undefined = this; slot !== undefined; slot = slot.#follower) {
      if (slot.deadline === Number.POSITIVE_INFINITY) slot.deadline = deadline;
    }
  }

  /** Whether anybody still waits. */
  get waiting(): boolean {
    for (let slot: Slot<Kind, Request, Answer> | undefined = this; slot !== undefined; slot = slot.#follower) {
      if (!slot.#settled) return true;
    }
    return false;
  }
}

/** What a set writes, and when. */
export interface Write {
  readonly value: Value;
  readonly valueBytes: number;
  readonly mode: SetMode;
  readonly flags: number;
  readonly ttlSeconds: number;
  readonly cas: string | undefined;
}

/** What an increment does to a counter that is there, and to one that is not. */
export interface Count {
  /** Negative to subtract. */
  readonly delta: bigint;
  readonly initial: bigint | undefined;
  readonly ttlSeconds: number;
}

export type GetSlot = Slot<'get', undefined, Item | null>;
export type SetSlot = Slot<'set', Write, SetResult>;
type DeleteSlot = Slot<'delete', { readonly cas: string | undefined }, boolean>;
type TouchSlot = Slot<'touch', { readonly ttlSeconds: number }, boolean>;
export type IncrementSlot = Slot<'increment', Count, bigint | null>;
type StatsSlot = Slot<'stats', undefined, ReadonlyMap<string, string>>;

/** What a {@link Dialect} can say. */
export type Operation = GetSlot | SetSlot | DeleteSlot | TouchSlot | IncrementSlot | StatsSlot;
