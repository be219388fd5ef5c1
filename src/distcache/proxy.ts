import type { Duplex } from 'node:stream';
import { LimitedLog, type Log } from './limited-log.js';
import type { Counts, PROXY_METRICS, ProxyCounter } from './metrics.js';
import { RESULT, resultPayload } from './payload.js';
import { type Forwarding, ProxyClient } from './proxy-client.js';
import type { LinkLoss } from './server-link.js';
import { Upstream, type UpstreamOptions, type UpstreamState } from './upstream.js';
import type { Message } from './wire.js';

export interface ProxyOptions extends Pick<UpstreamOptions, 'servers' | 'tls'> {
  /** Default {@link DEFAULT_RETRY_MS}. */
  readonly retryMs?: number;
  /** A client without open request is disconnected this long after its last request was forwarded; 0 (default) = never. */
  readonly idleMs?: number;
  /** How long a server may take to answer, or to take a connection. Default {@link DEFAULT_RESPONSE_TIMEOUT_MS}. */
  readonly responseTimeoutMs?: number;
  /** Default {@link DEFAULT_MAX_OUTSTANDING_BYTES}. */
  readonly maxOutstandingBytes?: number;
  /** Default: nothing is said. */
  readonly log?: Log;
}

export const DEFAULT_RETRY_MS = 5000;

/** Whoever asks blocks meanwhile. A server of ours answers within a few tenths of a second, whatever fails. */
export const DEFAULT_RESPONSE_TIMEOUT_MS = 2000;

/** With more, a C dc_server may disconnect when it must begin a response before it could write the last one. */
export const DEFAULT_MAX_OUTSTANDING_BYTES = 4096;

/** The C proxy's. */
export const MAX_CLIENTS = 1024;

/** Idle clients are looked for this many times in the time they have, and not much oftener than once a second. */
const IDLE_CHECKS = 10;
const MAX_IDLE_CHECK_MS = 1000;

/**
 * The distcache client proxy: many local connections over one to a server. Each client has one request in flight and
 * waits for its turn with the next. When no server answers the proxy does, with "disconnected", within a bounded time.
 */
