import type { ServerResponse } from 'node:http';
import { Readable, type Writable } from 'node:stream';
import type { CacheOutcome } from '../cache/outcome.js';
import type { Reason } from '../cache/verdict.js';
import { type CacheStatus, type ForwardReason, formatCacheStatus } from '../http/cache-status.js';
import { Fields } from '../http/fields.js';
import type { Body, Exchange, ExchangeResponse, Tunnel } from './exchange.js';
import { join } from './tunnel.js';

/**
 * Sends the response of a finished exchange. A body that breaks off breaks the connection off, so that the client can
 * tell.
 *
 * @param cacheName how this cache calls itself in `Cache-Status`
 */
export function deliver(exchange: Exchange, raw: ServerResponse, cacheName: string): void {
  const response = finished(exchange, cacheName);
  if (response.tunnel === undefined) send(exchange, response, raw);
  else switchProtocols(response.tunnel, response.fields, raw);
}

function send({ request, log }: Exchange, response: ExchangeResponse, raw: ServerResponse): void {
  const body = framedBody(request.method, response);
  raw.writeHead(response.status, response.fields.flat());
  if (body === null || body instanceof Uint8Array) {
    raw.end(body ?? undefined);
    return;
  }
  pass(body, raw, (error) => {
    log.debug({ err: error }, 'response broken off');
    raw.destroy();
  });
}

/** Sets the length of what is to be sent, and gives what that is: nothing where there can be no body. */
export function framedBody(method: string, { status, fields, body }: ExchangeResponse): Body {
  const isBodyless = method === 'HEAD' || status === 204 || status === 304;
  if (body instanceof Uint8Array) fields.set('Content-Length', String(body.length));
  else if (body === null && !isBodyless) fields.set('Content-Length', '0');
  if (status === 204) fields.delete('content-length');
  if (!isBodyless) return body;
  if (body instanceof Readable) body.destroy();
  return null;
}

function switchProtocols(tunnel: Tunnel, fields: Fields, raw: ServerResponse): void {
  const { socket } = raw;
  if (socket === null || raw.destroyed) {
    tunnel.connection.destroy();
    return;
  }
  // the fields are the upstream's: nothing is added to them
  raw.sendDate = false;
  raw.writeHead(101, ['Connection', 'Upgrade', 'Upgrade', tunnel.protocol, ...fields.flat()]);
  raw.end();
  join(socket, tunnel);
}

/**
 * `stream.pipeline` in what it does, without the AbortController and the error object with its stack that it makes of
 * every body, even one that ends well: they were a fifth of the cost of a miss.
 *
 * @param breakOff ends `to` in a way from which the client can tell that the body is not complete
 */
export function pass(body: Readable, to: Writable, breakOff: (error?: Error) => void): void {
  body.once('error', breakOff);
  // who is done with a body without a reason to give destroys it silently
  body.once('close', () => {
    if (!body.readableEnded && body.errored === null && !to.destroyed) breakOff();
  });
  to.once('error', breakOff);
  to.once('close', () => {
    if (!body.destroyed) body.destroy();
  });
  if (to.destroyed) body.destroy();
  else if (body.destroyed) breakOff();
  else body.pipe(to);
}

/** The response as it is to be sent: with the edits that waited for it, and with `Cache-Status` when a cache acted. */
export function finished(exchange: Exchange, cacheName: string): ExchangeResponse {
  const response = exchange.response ?? notFound();
  const cacheStatus = cacheStatusOf(exchange, response);
  exchange.applyDeliveryEdits(response);
  if (cacheStatus !== undefined) response.fields.append('Cache-Status', formatCacheStatus(cacheName, cacheStatus));
  return response;
}

/** When no action has made a response. */
function notFound(): ExchangeResponse {
  const fields = new Fields(['Content-Type', 'text/plain; charset=utf-8']);
  return { status: 404, fields, body: Buffer.from('Not Found\n'), delimited: true };
}

/** Our member of `Cache-Status` (RFC 9211), or `undefined` when no caching action ran. */
export function cacheStatusOf(
  { outcome, storage }: Exchange,
  { status }: Pick<ExchangeResponse, 'status'>,
): CacheStatus | undefined {
  if (outcome === undefined && storage === undefined) return undefined;
  const reasons = [outcome?.reason, storage].filter((reason) => reason !== undefined && !SILENT_REASONS.has(reason));
  const detail = reasons.length === 0 ? undefined : reasons.join(', ');
  const ttl = outcome?.ttlSeconds;
  if (outcome !== undefined && isHit(outcome)) return { hit: true, ttl, detail };
  // Neither found nor forwarded: the response was made up.
  if (outcome?.reason === 'only-if-cached') return { hit: false, detail };
  return {
    hit: false,
    fwd: outcome === undefined ? 'bypass' : forwardReason(outcome),
    fwdStatus: outcome?.forwardStatus ?? status,
    stored: storage === 'stored',
    collapsed: outcome?.verdict === 'collapsed',
    ttl,
    detail,
  };
}

/** Whether the response was there: one that is stale was, unless the origin was asked first. */
function isHit({ verdict, forwardStatus }: CacheOutcome): boolean {
  return verdict === 'hit' || (verdict === 'stale' && forwardStatus === undefined);
}

/** Reasons that the other parameters say already. */
const SILENT_REASONS: ReadonlySet<Reason> = new Set(['fresh', 'absent', 'expired', 'stored']);

/** Why the request was not answered from the store, in the tokens of RFC 9211, section 2.2. */
function forwardReason({ verdict, reason }: CacheOutcome): ForwardReason {
  if (reason === 'method') return 'method';
  if (verdict === 'bypass') return 'bypass';
  return FORWARD_REASONS.get(reason) ?? 'miss';
}

const FORWARD_REASONS: ReadonlyMap<Reason, ForwardReason> = new Map([
  ['absent', 'uri-miss'],
  ['vary', 'vary-miss'],
  ['expired', 'stale'],
  ['soft-purged', 'stale'],
  ['no-cache', 'stale'],
  ['stale-while-revalidate', 'stale'],
  ['origin-failing', 'stale'],
  ['request-max-age', 'request'],
  ['request-max-stale', 'request'],
  ['request-min-fresh', 'request'],
  ['request-no-cache', 'request'],
  ['request-no-store', 'request'],
]);
