import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import type { Address } from '../../src/store/memcached/address.js';

/** One connection to a {@link FakeMemcached}, as the server sees it. */
export interface FakeConnection {
  /** What came, one entry a read, each a byte string; the greeting included. */
  readonly reads: string[];
  /** Sends these bytes (a byte string), asked or unasked. */
  send(bytes: string): void;
  /** Closes it; with `reset` by a TCP reset. */
  close(how?: 'reset'): void;
}

/** A server that answers as a script says: for replies that no real memcached gives. */
export interface FakeMemcached {
  readonly address: Address;
  /** Every connection there ever was, oldest first. */
  readonly connections: readonly FakeConnection[];
  stop(): Promise<void>;
}

/**
 * What to answer to `command` (its line without CRLF; a data block is swallowed): a byte string, or `undefined` for
 * nothing. `mn` is answered with `MN` unless the script has an answer of its own; an empty one is silence.
 */
export type Script = (command: string, connection: FakeConnection) => string | undefined;

export async function startFakeMemcached(script: Script): Promise<FakeMemcached> {
  const connections: FakeConnection[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    const connection: FakeConnection = {
      reads: [],
      send: (bytes) => socket.write(bytes, 'latin1'),
      close: (how) => (how === 'reset' ? socket.resetAndDestroy() : socket.destroy()),
    };
    connections.push(connection);
    sockets.add(socket);
    let pending = '';
    socket.setNoDelay(true);
    socket.setEncoding('latin1');
    socket.on('error', () => socket.destroy());
    socket.on('close', () => sockets.delete(socket));
    socket.on('data', (text: string) => {
      connection.reads.push(text);
      pending += text;
      for (;;) {
        const command = nextCommand(pending);
        if (command === undefined) return;
        pending = pending.slice(command.bytes);
        const answer = script(command.line, connection) ?? (command.line === 'mn' ? 'MN\r\n' : '');
        if (answer !== '') connection.send(answer);
      }
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const bound = server.address();
  if (bound === null || typeof bound === 'string') throw new Error('no TCP port could be had');
  return {
    address: { kind: 'tcp', host: '127.0.0.1', port: bound.port },
    connections,
    async stop() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

/** The key and opaque that a meta command wants to have echoed, as its reply carries them. */
export function echoOf(command: string): string {
  const [, key = ''] = command.split(' ');
  const opaque = / (O\S+)/.exec(command)?.[1] ?? '';
  return `k${key} ${opaque}`;
}

/** A hit as memcached answers it. */
export function hit(command: string, value: string, flags = 0): string {
  return `VA ${value.length} f${flags} t-1 c1 ${echoOf(command)}\r\n${value}\r\n`;
}

/** A miss as memcached answers it. */
export function miss(command: string): string {
  return `EN ${echoOf(command)}\r\n`;
}

function nextCommand(text: string): { line: string; bytes: number } | undefined {
  const end = text.indexOf('\r\n');
  if (end < 0) return undefined;
  const line = text.slice(0, end);
  const words = line.split(' ');
  const length = words[0] === 'ms' ? words[2] : STORAGE.has(words[0] ?? '') ? words[4] : undefined;
  const bytes = end + 2 + (length === undefined ? 0 : Number(length) + 2);
  return text.length < bytes ? undefined : { line, bytes };
}

const STORAGE = new Set(['set', 'add', 'replace', 'append', 'prepend', 'cas']);