export class DistcacheProxy {
  readonly #log: LimitedLog;
  readonly #upstream: Upstream<Forwarding>;
  /** When their last request was forwarded, or else they came; the longest ago first. */
  readonly #clients = new Map<ProxyClient, number>();
  /** What waits to be forwarded, in its turn. */
  #queue = new Set<Forwarding>();
  /** Requests that are forwarded a second time. Until none is left, the server gets one request at a time. */
  #retries = 0;
  #isPumping = false;
  readonly #idleMs: number;
  readonly #idleCheck: NodeJS.Timeout | undefined;
  #onLastClosed: (() => void) | undefined;
  readonly #counters: Counts<ProxyCounter> = {
    connections_total: 0,
    rejected_total: 0,
    forwarded_total: 0,
    answered_total: 0,
    disconnected_total: 0,
    timeouts_total: 0,
    faults_total: 0,
    connects_total: 0,
  };

  /** Starts to connect to the first server. */
  constructor(options: ProxyOptions) {
    const { idleMs = 0, servers, tls } = options;
    this.#log = new LimitedLog(options.log ?? (() => {}));
    this.#idleMs = idleMs;
    if (idleMs > 0) {
      const everyMs = Math.min(Math.ceil(idleMs / IDLE_CHECKS), MAX_IDLE_CHECK_MS);
      this.#idleCheck = setInterval(() => this.#disconnectIdle(), everyMs);
    }
    this.#upstream = new Upstream(
      {
        servers,
        retryMs: options.retryMs ?? DEFAULT_RETRY_MS,
        responseTimeoutMs: options.responseTimeoutMs ?? DEFAULT_RESPONSE_TIMEOUT_MS,
        maxOutstandingBytes: options.maxOutstandingBytes ?? DEFAULT_MAX_OUTSTANDING_BYTES,
        ...(tls && { tls }),
      },
      {
        response: (forwarding, payload) => this.#responded(forwarding, payload),
        ready: () => this.#pump(),
        lost: (loss, unanswered) => this.#lost(loss, unanswered),
        changed: (state, detail) => this.#changed(state, detail),
      },
    );
  }

  /** Serves a connected stream until it closes. `false`: there are {@link MAX_CLIENTS} already, and it was closed. */
  serve(stream: Duplex): boolean {
    if (this.#clients.size >= MAX_CLIENTS) {
      this.#counters.rejected_total++;
      stream.on('error', () => {}).destroy();
      return false;
    }
    this.#counters.connections_total++;
    const client = new ProxyClient(stream, {
      request: (forwarding) => {
        this.#queue.add(forwarding);
        this.#pump();
      },
      fault: ({ fault, message }) => {
        this.#counters.faults_total++;
        this.#log.say(fault, `Warning, closed a client's connection: ${message}`);
      },
      closed: (forwarding) => this.#closed(client, forwarding),
    });
    this.#clients.set(client, performance.now());
    return true;
  }

  get state(): UpstreamState {
    return this.#upstream.state;
  }

  metrics(): Counts<keyof typeof PROXY_METRICS> {
    return { ...this.#counters, connections: this.#clients.size };
  }

  /** Waits for what is in flight, a second at most, and disconnects everybody. */
  async close(): Promise<void> {
    clearInterval(this.#idleCheck);
    for (const client of this.#clients.keys()) client.finish();
    if (this.#clients.size > 0) {
      await new Promise<void>((resolve) => {
        this.#onLastClosed = resolve;
      });
    }
    this.#upstream.close();
  }

  #closed(client: ProxyClient, forwarding: Forwarding | undefined): void {
    if (forwarding !== undefined && this.#queue.delete(forwarding) && forwarding.isRetry) this.#retries--;
    this.#clients.delete(client);
    if (this.#clients.size === 0) this.#onLastClosed?.();
  }

  /** Forwards what can be forwarded, or answers it here. Requests that come up meanwhile get their turn as well. */
  #pump(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    for (const forwarding of this.#queue) {
      if (this.#upstream.state === 'away') {
        this.#queue.delete(forwarding);
        this.#disconnected(forwarding);
      } else if (this.#canForward(forwarding)) {
        this.#queue.delete(forwarding);
        this.#forward(forwarding);
      } else break;
    }
    this.#isPumping = false;
  }

  #canForward({ message }: Forwarding): boolean {
    const { link } = this.#upstream;
    if (link === undefined) return false;
    return this.#retries > 0 ? link.isIdle : link.canTake(message);
  }

  #forward(forwarding: Forwarding): void {
    this.#counters.forwarded_total++;
    if (this.#idleMs > 0 && this.#clients.delete(forwarding.client)) {
      this.#clients.set(forwarding.client, performance.now());
    }
    this.#upstream.link?.forward(forwarding);
  }

  #responded(forwarding: Forwarding, payload: Buffer): void {
    // a C proxy in the server's place says so when its own server is away
    if (payload.length === 0) {
      this.#disconnected(forwarding);
      return;
    }
    this.#counters.answered_total++;
    this.#answer(forwarding, payload);
  }

  #disconnected(forwarding: Forwarding): void {
    this.#counters.disconnected_total++;
    this.#answer(forwarding, resultPayload(RESULT.disconnected));
  }

  #answer({ client, message, isRetry }: Forwarding, payload: Buffer): void {
    if (isRetry) this.#retries--;
    client.answer(message, payload);
  }

  /**
   * Everything in flight is answered here. But a C dc_server also disconnects when a long response meets a pipelined
   * request: then what changes nothing is asked once more, without others beside it.
   */
  #lost(loss: LinkLoss, unanswered: readonly Forwarding[]): boolean {
    if (loss === 'timeout') this.#counters.timeouts_total++;
    if (loss === 'fault') this.#counters.faults_total++;
    const mayRetry = loss === 'closed' && unanswered.length > 1;
    const retries = unanswered.filter(({ message, isRetry }) => mayRetry && !isRetry && isReading(message));
    for (const forwarding of retries) forwarding.isRetry = true;
    this.#retries += retries.length;
    this.#queue = new Set([...retries, ...this.#queue]);
    for (const forwarding of unanswered) if (!retries.includes(forwarding)) this.#disconnected(forwarding);
    return retries.length > 0;
  }

  #changed(state: UpstreamState, detail: string): void {
    if (state === 'up') {
      this.#counters.connects_total++;
      this.#log.say(state, `Info, connected to ${detail}`);
    } else this.#log.say(state, `Warning, ${state === 'away' ? 'no server answers' : 'lost the server'}: ${detail}`);
    this.#pump();
  }

  #disconnectIdle(): void {
    const now = performance.now();
    for (const [client, last] of this.#clients) {
      if (now < last + this.#idleMs) break;
      if (client.open === 0) client.finish();
    }
  }
}

function isReading({ operation }: Message): boolean {
  return operation === 'get' || operation === 'have';
}
