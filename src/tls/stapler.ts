import { LRUCache } from 'lru-cache';
import { StoreError } from '../store/store.js';
import { TRY_LATER } from './ocsp.js';
import type { Fleet } from './options.js';
import { certificatesIn } from './pem.js';
import { type StapleCounts, StapleReport } from './staple-metrics.js';
import { type Acquired, type Staple, StapleSupply } from './staple-supply.js';
import { BACK_OFF_SECONDS, type Clock, refreshDelay, retryDelay, SYSTEM_CLOCK } from './staple-times.js';
import {
  fingerprintOf,
  OBSTACLES,
  readStapled,
  type Sources,
  type StapledCertificate,
  type UnstapledCertificate,
} from './stapled-certificate.js';
import { type Generation, Staples } from './staples.js';
import { Turnstile } from './turnstile.js';

export interface StaplerOptions {
  /** An `http:` URL to ask in place of those in the certificates. */
  readonly responder?: string | undefined;
  /** Of one question to a responder, all of it. Default {@link DEFAULT_TIMEOUT_MS}, at most {@link MAX_TIMEOUT_MS}. */
  readonly timeoutMs?: number | undefined;
  /**
   * For how long a handshake waits for the first staple of a certificate, while that is on its way. Default
   * {@link DEFAULT_WAIT_MS}, which is what the store needs; 0 = not at all.
   */
  readonly waitMs?: number | undefined;
  /** Staple "try later" when there is nothing else. Default `false`: no staple at all. */
  readonly tryLater?: boolean | undefined;
  /** Certificates (PEM) of issuers, for contexts that hold the leaf only. */
  readonly issuers?: string | Uint8Array | undefined;
  /** Default {@link SYSTEM_CLOCK}. */
  readonly clock?: Clock | undefined;
}

export const DEFAULT_TIMEOUT_MS = 10_000;
export const MAX_TIMEOUT_MS = 30_000;
export const DEFAULT_WAIT_MS = 50;

/** A handshake that waits longer is one that clients give up. */
const MAX_WAIT_MS = 5_000;

/** How often what is due is looked for, and whether the staples of the fleet were cleared or are to be refreshed. */
const CHECK_MS = 10_000;

/** Some 10 KiB each. The staples of those that are dropped come back out of the store. */
const MAX_CERTIFICATES = 4096;

/** What responders and memcached see of one process at a time, also when everything is due at once. */
const ACQUISITIONS_AT_ONCE = 8;

/** A certificate that no client has asked for has been replaced: it is not kept up any longer. */
const IDLE_MS = 7 * 24 * 60 * 60 * 1000;

/** The operator hears of a must-staple certificate without a staple this often, however many clients do. */
const ALARM_MS = 60_000;

/** What is known of one certificate in this process. Times are monotonic. */
interface Entry {
  readonly certificate: StapledCertificate;
  staple: Staple | undefined;
  /** Being acquired now; settles, and never rejects. */
  acquiring: Promise<void> | undefined;
  /** Whether an acquisition has ended, or none will come: from then on handshakes wait for none. */
  isSettled: boolean;
  dueMs: number;
  askedMs: number;
}

/** Hands a handshake its staple, or `null`. */
export type Done = (error: null, staple: Buffer | null) => void;

/**
 * The OCSP staples of one process: in its memory, shared with the fleet through the store, fetched by one process for all
 * and refreshed in the background at half-life. A handshake gets what lies in memory and was verified before. It waits,
 * `waitMs` at most, only while the very first staple of its certificate is on its way.
 *
 * What was verified is served until its `nextUpdate`, whatever happens to the store, to the responder or by an order to
 * clear, unless a newer response takes its place: `good`, or `revoked`, which ends it.
 */
export class Stapler {
  readonly #entries = new LRUCache<string, Entry | UnstapledCertificate>({ max: MAX_CERTIFICATES });
  readonly #alarms = new LRUCache<string, number>({ max: MAX_CERTIFICATES });
  readonly #turnstile = new Turnstile(ACQUISITIONS_AT_ONCE);
  readonly #closing = new AbortController();
  readonly #report: StapleReport;
  readonly #staples: Staples;
  readonly #supply: StapleSupply;
  readonly #sources: Sources;
  readonly #clock: Clock;
  readonly #waitMs: number;
  readonly #lastResort: Buffer | null;
  #generation: Generation | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** Throws a RangeError when the options can not be used. */
  constructor(fleet: Pick<Fleet, 'name' | 'store' | 'log'>, options: StaplerOptions = {}) {
    const { responder, timeoutMs = DEFAULT_TIMEOUT_MS, waitMs = DEFAULT_WAIT_MS, clock = SYSTEM_CLOCK } = options;
    if (responder !== undefined) checkResponder(responder);
    checkMs('timeoutMs', timeoutMs, 1, MAX_TIMEOUT_MS);
    checkMs('waitMs', waitMs, 0, MAX_WAIT_MS);
    this.#report = new StapleReport(fleet);
    this.#staples = new Staples(fleet);
    this.#sources = { responder, issuers: certificatesIn(options.issuers ?? '') };
    this.#clock = clock;
    this.#waitMs = waitMs;
    this.#lastResort = options.tryLater === true ? TRY_LATER : null;
    const { signal } = this.#closing;
    this.#supply = new StapleSupply({ staples: this.#staples, report: this.#report, clock, timeoutMs, signal });
  }

