import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

/** How long a test waits for bytes that must come. */
const PATIENCE_MS = 10_000;

/** A client that sends bytes as they are and shows what comes back, in byte strings. */
export class RawClient {
  readonly socket: Socket;
  /** Everything that came so far. */
  received = '';
  #isClosed = false;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk) => {
      this.received += chunk.toString('latin1');
    });
    socket.on('error', () => {});
    socket.once('close', () => {
      this.#isClosed = true;
    });
  }

  static async connect(url: string): Promise<RawClient> {
    const { hostname, port } = new URL(url);
    const socket = url.startsWith('unix:') ? connect(url.slice('unix:'.length)) : connect(Number(port), hostname);
    const client = new RawClient(socket);
    await once(socket, 'connect');
    return client;
  }

  send(text: string): void {
    this.socket.write(text, 'latin1');
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Resolves to everything that came, once that matches `expected`. */
  async until(expected: RegExp): Promise<string> {
    const deadline = Date.now() + PATIENCE_MS;
    while (!expected.test(this.received)) {
      if (this.#isClosed || Date.now() > deadline) {
        this.close();
        throw new Error(`no ${expected} in ${JSON.stringify(this.received)}`);
      }
      await delay(5);
    }
    return this.received;
  }

  /** Resolves to everything that came, once the server has closed the connection. */
  async untilClosed(): Promise<string> {
    const deadline = Date.now() + PATIENCE_MS;
    while (!this.#isClosed) {
      if (Date.now() > deadline) {
        this.close();
        throw new Error(`still open after ${JSON.stringify(this.received)}`);
      }
      await delay(5);
    }
    return this.received;
  }

  close(): void {
    this.socket.destroy();
  }
}

/** Sends `text` over a connection of its own and resolves to all that comes back until the server closes it. */
export async function rawRequest(url: string, text: string): Promise<string> {
  const client = await RawClient.connect(url);
  client.send(text);
  return client.untilClosed();
}

/** The statuses of the responses in `received`, in their order. */
export function statusesIn(received: string): number[] {
  return [...received.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status));
}
