/** What is counted, and what it means. Declared once: the names, the types and the text for Prometheus derive from it. */
export interface MetricDefinition {
  readonly type: 'counter' | 'gauge';
  readonly help: string;
}

export type Counts<Name extends string> = Record<Name, number>;

/** What is counted of the session store. These are added up over the fleet as well: see `FleetCounters`. */
export const SESSION_METRICS = {
  sessions_hits_total: { type: 'counter', help: 'Lookups that found a session which was then offered to OpenSSL.' },
  sessions_misses_total: { type: 'counter', help: 'Lookups that found nothing, or what was expired or cleared.' },
  sessions_stores_total: { type: 'counter', help: 'Sessions written to the store.' },
  sessions_deletes_total: {
    type: 'counter',
    help: 'Single-use sessions of TLS 1.3 that this process removed to use them.',
  },
  sessions_errors_total: {
    type: 'counter',
    help: 'Lookups and writes that the store did not answer in time, or refused.',
  },
  sessions_rejected_total: {
    type: 'counter',
    help: 'Values found that were not sealed by this fleet for this session: damaged, moved, forged, or of an unknown secret.',
  },
  sessions_exceeds_total: { type: 'counter', help: 'Sessions not written because they are too large.' },
  sessions_max_bytes: { type: 'gauge', help: 'The largest session seen, as OpenSSL writes it.' },
} as const satisfies Record<string, MetricDefinition>;

/** What is counted of tickets and their keys, in each process. */
export const TICKET_METRICS = {
  ticket_keys_local: {
    type: 'gauge',
    help: '1 while tickets are sealed with a key that the fleet has not agreed on: other servers can not resume them.',
  },
  ticket_keys_epoch: { type: 'gauge', help: 'Number of the period whose key seals tickets.' },
  ticket_keys_ring: { type: 'gauge', help: '1 when previous keys are accepted too, 0 when Node allows one key only.' },
  ticket_keys_errors_total: {
    type: 'counter',
    help: 'Attempts to agree on a key that the store kept from succeeding.',
  },
  ticket_keys_rejected_total: { type: 'counter', help: 'Keys in the store that were not sealed by this fleet.' },
  tickets_issued_total: { type: 'counter', help: 'Tickets sealed. Counted with a ring only.' },
  tickets_current_total: { type: 'counter', help: 'Tickets of the current key opened. Counted with a ring only.' },
  tickets_previous_total: {
    type: 'counter',
    help: 'Tickets of another key opened, an earlier one as a rule. With a ring only.',
  },
  tickets_unknown_total: {
    type: 'counter',
    help: 'Tickets of a key that is not, or no longer, known. With a ring only.',
  },
} as const satisfies Record<string, MetricDefinition>;

export type SessionCounts = Counts<keyof typeof SESSION_METRICS>;
export type TicketCounts = Counts<keyof typeof TICKET_METRICS>;

export function newSessionCounts(): SessionCounts {
  return {
    sessions_hits_total: 0,
    sessions_misses_total: 0,
    sessions_stores_total: 0,
    sessions_deletes_total: 0,
    sessions_errors_total: 0,
    sessions_rejected_total: 0,
    sessions_exceeds_total: 0,
    sessions_max_bytes: 0,
  };
}

export function newTicketCounts(): TicketCounts {
  return {
    ticket_keys_local: 0,
    ticket_keys_epoch: 0,
    ticket_keys_ring: 0,
    ticket_keys_errors_total: 0,
    ticket_keys_rejected_total: 0,
    tickets_issued_total: 0,
    tickets_current_total: 0,
    tickets_previous_total: 0,
    tickets_unknown_total: 0,
  };
}
