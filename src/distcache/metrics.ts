/** What is counted, and what it means. Declared once: the names, the types and the text for Prometheus derive from it. */
export interface MetricDefinition {
  readonly type: 'counter' | 'gauge';
  readonly help: string;
}

export const SERVER_METRICS = {
  connections_total: { type: 'counter', help: 'Connections taken.' },
  connections: { type: 'gauge', help: 'Connections open.' },
  sessions: { type: 'gauge', help: 'Sessions kept; with memcached, all items of its servers.' },
  operations_total: { type: 'counter', help: 'Requests answered, whatever the answer.' },
  added_total: { type: 'counter', help: 'Sessions added.' },
  refused_total: {
    type: 'counter',
    help: 'ADDs refused: the id is taken or out of range, or the session was not kept.',
  },
  hits_total: { type: 'counter', help: 'GETs and HAVEs of a session that is there.' },
  misses_total: { type: 'counter', help: 'GETs, HAVEs and REMOVEs of a session that is not there.' },
  removed_total: { type: 'counter', help: 'Sessions removed by clients.' },
  failures_total: { type: 'counter', help: 'Requests answered negatively because the cache failed.' },
  faults_total: { type: 'counter', help: 'Connections closed because the peer sent what it must not.' },
} as const satisfies Record<string, MetricDefinition>;

export const PROXY_METRICS = {
  connections_total: { type: 'counter', help: 'Connections taken.' },
  connections: { type: 'gauge', help: 'Connections open.' },
  rejected_total: { type: 'counter', help: 'Connections closed at once because there were too many.' },
  forwarded_total: { type: 'counter', help: 'Requests sent to the server, each time they were.' },
  answered_total: { type: 'counter', help: 'Responses of the server handed to the client.' },
  disconnected_total: { type: 'counter', help: 'Requests answered here, because the server was away or got lost.' },
  timeouts_total: { type: 'counter', help: 'Times the server was given up because it did not answer.' },
  faults_total: {
    type: 'counter',
    help: 'Connections closed because the peer, client or server, sent what it must not.',
  },
  connects_total: { type: 'counter', help: 'Times a server was connected to.' },
} as const satisfies Record<string, MetricDefinition>;

export type Counts<Name extends string> = Record<Name, number>;

type CounterOf<Definitions extends Record<string, MetricDefinition>> = {
  [Name in keyof Definitions]: Definitions[Name]['type'] extends 'counter' ? Name : never;
}[keyof Definitions] &
  string;

export type ServerCounter = CounterOf<typeof SERVER_METRICS>;
export type ProxyCounter = CounterOf<typeof PROXY_METRICS>;

/** In the text format of Prometheus, each metric as `<prefix><name>`. */
export function metricsText<Name extends string>(
  prefix: string,
  definitions: Readonly<Record<Name, MetricDefinition>>,
  counts: Counts<Name>,
): string {
  let text = '';
  for (const name in definitions) {
    const { type, help } = definitions[name];
    text += `# HELP ${prefix}${name} ${help}\n# TYPE ${prefix}${name} ${type}\n${prefix}${name} ${counts[name]}\n`;
  }
  return text;
}
