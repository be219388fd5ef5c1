import { type Store, type StoreErrorCode, storeFailure } from '../store/store.js';
import { newSessionCounts, SESSION_METRICS, type SessionCounts } from './metrics.js';
import { type Fleet, fleetKey } from './options.js';

type Name = keyof SessionCounts;

const NAMES = Object.keys(SESSION_METRICS).filter(isName);

/** The counters that add up; of the others the largest value of the fleet is kept. */
const SUMS = NAMES.filter((name) => SESSION_METRICS[name].type === 'counter');
const MAXIMA = NAMES.filter((name) => SESSION_METRICS[name].type === 'gauge');

/** How old what the fleet knows may be. */
const FLUSH_MS = 5_000;

/** How often another process may be faster with a new maximum in one flush. */
const MAX_RACES = 4;

/** Failures of which it is sure that the store has not counted. After the others it may have: counted twice is worse. */
const NOT_SENT: ReadonlySet<StoreErrorCode> = new Set<StoreErrorCode>(['breaker-open', 'busy', 'closed']);

const DECIMAL = /^\d{1,20} *$/;

/** The counts of the session store, added up over all processes of the fleet by counters in the store. */
export class FleetCounters {
  readonly #fleet: Fleet;
  readonly #counts: SessionCounts;
  readonly #told: SessionCounts;
  readonly #timer: NodeJS.Timeout;
  #flushing: Promise<void> | undefined;

  /** Tells the fleet what `counts` has become, again and again until it is closed. */
  constructor(fleet: Fleet, counts: SessionCounts) {
    this.#fleet = fleet;
    this.#counts = counts;
    this.#told = { ...counts };
    this.#timer = setInterval(() => void this.flush(), FLUSH_MS).unref();
  }

  /** Tells the fleet now. Never rejects: what could not be told is told the next time. */
  async flush(): Promise<void> {
    this.#flushing ??= this.#flush().finally(() => {
      this.#flushing = undefined;
    });
    await this.#flushing;
  }

  /** Tells the fleet for the last time. Never rejects. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#flushing;
    await this.flush();
  }

  async #flush(): Promise<void> {
    const sums = SUMS.filter((name) => this.#counts[name] > this.#told[name]);
    const maxima = MAXIMA.filter((name) => this.#counts[name] > this.#told[name]);
    try {
      await Promise.all([...sums.map((name) => this.#add(name)), ...maxima.map((name) => this.#raise(name))]);
    } catch (error) {
      // nobody waits for it: it would end the process
      this.#fleet.log.warn({ err: error }, 'the counts of TLS sessions can not be told to the fleet, by a defect');
    }
  }

  async #add(name: Name): Promise<void> {
    const delta = this.#counts[name] - this.#told[name];
    this.#told[name] += delta;
    const { store, name: fleet } = this.#fleet;
    try {
      await store.increment(keyOf(fleet, name), BigInt(delta), { initial: BigInt(delta) });
    } catch (error) {
      if (NOT_SENT.has(storeFailure(error).code)) this.#told[name] -= delta;
    }
  }

  async #raise(name: Name): Promise<void> {
    const value = this.#counts[name];
    const { store, name: fleet } = this.#fleet;
    const key = keyOf(fleet, name);
    try {
      for (let race = 0; race < MAX_RACES; race++) {
        const item = await store.get(key);
        if (item !== null && numberIn(item.value) >= value) break;
        const condition = item === null ? { mode: 'add' as const } : { cas: item.cas };
        if ((await store.set(key, Buffer.from(String(value)), condition)) === 'stored') break;
      }
      this.#told[name] = value;
    } catch (error) {
      storeFailure(error);
    }
  }
}

/** What all processes of the fleet have told; 0 where nothing is known. Rejects as the store does. */
export async function fleetCounts(store: Store, fleet: string): Promise<SessionCounts> {
  const items = await store.getMany(NAMES.map((name) => keyOf(fleet, name)));
  const counts = newSessionCounts();
  for (const name of NAMES) counts[name] = numberIn(items.get(keyOf(fleet, name))?.value);
  return counts;
}

function keyOf(fleet: string, name: Name): string {
  return fleetKey(fleet, name);
}

function numberIn(value: Buffer | undefined): number {
  const text = value?.toString('latin1') ?? '';
  return DECIMAL.test(text) ? Number(text) : 0;
}

function isName(name: string): name is Name {
  return name in SESSION_METRICS;
}
