import type { ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';
import type { FastifyBaseLogger } from 'fastify';
import type { Reason } from '../cache/verdict.js';
import { type CacheStatus, type ForwardReason, formatCacheStatus } from '../http/cache-status.js';
import { Fields } from '../http/fields.js';
import type { CacheOutcome, Exchange, ExchangeResponse } from './exchange.js';

/**
 * Sends the response of a finished exchange, past Fastify, whose reply would add a Content-Type where there is none and
 * fold repeated fields. A body that breaks off breaks the connection off, so that the client can tell.
 *
 * @param cacheName how this cache calls itself in `Cache-Status`
 */
export function deliver(exchange: Exchange, cacheName: string): void {
  const { reply, request, log } = exchange;
  const { status, fields, body } = finished(exchange, cacheName);
  reply.hijack();
  const { raw } = reply;
  const bodyless = request.method === 'HEAD' || status === 204 || status === 304;
  if (body instanceof Uint8Array) fields.set('Content-Length', String(body.length));
  else if (body === null && !bodyless) fields.set('Content-Length', '0');
  if (status === 204) fields.delete('content-length');
  raw.writeHead(status, fields.flat());
  if (body === null || body instanceof Uint8Array) {
    raw.end(bodyless ? undefined : body);
  } else if (bodyless) {
    body.destroy();
    raw.end();
  } else {
    pass(body, raw, log);
  }
}

/**
 * `stream.pipeline` in what it does, without the AbortController and the error object with its stack that it makes of
 * every body, even one that ends well: they were a fifth of the cost of a miss.
 */
function pass(body: Readable, raw: ServerResponse, log: FastifyBaseLogger): void {
  const breakOff = (error: Error) => {
    log.debug({ err: error }, 'response broken off');
    raw.destroy();
  };
  body.once('error', breakOff);
  raw.once('error', breakOff);
  raw.once('close', () => {
    if (!body.destroyed) body.destroy();
  });
  if (raw.destroyed) body.destroy();
  else body.pipe(raw);
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
  if (outcome?.verdict === 'hit') return { hit: true, ttl: outcome.ttlSeconds };
  const reasons = [outcome?.reason, storage].filter((reason) => reason !== undefined && !SILENT_REASONS.has(reason));
  return {
    hit: false,
    fwd: outcome === undefined ? 'bypass' : forwardReason(outcome),
    fwdStatus: status,
    stored: storage === 'stored',
    detail: reasons.length === 0 ? undefined : reasons.join(', '),
  };
}

/** Reasons that the other parameters say already. */
const SILENT_REASONS: ReadonlySet<Reason> = new Set(['fresh', 'absent', 'stored']);

/** Why the request was not answered from the store, in the tokens of RFC 9211, section 2.2. */
function forwardReason({ verdict, reason }: CacheOutcome): ForwardReason {
  if (reason === 'method') return 'method';
  if (verdict === 'bypass') return 'bypass';
  if (reason === 'absent') return 'uri-miss';
  if (reason === 'vary') return 'vary-miss';
  return reason === 'expired' ? 'stale' : 'miss';
}
