import type { FastifyReply, FastifyRequest } from 'fastify';
import { ClientConnection } from '../actions/client-connection.js';
import { cacheStatusOf } from '../actions/deliver.js';
import { Exchange, type ExchangeResponse, receivedRequest } from '../actions/exchange.js';
import { formatCacheStatus } from '../http/cache-status.js';
import { Fields } from '../http/fields.js';

/**
 * An exchange whose response travels in a Fastify reply: `request.memcached`, once a lookup or a store of the plugin has
 * seen the request. Its `outcome` and `storage` say what became of it and why.
 *
 * The reply holds more than the response: `Cache-Status`, and what the miss branch of a lookup sets, belong to this one
 * delivery and are kept apart from what goes into the store.
 */
export class ReplyExchange extends Exchange {
  readonly reply: FastifyReply;

  /** A hit on its way through the onSend hooks, as it was sent, until it comes to the place where it was stored. */
  replay: ExchangeResponse | undefined;

  readonly #missFields = new Map<string, unknown>();
  #announced: string | undefined;

  constructor(request: FastifyRequest, reply: FastifyReply) {
    const scheme = request.protocol === 'https' ? 'https' : 'http';
    super(receivedRequest(request.raw, scheme), new ClientConnection(request.raw, reply.raw), request.log);
    this.reply = reply;
  }

  /** The exchange of `request`. */
  static of(request: FastifyRequest, reply: FastifyReply): ReplyExchange {
    request.memcached ??= new ReplyExchange(request, reply);
    return request.memcached;
  }

  /** Runs the miss branch of a lookup, and keeps in mind which fields of the reply are its doing. */
  async runMissBranch(branch: () => unknown): Promise<unknown> {
    const before: Record<string, unknown> = this.reply.getHeaders();
    const payload = await branch();
    for (const [name, value] of Object.entries(this.reply.getHeaders())) {
      if (before[name] !== value) this.#missFields.set(name, value);
    }
    return payload;
  }

  /** The fields of the response itself, as they stand now. */
  responseFields(): Fields {
    const headers = Object.entries(this.reply.getHeaders());
    const fields = Fields.from(headers.filter(([name, value]) => value !== this.#missFields.get(name)));
    fields.delete('cache-status');
    for (const member of this.#foreignMembers()) fields.append('cache-status', member);
    return fields;
  }

  /** Puts our member of `Cache-Status` behind those of caches nearer to the origin, in the place of an earlier one. */
  announce(cacheName: string): void {
    const status = cacheStatusOf(this, { status: this.reply.statusCode });
    if (status === undefined) return;
    const members = this.#foreignMembers();
    this.#announced = formatCacheStatus(cacheName, status);
    this.reply.header('cache-status', members.length === 0 ? this.#announced : [...members, this.#announced]);
  }

  #foreignMembers(): string[] {
    const members = [this.reply.getHeader('cache-status') ?? []].flat().map(String);
    return members.at(-1) === this.#announced ? members.slice(0, -1) : members;
  }
}
