import { Readable } from 'node:stream';
import type { Fields } from '../http/fields.js';
import type { ProxyError } from '../http/proxy-status.js';
import type { Body } from './body.js';
import type { ResponseRule } from './policy.js';

/** A response as it comes from the origin: its head, and its body so far as it is known. */
export interface OriginResponse {
  readonly status: number;
  readonly fields: Fields;
  readonly body: Body;
  /** Whether the end of the body can be told from a break. */
  readonly delimited: boolean;
  /** Why there is none of the origin's own (RFC 9209, section 2.3), when this one was made up in its place. */
  readonly failure?: ProxyError | undefined;
}

/** The way to the origin for one request: what fetches a response, and what the operator has to say about it. */
export interface Origin {
  /**
   * Fetches for the request with these fields in place of its own.
   *
   * @param isRefresh the client has its answer already: this response is for the store only
   */
  fetch(fields: Fields, isRefresh: boolean): Promise<OriginResponse>;
  /** The rule for a response with this head. */
  ruleFor(head: { readonly status: number; readonly fields: Fields }): ResponseRule;
}

/** Length of the body as announced; `undefined` when it was not. */
export function contentLength(fields: Fields): number | undefined {
  const text = fields.get('content-length');
  return text !== undefined && /^[0-9]{1,15}$/.test(text) ? Number(text) : undefined;
}

/** A response that nobody gets. */
export function discard({ body }: OriginResponse): void {
  if (body instanceof Readable) body.destroy();
}
