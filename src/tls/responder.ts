import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { MAX_RESPONSE_BYTES } from './ocsp.js';

/** Why a responder gave no answer to judge. */
export type ResponderFailure = 'timeout' | 'connection' | 'status' | 'too-large' | 'closed';

export class ResponderError extends Error {
  override readonly name = 'ResponderError';
  readonly code: ResponderFailure;

  constructor(code: ResponderFailure, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** RFC 5019 5: up to here a request goes into the URL, where caches on the way can see it. */
const MAX_GET_BYTES = 255;

export interface AskOptions {
  /** For everything together, name resolution included. */
  readonly timeoutMs: number;
  /** Gives up the exchange, as `closed`. */
  readonly signal: AbortSignal;
}

/**
 * Sends an OCSP request over HTTP (RFC 6960 appendix A) and resolves to the body of the answer, at most
 * {@link MAX_RESPONSE_BYTES}: bytes of a stranger. Asks by GET where the URL stays short, and by POST otherwise or when
 * the GET is answered with anything but 200. Redirections are not followed. Rejects with a {@link ResponderError}.
 */
export async function askResponder(url: string, request: Buffer, options: AskOptions): Promise<Buffer> {
  const deadline = AbortSignal.timeout(options.timeoutMs);
  const signal = AbortSignal.any([deadline, options.signal]);
  try {
    const byGet = getUrl(url, request);
    if (byGet.length <= MAX_GET_BYTES) {
      const answer = await exchange(byGet, undefined, signal);
      if (answer.status === 200) return answer.body;
    }
    const { status, body } = await exchange(url, request, signal);
    if (status !== 200) throw new ResponderError('status', `${url} answered with status ${status}`);
    return body;
  } catch (cause) {
    if (options.signal.aborted) throw new ResponderError('closed', 'the stapler was closed', { cause });
    if (deadline.aborted) throw new ResponderError('timeout', `${url} took over ${options.timeoutMs} ms`, { cause });
    if (cause instanceof ResponderError) throw cause;
    throw new ResponderError('connection', `${url} can not be asked`, { cause });
  }
}

function getUrl(url: string, request: Buffer): string {
  return `${url}${url.endsWith('/') ? '' : '/'}${encodeURIComponent(request.toString('base64'))}`;
}

interface Exchanged {
  readonly status: number;
  /** Empty unless the status is 200. */
  readonly body: Buffer;
}

async function exchange(url: string, body: Buffer | undefined, signal: AbortSignal): Promise<Exchanged> {
  const headers = { accept: 'application/ocsp-response' };
  const request = httpRequest(url, {
    method: body === undefined ? 'GET' : 'POST',
    headers: body === undefined ? headers : { ...headers, 'content-type': 'application/ocsp-request' },
    agent: false,
    signal,
  });
  // an abort that comes later than the answer
  request.on('error', () => {});
  try {
    request.end(body);
    const [response]: IncomingMessage[] = await once(request, 'response', { signal });
    if (response === undefined) throw new Error('a response event without a response');
    const status = response.statusCode ?? 0;
    return { status, body: status === 200 ? await bodyOf(response) : Buffer.alloc(0) };
  } finally {
    // with the rest of an answer that nobody reads
    request.destroy();
  }
}

async function bodyOf(response: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > MAX_RESPONSE_BYTES) throw new ResponderError('too-large', `more than ${MAX_RESPONSE_BYTES} bytes`);
  }
  return Buffer.concat(chunks);
}
