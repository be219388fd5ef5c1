import type { Exchange, ExchangeClient, ExchangeRequest } from '../actions/exchange.js';

/** A request that came in and was not refused, and the way back to its client, whatever version of HTTP that speaks. */
export interface Arrival {
  readonly request: ExchangeRequest;
  readonly client: ExchangeClient;
  /** The status of the response; `undefined` as long as nothing of it has been sent. */
  readonly sentStatus: number | undefined;
  /** Calls `listener` once the response has been sent, or has broken off. */
  onClose(listener: () => void): void;
  /**
   * Sends the response of the finished exchange.
   *
   * @param cacheName how this cache calls itself in `Cache-Status`
   * @param isClosing whether the connection is to take no further request
   */
  deliver(exchange: Exchange, cacheName: string, isClosing: boolean): void;
  /** Tells the client that there will be no response, or no more of it. */
  fail(): void;
}
