import type { Fields } from '../http/fields.js';
import type { Body, RequestBody, Tunnel } from './exchange.js';
import type { UpstreamError } from './upstream-error.js';

/** What is asked of an upstream. */
export interface UpstreamRequest {
  readonly method: string;
  /** Origin-form target; begins with a slash. It is sent byte for byte behind the upstream's base path. */
  readonly target: string;
  /** With Host, without anything that frames the body or concerns the connection. */
  readonly fields: Fields;
  /** `undefined`: there is none. */
  readonly body: RequestBody | undefined;
  /** The protocols to offer for the connection, in lower case. */
  readonly upgrade: readonly string[];
  /** How long a connection that was upgraded may stay silent. */
  readonly tunnelTimeoutMs: number;
  /** Gets the interim responses: status (102 to 199) and fields, without those of the connection. */
  onInterim(status: number, fields: Fields): void;
}

/** The response of an upstream, its body so far as it is known. */
export interface UpstreamResponse {
  readonly status: number;
  /** As they came, in byte strings, without those of the connection. */
  readonly fields: Fields;
  readonly body: Body;
  /** See `ExchangeResponse.delimited`. */
  readonly delimited: boolean;
  /** With status 101, and only then. */
  readonly tunnel?: Tunnel | undefined;
}

/** What a call comes to; `abandoned`: nobody wanted to know. */
export type UpstreamOutcome = UpstreamResponse | UpstreamError | 'abandoned';

/**
 * One request to an upstream from the moment it is asked for until its response has been read, over as many attempts as
 * that takes.
 */
export class UpstreamCall {
  readonly request: UpstreamRequest;
  /** Resolves when there is a response head, or never will be. */
  readonly outcome: Promise<UpstreamOutcome>;
  #resolve: (outcome: UpstreamOutcome) => void = () => {};
  #abandoned = false;
  #abort: (() => void) | undefined;

  constructor(request: UpstreamRequest) {
    this.request = request;
    this.outcome = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  /** Says what the call came to. Only the first time counts. */
  settle(outcome: UpstreamOutcome): void {
    this.#resolve(outcome);
  }

  /** Ends the call, and breaks its body off; its connection is closed unless the response had been read. */
  abandon(): void {
    this.#abandoned = true;
    this.settle('abandoned');
    this.#abort?.();
  }

  get isAbandoned(): boolean {
    return this.#abandoned;
  }

  /** How the attempt under way can be ended. */
  set abort(abort: () => void) {
    this.#abort = abort;
    if (this.#abandoned) abort();
  }
}
