/** What may come at once or later. A cache in the memory of the process answers at once, and is the faster for it. */
export type Awaitable<T> = T | Promise<T>;

/**
 * Where a distcache server keeps its sessions (the C toolkit's `DC_CACHE_cb`). A session is up to 32 KiB of `data` under
 * an `id` of 1 to 64 bytes for a time; the server has checked what it passes.
 *
 * `id` and `data` share their memory with what came from the client: a cache copies what it keeps beyond the call and
 * its promise. Callers must not write to what `get` gives.
 *
 * `now` is the server's clock: milliseconds that never go back, from an arbitrary start.
 *
 * A cache must answer, and soon: a client waits for ever. What it throws or rejects with becomes a negative answer.
 */
export interface SessionCache {
  /** Keeps a session that is gone `timeoutMs` from now. `false`: there is one with this id, untouched; or no room. */
  add(id: Buffer, data: Buffer, timeoutMs: number, now: number): Awaitable<boolean>;
  get(id: Buffer, now: number): Awaitable<Buffer | undefined>;
  /** Whether there was a session to remove. */
  remove(id: Buffer, now: number): Awaitable<boolean>;
  have(id: Buffer, now: number): Awaitable<boolean>;
  /** How many sessions there are, for reports: asked once a second or less. */
  count(now: number): Awaitable<number>;
  /** Lets go of everything. */
  close(): Awaitable<void>;
}
