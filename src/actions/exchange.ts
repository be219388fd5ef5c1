import type { IncomingMessage } from 'node:http';
import type { Duplex, Readable } from 'node:stream';
import type { FastifyBaseLogger } from 'fastify';
import type { CacheOutcome } from '../cache/outcome.js';
import type { Reason } from '../cache/verdict.js';
import { Fields } from '../http/fields.js';
import { parseTarget } from '../http/path.js';
import type { ProxyError } from '../http/proxy-status.js';

/**
 * One request and the response being made for it: what the actions of a chain work on.
 *
 * All text that came from the client or from upstream is a *byte string*, one character (0x00–0xff) a byte, so that
 * nothing is lost or merged by decoding: keys made of it are exact.
 */
export class Exchange {
  readonly request: ExchangeRequest;
  readonly client: ExchangeClient;
  readonly log: FastifyBaseLogger;

  /**
   * The response, once an action has made its head available; the body may still be streaming. `undefined` means that
   * the request is not handled yet. Set it through {@link respond}.
   */
  response: ExchangeResponse | undefined;

  /** What `docroot` and `index` worked out; `undefined` until a `docroot` ran. */
  physical: Physical | undefined;

  /** Captures of the last regular expression that matched in a condition, for `%0` to `%9`. */
  captures: readonly (string | undefined)[] = [];

  /** `req.env[…]`: values that actions leave for later ones. */
  readonly environment = new Map<string, string>();

  /** What the last lookup decided, for `Cache-Status`, the log and the metrics; `undefined` when none ran. */
  outcome: CacheOutcome | undefined;

  /** `stored` when the response goes into the store, or why it does not; `undefined` when no store action ran. */
  storage: Reason | undefined;

  /** Edits asked for before there was a response: they wait here until it is sent, and so never reach a stored entry. */
  readonly #deliveryEdits: ResponseEdit[] = [];

  constructor(request: ExchangeRequest, client: ExchangeClient, log: FastifyBaseLogger) {
    this.request = request;
    this.client = client;
    this.log = log;
  }

  /** Hands in the response of a content action. Later actions see it; the chain's end sends it. */
  respond(response: ExchangeResponse): void {
    this.response = response;
  }

  /** Applies `edit` to the response: now, or when there is none yet, at the moment it is sent. */
  editResponse(edit: ResponseEdit): void {
    if (this.response === undefined) this.#deliveryEdits.push(edit);
    else edit(this.response);
  }

  /**
   * Runs `step`, and makes the edits that it asked for before there was a response as soon as it is done: for a response
   * that is to be stored as that step made it. Edits that waited before it go on waiting.
   */
  async runEdited(step: (exchange: Exchange) => void | Promise<void>): Promise<void> {
    const waiting = this.#deliveryEdits.splice(0);
    try {
      await step(this);
      if (this.response !== undefined) this.applyDeliveryEdits(this.response);
    } finally {
      this.#deliveryEdits.unshift(...waiting);
    }
  }

