import type { SessionCache } from './cache.js';
import { type Expiring, ExpiryHeap } from './expiry-heap.js';
import { MAX_PAYLOAD_BYTES } from './wire.js';

/** The C server's limits and default, in sessions. */
export const MIN_SESSIONS = 64;
export const MAX_SESSIONS = 60_000;
export const DEFAULT_SESSIONS = 512;

/** Enough for {@link MAX_SESSIONS} of the usual 2 KiB; of the largest ones they would be 2 GiB. */
export const DEFAULT_MAX_BYTES = 256 * 1024 * 1024;

/** What a session takes besides id and data: measured 800 to 1100 bytes of a process on Node 20 (objects, map, allocation). */
export const SESSION_OVERHEAD_BYTES = 1024;

/** Room for the largest session. */
const MIN_MAX_BYTES = SESSION_OVERHEAD_BYTES + MAX_PAYLOAD_BYTES;

/** A full cache throws out this part of its capacity at a time. */
const EVICTED_PART = 1 / 30;

/**
 * Sessions in the memory of this process, as the C server keeps them: so many of them, and when that is reached those that
 * expire soonest make room. The bytes that they take together are bounded as well.
 */
export class MemoryCache implements SessionCache {
  readonly #maxSessions: number;
  readonly #maxBytes: number;
  #bytes = 0;
  readonly #sessions = new Map<string, Session>();
  readonly #byExpiry = new ExpiryHeap<Session>();
  #added = 0;

  /**
   * Throws a RangeError when `maxSessions` is not {@link MIN_SESSIONS} to {@link MAX_SESSIONS}, or when `maxBytes`, which
   * counts {@link SESSION_OVERHEAD_BYTES} for each of them, could not hold the largest one.
   */
  constructor(maxSessions: number = DEFAULT_SESSIONS, maxBytes: number = DEFAULT_MAX_BYTES) {
    if (!(maxSessions >= MIN_SESSIONS && maxSessions <= MAX_SESSIONS)) {
      throw new RangeError(`a cache holds ${MIN_SESSIONS} to ${MAX_SESSIONS} sessions, not ${maxSessions}`);
    }
    if (!(maxBytes >= MIN_MAX_BYTES))
      throw new RangeError(`${maxBytes} bytes are less than the ${MIN_MAX_BYTES} needed`);
    this.#maxSessions = maxSessions;
    this.#maxBytes = maxBytes;
  }

  add(id: Buffer, data: Buffer, timeoutMs: number, now: number): boolean {
    const key = id.toString('latin1');
    if (this.#live(key, now) !== undefined) return false;
    // accepted, and gone at once
    if (timeoutMs === 0) return true;
    this.#makeRoom(bytesOf(key, data), now);
    const session = {
      key,
      data: copyOf(data),
      expiresAt: Math.floor(now) + timeoutMs,
      order: this.#added++,
      heapIndex: 0,
    };
    this.#sessions.set(key, session);
    this.#byExpiry.add(session);
    this.#bytes += bytesOf(key, data);
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
    this.#bytes = 0;
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

  #makeRoom(bytes: number, now: number): void {
    if (this.#hasRoom(bytes)) return;
    this.#dropExpired(now);
    const isFull = this.#sessions.size >= this.#maxSessions;
    const atLeast = isFull ? Math.max(1, Math.floor(this.#maxSessions * EVICTED_PART)) : 0;
    for (let dropped = 0; dropped < atLeast || !this.#hasRoom(bytes); dropped++) {
      const first = this.#byExpiry.first;
      if (first === undefined) return;
      this.#drop(first);
    }
  }

  #hasRoom(bytes: number): boolean {
    return this.#sessions.size < this.#maxSessions && this.#bytes + bytes <= this.#maxBytes;
  }

  #drop(session: Session): void {
    this.#sessions.delete(session.key);
    this.#byExpiry.remove(session);
    this.#bytes -= bytesOf(session.key, session.data);
  }
}

function bytesOf(key: string, data: Buffer): number {
  return key.length + data.length + SESSION_OVERHEAD_BYTES;
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
