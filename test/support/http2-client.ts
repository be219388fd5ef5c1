import { once } from 'node:events';
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type SecureClientSessionOptions,
} from 'node:http2';

/** What came back over a stream. */
export interface StreamReply {
  /** 0: no head came. */
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** How the stream ended (RFC 9113, section 7); `NO_ERROR` for one that was not reset. */
  readonly reset: string;
  /** The heads that came before that of the response. */
  readonly interim: readonly IncomingHttpHeaders[];
}

/** A connection that takes whatever certificate it is shown. */
export async function connectHttp2(url: string, options: SecureClientSessionOptions = {}): Promise<ClientHttp2Session> {
  const session = connect(url, { rejectUnauthorized: false, ...options });
  // what becomes of a connection the streams tell
  session.on('error', () => {});
  await once(session, 'connect');
  return session;
}

/** Sends a request, all of it unless the body is to be written by `write`; resolves when its stream has closed. */
export function askHttp2(
  session: ClientHttp2Session,
  headers: OutgoingHttpHeaders,
  body?: string | ((stream: ClientHttp2Stream) => void),
): Promise<StreamReply> {
  const stream = session.request({ ':authority': 'site.test', ...headers }, { endStream: body === undefined });
  if (typeof body === 'string') stream.end(body);
  else body?.(stream);
  return replyOf(stream);
}

export function replyOf(stream: ClientHttp2Stream): Promise<StreamReply> {
  return new Promise((resolve) => {
    let text = '';
    let head: IncomingHttpHeaders = {};
    const interim: IncomingHttpHeaders[] = [];
    stream.setEncoding('latin1').on('data', (chunk: string) => {
      text += chunk;
    });
    stream.on('headers', (headers) => interim.push(headers));
    stream.on('response', (headers) => {
      head = headers;
    });
    stream.on('error', () => {});
    stream.on('close', () => {
      const status = Number(head[':status'] ?? 0);
      resolve({ status, headers: head, text, reset: ERRORS.get(stream.rstCode) ?? `${stream.rstCode}`, interim });
    });
  });
}

const ERRORS: ReadonlyMap<number | undefined, string> = new Map(
  (['NO_ERROR', 'PROTOCOL_ERROR', 'INTERNAL_ERROR', 'REFUSED_STREAM', 'CANCEL', 'ENHANCE_YOUR_CALM'] as const).map(
    (name) => [constants[`NGHTTP2_${name}`], name],
  ),
);
