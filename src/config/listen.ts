import { isIPv6 } from 'node:net';
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
