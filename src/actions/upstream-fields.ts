import { Fields, withoutConnectionFields } from '../http/fields.js';
import type { ExchangeRequest } from './exchange.js';

/** What becomes of the fields in which proxies tell each other about the client. */
export type ForwardedPolicy = 'overwrite' | 'keep';

/**
 * The fields a request goes to its upstream with, without Host.
 *
 * An origin may let any of the dropped fields change its response, and no key covers them: who could send them through
 * would decide what others get from the cache. What the client's Connection field names goes first, so that it can not
 * name what is added here (RFC 9110, section 7.6.1).
 *
 * @param via what `Via` says of this proxy: the version the request came in, and our name
 */
export function upstreamFields(request: ExchangeRequest, via: string, forwarded: ForwardedPolicy): Fields {
  const sent = new Fields();
  for (const [name, value] of withoutConnectionFields(request.fields)) {
    if (isPassedOn(name.toLowerCase(), forwarded)) sent.append(name, value);
  }
  if (forwarded === 'overwrite') addForwarded(sent, request);
  // RFC 9110, section 7.6.3: a proxy must say that it forwarded the request.
  sent.append('Via', via);
  return sent;
}

function addForwarded(sent: Fields, { remote, scheme, fields }: ExchangeRequest): void {
  if (remote.address !== '') {
    sent.append('X-Forwarded-For', remote.address);
    sent.append('X-Real-IP', remote.address);
  }
  sent.append('X-Forwarded-Proto', scheme);
  const [host] = fields.all('host');
  if (host !== undefined) sent.append('X-Forwarded-Host', host);
}

function isPassedOn(name: string, forwarded: ForwardedPolicy): boolean {
  // CGI and its descendants can not tell `X_Real_IP` from `X-Real-IP`: nginx drops such names, too.
  if (MADE_ANEW.has(name) || OVERRIDES.has(name) || name.includes('_')) return false;
  return forwarded === 'keep' || !(CLIENT_CLAIMS.has(name) || name.startsWith('x-forwarded'));
}

/** What undici writes, or refuses to. The body's framing is made anew with the body. */
const MADE_ANEW: ReadonlySet<string> = new Set(['host', 'content-length', 'expect']);

/** Fields that make some frameworks take the request for another one (`Proxy` is the httpoxy hole of CGI). */
const OVERRIDES: ReadonlySet<string> = new Set([
  'proxy',
  'x-host',
  'x-http-host-override',
  'x-http-method',
  'x-http-method-override',
  'x-http-path-override',
  'x-method-override',
  'x-original-host',
  'x-original-method',
  'x-original-uri',
  'x-original-url',
  'x-rewrite-url',
]);

/** Fields in which a proxy in front of the origin says who the client is and how it came; `x-forwarded…` are more. */
const CLIENT_CLAIMS: ReadonlySet<string> = new Set([
  'cf-connecting-ip',
  'client-ip',
  'fastly-client-ip',
  'forwarded',
  'forwarded-for',
  'front-end-https',
  'true-client-ip',
  'x-client-ip',
  'x-cluster-client-ip',
  'x-originating-ip',
  'x-proxyuser-ip',
  'x-real-ip',
  'x-remote-addr',
  'x-remote-ip',
  'x-scheme',
  'x-url-scheme',
]);
