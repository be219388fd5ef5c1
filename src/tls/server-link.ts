import { constants } from 'node:crypto';
import type { Server } from 'node:tls';
import type { ClientHello } from './client-hello.js';
import {
  type Protocols,
  policyOf,
  protocolsOf,
  secureContextOf,
  secureOptionsOf,
  sessionIdContextOf,
} from './node-server.js';
import { peekClientHellos } from './peek.js';
import type { Sessions } from './sessions.js';
import type { SharedTls } from './shared-tls.js';
import { useRing } from './ticket-callback.js';

type SetSecureContext = Server['setSecureContext'];
type Answer = (error: Error | null, session: Buffer | null) => void;

/** One server with what it shares: its listeners, its keys, and its `setSecureContext`. */
export class ServerLink {
  readonly #server: Server;
  readonly #shared: SharedTls;
  readonly #undo: (() => void)[] = [];
  /** By session id, the hellos of TLS 1.3 that OpenSSL has not read yet: all within a tick. */
  readonly #hellos = new Map<string, ClientHello>();
  #protocols: Protocols;
  #hasRing = false;

  constructor(server: Server, shared: SharedTls) {
    this.#server = server;
    this.#shared = shared;
    this.#protocols = protocolsOf(server);
    this.#checkOptions();
    this.#wrapSetSecureContext();
    this.#linkTickets();
    if (shared.sessions !== undefined) this.#linkSessions(shared.sessions);
  }

  /** Leaves the server as it was, but for the keys it has. */
  unlink(): void {
    for (const undo of this.#undo.splice(0)) undo();
  }

  #checkOptions(): void {
    const { settings, fleet } = this.#shared;
    const policy = policyOf(this.#server);
    const context = sessionIdContextOf(this.#server);
    if (settings.isStateful && (secureOptionsOf(this.#server) & constants.SSL_OP_NO_TICKET) === 0) {
      throw new Error('lookaside: statefulTls13 needs a server that was made with tlsOptions()');
    }
    if (context === this.#shared.tlsOptions(policy).sessionIdContext) return;
    if (context === this.#shared.tlsOptions().sessionIdContext) {
      // without this its clients could come past its policy, with a session of a server that asks for nothing
      throw new Error('lookaside: a server that asks for client certificates is made with tlsOptions(options, https)');
    }
    const advice = 'make it with tlsOptions(): other servers can not resume its sessions';
    fleet.log.warn({ fleet: fleet.name }, `the session id context of a server is not the one of its fleet: ${advice}`);
  }

  /** A new context has none of what was set on the old one. */
  #wrapSetSecureContext(): void {
    const server = this.#server;
    const original: SetSecureContext = server.setSecureContext;
    const hadOwn = Object.hasOwn(server, 'setSecureContext');
    server.setSecureContext = (options) => {
      const policy = { ...policyOf(server), ca: options.ca, crl: options.crl, pfx: options.pfx };
      const required = this.#shared.tlsOptions({ ...policy, secureOptions: options.secureOptions });
      original.call(server, { ...options, ...required });
      this.#protocols = protocolsOf(server);
      this.#applyKeys();
    };
    this.#undo.push(() => {
      if (hadOwn) server.setSecureContext = original;
      else Reflect.deleteProperty(server, 'setSecureContext');
    });
  }

  #linkTickets(): void {
    if (this.#shared.ticketKeys === undefined) return;
    this.#applyKeys();
    this.#undo.push(this.#shared.onSealingKey(() => this.#applyKeys()));
    void this.#shared.hasRing.then((hasRing) => {
      this.#hasRing = hasRing;
      this.#applyKeys();
    });
  }

  #applyKeys(): void {
    const { ticketKeys, ticketCounts } = this.#shared;
    if (ticketKeys === undefined) return;
    const context = secureContextOf(this.#server);
    if (this.#hasRing && context !== undefined && useRing(context, ticketKeys.ring, ticketCounts)) return;
    this.#server.setTicketKeys(ticketKeys.ring.sealing.bytes);
  }

  #linkSessions(sessions: Sessions): void {
    const server = this.#server;
    const { isStateful } = this.#shared.settings;
    if (!this.#protocols.older && !isStateful) return;
    const keep = (_id: Buffer, session: Buffer, done: () => void) => {
      const kept = isStateful ? sessions.keepAll(session) : sessions.keep(session);
      void kept.then(done);
    };
    const resume = (id: Buffer, done: Answer) => {
      const hello = this.#hellos.get(nameOf(id));
      if (hello === undefined) return answer(sessions.find(id), done);
      const { pskIdentity } = hello;
      if (pskIdentity === undefined) return done(null, null);
      return answer(sessions.take(pskIdentity), done);
    };
    const listen = () => server.on('newSession', keep).on('resumeSession', resume);
    const leave = () => server.off('newSession', keep).off('resumeSession', resume);
    listen();
    this.#undo.push(leave);
    this.#peek((handOver) => {
      // that there are listeners is looked at when the connection is handed over, and decides what Node does for it
      leave();
      try {
        handOver();
      } finally {
        listen();
      }
    });
  }

  /** Has connections that the store is of no use for handed over by `without`. */
  #peek(without: (handOver: () => void) => void): void {
    const undo = peekClientHellos(
      this.#server,
      (hello, handOver) => {
        if (!this.#mayBeStored(hello)) {
          without(handOver);
          return;
        }
        if (hello.offersTls13 && this.#protocols.tls13) this.#remember(hello);
        handOver();
      },
      this.#shared.settings.helloTimeoutMs,
    );
    if (undo !== undefined) this.#undo.push(undo);
    else
      this.#shared.fleet.log.warn({}, 'this Node does not show the ClientHello: each client of TLS 1.3 costs a lookup');
  }

  /** Whether the client's session can be in the store, or can come there. */
  #mayBeStored({ offersTls13, sessionId, ticket }: ClientHello): boolean {
    if (this.#shared.settings.isStateful) return true;
    if (offersTls13 && this.#protocols.tls13) return false;
    const issuesTickets = (secureOptionsOf(this.#server) & constants.SSL_OP_NO_TICKET) === 0;
    // of a session in a ticket there is no id; a client that has one all the same has it of a session without ticket
    const isInTicket = ticket !== undefined && (ticket.length > 0 || sessionId.length === 0);
    return !(issuesTickets && isInTicket);
  }

  /** So that the session id of a client of TLS 1.3, which is noise, is not looked up. */
  #remember(hello: ClientHello): void {
    if (hello.sessionId.length === 0) return;
    const name = nameOf(hello.sessionId);
    this.#hellos.set(name, hello);
    // two ticks: TLS is given the bytes in the next one, and asks for the session while it reads them
    process.nextTick(() => process.nextTick(() => this.#hellos.delete(name)));
  }
}

function answer(found: Promise<Buffer | null>, done: Answer): void {
  void found.then((session) => done(null, session));
}

function nameOf(id: Buffer): string {
  return id.toString('latin1');
}
