import type { IncomingHttpHeaders } from 'node:http';
import { isIP } from 'node:net';
import { showsToken } from '../actions/bearer-token.js';
import { parseAuthority } from '../actions/exchange.js';
import type { ManagementSettings } from '../config/management.js';

/** Why a request to the management endpoint is not answered. */
export interface ManagementRefusal {
  readonly status: 401 | 403 | 421;
  readonly error: string;
}

/**
 * Whether a request may be answered at all. A token keeps strangers out; what stands before it keeps out web pages that
 * a visitor of this machine happens to look at: they name another origin, or have their own name lead here.
 */
export function managementRefusal(
  { host = '', origin, authorization }: IncomingHttpHeaders,
  { hosts, tokenDigest }: Pick<ManagementSettings, 'hosts' | 'tokenDigest'>,
): ManagementRefusal | undefined {
  if (!isOwnHost(host, hosts)) return { status: 421, error: 'not a name of this endpoint: see management.hosts' };
  if (origin !== undefined && origin !== `http://${host}`)
    return { status: 403, error: 'not for pages of other origins' };
  if (tokenDigest === undefined || showsToken(authorization, tokenDigest)) return undefined;
  return { status: 401, error: 'show the token: Authorization: Bearer …' };
}

/** A name can be made to lead here by whoever owns it; an address can not. */
function isOwnHost(field: string, hosts: readonly string[]): boolean {
  const { host } = parseAuthority(field, 'http');
  const address = host.replace(/^\[(.*)\]$/, '$1');
  return host === 'localhost' || isIP(address) !== 0 || hosts.includes(host);
}
