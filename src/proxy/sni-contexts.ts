import { createSecureContext, type SecureContext } from 'node:tls';
import type { TlsFiles } from '../config/tls-files.js';

/** The certificates that clients are shown by the name they ask for. */
export class SniContexts {
  readonly #contexts = new Map<string, SecureContext>();

  /** Throws when OpenSSL refuses one of them. */
  constructor({ contexts, clientCa }: Pick<TlsFiles, 'contexts' | 'clientCa'>) {
    for (const { servername, cert, key } of contexts) {
      // the context of a name brings its own authorities for clients with it
      const context = createSecureContext({ cert: cert.text, key: key.text, ca: clientCa?.text });
      this.#contexts.set(servername, context);
    }
  }

  /** The context for a name; `undefined` where the server's own is right. */
  find(servername: string): SecureContext | undefined {
    const name = servername.toLowerCase();
    // a wildcard stands for one label (RFC 6125, section 6.4.3)
    return this.#contexts.get(name) ?? this.#contexts.get(name.replace(/^[^.]+/, '*'));
  }
}
