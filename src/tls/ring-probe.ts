import { randomBytes } from 'node:crypto';
import { duplexPair } from 'node:stream';
import { connect, createSecureContext, type SecureContextOptions, TLSSocket } from 'node:tls';
import { newTicketCounts } from './metrics.js';
import { useRing } from './ticket-callback.js';
import { TICKET_KEY_BYTES, TicketRing, ticketKey } from './ticket-ring.js';

/** Needs no certificate. Nothing but the probe's own two ends, in memory, ever speaks it. */
const ANONYMOUS: SecureContextOptions = {
  ciphers: 'AECDH-AES128-SHA:@SECLEVEL=0',
  minVersion: 'TLSv1.2',
  maxVersion: 'TLSv1.2',
};

/** Two handshakes in memory take some 10 ms. */
const PATIENCE_MS = 5_000;

let probe: Promise<boolean> | undefined;

/**
 * Whether a ring of keys works in this Node: two handshakes in memory, the second with a ticket of a key that has become
 * the previous one, which must be resumed and renewed. Asked once in a process; never rejects.
 */
export function ringIsSupported(): Promise<boolean> {
  probe ??= probeRing().catch(() => false);
  return probe;
}

async function probeRing(): Promise<boolean> {
  const counts = newTicketCounts();
  const ring = new TicketRing(ticketKey(1, randomBytes(TICKET_KEY_BYTES)));
  const server = createSecureContext(ANONYMOUS);
  if (!useRing(server, ring, counts)) return false;
  const { session } = await handshake(server, undefined);
  ring.adopt(ticketKey(2, randomBytes(TICKET_KEY_BYTES)));
  ring.turnTo(2);
  const { isReused } = await handshake(server, session);
  return isReused && counts.tickets_previous_total === 1 && counts.tickets_issued_total === 2;
}

interface Outcome {
  readonly isReused: boolean;
  readonly session: Buffer | undefined;
}

function handshake(
  secureContext: ReturnType<typeof createSecureContext>,
  session: Buffer | undefined,
): Promise<Outcome> {
  const [ours, theirs] = duplexPair();
  const server = new TLSSocket(ours, { isServer: true, secureContext });
  const client = connect({ ...ANONYMOUS, socket: theirs, rejectUnauthorized: false, ...(session && { session }) });
  return new Promise<Outcome>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('the probe took too long')), PATIENCE_MS);
    client.once('close', () => clearTimeout(timer));
    client.on('error', reject);
    server.on('error', reject);
    client.once('secureConnect', () => resolve({ isReused: client.isSessionReused(), session: client.getSession() }));
  }).finally(() => {
    client.destroy();
    server.destroy();
  });
}
