import { createServer, type ListenOptions, type Server, type Socket } from 'node:net';
import { resolve } from 'node:path';
import { createServer as createTlsServer, type TlsOptions } from 'node:tls';
import { type Address, canListen, formatAddress, MAX_SOCKET_PATH_BYTES } from './address.js';
import { type Obstacle, removeStaleSocket } from './stale-socket.js';

/** The C tools'. */
const BACKLOG = 511;

/** Time for a TLS handshake: until it is done, nobody knows who holds the connection. */
const HANDSHAKE_TIMEOUT_MS = 10_000;

export interface Listener {
  /** Where it listens: a path as an absolute one, a port of 0 as the one that was given. */
  readonly address: Address;
  /** Takes no more connections, and removes the socket of a path. Those there are stay. */
  close(): Promise<void>;
}

/** A server for connected sockets, with TLS when it is given. Serve TLS on TCP only. */
export function socketServer(serve: (socket: Socket) => void, tls?: TlsOptions): Server {
  // an answer may come after the other side's end
  const options = { allowHalfOpen: true, noDelay: true };
  if (tls === undefined) return createServer(options, serve);
  const server = createTlsServer({ ...options, handshakeTimeout: HANDSHAKE_TIMEOUT_MS, ...tls }, serve);
  // a failed handshake closes its socket by itself
  return server.on('tlsClientError', () => {});
}

/**
 * Makes `server` listen. A socket file that nobody listens on any more is replaced; a live one, or any other file, is an
 * error, like all that the system refuses.
 */
export async function listen(server: Server, address: Address): Promise<Listener> {
  if (!canListen(address)) throw new Error(`${formatAddress(address)} can not be listened on`);
  const place = address.kind === 'unix' ? { ...address, path: await freePath(address.path) } : address;
  await new Promise<void>((listening, failed) => {
    server.once('error', failed);
    server.listen({ ...listenTarget(place), backlog: BACKLOG }, () => {
      server.off('error', failed);
      listening();
    });
  });
  // from here on an error concerns one connection that could not be accepted
  server.on('error', () => {});
  return {
    address: place.kind === 'unix' ? place : withPort(place, server),
    close: () => new Promise((closed) => server.close(() => closed())),
  };
}

function listenTarget(address: Address): ListenOptions {
  if (address.kind === 'unix') return { path: address.path };
  const { family, host, port } = address;
  return family === 4 ? { host: host ?? '0.0.0.0', port } : { host: host ?? '::', port, ipv6Only: true };
}

const OBSTACLES: Readonly<Record<Obstacle, (path: string) => string>> = {
  listener: (path) => `something listens on ${path}`,
  file: (path) => `${path} is there, and is no socket`,
};

/** The path made absolute, so that the socket is found and removed at the end wherever the process has moved to. */
async function freePath(path: string): Promise<string> {
  const absolute = resolve(path);
  if (Buffer.byteLength(absolute) > MAX_SOCKET_PATH_BYTES) {
    throw new Error(`${absolute} is longer than the ${MAX_SOCKET_PATH_BYTES} bytes of a socket's path`);
  }
  const obstacle = await removeStaleSocket(absolute);
  if (obstacle !== undefined) throw new Error(OBSTACLES[obstacle](absolute));
  return absolute;
}

function withPort(address: Address & { kind: 'tcp' }, server: Server): Address {
  const bound = server.address();
  return bound === null || typeof bound === 'string' ? address : { ...address, port: bound.port };
}
