import type { IncomingMessage } from 'node:http';
import { parseAuthority } from '../actions/exchange.js';

/** Why a request is answered with an error before any action sees it. Its connection is closed with the answer. */
export interface Refusal {
  readonly status: 400 | 417 | 431 | 501;
  /** One sentence, for the client and the log. */
  readonly reason: string;
}

/**
 * What node:http lets through and could mean different things to us and to whoever is in front of us or behind
 * (RFC 9112, sections 3.2, 3.3 and 6.1). A request is refused rather than repaired.
 */
export function refusalOf(request: IncomingMessage, scheme: Scheme): Refusal | undefined {
  return refusedFraming(request) ?? refusedHost(request) ?? refusedTarget(request, scheme);
}

type Scheme = 'http' | 'https';

/** The target in origin-form. Call it for requests that were not refused. */
export function originForm(target: string): string {
  const rest = ABSOLUTE_FORM.exec(target)?.groups?.rest;
  if (rest === undefined) return target;
  return rest.startsWith('/') ? rest : `/${rest}`;
}

function refusedFraming({ headers, httpVersionMajor, httpVersionMinor }: IncomingMessage): Refusal | undefined {
  const coding = headers['transfer-encoding'];
  if (coding === undefined) return undefined;
  if (httpVersionMajor === 1 && httpVersionMinor === 0) return refused('Transfer-Encoding is not for HTTP/1.0');
  if (coding.trim().toLowerCase() === 'chunked') return undefined;
  return { status: 501, reason: 'the only transfer coding is chunked' };
}

/** A name, an IPv4 address or an IPv6 address in brackets, and a port or none: nothing that could end an authority. */
const HOST = /^(?:[A-Za-z0-9_](?:[A-Za-z0-9._~-]*[A-Za-z0-9_~-])?\.?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?$/;

function refusedHost({ rawHeaders, httpVersion }: IncomingMessage): Refusal | undefined {
  const hosts = rawHeaders.filter((_, index) => index % 2 === 1 && isHost(rawHeaders[index - 1]));
  const [host, ...more] = hosts;
  if (more.length > 0) return refused('more than one Host');
  if (host === undefined) return httpVersion === '1.0' ? undefined : refused('no Host');
  return isAuthority(host) ? undefined : refused('not a host');
}

/** Whether `text` can stand in Host, or in `:authority`. */
export function isAuthority(text: string): boolean {
  return HOST.test(text) && !text.includes('..');
}

function isHost(name: string | undefined): boolean {
  return name?.length === 4 && name.toLowerCase() === 'host';
}

const ABSOLUTE_FORM = /^(?<scheme>https?):\/\/(?<authority>[^/?#\\]*)(?<rest>.*)$/is;

function refusedTarget({ url = '', headers }: IncomingMessage, scheme: Scheme): Refusal | undefined {
  if (url.startsWith('/')) return undefined;
  const absolute = ABSOLUTE_FORM.exec(url)?.groups;
  if (absolute?.authority === undefined || absolute.scheme?.toLowerCase() !== scheme) {
    return refused(`the target is neither a path nor an ${scheme} URL`);
  }
  const { authority } = parseAuthority(absolute.authority, scheme);
  const isSame = authority === parseAuthority(headers.host ?? '', scheme).authority;
  return isSame && authority !== '' ? undefined : refused('the target names another host than Host does');
}

function refused(reason: string): Refusal {
  return { status: 400, reason };
}
