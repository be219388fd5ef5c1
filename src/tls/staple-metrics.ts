import { announce } from './diagnostics.js';
import type { Counts, MetricDefinition } from './metrics.js';
import type { Fleet } from './options.js';

export const STAPLE_METRICS = {
  staples_served_total: { type: 'counter', help: 'Handshakes that were given a staple.' },
  staples_missing_total: { type: 'counter', help: 'Handshakes whose client asked for a staple and was given none.' },
  staples_must_staple_missing_total: {
    type: 'counter',
    help: 'Those of staples_missing_total whose certificate tells the client to insist on a staple.',
  },
  staples_store_hits_total: { type: 'counter', help: 'Staples taken from the store.' },
  staples_store_errors_total: { type: 'counter', help: 'Times the store gave no answer about staples.' },
  staples_fetches_total: { type: 'counter', help: 'Requests to OCSP responders.' },
  staples_fetch_failures_total: { type: 'counter', help: 'Requests to OCSP responders that brought no valid answer.' },
  staples_refused_total: {
    type: 'counter',
    help: 'Responses of responders or of the store that prove nothing about the certificate.',
  },
  staples_revoked_total: { type: 'counter', help: 'Valid answers that the certificate is revoked.' },
} as const satisfies Record<string, MetricDefinition>;

export type StapleCounts = Counts<keyof typeof STAPLE_METRICS>;

function newStapleCounts(): StapleCounts {
  return {
    staples_served_total: 0,
    staples_missing_total: 0,
    staples_must_staple_missing_total: 0,
    staples_store_hits_total: 0,
    staples_store_errors_total: 0,
    staples_fetches_total: 0,
    staples_fetch_failures_total: 0,
    staples_refused_total: 0,
    staples_revoked_total: 0,
  };
}

/** What has happened to a certificate's staple, for the diagnostics channel and the log. */
export type StapleOutcome = 'acquired' | 'failed' | 'refused' | 'revoked' | 'missing' | 'unstapled';

/** What all that deals with the staples of one process has to tell. */
export class StapleReport {
  readonly counts: StapleCounts = newStapleCounts();
  readonly #fleet: Pick<Fleet, 'name' | 'log'>;

  constructor(fleet: Pick<Fleet, 'name' | 'log'>) {
    this.#fleet = fleet;
  }

  count(counter: keyof StapleCounts): void {
    this.counts[counter]++;
  }

  /** Tells those who listen on the channel, and nobody else. */
  announce(outcome: StapleOutcome, certificate: string, reason: string): void {
    announce({ subject: 'staple', outcome, fleet: this.#fleet.name, certificate, reason });
  }

  /** Tells the operator as well. */
  tell(level: 'info' | 'warn', outcome: StapleOutcome, certificate: string, reason: string, message: string): void {
    this.announce(outcome, certificate, reason);
    this.#fleet.log[level]({ certificate, reason }, message);
  }
}
