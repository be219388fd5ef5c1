import { z } from 'zod';
import { Fields } from '../http/fields.js';
import { defineAction } from './action.js';
import type { Exchange, ExchangeResponse, RequestBody } from './exchange.js';
import { plainResponse } from './plain-response.js';
import { proxyOptions } from './proxy-options.js';
import { protocolsIn } from './tunnel.js';
import { Upstream } from './upstream.js';
import type { UpstreamOutcome } from './upstream-call.js';
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
  compile: (
    { upstream: url, connectTimeout, headersTimeout, bodyTimeout, host, forwarded, upgrade, tunnelTimeout, ...limits },
    { cacheName },
  ) => {
    const upstream = new Upstream({
      ...limits,
      url,
      connectTimeoutMs: connectTimeout,
      headersTimeoutMs: headersTimeout,
      bodyTimeoutMs: bodyTimeout,
    });
    const forwarding = { upstream, host, forwarded, upgrade, tunnelTimeoutMs: tunnelTimeout, proxyName: cacheName };
    return (exchange) => (exchange.response === undefined ? forward(exchange, forwarding) : undefined);
  },
});

interface Forwarding {
  readonly upstream: Upstream;
  /** `client`, `upstream`, or a host. */
  readonly host: string;
  readonly forwarded: ForwardedPolicy;
  /** Protocols that connections may be handed over to, in lower case. */
  readonly upgrade: readonly string[];
  readonly tunnelTimeoutMs: number;
  /** What the proxy calls itself. */
  readonly proxyName: string;
}

/** Leaves the upstream's response in the exchange, or the one that says why there is none. */
function forward(exchange: Exchange, forwarding: Forwarding): Promise<void> {
  const { request, client } = exchange;
  const { upstream, host, forwarded, tunnelTimeoutMs, proxyName } = forwarding;
  const fields = upstreamFields(request, `${client.httpVersion} ${proxyName}`, forwarded);
  fields.set('Host', hostField(host, request.fields, upstream));
  const call = upstream.send({
    method: request.method,
    target: request.target,
    fields,
    body: requestBody(exchange),
    upgrade: protocolsIn(client.upgrade ?? '').filter((protocol) => forwarding.upgrade.includes(protocol)),
    tunnelTimeoutMs,
    onInterim: (status, interimFields) => client.interim(status, interimFields),
  });
  client.onGone(() => call.abandon());
  return call.outcome.then((outcome) => {
    if (outcome instanceof UpstreamError) exchange.log.warn({ err: outcome }, 'no response from upstream');
    exchange.respond(responseOf(outcome, proxyName));
  });
}

function responseOf(outcome: UpstreamOutcome, proxyName: string): ExchangeResponse {
  if (outcome === 'abandoned') {
    return { status: CLIENT_CLOSED_REQUEST, fields: new Fields(), body: null, delimited: true };
  }
  return outcome instanceof UpstreamError ? failed(outcome, proxyName) : { ...outcome };
}

/** nginx's status for a client that did not wait. Nobody receives it; it is for the log. */
const CLIENT_CLOSED_REQUEST = 499;

function hostField(host: string, received: Fields, upstream: Upstream): string {
  if (host === 'upstream') return upstream.host;
  if (host !== 'client') return host;
  return received.all('host')[0] ?? upstream.host;
}

/** A body on GET or HEAD means nothing (RFC 9110, section 9.3.1), but could change the response behind a key's back. */
function requestBody({ request, client }: Exchange): RequestBody | undefined {
  return request.method === 'GET' || request.method === 'HEAD' ? undefined : client.takeBody();
}

/** How soon a client that was turned away may try again. */
const RETRY_AFTER_SECONDS = 1;

function failed({ failure, status }: UpstreamError, proxyName: string): ExchangeResponse {
  const retryAfter = status === 503 ? ['Retry-After', String(RETRY_AFTER_SECONDS)] : [];
  const proxyStatus = `${proxyName}; error=${failure}`;
  const fields = ['Cache-Control', 'no-store', 'Proxy-Status', proxyStatus, ...retryAfter];
  return { ...plainResponse(status, fields), failure };
}
