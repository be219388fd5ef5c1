import type { IncomingMessage } from 'node:http';
import { isHttp, protocolsIn } from '../actions/tunnel.js';

/**
 * Whether the connection of a request with Upgrade could be handed over to another protocol. Not to HTTP/2, as what is
 * asked there would get past every check; and not behind a body, which nobody would read.
 */
export function mayLeaveHttp({ method, httpVersion, headers }: IncomingMessage): boolean {
  const hasBody = headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
  if (method !== 'GET' || httpVersion !== '1.1' || hasBody) return false;
  return protocolsIn(headers.upgrade ?? '').some((protocol) => !isHttp(protocol));
}

/** The head of a request as it goes on without Upgrade, and without the settings that belong to it. */
export function headWithoutUpgrade({ method, url, httpVersion, rawHeaders }: IncomingMessage): Buffer {
  let head = `${method} ${url} HTTP/${httpVersion}\r\n`;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] ?? '';
    if (!OF_UPGRADE.has(name.toLowerCase())) head += `${name}: ${rawHeaders[i + 1] ?? ''}\r\n`;
  }
  return Buffer.from(`${head}\r\n`, 'latin1');
}

const OF_UPGRADE: ReadonlySet<string> = new Set(['upgrade', 'http2-settings']);
