import { channel } from 'node:diagnostics_channel';

/**
 * What the TLS wing tells, and to whom: each event goes to the diagnostics channel `lookaside.tls`. No event holds a
 * session, a session id, a key or a secret.
 */
export type TlsEvent =
  | {
      readonly subject: 'session';
      /** `hit`, `miss` and `error` are outcomes of lookups, the others of sets. */
      readonly outcome: 'hit' | 'miss' | 'stored' | 'too-large' | 'error';
      readonly fleet: string;
      readonly reason?: string;
    }
  | {
      readonly subject: 'ticket-key';
      /** See `TicketKeys`: `local` is the loud one, a key that this process has to itself. */
      readonly outcome: 'current' | 'local' | 'error';
      readonly fleet: string;
      readonly epoch: number;
      readonly reason?: string;
    }
  | {
      readonly subject: 'staple';
      readonly outcome: string;
      readonly fleet: string;
      /** The certificate, by the SHA-1 of its DER in hex, as it is public. */
      readonly certificate: string;
      readonly reason?: string;
    };

const events = channel('lookaside.tls');

/** Tells those who listen; costs nothing when nobody does. */
export function announce(event: TlsEvent): void {
  if (events.hasSubscribers) events.publish(event);
}

/** Where lines for the operator go: a pino logger, Fastify's `app.log`, or anything of that form. */
export interface TlsLog {
  debug(details: object, message: string): void;
  info(details: object, message: string): void;
  warn(details: object, message: string): void;
}

/** For whoever gave no log: what an operator must know comes as a warning of the process. */
export const WARNING_LOG: TlsLog = {
  debug() {},
  info() {},
  warn(_details, message) {
    process.emitWarning(message, { code: 'LOOKASIDE_TLS' });
  },
};
