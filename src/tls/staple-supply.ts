import { setTimeout as delay } from 'node:timers/promises';
import { MAX_RELATIVE_TTL_SECONDS, StoreError } from '../store/store.js';
import { type Judgement, judge, type Testimony } from './ocsp-verify.js';
import { askResponder, ResponderError } from './responder.js';
import type { StapleReport } from './staple-metrics.js';
import { BACK_OFF_SECONDS, type Clock, isHalfOver } from './staple-times.js';
import { MAX_RESPONDERS, type StapledCertificate } from './stapled-certificate.js';
import type { Generation, Staples } from './staples.js';

/** A verified response. Only one whose testimony is `good` is ever stapled. */
export interface Staple {
  readonly response: Buffer;
  readonly testimony: Testimony;
}

/** What was to be had. */
export interface Acquired {
  /** The best there is, which may be one that is due for a newer one. */
  readonly staple: Staple | undefined;
  /** Where the staple is from, or why there is none, or none that is newer. */
  readonly outcome: string;
  /** When to try again after a failure; `undefined` when there was none. */
  readonly retrySeconds: number | undefined;
}

export interface SupplyOptions {
  readonly staples: Staples;
  readonly report: StapleReport;
  readonly clock: Clock;
  /** Of one question to one responder. */
  readonly timeoutMs: number;
  /** Ends all that is under way. */
  readonly signal: AbortSignal;
}

/** A fetch is looked after at first this often, then at half the pace each time, down to the other one. In ms. */
const FIRST_LOOK_MS = 25;
const LAST_LOOK_MS = 1000;

/** Much more than storing the outcome takes. */
const STORE_SECONDS = 2;

interface Shared extends Staple {
  readonly isRefreshed: boolean;
}

/**
 * Gets staples: out of the store, or from the responder if no other process of the fleet is at it. What comes back is
 * verified, wherever it is from.
 *
 * The lock lies in the store by `add` from before the fetch until the back-off is over, whatever came of the fetch: so
 * there is one fetch per certificate and back-off in the whole fleet. Whoever finds it waits until the fetch has ended and
 * reads the store. A store that does not answer, or a lock without the staple it speaks of, delays nobody: then the process
 * fetches for itself.
 */
export class StapleSupply {
  readonly #options: SupplyOptions;

  constructor(options: SupplyOptions) {
    this.#options = options;
  }

