import { type Endpoint, type ExchangeRequest, parseAuthority } from '../actions/exchange.js';
import { Fields } from '../http/fields.js';
import { parseTarget } from '../http/path.js';
import { isAuthority, type Refusal } from './request-guard.js';

/** What is known of a request besides its fields. */
export interface Http2Circumstances {
  readonly hasBody: boolean;
  readonly remote: Endpoint;
  readonly local: Endpoint;
}

/**
 * The request of a HEADERS frame, in the form it would have had in HTTP/1.1: with Host, and with one Cookie field
 * (RFC 9113, section 8.2.3). Or why it is refused: what nghttp2, which checks the form of messages, lets through and
 * whoever is behind us could read in another way.
 *
 * @param rawHeaders names and values by turns, pseudo-header fields included
 */
export function requestOf(rawHeaders: readonly string[], circumstances: Http2Circumstances): ExchangeRequest | Refusal {
  const pseudo = new Map<string, string>();
  const fields: string[] = [];
  const cookies: string[] = [];
  const hosts: string[] = [];
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] ?? '';
    const value = rawHeaders[i + 1] ?? '';
    if (name.startsWith(':')) pseudo.set(name, value);
    else if (name === 'cookie') cookies.push(value);
    else if (name === 'host') hosts.push(value);
    else fields.push(name, value);
  }
  const method = pseudo.get(':method') ?? '';
  if (method === 'CONNECT') return { status: 501, reason: 'there are no tunnels here' };
  if (pseudo.get(':scheme') !== 'https') return refused('the scheme is not https');
  const target = pseudo.get(':path') ?? '';
  if (!TARGET.test(target)) return refused('the target is not a path');
  const [host = '', ...more] = new Set([...hosts, pseudo.get(':authority') ?? hosts[0] ?? '']);
  if (more.length > 0) return refused('more than one host');
  if (!isAuthority(host)) return refused(host === '' ? 'no host' : 'not a host');
  const all = new Fields(['host', host, ...fields, ...(cookies.length === 0 ? [] : ['cookie', cookies.join('; ')])]);
  const expectation = all.get('expect');
  if (expectation !== undefined && !isContinue(expectation)) return { status: 417, reason: 'unknown expectation' };
  return {
    method,
    scheme: 'https',
    ...parseAuthority(host, 'https'),
    ...parseTarget(target),
    fields: all,
    remote: circumstances.remote,
    local: circumstances.local,
    hasBody: circumstances.hasBody && all.get('content-length') !== '0',
  };
}

/** Whether the client waits with its body until it is told to go on (RFC 9110, section 10.1.1). */
export function isContinue(expectation: string): boolean {
  return expectation.toLowerCase() === '100-continue';
}

/** As the parser of HTTP/1 takes it. */
const TARGET = /^\/[\x21-\x7e]*$/;

function refused(reason: string): Refusal {
  return { status: 400, reason };
}
