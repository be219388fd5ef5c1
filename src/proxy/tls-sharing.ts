import { randomBytes } from 'node:crypto';
import type { Settings } from '../config/schema.js';
import type { TlsSettings } from '../config/tls.js';
import type { SharedTlsOptions } from '../tls/options.js';

/** How the sessions of a server are shared, and what its operator should know about that. */
export interface TlsSharing {
  readonly options: Omit<SharedTlsOptions, 'store' | 'log'>;
  readonly warnings: readonly string[];
}

/** Decides what `tls` comes to, with the store and the processes that there are. */
export function sharingOf(
  tls: TlsSettings,
  { memcached, workers }: Pick<Settings, 'memcached' | 'workers'>,
): TlsSharing {
  const { fleet, rotateSeconds, secrets, sessions, statefulTls13, ticketKeys } = tls;
  if (secrets.length === 0) {
    // keys of its own that rotate all the same; what only this process could open has no place in the store
    const own = {
      secrets: [randomBytes(32)],
      ticketKeys: ticketKeys && ('derived' as const),
      sessions: false as const,
    };
    const isFleet = memcached !== undefined || workers > 1;
    return { options: { fleet, rotateSeconds, ...own }, warnings: isFleet ? [NO_SECRET] : [] };
  }
  const warnings: string[] = [];
  if (memcached === undefined && ticketKeys === 'shared') warnings.push(NO_MEMCACHED);
  if (sessions !== false && sessions.sealed === false) warnings.push(CLEAR);
  return { options: { fleet, rotateSeconds, secrets, ticketKeys, sessions, statefulTls13 }, warnings };
}

const NO_SECRET =
  'tls has no secret: ticket keys are of each process alone, and clients resume their sessions nowhere else';

const NO_MEMCACHED =
  'without memcached no process learns the ticket keys of another: with ticketKeys "derived" all that have the secret do';

const CLEAR = 'sessions lie in memcached in clear: who can read it can decrypt what was recorded of them';
