import type { Socket } from 'node:net';
import type { Tunnel } from './exchange.js';

/** The protocols that an Upgrade field names, in lower case (RFC 9110, section 7.8). */
export function protocolsIn(upgrade: string): string[] {
  return upgrade.split(',').map((protocol) => protocol.trim().toLowerCase());
}

/** Whether an Upgrade to `protocol`, in lower case, leads to HTTP again (RFC 7540, section 3.2). */
export function isHttp(protocol: string): boolean {
  return /^h2c?$|^http(?:\/|$)/.test(protocol);
}

/** Joins the client's connection with the upstream's, until either ends or both have been silent for too long. */
export function join(client: Socket, { connection, idleTimeoutMs }: Tunnel): void {
  const end = () => {
    client.destroy();
    connection.destroy();
  };
  client.once('close', end);
  connection.once('close', () => client.destroySoon());
  // every byte in either direction goes over the client's connection
  client.setTimeout(idleTimeoutMs, end);
  client.pipe(connection);
  connection.pipe(client);
}
