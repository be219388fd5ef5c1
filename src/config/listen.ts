import { isIPv4, isIPv6 } from 'node:net';
import { z } from 'zod';
import { MAX_SOCKET_PATH_BYTES } from '../store/memcached/address.js';

/** Where the proxy listens. */
export type ListenAddress =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string };

/** What a port without host listens on: nobody else's machine, unless asked for. */
const DEFAULT_HOST = '127.0.0.1';

export const LISTEN_FORMS = 'a port, host:port, [IPv6]:port or unix:/path';

/** Reads where to listen; `undefined` when it is none of {@link LISTEN_FORMS}. Port 0 is any free one. */
export function parseListen(text: string): ListenAddress | undefined {
  if (text.startsWith('unix:')) return unixSocket(text.slice('unix:'.length));
  const parts = /^(?:(?:\[(?<v6>[^\]]+)\]|(?<name>[\w.-]+)):)?(?<port>[0-9]{1,5})$/.exec(text)?.groups;
  if (parts === undefined || (parts.v6 !== undefined && !isIPv6(parts.v6))) return undefined;
  const port = Number(parts.port);
  return port <= 65535 ? { kind: 'tcp', host: parts.v6 ?? parts.name ?? DEFAULT_HOST, port } : undefined;
}

function unixSocket(path: string): ListenAddress | undefined {
  const fits = Buffer.byteLength(path) <= MAX_SOCKET_PATH_BYTES;
  return fits && /^\/[^\0]+$/.test(path) ? { kind: 'unix', path } : undefined;
}

/** Whether only this machine can reach what listens there. */
export function isLocal(address: ListenAddress): boolean {
  if (address.kind === 'unix') return true;
  const { host } = address;
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'));
}

/** Where to listen, as a config says it. */
export const listenAddress = z
  .union([z.int().min(0).max(65535), z.string()], { error: (issue) => notListen(issue.input) })
  .transform((value, check) => {
    const address = parseListen(String(value));
    if (address !== undefined) return address;
    check.issues.push({ code: 'custom', message: notListen(value), input: value });
    return z.NEVER;
  });

function notListen(value: unknown): string | undefined {
  return value === undefined ? undefined : `${JSON.stringify(value)} is no place to listen: expected ${LISTEN_FORMS}`;
}
