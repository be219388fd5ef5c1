import { Server } from 'node:tls';
import createError from '@fastify/error';
import type { FastifyInstance } from 'fastify';
import fp from 'fastify-plugin';
import { attach, isAttached } from './attach.js';
import type { SharedTlsOptions } from './options.js';
import { SharedTls } from './shared-tls.js';

/** Options of the plugin: those of `attach`, or what a `serverFactory` was made with. */
export type TlsPluginOptions = SharedTlsOptions | { readonly shared: SharedTls };

/** The plugin is for apps with the option `https`, `http2` or not. */
const NotTlsError = createError<[]>('FST_LOOKASIDE_NOT_TLS', 'lookaside: the server of this app does not speak TLS');

/**
 * Lets the server of a Fastify app share its TLS sessions with its fleet. The app's option `https` must contain what
 * `tlsOptions` gives.
 *
 * It sees `app.server` only: an app that listens on `localhost` has a second server, and needs a `serverFactory`, which
 * does everything alone. With one, the plugin is of use for `app.sharedTls` and for having the app wait for its keys:
 * register it with `{ shared }`.
 *
 * @example
 * const app = Fastify({ https: { ...https, ...tlsOptions(options, https) } });
 * await app.register(lookasideTls, options);
 */
export const lookasideTls = fp<TlsPluginOptions>(register, { name: 'lookaside-tls', fastify: '5.x' });

async function register(app: FastifyInstance, options: TlsPluginOptions): Promise<void> {
  const server: unknown = app.server;
  if (!(server instanceof Server)) throw new NotTlsError();
  const shared = 'shared' in options ? options.shared : new SharedTls({ log: app.log, ...options });
  if (!isAttached(server)) attach(server, shared);
  app.decorate('sharedTls', shared);
  app.addHook('onReady', () => shared.ready);
  if (!('shared' in options)) app.addHook('onClose', () => shared.close());
}

declare module 'fastify' {
  interface FastifyInstance {
    /** What the app shares with its fleet by the plugin `lookaside/tls`. */
    readonly sharedTls: SharedTls;
  }
}
