import assert from 'node:assert/strict';
import { type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http';
import { until } from './until.js';

/** What came back for a request, whether it was complete or not. */
export interface Reply {
  /** 0: not even a head came. */
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** The body, as a byte string. */
  readonly text: string;
  /** Whether the message ended as its framing said it would. */
  readonly isWhole: boolean;
  /** The Cache-Status field; empty when there is none. */
  readonly cacheStatus: string;
  /** From the request to the end, in milliseconds. */
  readonly tookMs: number;
}

export interface Asked {
  /** Default `GET`. */
  readonly method?: string;
  /** Names and values. Host is `site.test` unless it is among them, whoever is asked. */
  readonly fields?: readonly string[];
  readonly body?: string;
  /** Sees each piece of the body as it comes, which is then not kept. It may pause or destroy the message. */
  readonly onPiece?: (piece: Buffer, message: IncomingMessage) => void;
}

/** The site that tests ask for when it does not matter: the same for every process of a fleet. */
export const SITE = 'site.test';

/** One request on a connection of its own; the target goes out as it is. Never rejects: see `isWhole`. */
export function ask(url: string, target: string, asked: Asked = {}): Promise<Reply> {
  const { method = 'GET', fields = [], body, onPiece } = asked;
  const { hostname, port } = new URL(url);
  const hasHost = fields.some((name, i) => i % 2 === 0 && name.toLowerCase() === 'host');
  const length = body === undefined ? [] : ['Content-Length', String(Buffer.byteLength(body))];
  const headers = [...(hasHost ? [] : ['Host', SITE]), ...fields, ...length];
  const began = performance.now();
  return new Promise((resolve) => {
    const pieces: Buffer[] = [];
    const end = (status: number, head: IncomingHttpHeaders, isWhole: boolean) => {
      const whole = Buffer.concat(pieces);
      const field = head['cache-status'];
      const tookMs = performance.now() - began;
      const cacheStatus = Array.isArray(field) ? field.join(', ') : (field ?? '');
      resolve({ status, headers: head, body: whole, text: whole.toString('latin1'), isWhole, cacheStatus, tookMs });
    };
    const sent = request({ hostname, port, method, path: target, agent: false, headers }, (message) => {
      const { statusCode = 0, headers: head } = message;
      message.on('data', (piece: Buffer) => {
        if (onPiece === undefined) pieces.push(piece);
        else onPiece(piece, message);
      });
      message.on('error', () => {});
      message.on('close', () => end(statusCode, head, message.complete));
    });
    sent.on('error', () => end(0, {}, false));
    sent.end(body);
  });
}

/**
 * The same, and what comes back is in the store when this resolves: a client has its answer earlier than the store. Asks
 * until there is a hit, and fails when one of the answers is another one.
 */
export async function askAndStore(url: string, target: string, asked: Asked = {}): Promise<Reply> {
  const reply = await ask(url, target, asked);
  await until(async () => {
    const { status, text, cacheStatus } = await ask(url, target, asked);
    assert.deepEqual({ status, text }, { status: reply.status, text: reply.text }, cacheStatus);
    return isHit(cacheStatus);
  }, `${target} does not get into the store`);
  return reply;
}

/** Whether a Cache-Status says that the answer came out of the store. */
export function isHit(cacheStatus: string): boolean {
  return cacheStatus.startsWith('lookaside; hit');
}
