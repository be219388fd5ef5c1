import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, type ServerOptions } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, createServer as createNetServer, type Server, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import type { TlsOptions } from 'node:tls';

/** A server behind the proxy that belongs to one test. */
export interface Origin {
  readonly url: string;
  /** Ends it with all its connections. */
  close(): Promise<void>;
}

/** An HTTP server on an ephemeral port of 127.0.0.1. */
export async function startOrigin(listener: RequestListener, options: ServerOptions = {}): Promise<Origin> {
  const server = createServer({ maxHeaderSize: 64 * 1024, ...options }, listener);
  server.maxHeadersCount = 0;
  return origin('http', server);
}

export async function startTlsOrigin(options: TlsOptions, listener: RequestListener): Promise<Origin> {
  return origin('https', createTlsServer(options, listener));
}

/**
 * A server that says whatever `answer` writes. It is called once for every request head that comes; `head` is that head
 * (and what followed it in the same read), `nth` counts them per connection from 1.
 */
export async function startRawOrigin(answer: (socket: Socket, head: string, nth: number) => void): Promise<Origin> {
  return origin(
    'http',
    createNetServer((socket) => {
      let nth = 0;
      let received = '';
      socket.on('error', () => {});
      socket.on('data', (chunk) => {
        received += chunk.toString('latin1');
        if (!received.includes('\r\n\r\n')) return;
        const head = received;
        received = '';
        answer(socket, head, ++nth);
      });
    }),
  );
}

async function origin(scheme: string, server: Server): Promise<Origin> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `${scheme}://127.0.0.1:${port}`,
    async close() {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

/** What an origin saw of a request. */
export interface Seen {
  readonly method: string;
  readonly target: string;
  /** In the order and the spelling they came. */
  readonly fields: readonly (readonly [name: string, value: string])[];
  readonly body: string;
}

export async function seen(request: IncomingMessage): Promise<Seen> {
  const { rawHeaders } = request;
  const fields = rawHeaders.flatMap((name, index) =>
    index % 2 === 0 ? [[name, rawHeaders[index + 1] ?? ''] as const] : [],
  );
  return { method: request.method ?? '', target: request.url ?? '', fields, body: await text(request) };
}

/** An origin that answers 200 to every request it received completely, and remembers what it saw. */
export async function startRecordingOrigin(): Promise<Origin & { readonly requests: Seen[] }> {
  const requests: Seen[] = [];
  const recording = await startOrigin(async (request, response) => {
    const received = await seen(request).catch(() => undefined);
    if (received === undefined) return;
    requests.push(received);
    response.end(`answer to ${request.url}`);
  });
  return { ...recording, requests };
}

/** The values of a field of a request, in lower case or not. */
export function valuesOf({ fields }: Seen, name: string): string[] {
  return fields.filter(([field]) => field.toLowerCase() === name.toLowerCase()).map(([, value]) => value);
}