  /** What has happened so far in this process. */
  get counts(): Readonly<StapleCounts> {
    return this.#report.counts;
  }

  /** Answers one handshake, once: now, or after `waitMs` at most. Throws nothing. */
  staple(certificate: Buffer, issuer: Buffer | null, done: Done): void {
    const entry = this.#entry(certificate, issuer);
    if ('obstacle' in entry) {
      this.#answer(entry, null, done);
      return;
    }
    entry.askedMs = this.#clock.monotonic();
    const ready = this.#ready(entry);
    if (ready === null && !entry.isSettled && this.#waitMs > 0) this.#answerLater(entry, done);
    else this.#answer(entry.certificate, ready, done);
  }

  /** Answers one handshake without a staple: which one would be right can not be told. Throws nothing. */
  decline(certificate: Buffer, issuer: Buffer | null, done: Done): void {
    const key = `declined ${fingerprintOf(certificate)}`;
    let declined = this.#entries.get(key);
    if (declined === undefined || !('obstacle' in declined)) {
      const { fingerprint, isMustStaple } = readStapled(certificate, issuer, this.#sources);
      declined = { fingerprint, isMustStaple, obstacle: 'several-certificates' };
      this.#enterUnstapled(key, declined);
    }
    this.#answer(declined, null, done);
  }

  /** Begins to get the staple of a certificate that clients are going to ask for. Both in DER. */
  prepare(certificate: Buffer, issuer: Buffer | null): void {
    this.#entry(certificate, issuer);
  }

  /**
   * What the timer does every 10 s: learns of orders to clear or to refresh, and acquires what is due. Resolves when that
   * has ended; never rejects.
   */
  async check(): Promise<void> {
    await this.#followOrders();
    const now = this.#clock.monotonic();
    const acquisitions: Promise<void>[] = [];
    for (const [fingerprint, entry] of this.#entries.entries()) {
      if ('obstacle' in entry) continue;
      const isOver = entry.certificate.notAfterMs < this.#clock.now() || now - entry.askedMs > IDLE_MS;
      if (isOver) this.#entries.delete(fingerprint);
      else if (now >= entry.dueMs) acquisitions.push(this.#acquire(entry));
    }
    await Promise.all(acquisitions);
  }

  /** Ends the timer and what is under way. From then on handshakes get what lies in memory. Idempotent. */
  close(): void {
    this.#closing.abort();
    clearInterval(this.#timer);
  }

  #entry(encoded: Buffer, issuer: Buffer | null): Entry | UnstapledCertificate {
    const known = this.#entries.get(fingerprintOf(encoded));
    // another context may hold the issuer that the first one lacked
    const isUsable = known !== undefined && !('obstacle' in known && known.obstacle === 'no-issuer' && issuer !== null);
    if (isUsable) return known;
    const read = readStapled(encoded, issuer, this.#sources);
    if ('obstacle' in read) {
      this.#enterUnstapled(read.fingerprint, read);
      return read;
    }
    const entry: Entry = {
      certificate: read,
      staple: undefined,
      acquiring: undefined,
      isSettled: this.#closing.signal.aborted,
      dueMs: Number.NEGATIVE_INFINITY,
      askedMs: this.#clock.monotonic(),
    };
    this.#entries.set(read.fingerprint, entry);
    if (entry.isSettled) return entry;
    this.#start();
    void this.#acquire(entry);
    return entry;
  }

  #start(): void {
    if (this.#timer !== undefined) return;
    this.#timer = setInterval(() => void this.check(), CHECK_MS).unref();
    // an order is a change: what is acquired from here on is of this generation, or of a later one
    void this.#followOrders();
  }

  #enterUnstapled(key: string, certificate: UnstapledCertificate): void {
    this.#entries.set(key, certificate);
    this.#report.announce('unstapled', certificate.fingerprint, certificate.obstacle);
  }

  #ready({ staple }: Entry): Buffer | null {
    const isServed = staple?.testimony.status === 'good' && this.#clock.now() < staple.testimony.nextUpdateMs;
    return isServed ? staple.response : null;
  }

  #answerLater(entry: Entry, done: Done): void {
    let isAnswered = false;
    const answer = () => {
      if (isAnswered) return;
      isAnswered = true;
      clearTimeout(timer);
      this.#answer(entry.certificate, this.#ready(entry), done);
    };
    const timer = setTimeout(answer, this.#waitMs);
    void entry.acquiring?.then(answer);
  }

  #answer(certificate: StapledCertificate | UnstapledCertificate, staple: Buffer | null, done: Done): void {
    this.#report.count(staple === null ? 'staples_missing_total' : 'staples_served_total');
    if (staple === null && certificate.isMustStaple) this.#alarm(certificate);
    done(null, staple ?? this.#lastResort);
  }

  #alarm(certificate: StapledCertificate | UnstapledCertificate): void {
    const { fingerprint } = certificate;
    this.#report.count('staples_must_staple_missing_total');
    const now = this.#clock.monotonic();
    const reason = 'obstacle' in certificate ? certificate.obstacle : 'absent';
    if (now - (this.#alarms.get(fingerprint) ?? Number.NEGATIVE_INFINITY) < ALARM_MS) return;
    this.#alarms.set(fingerprint, now);
    const why = 'obstacle' in certificate ? OBSTACLES[certificate.obstacle] : 'none could be had so far';
    this.#report.tell('warn', 'missing', fingerprint, reason, `clients will refuse a must-staple certificate: ${why}`);
  }

  #acquire(entry: Entry): Promise<void> {
    entry.acquiring ??= this.#turnstile
      .run(() => this.#supply.acquire(entry.certificate))
      .then(
        (acquired) => this.#settle(entry, acquired),
        (error: unknown) => {
          // nothing may escape from here, and a handshake can do without
          const reason = error instanceof Error ? error.message : 'unknown';
          this.#settle(entry, { staple: undefined, outcome: reason, retrySeconds: BACK_OFF_SECONDS });
        },
      );
    return entry.acquiring;
  }

  #settle(entry: Entry, { staple, outcome, retrySeconds }: Acquired): void {
    const isNews = staple !== undefined && isNewer(staple, entry.staple);
    if (isNews) entry.staple = staple;
    entry.acquiring = undefined;
    entry.isSettled = true;
    if (this.#closing.signal.aborted) return;
    entry.dueMs = this.#clock.monotonic() + this.#delayAfter(entry, retrySeconds);
    const { fingerprint } = entry.certificate;
    if (retrySeconds !== undefined) {
      this.#report.tell('warn', 'failed', fingerprint, outcome, 'no newer OCSP staple could be had');
    }
    if (!isNews) return;
    if (staple.testimony.status === 'good') {
      this.#report.tell('info', 'acquired', fingerprint, outcome, 'new OCSP staple');
    } else {
      this.#report.count('staples_revoked_total');
      this.#report.tell('warn', 'revoked', fingerprint, outcome, 'the certificate is revoked');
    }
  }

  #delayAfter({ staple }: Entry, retrySeconds: number | undefined): number {
    const random = Math.random();
    return retrySeconds !== undefined || staple === undefined
      ? retryDelay(retrySeconds ?? BACK_OFF_SECONDS, random)
      : refreshDelay(staple.testimony, this.#clock.now(), random);
  }

  /** A new generation makes everything due. A store that does not answer gives no order. */
  async #followOrders(): Promise<void> {
    try {
      const generation = await this.#staples.generation();
      const isOrder = this.#generation !== undefined && this.#generation !== generation;
      this.#generation = generation;
      if (!isOrder) return;
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      this.#report.count('staples_store_errors_total');
      return;
    }
    for (const entry of this.#entries.values()) {
      if (!('obstacle' in entry)) entry.dueMs = Number.NEGATIVE_INFINITY;
    }
  }
}

function isNewer({ testimony }: Staple, known: Staple | undefined): boolean {
  if (known === undefined || testimony.thisUpdateMs > known.testimony.thisUpdateMs) return true;
  const isSameTime = testimony.thisUpdateMs === known.testimony.thisUpdateMs;
  return isSameTime && testimony.status === 'revoked' && known.testimony.status === 'good';
}

function checkResponder(url: string): void {
  const isHttp = URL.canParse(url) && new URL(url).protocol === 'http:';
  if (!isHttp) throw new RangeError(`"${url}" is no http: URL of an OCSP responder`);
}

function checkMs(name: string, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  throw new RangeError(`${name} is ${value}: it is a whole number of milliseconds from ${least} to ${most}`);
}
