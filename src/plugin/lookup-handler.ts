import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { ChainContext } from '../actions/chain.js';
import type { ExchangeResponse } from '../actions/exchange.js';
import { type LookupOptions, lookup } from '../actions/lookup.js';
import { ReplyExchange } from './reply-exchange.js';
import { fillHead } from './reply-head.js';

/**
 * What a lookup does on a hit or on a miss besides what it does anyway. May change status and fields of the reply; what it
 * returns is sent. One that sends by itself returns the reply, as everywhere in Fastify.
 */
export type LookupBranch = (request: FastifyRequest, reply: FastifyReply) => unknown;

/** A route handler, or any hook from `onRequest` to `preHandler`. */
export type LookupHandler = (request: FastifyRequest, reply: FastifyReply) => Promise<void>;

/** Answers a request from the store; resolves to whether the reply is on its way. */
export type Answer = (request: FastifyRequest, reply: FastifyReply) => Promise<boolean>;

/** `memcached.lookup` between Fastify's hooks. */
export function lookupAnswer(
  options: LookupOptions,
  context: ChainContext,
  hit?: LookupBranch,
  miss?: LookupBranch,
): Answer {
  const step = lookup(options, context);
  return async (request, reply) => {
    const exchange = ReplyExchange.of(request, reply);
    await step(exchange);
    const { response } = exchange;
    if (response !== undefined) fillHead(reply, response);
    const payload = await (response === undefined
      ? exchange.runMissBranch(() => miss?.(request, reply))
      : hit?.(request, reply));
    if (reply.sent) return true;
    if (payload !== undefined) reply.send(payload);
    else if (response !== undefined) replay(exchange, response);
    return payload !== undefined || response !== undefined;
  };
}

const answers = new WeakMap<object, Answer>();

/** `answer` as a hook, or as the handler of a route ({@link answerOf}). */
export function lookupHandler(answer: Answer): LookupHandler {
  const handler: LookupHandler = async (request, reply) => {
    // A reply can be awaited: it resolves when the response is out, and the hooks that follow are then left out.
    if (await answer(request, reply)) await reply;
  };
  answers.set(handler, answer);
  return handler;
}

/** What `handler` was made of, if it is a lookup's. */
export function answerOf(handler: object): Answer | undefined {
  return answers.get(handler);
}

function replay(exchange: ReplyExchange, { body, delimited }: ExchangeResponse): void {
  const { reply } = exchange;
  exchange.replay = { status: reply.statusCode, fields: exchange.responseFields(), body, delimited };
  if (!(body instanceof Uint8Array)) reply.send();
  else if (reply.hasHeader('content-type')) reply.send(body);
  // Fastify makes up a Content-Type for bytes that have none, but not for a stream.
  else reply.header('content-length', body.length).send(Readable.from([body]));
}
