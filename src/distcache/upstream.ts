import type { Socket } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import { type Address, connectTo, formatAddress } from './address.js';
import { type LinkEvents, type LinkLoss, type LinkOptions, ServerLink } from './server-link.js';
import type { Message } from './wire.js';

/**
 * `connecting`: to be `up` or `away` in a moment. `up`: there is a link. `away`: no server can be had; they are tried
 * again in the background.
 */
export type UpstreamState = 'connecting' | 'up' | 'away';

export interface UpstreamOptions extends LinkOptions {
  /** One or more. The first that can be reached is kept until it is lost, then the next one's turn comes. */
  readonly servers: readonly Address[];
  /** Talk TLS to the servers. */
  readonly tls?: ConnectionOptions;
  /** A server is not tried again sooner than this after it was tried, or lost. */
  readonly retryMs: number;
}

export interface UpstreamEvents<Request> extends Pick<LinkEvents<Request>, 'response' | 'ready'> {
  /**
   * The link is lost. `true`: the same server is to be tried again at once; otherwise it rests for `retryMs`.
   */
  lost(loss: LinkLoss, unanswered: readonly Request[]): boolean;
  /** The state is another one; `detail` says of which server, and why, for a person. */
  changed(state: UpstreamState, detail: string): void;
}

/** One of several servers, whichever can be had. */
export class Upstream<Request extends { readonly message: Message }> {
  readonly #options: UpstreamOptions;
  readonly #events: UpstreamEvents<Request>;
  readonly #servers: readonly Candidate[];
  #state: UpstreamState = 'connecting';
  #link: ServerLink<Request> | undefined;
  #socket: Socket | undefined;
  #retry: NodeJS.Timeout | undefined;
  #isClosed = false;

  /** Connects to the first server. */
  constructor(options: UpstreamOptions, events: UpstreamEvents<Request>) {
    this.#options = options;
    this.#events = events;
    this.#servers = options.servers.map((address) => ({ address, notBefore: 0 }));
    this.#tryFrom(0, 'there is no server');
  }

  get state(): UpstreamState {
    return this.#state;
  }

  /** The link when the state is `up`. */
  get link(): ServerLink<Request> | undefined {
    return this.#link;
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#retry);
    this.#link?.destroy();
    this.#socket?.destroy();
  }

  /** Tries the servers that may be tried, from the one at `index` on. */
  #tryFrom(index: number, detail: string): void {
    if (this.#isClosed) return;
    const now = performance.now();
    const inTurn = [...this.#servers.slice(index), ...this.#servers.slice(0, index)];
    const candidate = inTurn.find(({ notBefore }) => notBefore <= now);
    if (candidate !== undefined) {
      this.#connect(candidate);
      return;
    }
    this.#change('away', detail);
    const waitMs = Math.min(...inTurn.map(({ notBefore }) => notBefore)) - now;
    this.#retry = setTimeout(() => this.#tryFrom(index, detail), Math.ceil(waitMs));
  }

  #connect(candidate: Candidate): void {
    const { tls, retryMs, responseTimeoutMs } = this.#options;
    const name = formatAddress(candidate.address);
    candidate.notBefore = performance.now() + retryMs;
    let link: ServerLink<Request> | undefined;
    const socket = connectTo(candidate.address, { tls, onBytes: (bytes) => link?.receive(bytes) });
    this.#socket = socket;
    let reason = 'it closed the connection';
    const timeout = setTimeout(() => {
      // whoever waits has waited long enough
      this.#change('away', `${name}: no connection within ${responseTimeoutMs} ms`);
      socket.destroy();
    }, responseTimeoutMs);
    const failed = () => {
      clearTimeout(timeout);
      this.#tryFrom(this.#after(candidate), `${name}: ${reason}`);
    };
    socket.once('error', (error) => {
      reason = error.message;
    });
    socket.once('close', failed);
    socket.once(tls === undefined ? 'connect' : 'secureConnect', () => {
      clearTimeout(timeout);
      socket.off('close', failed);
      link = this.#linkTo(candidate, socket);
      this.#link = link;
      this.#change('up', name);
    });
  }

  #linkTo(candidate: Candidate, socket: Socket): ServerLink<Request> {
    return new ServerLink(socket, this.#options, {
      response: (request, payload) => this.#events.response(request, payload),
      ready: () => this.#events.ready(),
      lost: (loss, reason, unanswered) => {
        this.#link = undefined;
        this.#change('connecting', `${formatAddress(candidate.address)}: ${reason}`);
        const isRetried = this.#events.lost(loss, unanswered);
        candidate.notBefore = isRetried ? 0 : performance.now() + this.#options.retryMs;
        const index = isRetried ? this.#servers.indexOf(candidate) : this.#after(candidate);
        this.#tryFrom(index, `${formatAddress(candidate.address)}: ${reason}`);
      },
    });
  }

  #after(candidate: Candidate): number {
    return (this.#servers.indexOf(candidate) + 1) % this.#servers.length;
  }

  #change(state: UpstreamState, detail: string): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#events.changed(state, detail);
  }
}

interface Candidate {
  readonly address: Address;
  /** By `performance.now`. */
  notBefore: number;
}
