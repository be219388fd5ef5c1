import type { Store } from '../store/store.js';
import { type TlsLog, WARNING_LOG } from './diagnostics.js';
import { Seal } from './seal.js';
import type { Secrets } from './secrets.js';
import { ENCODINGS, type Encoding } from './session-entry.js';
import type { SessionSettings } from './sessions.js';
import { TICKET_KEY_MODES, type TicketKeyMode } from './ticket-keys.js';

/** What every part of the TLS wing needs, equal on all servers of a fleet. */
export interface FleetOptions {
  /** Where sessions, ticket keys and staples are shared. The wing never closes it. */
  readonly store: Store;
  /** At least 32 bytes each: `[current, previous]`. */
  readonly secrets: Secrets;
  /**
   * Name of the fleet, 1 to 64 of `A-Z a-z 0-9 . _ -`: servers that may resume one another's sessions. Default `default`.
   */
  readonly fleet?: string | undefined;
  /** Default: warnings of the process. The diagnostics channel `lookaside.tls` tells more. */
  readonly log?: TlsLog | undefined;
}

/** {@link FleetOptions}, checked. */
export interface Fleet {
  readonly name: string;
  readonly store: Store;
  readonly seal: Seal;
  readonly log: TlsLog;
}

export const FLEET_NAME = /^[\w.-]{1,64}$/;

/** Throws a RangeError when the options can not be used. */
export function fleetOf(options: FleetOptions): Fleet {
  const { store, secrets, fleet: name = 'default', log = WARNING_LOG } = options;
  if (!FLEET_NAME.test(name)) throw new RangeError(`"${name}" is no name of a fleet: 1 to 64 of A-Z a-z 0-9 . _ -`);
  return { name, store, seal: new Seal(secrets, name), log };
}

/** The key of a plain item of the fleet, such as a counter: nothing that needs the seal. */
export function fleetKey(fleet: string, item: string): string {
  return `lookaside:tls:fleet:${fleet}:${item}`;
}

/** What a server shares with its fleet, and how. Equal on all servers of a fleet. */
export interface SharedTlsOptions extends FleetOptions {
  /**
   * Session tickets, of TLS 1.2 and 1.3: how the servers get the same keys, see {@link TicketKeyMode}; `false` leaves the
   * tickets of the server as they are. Default `shared`.
   */
  readonly ticketKeys?: TicketKeyMode | false | undefined;
  /**
   * Seconds for which a ticket key seals; it opens for as long again. Default {@link DEFAULT_ROTATE_SECONDS}. A client
   * with a ticket of the previous key is given a new one.
   */
  readonly rotateSeconds?: number | undefined;
  /** The session store, for clients of TLS 1.2 that take no tickets. Default: with the defaults below; `false`: none. */
  readonly sessions?: SessionOptions | false | undefined;
  /**
   * Keep the sessions of TLS 1.3 in the store as well, each good for one resumption, and issue no tickets at all: what a
   * client holds is then a random name. A store operation more for each handshake, and no resumption while the store is
   * away. The server must be made with `tlsOptions`. Default false.
   */
  readonly statefulTls13?: boolean | undefined;
  /**
   * Milliseconds a client may take for its ClientHello, 1 to 600,000; after that TLS gets the connection, with a deadline of
   * its own (`handshakeTimeout`). Default 10,000.
   */
  readonly helloTimeoutMs?: number | undefined;
}

export interface SessionOptions {
  /** Default `binary`. */
  readonly encoding?: Encoding | undefined;
  /** Seconds a session is kept, 1 or more; never longer than OpenSSL's `sessionTimeout`. Default 1800. */
  readonly timeoutSeconds?: number | undefined;
  /**
   * `false` keeps sessions in clear, for programs that are to read them: whoever can read memcached can then decrypt what
   * was recorded of these connections, and whoever can write to it can plant sessions. Default true.
   */
  readonly sealed?: boolean | undefined;
  /** Milliseconds a handshake may be held up by a lookup, and again by a write. Default 50. */
  readonly timeoutMs?: number | undefined;
}

/** What OpenSSL gives a session to live: no ticket then outlives its key. */
export const DEFAULT_ROTATE_SECONDS = 7200;

/** A client has nothing to think about before it says hello. */
const DEFAULT_HELLO_TIMEOUT_MS = 10_000;
const MAX_HELLO_TIMEOUT_MS = 600_000;

/** As mod_tls_memcache. */
const DEFAULT_TIMEOUT_SECONDS = 1800;

const DEFAULT_TIMEOUT_MS = 50;

/** A longer one would not be a bound. */
const MAX_TIMEOUT_MS = 10_000;

/** A week, as RFC 8446 4.6.1 has it for tickets. */
const MAX_SECONDS = 7 * 24 * 60 * 60;

/** {@link SharedTlsOptions}, checked and complete. */
export interface SharedTlsSettings {
  readonly fleet: Fleet;
  readonly ticketKeys: { readonly mode: TicketKeyMode; readonly rotateSeconds: number } | undefined;
  readonly sessions: SessionSettings | undefined;
  readonly isStateful: boolean;
  readonly helloTimeoutMs: number;
}

/** Throws a RangeError when the options can not be used. */
export function sharedTlsSettings(options: SharedTlsOptions): SharedTlsSettings {
  const {
    ticketKeys: mode = 'shared',
    rotateSeconds = DEFAULT_ROTATE_SECONDS,
    sessions,
    statefulTls13 = false,
    helloTimeoutMs = DEFAULT_HELLO_TIMEOUT_MS,
  } = options;
  const fleet = fleetOf(options);
  inRange('rotateSeconds', rotateSeconds, MAX_SECONDS);
  inRange('helloTimeoutMs', helloTimeoutMs, MAX_HELLO_TIMEOUT_MS);
  if (mode !== false && !TICKET_KEY_MODES.includes(mode)) throw new RangeError(`ticketKeys can not be "${mode}"`);
  if (statefulTls13 && sessions === false) throw new RangeError('statefulTls13 needs the session store');
  return {
    fleet,
    ticketKeys: mode === false || statefulTls13 ? undefined : { mode, rotateSeconds },
    sessions: sessions === false ? undefined : sessionSettings(sessions ?? {}),
    isStateful: statefulTls13,
    helloTimeoutMs,
  };
}

function sessionSettings(options: SessionOptions): SessionSettings {
  const { encoding = 'binary', timeoutSeconds = DEFAULT_TIMEOUT_SECONDS, sealed: isSealed = true } = options;
  const { timeoutMs = DEFAULT_TIMEOUT_MS } = options;
  if (!ENCODINGS.includes(encoding)) throw new RangeError(`encoding can not be "${encoding}"`);
  inRange('timeoutSeconds', timeoutSeconds, MAX_SECONDS);
  inRange('timeoutMs', timeoutMs, MAX_TIMEOUT_MS);
  return { encoding, timeoutSeconds, isSealed, timeoutMs };
}

function inRange(option: string, value: number, max: number): void {
  if (Number.isSafeInteger(value) && value >= 1 && value <= max) return;
  throw new RangeError(`${option} is a whole number from 1 to ${max}, not ${value}`);
}
