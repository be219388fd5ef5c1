import type { SessionCache } from './cache.js';
import { type Expiring, ExpiryHeap } from './expiry-heap.js';

/** The C server's limits and default, in sessions. */
export const MIN_SESSIONS = 64;
export const MAX_SESSIONS = 60_000;
export const DEFAULT_SESSIONS = 512;

/** A full cache throws out this part of its capacity at a time. */
const EVICTED_PART = 1 / 30;

/**
 * Sessions in the memory of this process, as the C server keeps them: a number of sessions rather than of bytes (32 KiB
 * each at worst), and when that is reached those that expire soonest make room.
 */
export class MemoryCache implements SessionCache {
  readonly #maxSessions: number;
  readonly #sessions = new Map<string, Session>();
  readonly #byExpiry = new ExpiryHeap<Session>();
  #added = 0;

  /** Throws a RangeError when `maxSessions` is not {@link MIN_SESSIONS} to {@link MAX_SESSIONS}. */
  constructor(maxSessions: number = DEFAULT_SESSIONS) {
    if (!(maxSessions >= MIN_SESSIONS && maxSessions <= MAX_SESSIONS)) {
      throw new RangeError(`a cache holds ${MIN_SESSIONS} to ${MAX_SESSIONS} sessions, not ${maxSessions}`);
    }
    this.#maxSessions = maxSessions;
  }

  add(id: Buffer, data: Buffer, timeoutMs: number, now: number): boolean {
    const key = id.toString('latin1');
    if (this.#live(key, now) !== undefined) return false;
    // accepted, and gone at once
    if (timeoutMs === 0) return true;
    if (this.#sessions.size >= this.#maxSessions) this.#makeRoom(now);
    const session = {
      key,
      data: copyOf(data),
      expiresAt: Math.floor(now) + timeoutMs,
      order: this.#added++,
      heapIndex: 0,
    };
    this.#sessions.set(key, session);
    this.#byExpiry.add(session);
    return true;
  }

  get(id: Buffer, now: number): Buffer | undefined {
    return this.#live(id.toString('latin1'), now)?.data;
  }

  remove(id: Buffer, now: number): boolean {
    const session = this.#live(id.toString('latin1'), now);
    if (session === undefined) return false;
    this.#drop(session);
    return true;
  }

  have(id: Buffer, now: number): boolean {
    return this.#live(id.toString('latin1'), now) !== undefined;
  }

  count(now: number): number {
    this.#dropExpired(now);
    return this.#sessions.size;
  }

  close(): void {
    this.#sessions.clear();
    this.#byExpiry.clear();
  }

  #live(key: string, now: number): Session | undefined {
    const session = this.#sessions.get(key);
    if (session === undefined || session.expiresAt >= now) return session;
    this.#drop(session);
    return undefined;
  }

  #dropExpired(now: number): void {
    for (let first = this.#byExpiry.first; first !== undefined && first.expiresAt < now; first = this.#byExpiry.first) {
      this.#drop(first);
    }
  }

  #makeRoom(now: number): void {
    this.#dropExpired(now);
    if (this.#sessions.size < this.#maxSessions) return;
    for (let left = Math.max(1, Math.floor(this.#maxSessions * EVICTED_PART)); left > 0; left--) {
      const first = this.#byExpiry.first;
      if (first !== undefined) this.#drop(first);
    }
  }

  #drop(session: Session): void {
    this.#sessions.delete(session.key);
    this.#byExpiry.remove(session);
  }
}

interface Session extends Expiring {
  readonly key: string;
  readonly data: Buffer;
}

/** Not out of Buffer's shared slab: a small session must not keep 8 KiB of others' bytes alive. */
function copyOf(data: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(data.length);
  data.copy(copy);
  return copy;
}
