import type { Server } from 'node:tls';
import type { SharedTlsOptions } from './options.js';
import { ServerLink } from './server-link.js';
import { SharedTls } from './shared-tls.js';

const attached = new WeakSet<Server>();

/**
 * Lets `server` share its TLS sessions with the other servers of its fleet. It is one of `tls`, `https` or `http2` that
 * was made with `tlsOptions`. Ends when the server closes; the store stays open.
 *
 * Throws a RangeError when `options` can not be used, and an Error when the server is attached already, or when sessions
 * of other servers could bring clients past its demand for certificates.
 *
 * @returns what was made of `options`, for counts and readiness, and to attach further servers to. Given one, it is that.
 */
export function attach(server: Server, options: SharedTlsOptions | SharedTls): SharedTls {
  if (attached.has(server)) throw new Error('lookaside: this server is attached already');
  const shared = options instanceof SharedTls ? options : new SharedTls(options);
  const link = linkOrClose(server, shared, options);
  attached.add(server);
  server.once('close', () => {
    attached.delete(server);
    link.unlink();
    if (shared !== options) void shared.close();
  });
  return shared;
}

/** Whether `server` is attached. */
export function isAttached(server: Server): boolean {
  return attached.has(server);
}

function linkOrClose(server: Server, shared: SharedTls, options: SharedTlsOptions | SharedTls): ServerLink {
  try {
    return new ServerLink(server, shared);
  } catch (error) {
    if (shared !== options) void shared.close();
    throw error;
  }
}
