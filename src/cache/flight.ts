/** What {@link Flights.join} answers. */
export interface Joined<T> {
  readonly result: Promise<T>;
  /** Whether the run was under way already, for somebody else. */
  readonly isCollapsed: boolean;
}

/**
 * One run per key in this process: who asks for a key while its run goes on gets the result of that run, good or bad.
 *
 * A run is over, and forgotten at once, when its promise has been rejected, or fulfilled with a value that is
 * complete. Where the value goes on after it is there, as a body that is still coming in does, `over` tells for how long.
 * A key lives as long as its run, so that there are never more keys than runs.
 */
export class Flights<T> {
  readonly #runs = new Map<string, Run<T>>();
  readonly #over: (value: T) => Promise<unknown> | undefined;

  /** `over`: the end of a run that has this value. Default: the run ends with its promise. It must not reject. */
  constructor(over: (value: T) => Promise<unknown> | undefined = () => undefined) {
    this.#over = over;
  }

  /** Whether a run of `key` is under way that can be joined as of `asOf`. */
  has(key: string, asOf: number = Number.NEGATIVE_INFINITY): boolean {
    return (this.#runs.get(key)?.door.closedAt ?? asOf) > asOf;
  }

  /**
   * The run of `key` that is under way, or a new one. What `start` throws, it rejects with.
   *
   * A run can be closed, by calling `close`, to those whose `asOf` (`performance.now`) is later: the first of them starts
   * a new run in its place. Default: nobody's is.
   */
  join(key: string, start: (close: () => void) => Promise<T>, asOf: number = Number.NEGATIVE_INFINITY): Joined<T> {
    const running = this.#runs.get(key);
    if (running !== undefined && running.door.closedAt > asOf) return { result: running.result, isCollapsed: true };
    const door = { closedAt: Number.POSITIVE_INFINITY };
    const close = () => {
      door.closedAt = performance.now();
    };
    const result = started(() => start(close));
    const run = { result, door };
    this.#runs.set(key, run);
    const forget = () => {
      if (this.#runs.get(key) === run) this.#runs.delete(key);
    };
    result.then((value) => {
      const over = this.#over(value);
      if (over === undefined) forget();
      else void over.finally(forget);
    }, forget);
    return { result, isCollapsed: false };
  }
}

interface Run<T> {
  readonly result: Promise<T>;
  /** `closedAt` is infinite as long as everybody can join. */
  readonly door: { readonly closedAt: number };
}

async function started<T>(start: () => Promise<T>): Promise<T> {
  return start();
}
