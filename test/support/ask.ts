import { type ClientRequest, type IncomingHttpHeaders, request } from 'node:http';

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
  /** Sees the request and each piece of the body as they come: to leave, or to let the proxy wait. */
  readonly onPiece?: (piece: Buffer, sent: ClientRequest) => void;
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
        pieces.push(piece);
        onPiece?.(piece, sent);
      });
      message.on('error', () => {});
      message.on('close', () => end(statusCode, head, message.complete));
    });
    sent.on('error', () => end(0, {}, false));
    sent.end(body);
  });
}
