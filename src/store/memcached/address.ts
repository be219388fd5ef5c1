import { isIPv6 } from 'node:net';

/** Where one memcached listens. */
export type Address =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string };

/** memcached's registered port. */
export const DEFAULT_PORT = 11211;

/** Linux's `sun_path` holds 108 bytes with the final NUL. A longer path would be cut short and name another socket. */
export const MAX_SOCKET_PATH_BYTES = 107;

/**
 * Reads an address as configurations write it: `host`, `host:port`, `[v6]`, `[v6]:port` or `unix:/path`; the port is
 * {@link DEFAULT_PORT} unless given. Host names are kept as they are, not resolved. Throws an error that names the value
 * and the accepted forms.
 */
export function parseAddress(text: string): Address {
  const address = text.startsWith('unix:') ? unixAddress(text.slice('unix:'.length)) : tcpAddress(text);
  if (address !== undefined) return address;
  throw new Error(
    `${JSON.stringify(text)} is not the address of a memcached server: ` +
      'expected host, host:port, [IPv6], [IPv6]:port or unix:/path',
  );
}

/** The address as {@link parseAddress} reads it, always with its port: equal addresses give equal text. */
export function formatAddress(address: Address): string {
  if (address.kind === 'unix') return `unix:${address.path}`;
  return address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}

function unixAddress(path: string): Address | undefined {
  const isAbsolute = /^\/[^\0]+$/.test(path);
  return isAbsolute && Buffer.byteLength(path) <= MAX_SOCKET_PATH_BYTES ? { kind: 'unix', path } : undefined;
}

function tcpAddress(text: string): Address | undefined {
  const parts = /^(?:\[(?<v6>[^\]]+)\]|(?<name>[\w.-]+))(?::(?<port>\d{1,5}))?$/.exec(text)?.groups;
  if (parts === undefined) return undefined;
  if (parts.v6 !== undefined && !isIPv6(parts.v6)) return undefined;
  const host = parts.v6 ?? parts.name;
  const port = Number(parts.port ?? DEFAULT_PORT);
  return host !== undefined && port >= 1 && port <= 65535 ? { kind: 'tcp', host, port } : undefined;
}
