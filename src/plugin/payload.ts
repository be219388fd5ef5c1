import { Readable } from 'node:stream';
import type { FastifyReply } from 'fastify';
import type { Body, ExchangeResponse } from '../actions/exchange.js';
import type { Fields } from '../http/fields.js';

/** Payloads: what handlers give to Fastify, as `onSend` hooks get it. */

/**
 * The payload itself, or when it is a `Response` of fetch, its body: status and fields go to the reply. Fastify does the
 * same, but only behind the hooks. One that was read already is left to Fastify to complain about.
 */
export function unwrapped(reply: FastifyReply, payload: unknown): unknown {
  if (!isFetchResponse(payload) || payload.bodyUsed) return payload;
  reply.code(payload.status);
  for (const [name, value] of payload.headers) reply.header(name, value);
  return payload.body;
}

/** The payload as the body of an exchange; `undefined` when Fastify will refuse to send it. */
export function bodyOf(payload: unknown): Body | undefined {
  if (payload === undefined || payload === null) return null;
  if (typeof payload === 'string') return Buffer.from(payload);
  if (payload instanceof Uint8Array || payload instanceof Readable) return payload;
  if (payload instanceof ReadableStream) return payload.locked ? undefined : Readable.fromWeb(payload);
  return isForeignStream(payload) ? new Readable().wrap(payload) : undefined;
}

/** The response that a reply with this body will be. The fields become the response's own. */
export function responseOf(reply: FastifyReply, fields: Fields, body: Body): ExchangeResponse {
  const isStream = body instanceof Readable;
  // Fastify counts for itself, whatever a handler has set.
  if (!isStream) fields.delete('content-length');
  return { status: reply.statusCode, fields, body, delimited: !isStream || isDelimited(fields) };
}

/**
 * Whether the end of a streamed body can be told from a break. @fastify/reply-from takes Transfer-Encoding away, but lets
 * the upstream's `Connection: close` through: that and no Content-Length may be a body which only the end of the
 * connection ended.
 */
function isDelimited(fields: Fields): boolean {
  return fields.has('content-length') || !/(?:^|[\s,])close(?:$|[\s,])/i.test(fields.get('connection') ?? '');
}

/** The test that Fastify makes, too: undici's class is not the global one. */
function isFetchResponse(payload: unknown): payload is Response {
  return Object.prototype.toString.call(payload) === '[object Response]';
}

/** A stream of another make than node:stream's, such as readable-stream's. */
function isForeignStream(payload: unknown): payload is NodeJS.ReadableStream {
  return typeof payload === 'object' && payload !== null && 'pipe' in payload && typeof payload.pipe === 'function';
}