  /** Never rejects for what memcached, a responder or the network does. */
  async acquire(certificate: StapledCertificate): Promise<Acquired> {
    const { staples } = this.#options;
    const { fingerprint } = certificate;
    let generation: Generation | undefined;
    let shared: Shared | undefined;
    try {
      generation = await staples.generation();
      shared = await this.#read(certificate, generation);
      if (shared?.isRefreshed === true && !isHalfOver(shared.testimony, this.#now())) return this.#found(shared);
      if (!(await staples.lock(fingerprint, generation, this.#fetchSeconds()))) {
        const acquired = await this.#awaitOther(certificate, generation);
        if (acquired !== undefined) return acquired;
      }
    } catch (error) {
      if (this.#options.signal.aborted) return failed('closed', shared);
      this.#storeFailed(error);
    }
    return this.#fetch(certificate, generation, shared);
  }

  /** What comes of another process's fetch; `undefined` when nothing does that could be relied on. */
  async #awaitOther(certificate: StapledCertificate, generation: Generation): Promise<Acquired | undefined> {
    const { staples, clock, signal } = this.#options;
    const deadline = clock.monotonic() + this.#fetchSeconds() * 1000;
    let pause = FIRST_LOOK_MS;
    let lock = await staples.lockOn(certificate.fingerprint, generation);
    while (lock?.state === 'fetching' && clock.monotonic() < deadline) {
      await delay(pause, undefined, { signal, ref: false });
      pause = Math.min(pause * 2, LAST_LOOK_MS);
      lock = await staples.lockOn(certificate.fingerprint, generation);
    }
    const shared = await this.#read(certificate, generation);
    if (lock === undefined) return undefined;
    if (lock.state !== 'fetched') return failed(lock.state, shared, lock.seconds);
    return shared === undefined ? undefined : this.#found(shared);
  }

  #found(staple: Staple): Acquired {
    this.#options.report.count('staples_store_hits_total');
    return { staple, outcome: 'store', retrySeconds: undefined };
  }

  async #fetch(
    certificate: StapledCertificate,
    generation: Generation | undefined,
    shared: Shared | undefined,
  ): Promise<Acquired> {
    let failure = '';
    for (const url of certificate.responders) {
      const asked = await this.#ask(url, certificate);
      if ('testimony' in asked) {
        await this.#publish(certificate, generation, 'fetched', asked);
        return { staple: asked, outcome: 'responder', retrySeconds: undefined };
      }
      failure = asked.failure;
    }
    await this.#publish(certificate, generation, failure);
    return failed(failure, shared);
  }

  async #ask(url: string, certificate: StapledCertificate): Promise<Staple | { readonly failure: string }> {
    const { report, timeoutMs, signal } = this.#options;
    report.count('staples_fetches_total');
    try {
      const response = await askResponder(url, certificate.request, { timeoutMs, signal });
      const judgement = this.#judge(response, certificate);
      if (!('refusal' in judgement)) return { response, testimony: judgement };
      report.count('staples_fetch_failures_total');
      return { failure: judgement.refusal };
    } catch (error) {
      if (!(error instanceof ResponderError)) throw error;
      report.count('staples_fetch_failures_total');
      return { failure: error.code };
    }
  }

  async #read(certificate: StapledCertificate, generation: Generation): Promise<Shared | undefined> {
    const { staples } = this.#options;
    const item = await staples.read(certificate.fingerprint, generation);
    if (item === undefined) return undefined;
    const testimony = this.#judge(item.response, certificate);
    return 'refusal' in testimony ? undefined : { ...item, testimony };
  }

  #judge(response: Buffer, certificate: StapledCertificate): Judgement {
    const { report } = this.#options;
    const judgement = judge(response, certificate, this.#now());
    if ('refusal' in judgement) {
      report.count('staples_refused_total');
      report.announce('refused', certificate.fingerprint, judgement.refusal);
    }
    return judgement;
  }

  /** Tells the fleet what came of the fetch: the staple first, as the others look for it once they see the outcome. */
  async #publish(
    { fingerprint }: StapledCertificate,
    generation: Generation | undefined,
    outcome: string,
    staple?: Staple,
  ): Promise<void> {
    const { staples } = this.#options;
    if (generation === undefined || outcome === 'closed') return;
    try {
      if (staple !== undefined) await staples.write(fingerprint, generation, staple.response, this.#ttlOf(staple));
      await staples.leave(fingerprint, generation, outcome);
    } catch (error) {
      this.#storeFailed(error);
    }
  }

  /** For as long as it is good: one that ends within the skew, but before now, is kept as short as can be. */
  #ttlOf({ testimony: { nextUpdateMs } }: Staple): number {
    const seconds = Math.ceil((nextUpdateMs - this.#now()) / 1000);
    return Math.min(Math.max(seconds, 1), MAX_RELATIVE_TTL_SECONDS);
  }

  #storeFailed(error: unknown): void {
    if (!(error instanceof StoreError)) throw error;
    this.#options.report.count('staples_store_errors_total');
  }

  /** No fetch takes longer: every responder its time, and the store its own. */
  #fetchSeconds(): number {
    return Math.ceil((this.#options.timeoutMs * MAX_RESPONDERS) / 1000) + STORE_SECONDS;
  }

  #now(): number {
    return this.#options.clock.now();
  }
}

function failed(outcome: string, staple: Staple | undefined, retrySeconds: number = BACK_OFF_SECONDS): Acquired {
  return { staple, outcome, retrySeconds };
}
