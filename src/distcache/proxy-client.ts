import type { Duplex } from 'node:stream';
import type { WireError } from './decoder.js';
import { ServedConnection } from './serving.js';
import type { Message } from './wire.js';

/** A request on its way through the proxy. */
export interface Forwarding {
  readonly client: ProxyClient;
  readonly message: Message;
  /** Whether it was forwarded before, and its link lost. */
  isRetry: boolean;
}

export interface ProxyClientEvents {
  request(forwarding: Forwarding): void;
  fault(error: WireError): void;
  /** The client is gone, with this request unanswered. */
  closed(forwarding: Forwarding | undefined): void;
}

/** A proxy's client: one request at a time, the next ones waiting in its stream. */
export class ProxyClient extends ServedConnection {
  readonly #events: ProxyClientEvents;
  #forwarding: Forwarding | undefined;

  constructor(stream: Duplex, events: ProxyClientEvents) {
    super(stream, 1);
    this.#events = events;
  }

  protected override onRequest(message: Message): void {
    this.#forwarding = { client: this, message, isRetry: false };
    this.#events.request(this.#forwarding);
  }

  protected override onFault(error: WireError): void {
    this.#events.fault(error);
  }

  protected override onClosed(): void {
    this.#events.closed(this.open > 0 ? this.#forwarding : undefined);
  }
}
