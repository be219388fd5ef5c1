import type { Socket } from 'node:net';
import type { Server } from 'node:tls';
import { type ClientHello, MAX_CLIENT_HELLO_BYTES, readClientHello } from './client-hello.js';

type ConnectionListener = (this: Server, socket: Socket) => void;

/**
 * Lets `see` read the ClientHello of each connection of `server` before TLS reads it, and has it give the connection to
 * TLS, by calling `handOver` at once. `see` is not told of connections that begin with something else. Returns how to undo
 * it; after `patienceMs` TLS gets the connection without. `undefined` when Node does not have the listener that takes connections where it is looked for, and nothing was done.
 */
export function peekClientHellos(
  server: Server,
  see: (hello: ClientHello, handOver: () => void) => void,
  patienceMs: number,
): (() => void) | undefined {
  const [original] = server.listeners('connection').filter(isTlsListener);
  if (original === undefined) return undefined;
  const peeking = (socket: Socket) => {
    peekClientHello(socket, patienceMs, (hello) => {
      if (hello === undefined) original.call(server, socket);
      else see(hello, () => original.call(server, socket));
    });
  };
  replaceListener(server, original, peeking);
  return () => replaceListener(server, peeking, original);
}

function isTlsListener(listener: unknown): listener is ConnectionListener {
  return typeof listener === 'function' && listener.name === 'tlsConnectionListener';
}

function replaceListener(server: Server, from: (socket: Socket) => void, to: (socket: Socket) => void): void {
  const listeners = server.rawListeners('connection').filter(isListener);
  server.removeAllListeners('connection');
  for (const listener of listeners) server.on('connection', listener === from ? to : listener);
}

function isListener(listener: unknown): listener is (socket: Socket) => void {
  return typeof listener === 'function';
}

/** Calls `handOver` with `socket` as if nothing had been read of it. A connection that ends before is not handed over. */
function peekClientHello(socket: Socket, patienceMs: number, handOver: (hello: ClientHello | undefined) => void): void {
  let bytes: Buffer = Buffer.alloc(0);
  const forget = () => {
    clearTimeout(timer);
    socket.off('readable', look).off('end', end).off('error', end).off('close', forget);
  };
  const end = () => {
    forget();
    // a late reset must find a listener
    socket.on('error', () => {});
    socket.destroy();
  };
  const finish = (hello: ClientHello | undefined) => {
    forget();
    if (bytes.length > 0) socket.unshift(bytes);
    handOver(hello);
  };
  const look = () => {
    const chunk: Buffer | null = socket.read();
    if (chunk === null) return;
    bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk]);
    const hello = readClientHello(bytes);
    if (hello !== 'incomplete') finish(hello);
    else if (bytes.length > MAX_CLIENT_HELLO_BYTES) finish(undefined);
  };
  const timer = setTimeout(() => finish(undefined), patienceMs);
  socket.on('readable', look).on('end', end).on('error', end).on('close', forget);
}
