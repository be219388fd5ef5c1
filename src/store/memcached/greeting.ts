import { StoreError } from '../store.js';
import { isPrintable } from './dialect.js';

/** Neither part may hold a space or a control character: memcached reads them as two words. */
export interface Credentials {
  readonly user: string;
  readonly password: string;
}

/** `credentials`, when they can be said; throws a RangeError otherwise. */
export function checkedCredentials(credentials: Credentials): Credentials {
  for (const part of ['user', 'password'] as const) {
    const isWord = /^[^\s\p{Cc}]+$/u.test(credentials[part]);
    if (!isWord) throw new RangeError(`auth.${part} is empty, or holds a space or a control character`);
  }
  return credentials;
}

/** What to do next on a new connection: say something, speak one of the dialects, or give up. */
export type GreetingStep =
  | { readonly say: string }
  | { readonly speak: 'meta' | 'classic' }
  | { readonly giveUp: StoreError };

/**
 * What is said on a new connection before it carries operations: who we are, when the server wants to know (memcached
 * `-Y`; protocol.txt, "Authentication"), and then `mn`, which tells whether it is alive and has meta commands.
 */
export class Greeting {
  readonly #server: string;
  readonly #credentials: Credentials | undefined;
  #expected: 'STORED' | 'MN' = 'MN';

  constructor(server: string, credentials: Credentials | undefined) {
    this.#server = server;
    this.#credentials = credentials;
  }

  /** The first step. */
  begin(): GreetingStep {
    if (this.#credentials === undefined) return this.#probe();
    const { user, password } = this.#credentials;
    const token = Buffer.from(`${user} ${password}`).toString('latin1');
    this.#expected = 'STORED';
    // any key will do
    return { say: `set auth 0 0 ${token.length}\r\n${token}\r\n` };
  }

  /** The step after the reply `line`. */
  next(line: string): GreetingStep {
    if (line === this.#expected) return line === 'STORED' ? this.#probe() : { speak: 'meta' };
    // with more words behind it, it is something else: "ERROR Too many open connections"
    if (line === 'ERROR' && this.#expected === 'MN') return { speak: 'classic' };
    const isError = /^(?:ERROR|CLIENT_ERROR|SERVER_ERROR)(?: |$)/.test(line) && isPrintable(line);
    if (isError) return this.#giveUp('server-error', line);
    return this.#giveUp('protocol', 'this is not a memcached');
  }

  #probe(): GreetingStep {
    this.#expected = 'MN';
    return { say: 'mn\r\n' };
  }

  #giveUp(code: 'server-error' | 'protocol', message: string): GreetingStep {
    return { giveUp: new StoreError(code, `${this.#server}: ${message}`, { server: this.#server }) };
  }
}
