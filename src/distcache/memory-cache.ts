import { BlockMemory } from './block-memory.js';
import type { SessionCache } from './cache.js';
import { ExpiryHeap } from './expiry-heap.js';
import { IdTable } from './id-table.js';
import { MAX_PAYLOAD_BYTES } from './wire.js';

/** The C server's limits and default, in sessions. */
export const MIN_SESSIONS = 64;
export const MAX_SESSIONS = 60_000;
export const DEFAULT_SESSIONS = 512;

/** Enough for {@link MAX_SESSIONS} of the usual 2 KiB; of the largest ones they would be 2 GiB. */
export const DEFAULT_MAX_BYTES = 256 * 1024 * 1024;

/** A full cache throws out this part of its capacity at a time. */
const EVICTED_PART = 1 / 30;

/**
 * Sessions in the memory of this process, as the C server keeps them: so many of them, and when that is reached those that
 * expire soonest make room. The bytes that they take together are bounded as well.
 *
 * A session is a row: a number below `maxSessions` by which each part knows it. There is no object for it that garbage
 * collection would have to look at: with 50,000 sessions of objects that was a tenth of the server's time.
 */
export class MemoryCache implements SessionCache {
  readonly #maxSessions: number;
  /** Of each session the id and the data. */
  readonly #memory: BlockMemory;
  readonly #byId: IdTable;
  readonly #byExpiry: ExpiryHeap;
  /** Of each row: the first block in the memory, and the lengths of id and data. */
  readonly #blocks: Int32Array;
  readonly #idBytes: Uint8Array;
  readonly #dataBytes: Uint16Array;
  /** Rows without session, the last one to be taken first; and how many rows were taken at any time. */
  readonly #freeRows: number[] = [];
  #rows = 0;

  /**
   * Throws a RangeError when `maxSessions` is not {@link MIN_SESSIONS} to {@link MAX_SESSIONS}, or when `maxBytes` could not
   * hold the largest one.
   */
  constructor(maxSessions: number = DEFAULT_SESSIONS, maxBytes: number = DEFAULT_MAX_BYTES) {
    if (!(maxSessions >= MIN_SESSIONS && maxSessions <= MAX_SESSIONS)) {
      throw new RangeError(`a cache holds ${MIN_SESSIONS} to ${MAX_SESSIONS} sessions, not ${maxSessions}`);
    }
    if (!(maxBytes >= MAX_PAYLOAD_BYTES)) {
      throw new RangeError(`a cache has ${MAX_PAYLOAD_BYTES} bytes or more, not ${maxBytes}`);
    }
    this.#maxSessions = maxSessions;
    this.#memory = new BlockMemory(maxBytes);
    this.#byId = new IdTable(maxSessions, (row, id) => this.#isIdOf(row, id));
    this.#byExpiry = new ExpiryHeap(maxSessions);
    this.#blocks = new Int32Array(maxSessions);
    this.#idBytes = new Uint8Array(maxSessions);
    this.#dataBytes = new Uint16Array(maxSessions);
  }

  add(id: Buffer, data: Buffer, timeoutMs: number, now: number): boolean {
    if (this.#live(id, now) !== undefined) return false;
    // accepted, and gone at once
    if (timeoutMs === 0) return true;
    this.#makeRoom(id.length + data.length, now);
    const row = this.#freeRows.pop() ?? this.#rows++;
    this.#blocks[row] = this.#memory.write(id, data);
    this.#idBytes[row] = id.length;
    this.#dataBytes[row] = data.length;
    this.#byId.add(row, id);
    this.#byExpiry.add(row, Math.floor(now) + timeoutMs);
    return true;
  }

  get(id: Buffer, now: number): Buffer | undefined {
    const row = this.#live(id, now);
    return row === undefined ? undefined : this.#memory.read(this.#blockOf(row), id.length, this.#dataBytes[row] ?? 0);
  }

  remove(id: Buffer, now: number): boolean {
    const row = this.#live(id, now);
    if (row === undefined) return false;
    this.#drop(row);
    return true;
  }

  have(id: Buffer, now: number): boolean {
    return this.#live(id, now) !== undefined;
  }

  count(now: number): number {
    this.#dropExpired(now);
    return this.#byExpiry.size;
  }

  close(): void {
    this.#dropExpired(Number.POSITIVE_INFINITY);
  }

  #live(id: Buffer, now: number): number | undefined {
    const row = this.#byId.find(id);
    if (row === undefined || this.#byExpiry.expiresAt(row) >= now) return row;
    this.#drop(row);
    return undefined;
  }

  #dropExpired(now: number): void {
    for (let row = this.#byExpiry.first; row !== undefined; row = this.#byExpiry.first) {
      if (this.#byExpiry.expiresAt(row) >= now) break;
      this.#drop(row);
    }
  }

  #makeRoom(bytes: number, now: number): void {
    if (this.#hasRoom(bytes)) return;
    this.#dropExpired(now);
    const isFull = this.#byExpiry.size >= this.#maxSessions;
    const atLeast = isFull ? Math.max(1, Math.floor(this.#maxSessions * EVICTED_PART)) : 0;
    for (let dropped = 0; dropped < atLeast || !this.#hasRoom(bytes); dropped++) {
      const first = this.#byExpiry.first;
      if (first === undefined) return;
      this.#drop(first);
    }
  }

  #hasRoom(bytes: number): boolean {
    return this.#byExpiry.size < this.#maxSessions && this.#memory.fits(bytes);
  }

  #drop(row: number): void {
    this.#byId.remove(row);
    this.#byExpiry.remove(row);
    this.#memory.release(this.#blockOf(row));
    this.#freeRows.push(row);
  }

  #isIdOf(row: number, id: Uint8Array): boolean {
    return this.#idBytes[row] === id.length && this.#memory.beginsWith(this.#blockOf(row), id);
  }

  #blockOf(row: number): number {
    return this.#blocks[row] ?? 0;
  }
}
