import { constants } from 'node:crypto';
import type { SecureContext, Server } from 'node:tls';
import type { ClientPolicy } from './session-id-context.js';

/** What Node does not document of its TLS servers and has had since before version 20. Absent parts are `undefined`. */

/** The options of these names, which a server keeps as properties. */
export function policyOf(server: Server): ClientPolicy {
  return {
    requestCert: Reflect.get(server, 'requestCert'),
    rejectUnauthorized: Reflect.get(server, 'rejectUnauthorized'),
    ca: Reflect.get(server, 'ca'),
    crl: Reflect.get(server, 'crl'),
    pfx: Reflect.get(server, 'pfx'),
  };
}

export function sessionIdContextOf(server: Server): unknown {
  return Reflect.get(server, 'sessionIdContext');
}

export function secureOptionsOf(server: Server): number {
  const options: unknown = Reflect.get(server, 'secureOptions');
  return typeof options === 'number' ? options : 0;
}

/** What `server` gives to each of its connections. */
export function secureContextOf(server: Server): SecureContext | undefined {
  const context: unknown = Reflect.get(server, '_sharedCreds');
  return isSecureContext(context) ? context : undefined;
}

export interface Protocols {
  readonly tls13: boolean;
  /** TLS 1.2 or older. */
  readonly older: boolean;
}

const TLS_1_3 = 0x0304;

/** The protocols that `server` takes; all of them when Node does not tell. */
export function protocolsOf(server: Server): Protocols {
  const native: unknown = secureContextOf(server)?.context;
  const min = callNumber(native, 'getMinProto') ?? 0;
  const max = callNumber(native, 'getMaxProto') ?? 0;
  const has13 = (secureOptionsOf(server) & constants.SSL_OP_NO_TLSv1_3) === 0;
  return { tls13: has13 && (max === 0 || max >= TLS_1_3), older: min < TLS_1_3 };
}

function callNumber(target: unknown, method: string): number | undefined {
  if (typeof target !== 'object' || target === null) return undefined;
  const found: unknown = Reflect.get(target, method);
  const result: unknown = typeof found === 'function' ? Reflect.apply(found, target, []) : undefined;
  return typeof result === 'number' ? result : undefined;
}

function isSecureContext(value: unknown): value is SecureContext {
  return typeof value === 'object' && value !== null && 'context' in value;
}
