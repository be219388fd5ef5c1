import { buildConnector, type Dispatcher, Pool } from 'undici';
import { UpstreamAttempt } from './upstream-attempt.js';
import { UpstreamCall, type UpstreamRequest } from './upstream-call.js';
import { UpstreamError, upstreamFailure } from './upstream-error.js';

export interface UpstreamOptions {
  /** `http:` or `https:`, with a base path or none. */
  readonly url: URL;
  readonly connectTimeoutMs: number;
  /** From the end of the request to the end of the response's head. */
  readonly headersTimeoutMs: number;
  /** Between two pieces of the body. */
  readonly bodyTimeoutMs: number;
  /** The most requests that wait for a response head, all together and for one path. */
  readonly maxWaiting: number;
  readonly maxWaitingPerPath: number;
  /** Certificates to trust in place of Node's own list, in PEM. */
  readonly tlsCa?: string | undefined;
  /** Whether certificates are not verified. */
  readonly insecure: boolean;
}

/** An entry's head may be as large (`cache/entry.ts`); node:http's own 16 KiB is too little for some origins. */
const MAX_RESPONSE_HEAD_BYTES = 64 * 1024;

/** Requests that may be sent again when nothing came back (RFC 9110, section 9.2.1). */
const SAFE_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);

/**
 * The one origin of a `proxy` action.
 *
 * No request ever waits for a connection, so that paths which answer are not held up by those which hang; what is
 * bounded is the number of requests that wait for a response head.
 *
 * It needs no closing: idle connections end by themselves and keep no process alive.
 */
export class Upstream {
  /** Scheme, host and port: where every request goes, whatever its target says. */
  readonly origin: string;
  /** Its authority, for a Host field. */
  readonly host: string;
  readonly #hostname: string;
  readonly #basePath: string;
  readonly #options: UpstreamOptions;
  readonly #pool: Pool;
  /** Opens a connection for every request. */
  readonly #fresh: Pool;
  #waiting = 0;
  readonly #waitingByPath = new Map<string, number>();

  constructor(options: UpstreamOptions) {
    const { url } = options;
    this.origin = url.origin;
    this.host = url.host;
    this.#hostname = url.hostname;
    this.#basePath = url.pathname.replace(/\/+$/, '');
    this.#options = options;
    const shared = {
      connect: connector(options),
      headersTimeout: options.headersTimeoutMs,
      bodyTimeout: options.bodyTimeoutMs,
      maxHeaderSize: MAX_RESPONSE_HEAD_BYTES,
      connections: null,
    };
    this.#pool = new Pool(url.origin, { ...shared, pipelining: 1 });
    this.#fresh = new Pool(url.origin, { ...shared, pipelining: 0 });
  }

  /** Makes a call, which answers by what it is settled with. */
  send(request: UpstreamRequest): UpstreamCall {
    const call = new UpstreamCall(request);
    const path = pathOf(request.target);
    const waitingForPath = this.#waitingByPath.get(path) ?? 0;
    if (this.#waiting >= this.#options.maxWaiting || waitingForPath >= this.#options.maxWaitingPerPath) {
      call.settle(new UpstreamError('connection_limit_reached', this.#subject(call)));
      return call;
    }
    this.#waiting++;
    this.#waitingByPath.set(path, waitingForPath + 1);
    this.#attempt(call, this.#pool, path);
    return call;
  }

  #attempt(call: UpstreamCall, pool: Pool, path: string): void {
    const attempt = new UpstreamAttempt(call, {
      answered: () => this.#stoppedWaiting(path),
      failed: (error, responseStarted) => {
        const failure = upstreamFailure(error);
        const isFirst = pool === this.#pool;
        if (isFirst && failure === 'connection_terminated' && !responseStarted && isRepeatable(call)) {
          this.#attempt(call, this.#fresh, path);
          return;
        }
        this.#stoppedWaiting(path);
        call.settle(new UpstreamError(failure, this.#subject(call), error));
      },
    });
    pool.dispatch(this.#dispatchOptions(call), attempt);
  }

  #dispatchOptions({ request }: UpstreamCall): Dispatcher.DispatchOptions & { servername: string } {
    const { method, target, fields, body, upgrade } = request;
    const framing = body?.bytes === undefined ? [] : ['content-length', String(body.bytes)];
    return {
      method,
      path: this.#basePath + target,
      headers: [...fields.flat(), ...framing],
      body: body?.stream ?? null,
      upgrade: upgrade.length === 0 ? null : upgrade.join(', '),
      // undici would take it from the client's Host
      servername: this.#hostname,
    };
  }

  #stoppedWaiting(path: string): void {
    this.#waiting--;
    const waitingForPath = (this.#waitingByPath.get(path) ?? 1) - 1;
    if (waitingForPath === 0) this.#waitingByPath.delete(path);
    else this.#waitingByPath.set(path, waitingForPath);
  }

  #subject({ request }: UpstreamCall): string {
    return `${request.method} ${this.origin}${this.#basePath}${request.target}`;
  }
}

/** Verifies the certificate against the upstream's own name, whatever Host the request carries. */
function connector({ connectTimeoutMs, tlsCa, insecure }: UpstreamOptions): buildConnector.connector {
  const connect = buildConnector({
    timeout: connectTimeoutMs,
    rejectUnauthorized: !insecure,
    ...(tlsCa === undefined ? {} : { ca: tlsCa }),
  });
  return ({ servername: _, ...options }, callback) => connect(options, callback);
}

function isRepeatable({ request, isAbandoned }: UpstreamCall): boolean {
  return SAFE_METHODS.has(request.method) && request.body === undefined && !isAbandoned;
}

function pathOf(target: string): string {
  const query = target.indexOf('?');
  return query < 0 ? target : target.slice(0, query);
}
