import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Origin, startOrigin } from './origin.js';

/** Answers a request; `nth` counts those for its target from 1. */
export type Answering = (request: IncomingMessage, response: ServerResponse, nth: number) => void;

/** An origin that knows how often it was asked. */
export interface CountingOrigin extends Origin {
  /** Requests for a target, in every spelling of its own. */
  count(target: string): number;
  /** Of all targets. */
  total(): number;
}

/** Starts an origin with an answer by path; to everything else it says `otherwise`. */
export async function startCountingOrigin(
  routes: { readonly [path: string]: Answering },
  otherwise: Answering = (_request, response) => response.writeHead(404).end(),
): Promise<CountingOrigin> {
  const counts = new Map<string, number>();
  let total = 0;
  const origin = await startOrigin((request, response) => {
    const { url: target = '' } = request;
    const [path = ''] = target.split('?', 1);
    const nth = (counts.get(target) ?? 0) + 1;
    counts.set(target, nth);
    total++;
    const answer = routes[path] ?? otherwise;
    answer(request, response, nth);
  });
  return { ...origin, count: (target) => counts.get(target) ?? 0, total: () => total };
}

/** Bytes that differ from place to place and from `seed` to `seed`, so that no part passes for another. */
export function patterned(bytes: number, seed = 0): Buffer {
  const body = Buffer.allocUnsafe(bytes);
  for (let at = 0; at < bytes; at++) body[at] = (at * 31 + (at >> 8) * 7 + (at >> 16) * 13 + seed) & 0xff;
  return body;
}
