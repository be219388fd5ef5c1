import { connect, isIP, isIPv6, type OnReadOpts, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';

/**
 * Where distcache servers and clients listen and connect, as the C tools write it, and IPv6:
 *
 *     UNIX:path
 *     IP:port   IP::port   IPv4:port                all interfaces, to listen only
 *     IP:host:port   IPv4:host:port                 a name is looked up with each connection, for IPv4
 *     IPv6:port   IPv6:host:port   IP:[v6]:port     the same for IPv6
 *
 * The prefixes are case-sensitive. (`FD:`, inherited descriptors, was never of use with the C tools and is left out.)
 */
export type Address =
  | { readonly kind: 'unix'; readonly path: string }
  | {
      readonly kind: 'tcp';
      readonly family: 4 | 6;
      /** A name or an IP address without brackets; `undefined`: all interfaces. */
      readonly host: string | undefined;
      readonly port: number;
    };

/** Linux's `sun_path` holds 108 bytes with the final NUL. The C tools cut a longer path short and use another socket. */
export const MAX_SOCKET_PATH_BYTES = 107;

/** The C tools' limit. */
const MAX_ADDRESS_LENGTH = 255;

/** Reads an address. Throws an error that names the value. `UNIX:` without a path is one, though of no use. */
export function parseAddress(text: string): Address {
  const address = text.length > MAX_ADDRESS_LENGTH ? undefined : (unixAddress(text) ?? tcpAddress(text));
  if (address !== undefined) return address;
  throw new Error(
    `${JSON.stringify(text)} is not a distcache address: expected UNIX:path, IP:port, IP:host:port or IP:[IPv6]:port`,
  );
}

/** The address as {@link parseAddress} reads it. */
export function formatAddress(address: Address): string {
  if (address.kind === 'unix') return `UNIX:${address.path}`;
  const { family, host, port } = address;
  if (host === undefined) return family === 4 ? `IP:${port}` : `IPv6:${port}`;
  if (isIPv6(host)) return `IP:[${host}]:${port}`;
  return family === 4 ? `IP:${host}:${port}` : `IPv6:${host}:${port}`;
}

/** Whether the address says whom to connect to. All can be listened on, but for an empty path. */
export function canConnect(address: Address): boolean {
  return address.kind === 'unix' ? canListen(address) : address.host !== undefined;
}

export function canListen(address: Address): boolean {
  return address.kind === 'tcp' || address.path !== '';
}

export interface Connecting {
  /** Speak TLS. Default: no. */
  readonly tls?: ConnectionOptions | undefined;
  /**
   * Gets what is received, in place of the socket's `data` event. The memory of `bytes` is used again when it returns:
   * that saves a buffer of 64 KiB with each read.
   */
  readonly onBytes?: (bytes: Buffer) => void;
}

/** Starts to connect; a failure is an `error` of the socket. Throws a RangeError when {@link canConnect} says no. */
export function connectTo(address: Address, { tls, onBytes }: Connecting = {}): Socket {
  if (!canConnect(address)) throw new RangeError(`${formatAddress(address)} can not be connected to`);
  // an answer may come after the other side's end, and the other way round
  const socket = { allowHalfOpen: true, ...(onBytes && { onread: readingInto(RECEIVED, onBytes) }) };
  const target =
    address.kind === 'unix'
      ? { path: address.path, ...socket }
      : { host: address.host, port: address.port, family: address.family, noDelay: true, ...socket };
  if (tls === undefined) return connect(target);
  return connectTls({ ...servername(address), ...tls, ...target });
}

/** All connections read into it: what one has received is dealt with before the next one reads. */
const RECEIVED = Buffer.allocUnsafeSlow(65_536);

function readingInto(buffer: Buffer, onBytes: (bytes: Buffer) => void): OnReadOpts {
  return {
    buffer,
    callback(length) {
      onBytes(buffer.subarray(0, length));
      return true;
    },
  };
}

/** The name that the server's certificate is asked for, when it is a name. */
function servername(address: Address): { servername?: string } {
  if (address.kind === 'unix' || address.host === undefined || isIP(address.host) !== 0) return {};
  return { servername: address.host };
}

function unixAddress(text: string): Address | undefined {
  const [, path] = /^UNIX:([^\0]*)$/s.exec(text) ?? [];
  if (path === undefined || Buffer.byteLength(path) > MAX_SOCKET_PATH_BYTES) return undefined;
  return { kind: 'unix', path };
}

/** strtoul skips blanks and one `+` before the digits. */
const TCP = /^(?<prefix>IP|IPv4|IPv6):(?:(?:\[(?<v6>[^\]]+)\]|(?<name>[^\s:[\]]*)):)?(?<port>[ \t\n\v\f\r]*\+?[0-9]+)$/;

function tcpAddress(text: string): Address | undefined {
  const { prefix, v6, name, port: digits } = TCP.exec(text)?.groups ?? {};
  const port = Number(digits ?? Number.NaN);
  if (!(port <= 65535)) return undefined;
  if (v6 !== undefined) {
    return prefix !== 'IPv4' && isIPv6(v6) ? { kind: 'tcp', family: 6, host: v6, port } : undefined;
  }
  return { kind: 'tcp', family: prefix === 'IPv6' ? 6 : 4, host: name === '' ? undefined : name, port };
}
