import type { FastifyReply } from 'fastify';
import type { ResponseHead } from '../http/response-head.js';

/** Gives the reply status and fields of a stored response, in addition to the fields it has. */
export function fillHead(reply: FastifyReply, { status, fields }: ResponseHead): void {
  const lines = new Map<string, string[]>();
  for (const [name, value] of fields) {
    const lowerName = name.toLowerCase();
    const values = lines.get(lowerName);
    if (values === undefined) lines.set(lowerName, [value]);
    else values.push(value);
  }
  reply.code(status);
  for (const [name, values] of lines) reply.header(name, values.length === 1 ? values[0] : values);
}

/** Gives the reply status and fields of a response, and no other fields. */
export function replaceHead(reply: FastifyReply, head: ResponseHead): void {
  // Fastify adds to Set-Cookie what it is set to.
  for (const name of Object.keys(reply.getHeaders())) {
    if (name === 'set-cookie' || !head.fields.has(name)) reply.removeHeader(name);
  }
  fillHead(reply, head);
}
