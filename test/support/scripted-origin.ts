import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import type { Body } from '../../src/cache/body.js';
import type { Origin, OriginResponse } from '../../src/cache/origin.js';
import type { ResponseRule } from '../../src/cache/policy.js';
import { Fields } from '../../src/http/fields.js';
import type { ProxyError } from '../../src/http/proxy-status.js';
import { until } from './until.js';

/** What an origin says, as the tests write it. */
export interface Answer {
  /** Default 200. */
  readonly status?: number;
  readonly fields?: readonly string[];
  /** A string has its length announced; a stream has only what `fields` say. Default: none. */
  readonly body?: string | Body;
  readonly delimited?: boolean;
  readonly failure?: ProxyError;
}

/** The `nth` request, counted from 1. */
export type Script = (request: Fields, nth: number) => Answer | Promise<Answer>;

/** An origin that answers as the test says, and remembers what it was asked and what became of the bodies it gave. */
export class ScriptedOrigin implements Origin {
  readonly requests: Fields[] = [];
  rule: ResponseRule = {};
  script: Script;
  readonly #streams: Readable[] = [];

  constructor(script: Script | Answer) {
    this.script = typeof script === 'function' ? script : () => script;
  }

  /** How often it was asked. */
  get asked(): number {
    return this.requests.length;
  }

  async fetch(fields: Fields): Promise<OriginResponse> {
    this.requests.push(fields.clone());
    const { status = 200, fields: flat = [], body = null, ...rest } = await this.script(fields, this.asked);
    if (body instanceof Readable) this.#streams.push(body);
    const bytes = typeof body === 'string' ? Buffer.from(body) : body;
    const head = new Fields(flat);
    if (bytes instanceof Uint8Array && !head.has('content-length')) head.set('Content-Length', String(bytes.length));
    return { status, fields: head, body: bytes, delimited: true, ...rest };
  }

  ruleFor(): ResponseRule {
    return this.rule;
  }

  /** Fails when a stream stays that nobody reads or has destroyed: it would hold a connection. */
  async letGo(): Promise<void> {
    await until(() => this.#streams.every((stream) => stream.destroyed), 'a body of the origin was left hanging');
  }
}

/** No connection to the origin, as the proxy reports it. */
export const UNREACHABLE: Answer = {
  status: 502,
  fields: ['Cache-Control', 'no-store'],
  body: 'Bad Gateway\n',
  failure: 'connection_refused',
};

/** A body that the test sends piece by piece. */
export class Feed extends Readable {
  constructor() {
    super({ read: () => {} });
    this.on('error', () => {});
  }

  send(text: string | Uint8Array): this {
    this.push(Buffer.from(text));
    return this;
  }

  end(): this {
    this.push(null);
    return this;
  }

  breakOff(): this {
    this.destroy(new Error('as the test wants it'));
    return this;
  }
}

/** All of a body as text. */
export async function textOf(body: Body): Promise<string> {
  if (body === null) return '';
  if (body instanceof Uint8Array) return Buffer.from(body).toString('latin1');
  const chunks: Buffer[] = [];
  for await (const chunk of body) chunks.push(Buffer.from(chunk));
  assert.ok(body.readableEnded);
  return Buffer.concat(chunks).toString('latin1');
}

/** A body in one piece, but a stream. */
export function feedOf(text: string): Feed {
  return new Feed().send(text).end();
}
