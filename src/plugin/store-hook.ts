import { finished, Readable } from 'node:stream';
import type { DoneFuncWithErrOrRes, FastifyReply, FastifyRequest } from 'fastify';
import type { ChainContext } from '../actions/chain.js';
import { type StoreOptions, store } from '../actions/store.js';
import type { Fields } from '../http/fields.js';
import { bodyOf, responseOf, unwrapped } from './payload.js';
import { ReplyExchange } from './reply-exchange.js';

/** An `onSend` hook. */
export type StoreHook = (
  request: FastifyRequest,
  reply: FastifyReply,
  payload: unknown,
  done: DoneFuncWithErrOrRes,
) => void;

/**
 * `memcached.store` as an `onSend` hook. What is stored is the response as it passes this place among the hooks, and a hit
 * comes back to life at the same place: hooks in front of it have done their work on the stored payload already, and what
 * they make of it a second time is dropped; hooks behind it (compression, for one) work on hits as on fresh responses.
 */
export function storeHook(options: StoreOptions, context: ChainContext, cacheName: string): StoreHook {
  const step = store(options, context);
  return (request, reply, payload, done) => {
    const exchange = ReplyExchange.of(request, reply);
    const { replay } = exchange;
    exchange.replay = undefined;
    if (replay !== undefined && replay.status === reply.statusCode) {
      restoreContentFields(reply, replay.fields);
      done(null, replay.body);
      return;
    }
    const content = unwrapped(reply, payload);
    // As `memcached.store` does: the entry and this response must not differ in it.
    if (!reply.hasHeader('date')) reply.header('date', new Date().toUTCString());
    const body = bodyOf(content);
    exchange.response = body === undefined ? undefined : responseOf(reply, exchange.responseFields(), body);
    // What happened to a hit on its way here is nothing to store, and nothing to tell.
    if (exchange.outcome?.verdict !== 'hit') step(exchange);
    exchange.announce(cacheName);
    if (!(body instanceof Readable)) {
      done(null, content);
      return;
    }
    // A later hook may put another payload in the place of a stream that is being copied, which then nobody ends.
    if (exchange.storage === 'stored') finished(reply.raw, () => body.destroy());
    done(null, body);
  };
}

/** The fields without which a body can not be read. They go with the body they belong to. */
const CONTENT_FIELDS: readonly string[] = [
  'content-digest',
  'content-encoding',
  'content-language',
  'content-length',
  'content-range',
  'content-type',
];

export function restoreContentFields(reply: FastifyReply, fields: Fields): void {
  for (const name of CONTENT_FIELDS) {
    const value = fields.get(name);
    if (value === undefined) reply.removeHeader(name);
    else reply.header(name, value);
  }
}