  /** Applies the edits that waited for the response. Called once, by what sends it. */
  applyDeliveryEdits(response: ExchangeResponse): void {
    for (const edit of this.#deliveryEdits) edit(response);
    this.#deliveryEdits.length = 0;
  }
}

/** What patterns and conditions read of an exchange. A key can so be made for a request that nobody has sent. */
export type ExchangeView = Pick<Exchange, 'request' | 'response' | 'physical' | 'captures' | 'environment'>;

export type ResponseEdit = (response: ExchangeResponse) => void;

/** The request as it came in, after the HTTP parser and before any rewriting. `req_header.*` and `rewrite` change it. */
export interface ExchangeRequest {
  readonly method: string;
  readonly scheme: 'http' | 'https';
  /** `Host` (or `:authority`) in lower case, without port and trailing dot; empty when there is none. */
  readonly host: string;
  /** {@link host} with the port, when that is not the scheme's default. */
  readonly authority: string;
  /** Origin-form request target, path and query, as sent. */
  target: string;
  /** Path decoded and simplified, without the query (lighttpd2's `req.path`). */
  path: string;
  /** The query without its `?`, as sent. */
  query: string;
  /** Whether {@link path} and the path as sent could mean different resources to the origin: see `http/path.ts`. */
  ambiguousPath: boolean;
  readonly fields: Fields;
  readonly remote: Endpoint;
  readonly local: Endpoint;
  /** Whether the request came with a body (Content-Length above 0, or Transfer-Encoding). */
  readonly hasBody: boolean;
}

/** What actions may do with whoever waits for the response. An exchange need not have a connection for it. */
export interface ExchangeClient {
  /** The HTTP version that the request came in, such as `1.1`. */
  readonly httpVersion: string;
  /** The protocols that the client offers to go on with on its connection (`Upgrade`), when it can be handed over. */
  readonly upgrade: string | undefined;
  /** Whether the client left before the response was complete. */
  readonly isGone: boolean;
  /** Calls `listener` once the client is gone: at once, when it is already. */
  onGone(listener: () => void): void;
  /** The body of the request, for the one action that passes it on; `undefined` when it has none. */
  takeBody(): RequestBody | undefined;
  /** Passes an interim response on (RFC 9110, section 15.2), if the client understands those. */
  interim(status: number, fields: Fields): void;
}

export interface RequestBody {
  readonly stream: Readable;
  /** `undefined`: it ends where it ends (Transfer-Encoding: chunked). */
  readonly bytes: number | undefined;
}

export interface Endpoint {
  /** Numeric address, or empty on a unix socket. */
  readonly address: string;
  readonly port: number;
}

/** A response head, and its body so far as it is known. Later actions may replace any of it. */
export interface ExchangeResponse {
  status: number;
  readonly fields: Fields;
  body: Body;
  /** Whether the end of the body can be told from a break: false when only the end of the connection marks it. */
  readonly delimited: boolean;
  /** Why the response is not the upstream's own, but one that we made because there was none. */
  readonly failure?: ProxyError | undefined;
  /** With status 101: what the client's connection is to be joined with. Who takes the response destroys it. */
  readonly tunnel?: Tunnel | undefined;
}

/** A connection to the upstream that HTTP has left. */
export interface Tunnel {
  readonly connection: Duplex;
  /** What it speaks now, in the words of the upstream's Upgrade field. */
  readonly protocol: string;
  /** How long it may stay silent in both directions. */
  readonly idleTimeoutMs: number;
}

/** All of the body, the stream that will deliver it, or none at all. */
export type Body = Uint8Array | Readable | null;

/** Where a file is looked for, in byte strings. */
export interface Physical {
  /** Absolute directory files are served from. */
  readonly docroot: string;
  /** Path below the docroot, beginning with a slash. */
  path: string;
  /** What follows the file's name in the request path, when an action split it off. */
  pathinfo?: string;
}

/** The request that node:http received. */
export function receivedRequest(raw: IncomingMessage, scheme: 'http' | 'https'): ExchangeRequest {
  const fields = new Fields(raw.rawHeaders);
  const { host, authority } = parseAuthority(fields.get('host') ?? fields.get(':authority') ?? '', scheme);
  return {
    method: raw.method ?? 'GET',
    scheme,
    host,
    authority,
    ...parseTarget(raw.url ?? '/'),
    fields,
    remote: { address: raw.socket.remoteAddress ?? '', port: raw.socket.remotePort ?? 0 },
    local: { address: raw.socket.localAddress ?? '', port: raw.socket.localPort ?? 0 },
    hasBody: announcesBody(fields),
  };
}

/** Whether the fields of a request say that it has a body. */
export function announcesBody(fields: Fields): boolean {
  return fields.has('transfer-encoding') || Number(fields.get('content-length') ?? 0) > 0;
}

const DEFAULT_PORTS = { http: '80', https: '443' } as const;

/** Host, and host with port, of a `Host` field or of a URL's authority. */
export function parseAuthority(text: string, scheme: 'http' | 'https'): { host: string; authority: string } {
  const lower = text.toLowerCase();
  const colon = lower.lastIndexOf(':');
  const hasPort = colon > lower.lastIndexOf(']');
  const host = (hasPort ? lower.slice(0, colon) : lower).replace(/\.$/, '');
  const port = hasPort ? lower.slice(colon + 1) : '';
  return { host, authority: port === '' || port === DEFAULT_PORTS[scheme] ? host : `${host}:${port}` };
}
