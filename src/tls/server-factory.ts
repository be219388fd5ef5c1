import { createSecureServer, type Http2SecureServer, type SecureServerOptions } from 'node:http2';
import { createServer, type Server, type ServerOptions } from 'node:https';
import type { Server as TlsServer } from 'node:tls';
import type { FastifyServerFactory } from 'fastify';
import { attach } from './attach.js';
import type { SharedTlsOptions } from './options.js';
import { SharedTls } from './shared-tls.js';

/**
 * The `serverFactory` of a Fastify app with the option `https`: all servers of the app share their sessions with the fleet,
 * the second one included that `listen({ host: 'localhost' })` makes, and they are made with what `tlsOptions` demands.
 *
 * @example
 * const app = Fastify({ https: { key, cert }, serverFactory: serverFactory({ store, secrets }) });
 */
export function serverFactory(options: SharedTlsOptions | SharedTls): FastifyServerFactory<Server> {
  const servers = new Servers(options);
  return (handler, fastify) => {
    const https: ServerOptions = httpsOptions(fastify);
    const server = createServer({ ...https, ...servers.shared.tlsOptions(https) }, handler);
    applyTimeouts(server, fastify);
    const maxRequests = numberOption(fastify, 'maxRequestsPerSocket');
    if (maxRequests > 0) server.maxRequestsPerSocket = maxRequests;
    return servers.add(server);
  };
}

/** The same for an app with `http2: true` and `https`. */
export function http2ServerFactory(options: SharedTlsOptions | SharedTls): FastifyServerFactory<Http2SecureServer> {
  const servers = new Servers(options);
  return (handler, fastify) => {
    const https: SecureServerOptions = httpsOptions(fastify);
    const server = createSecureServer({ ...https, ...servers.shared.tlsOptions(https) }, handler);
    const sessionTimeout = numberOption(fastify, 'http2SessionTimeout');
    server.on('session', (session) => {
      session.setTimeout(sessionTimeout, () => session.close());
    });
    server.setTimeout(numberOption(fastify, 'connectionTimeout'));
    return servers.add(server);
  };
}

/** The servers of an app, and what they share, which ends with the last of them unless it was somebody else's. */
class Servers {
  readonly shared: SharedTls;
  readonly #isOwn: boolean;
  #open = 0;

  constructor(options: SharedTlsOptions | SharedTls) {
    this.#isOwn = !(options instanceof SharedTls);
    this.shared = options instanceof SharedTls ? options : new SharedTls(options);
  }

  add<AppServer extends TlsServer>(server: AppServer): AppServer {
    attach(server, this.shared);
    this.#open++;
    server.once('close', () => {
      if (--this.#open === 0 && this.#isOwn) void this.shared.close();
    });
    return server;
  }
}

/** What Fastify itself sets on servers that it makes. */
function applyTimeouts(server: Server, fastify: Record<string, unknown>): void {
  server.keepAliveTimeout = numberOption(fastify, 'keepAliveTimeout');
  server.requestTimeout = numberOption(fastify, 'requestTimeout');
  server.setTimeout(numberOption(fastify, 'connectionTimeout'));
}

function httpsOptions({ https }: Record<string, unknown>): object {
  if (typeof https === 'object' && https !== null) return https;
  throw new Error('lookaside: the serverFactory needs the option "https" of the app');
}

/** Fastify has filled in its defaults. */
function numberOption(fastify: Record<string, unknown>, name: string): number {
  const value = fastify[name];
  return typeof value === 'number' ? value : 0;
}
