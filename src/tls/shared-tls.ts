import { constants } from 'node:crypto';
import type { TlsOptions } from 'node:tls';
import { FleetCounters } from './fleet-counters.js';
import { Generation } from './generation.js';
import { newSessionCounts, newTicketCounts, type SessionCounts, type TicketCounts } from './metrics.js';
import { type Fleet, type SharedTlsOptions, type SharedTlsSettings, sharedTlsSettings } from './options.js';
import { ringIsSupported } from './ring-probe.js';
import { type ClientPolicy, sessionIdContext } from './session-id-context.js';
import { Sessions } from './sessions.js';
import { TicketKeys } from './ticket-keys.js';

/** What a server must be made with: see {@link tlsOptions}. */
export type RequiredTlsOptions = Pick<TlsOptions, 'sessionIdContext' | 'secureOptions'>;

/** Those of the server's other options that matter here. */
export interface RelevantOptions extends ClientPolicy {
  readonly secureOptions?: number | undefined;
}

/**
 * What has to be among the options a `tls`, `https` or `http2` server is made with, and can not be set later. `https` are
 * its other options: those about client certificates take part in the session id context. Throws a RangeError when
 * `options` can not be used.
 *
 * @example
 * const server = https.createServer({ ...https, ...tlsOptions(options, https) });
 * attach(server, options);
 */
export function tlsOptions(options: SharedTlsOptions, https: TlsOptions | RelevantOptions = {}): RequiredTlsOptions {
  return requiredOptions(sharedTlsSettings(options), https);
}

function requiredOptions({ fleet, isStateful }: SharedTlsSettings, https: RelevantOptions): RequiredTlsOptions {
  const context = { sessionIdContext: sessionIdContext(fleet.name, https) };
  return isStateful ? { ...context, secureOptions: (https.secureOptions ?? 0) | constants.SSL_OP_NO_TICKET } : context;
}

/** What this process shares with its fleet, for any number of servers: the ticket keys, the sessions and the counters. */
export class SharedTls {
  readonly settings: SharedTlsSettings;
  readonly sessions: Sessions | undefined;
  readonly ticketKeys: TicketKeys | undefined;
  readonly ticketCounts: TicketCounts = newTicketCounts();
  readonly sessionCounts: SessionCounts = newSessionCounts();
  /**
   * Settles when the ticket keys were agreed on with the fleet, or could not be: within the store's deadline. A server may
   * listen before; what it negotiates until then may not be resumed elsewhere. Never rejects.
   */
  readonly ready: Promise<void>;
  /** Whether tickets of previous keys are opened in this Node. Settles with {@link ready}. */
  readonly hasRing: Promise<boolean>;
  readonly #counters: FleetCounters | undefined;
  readonly #keyListeners = new Set<() => void>();

  /** Throws a RangeError when the options can not be used. */
  constructor(options: SharedTlsOptions) {
    this.settings = sharedTlsSettings(options);
    const { fleet, ticketKeys, sessions } = this.settings;
    const { name, store } = fleet;
    if (sessions !== undefined) {
      const generation = new Generation(store, name);
      generation.refresh().catch(() => {});
      this.sessions = new Sessions(fleet, generation, this.sessionCounts, sessions);
      this.#counters = new FleetCounters(fleet, this.sessionCounts);
    }
    if (ticketKeys !== undefined) {
      const changed = () => {
        for (const listener of this.#keyListeners) listener();
      };
      this.ticketKeys = new TicketKeys(fleet, ticketKeys, this.ticketCounts, changed);
    }
    this.hasRing = this.ticketKeys === undefined ? Promise.resolve(false) : ringIsSupported();
    this.ready = this.#getReady();
  }

  get fleet(): Fleet {
    return this.settings.fleet;
  }

  /** See {@link tlsOptions}. */
  tlsOptions(https: TlsOptions | RelevantOptions = {}): RequiredTlsOptions {
    return requiredOptions(this.settings, https);
  }

  /** Calls `listener` whenever another key seals; returns how to end that. */
  onSealingKey(listener: () => void): () => void {
    this.#keyListeners.add(listener);
    return () => this.#keyListeners.delete(listener);
  }

  /** What was counted in this process. */
  counts(): SessionCounts & TicketCounts {
    return { ...this.sessionCounts, ...this.ticketCounts };
  }

  /** Tells the fleet what was counted, which it is told every few seconds anyway. Never rejects. */
  async flush(): Promise<void> {
    await this.#counters?.flush();
  }

  /** Tells the fleet the last counts and ends all timers. Servers go on with the keys they have. Never rejects. */
  async close(): Promise<void> {
    this.ticketKeys?.close();
    await this.#counters?.close();
  }

  async #getReady(): Promise<void> {
    const [hasRing] = await Promise.all([this.hasRing, this.ticketKeys?.ready]);
    this.ticketCounts.ticket_keys_ring = hasRing ? 1 : 0;
    if (this.ticketKeys !== undefined && !hasRing) {
      this.fleet.log.warn({}, 'this Node allows one ticket key only: each change of keys ends all sessions in tickets');
    }
  }
}
