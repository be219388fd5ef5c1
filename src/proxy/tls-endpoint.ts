import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer, type SecureContextOptions, type Server, type TLSSocket } from 'node:tls';
import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import type { Settings } from '../config/schema.js';
import type { TlsSettings } from '../config/tls.js';
import { type CertifiedKey, type FileText, faultsIn, type TlsFiles } from '../config/tls-files.js';
import type { Store } from '../store/store.js';
import { attach } from '../tls/attach.js';
import { attachStapler } from '../tls/attach-stapler.js';
import { certificatesIn } from '../tls/pem.js';
import { SharedTls } from '../tls/shared-tls.js';
import { Stapler } from '../tls/stapler.js';
import { FileWatch } from './file-watch.js';
import type { ListenerContext } from './listener.js';
import { SniContexts } from './sni-contexts.js';
import { sharingOf } from './tls-sharing.js';

/** What a server shows to its clients, and takes from them: all that can change while it runs. */
type Shown = TlsFiles & Pick<TlsSettings, 'minVersion'>;

/** What the listeners of a proxy speak TLS with: certificates that can be changed, and what is shared with the fleet. */
export class TlsEndpoint {
  readonly #shared: SharedTls;
  readonly #stapler: Stapler | undefined;
  readonly #log: Logger;
  readonly #servers = new Set<Server>();
  #shown: Shown;
  #sni: SniContexts;
  #watch: FileWatch;
  /** Whether what the files hold now can not be used, which has been said. */
  #isBroken = false;

  private constructor(
    tls: TlsSettings,
    settings: Pick<Settings, 'memcached' | 'workers' | 'server'>,
    store: Store,
    log: Logger,
  ) {
    const { options, warnings } = sharingOf(tls, settings);
    for (const warning of warnings) log.warn(warning);
    const helloTimeoutMs = settings.server.headersTimeoutMs;
    this.#shared = new SharedTls({ ...options, helloTimeoutMs, store, log });
    this.#stapler = tls.stapling === false ? undefined : new Stapler(this.#shared.fleet, tls.stapling);
    this.#log = log;
    this.#shown = shownOf(tls);
    this.#sni = new SniContexts(tls);
    this.#watch = this.#watchFiles();
    this.#welcome();
  }

  /** Resolves when the ticket keys are the fleet's, or could not be had within the store's deadline. */
  static async open(
    tls: TlsSettings,
    settings: Pick<Settings, 'memcached' | 'workers' | 'server'>,
    store: Store,
    log: Logger,
  ): Promise<TlsEndpoint> {
    const endpoint = new TlsEndpoint(tls, settings, store, log);
    await endpoint.#shared.ready;
    return endpoint;
  }

  /** A server that is to listen. `take` is given the connections whose handshake succeeded; ALPN says what they speak. */
  createServer({ limits, connections, log }: ListenerContext, take: (socket: TLSSocket) => void): Server {
    const https = { ...this.#secureContext(), requestCert: this.#shown.clientCa !== undefined };
    const server = createServer({
      ...https,
      ...this.#shared.tlsOptions(https),
      ALPNProtocols: ['h2', 'http/1.1'],
      SNICallback: (servername, done) => done(null, this.#sni.find(servername)),
      handshakeTimeout: limits.headersTimeoutMs,
      noDelay: true,
    });
    server.maxConnections = limits.maxConnections;
    server.on('connection', (socket) => connections.opened(socket));
    server.on('secureConnection', take);
    server.on('tlsClientError', (err, socket) => {
      log.debug({ err, remote: socket.remoteAddress }, 'TLS handshake failed');
      // node:tls leaves a connection open whose handshake has timed out
      socket.destroy();
    });
    attach(server, this.#shared);
    if (this.#stapler !== undefined) attachStapler(server, this.#stapler);
    this.#servers.add(server);
    server.once('close', () => this.#servers.delete(server));
    return server;
  }

  /**
   * Goes on with other certificates; what is shared with the fleet stays as it was at the start, and so does whether clients
   * need a certificate. Throws when they can not be used; then the old ones stay.
   */
  reload(tls: TlsSettings): void {
    const { clientCa: known } = this.#shown;
    // a server that asks for certificates and has no authorities would believe all those of the web
    const clientCa = known === undefined ? undefined : (tls.clientCa ?? known);
    this.#show({ ...shownOf(tls), clientCa });
    this.#watch.close();
    this.#watch = this.#watchFiles();
  }

  /** Tells the fleet the last counts and ends all timers. */
  async close(): Promise<void> {
    this.#watch.close();
    this.#stapler?.close();
    await this.#shared.close();
  }

  #show(shown: Shown): void {
    if (isDeepStrictEqual(shown, this.#shown)) return;
    const sni = new SniContexts(shown);
    this.#shown = shown;
    this.#sni = sni;
    for (const server of this.#servers) server.setSecureContext(this.#secureContext());
    this.#log.info('certificates reloaded');
    this.#welcome();
  }

  /** Begins to get staples for what is shown from now on, and tells what no client will take. */
  #welcome(): void {
    for (const { cert } of pairsIn(this.#shown)) {
      const [leaf, issuer] = certificatesIn(cert.text);
      if (leaf === undefined) continue;
      if (issuer !== undefined) this.#stapler?.prepare(leaf, issuer);
      const { validTo } = new X509Certificate(leaf);
      if (Date.parse(validTo) < Date.now()) this.#log.warn({ cert: cert.path, validTo }, 'a certificate has expired');
    }
  }

  #secureContext(): SecureContextOptions {
    const { cert, key, clientCa, minVersion } = this.#shown;
    return { cert: cert.text, key: key.text, ca: clientCa?.text, minVersion };
  }

  #watchFiles(): FileWatch {
    const { clientCa } = this.#shown;
    const files = [...pairsIn(this.#shown).flatMap(({ cert, key }) => [cert, key]), ...(clientCa ? [clientCa] : [])];
    return new FileWatch(
      files.map(({ path }) => path),
      () => void this.#readAgain(),
    );
  }

  async #readAgain(): Promise<void> {
    try {
      const shown = await readAgain(this.#shown);
      const [fault] = faultsIn(shown);
      if (fault !== undefined) throw new Error(fault.message);
      this.#isBroken = false;
      this.#show(shown);
    } catch (error) {
      if (this.#isBroken) return;
      this.#isBroken = true;
      const reason = error instanceof Error ? error.message : String(error);
      this.#log.error({ reason }, 'the new certificates can not be used, the old ones stay');
    }
  }
}

function shownOf({ cert, key, clientCa, contexts, minVersion }: TlsSettings): Shown {
  return { cert, key, clientCa, contexts, minVersion };
}

function pairsIn(shown: Shown): CertifiedKey[] {
  return [shown, ...shown.contexts];
}

async function readAgain(shown: Shown): Promise<Shown> {
  const pair = async ({ cert, key }: CertifiedKey) => ({ cert: await fileAgain(cert), key: await fileAgain(key) });
  const contexts = shown.contexts.map(async (context) => ({ ...context, ...(await pair(context)) }));
  const clientCa = shown.clientCa && (await fileAgain(shown.clientCa));
  return { ...shown, ...(await pair(shown)), clientCa, contexts: await Promise.all(contexts) };
}

async function fileAgain({ path }: FileText): Promise<FileText> {
  return { path, text: await readFile(path, 'latin1') };
}
