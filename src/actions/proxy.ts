import { PassThrough } from 'node:stream';
import type { FastifyReplyFromOptions } from '@fastify/reply-from';
import { Dispatcher } from 'undici';
import { z } from 'zod';
import { Fields } from '../http/fields.js';
import { defineAction } from './action.js';
import type { Exchange, ExchangeResponse } from './exchange.js';
import { plainResponse } from './plain-response.js';
import { type ProxyOptions, proxyOptions } from './proxy-options.js';
import { Upstream } from './upstream.js';
import { type UpstreamBody, UpstreamCall } from './upstream-call.js';
import { UpstreamError } from './upstream-error.js';
import { type ForwardedPolicy, upstreamFields } from './upstream-fields.js';

export const proxyAction = defineAction({
  name: 'proxy',
  help: 'forwards the request to an upstream and takes its response',
  schema: () =>
    z.union([
      z
        .string()
        .transform((upstream) => ({ upstream }))
        .pipe(proxyOptions),
      proxyOptions,
    ]),
  compile: ({ upstream: url, connectTimeout, headersTimeout, bodyTimeout, host, forwarded, ...limits }) => {
    const upstream = new Upstream({
      ...limits,
      url,
      connectTimeoutMs: connectTimeout,
      headersTimeoutMs: headersTimeout,
      bodyTimeoutMs: bodyTimeout,
    });
    return (exchange) => (exchange.response === undefined ? forward(exchange, upstream, host, forwarded) : undefined);
  },
});

/** Under this key the call lies in what reply-from takes for header fields; it copies symbols along with the rest. */
const CALL = Symbol('upstream call');

/** Makes the call it finds among the header fields, whatever else reply-from made of the request. */
class CallDispatcher extends Dispatcher {
  override dispatch({ headers }: Dispatcher.DispatchOptions, reader: Dispatcher.DispatchHandler): boolean {
    const call = typeof headers === 'object' && headers !== null && CALL in headers ? headers[CALL] : undefined;
    if (!(call instanceof UpstreamCall)) throw new TypeError('not a request of the proxy action');
    call.send(reader);
    return true;
  }
}

/** How `@fastify/reply-from` is to be registered where `proxy` actions run. */
export const REPLY_FROM_OPTIONS = {
  undici: new CallDispatcher(),
  disableRequestLogging: true,
} as const satisfies FastifyReplyFromOptions;

/**
 * Leaves the upstream's response in the exchange, or the one that says why there is none.
 *
 * Nothing the client sent goes through `reply.from`, which would parse, decode and normalise it: its source is the
 * configured origin, and the target travels beside, in the call.
 */
function forward(
  exchange: Exchange,
  upstream: Upstream,
  host: ProxyOptions['host'],
  forwarded: ForwardedPolicy,
): Promise<void> {
  const { request, reply } = exchange;
  const { raw } = reply.request;
  const fields = upstreamFields(request, raw.httpVersion, forwarded);
  fields.set('Host', hostField(host, request.fields, upstream));
  const body = requestBody(exchange);
  const call = new UpstreamCall({ method: request.method, target: request.target, fields, body }, upstream);
  return new Promise((resolve) => {
    const finish = (response: ExchangeResponse) => {
      exchange.respond(response);
      resolve();
    };
    const clientGone = () => {
      call.abandon();
      if (call.head === undefined)
        finish({ status: CLIENT_CLOSED_REQUEST, fields: new Fields(), body: null, delimited: true });
    };
    if (reply.raw.destroyed) return clientGone();
    reply.raw.once('close', clientGone);
    reply.from(upstream.origin, {
      rewriteRequestHeaders: () => ({ [CALL]: call }),
      onResponse: (_request, _reply, { stream }) => {
        if (call.head === undefined) throw new TypeError('a response without a head');
        const { status, fields, bodyless, delimited } = call.head;
        finish({ status, fields, body: bodyless ? null : stream, delimited });
      },
      onError: (_reply, { error }) => finish(failed(error.cause instanceof UpstreamError ? error.cause : undefined)),
      // reply-from would repeat a GET ten times that is answered with 503
      retryDelay: () => null,
    });
  });
}

/** nginx's status for a client that did not wait. Nobody receives it; it is for the log. */
const CLIENT_CLOSED_REQUEST = 499;

function hostField(host: string, received: Fields, upstream: Upstream): string {
  if (host === 'upstream') return upstream.host;
  if (host !== 'client') return host;
  return received.all('host')[0] ?? upstream.host;
}

/** A body on GET or HEAD means nothing (RFC 9110, section 9.3.1), but could change the response behind a key's back. */
function requestBody({ request, reply }: Exchange): UpstreamBody | undefined {
  if (!request.hasBody || request.method === 'GET' || request.method === 'HEAD') return undefined;
  const { raw } = reply.request;
  // undici destroys the body when the response comes before its end; the client's connection has to survive that
  const stream = raw.pipe(new PassThrough());
  stream.on('error', () => {});
  const length = raw.headers['content-length'];
  return { stream, bytes: length === undefined ? undefined : Number(length) };
}

/** How soon a client that was turned away may try again. */
const RETRY_AFTER_SECONDS = 1;

function failed(error: UpstreamError | undefined): ExchangeResponse {
  const status = error?.status ?? 502;
  const retryAfter = status === 503 ? ['Retry-After', String(RETRY_AFTER_SECONDS)] : [];
  const proxyStatus = `lookaside; error=${error?.failure ?? 'proxy_internal_error'}`;
  return plainResponse(status, ['Cache-Control', 'no-store', 'Proxy-Status', proxyStatus, ...retryAfter]);
}
