import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { MessageDecoder } from '../../src/distcache/decoder.js';
import { encodeMessage, type Message } from '../../src/distcache/wire.js';
import { temporaryDirectory } from './command.js';

const directory = temporaryDirectory();
let sockets = 0;

/** One connection to a {@link ScriptedServer}. */
export interface ScriptedConnection {
  /** From 0, in the order they came. */
  readonly number: number;
  readonly socket: Socket;
  /** Requests of this connection that were not answered. */
  readonly open: Message[];
  answer(request: Message, payload: Buffer | readonly number[]): void;
}

/** A server that does to each request what a test says. */
export class ScriptedServer {
  readonly path = join(directory, `${sockets++}.sock`);
  readonly address = `UNIX:${this.path}`;
  readonly requests: Message[] = [];
  readonly connections: ScriptedConnection[] = [];
  readonly #server = createServer((socket) => this.#serve(socket));
  readonly #onRequest: (request: Message, connection: ScriptedConnection) => void;

  private constructor(onRequest: (request: Message, connection: ScriptedConnection) => void) {
    this.#onRequest = onRequest;
  }

  static async start(
    onRequest: (request: Message, connection: ScriptedConnection) => void = () => {},
  ): Promise<ScriptedServer> {
    const server = new ScriptedServer(onRequest);
    server.#server.listen(server.path);
    await once(server.#server, 'listening');
    return server;
  }

  async stop(): Promise<void> {
    this.#server.close();
    for (const { socket } of this.connections) socket.destroy();
    await once(this.#server, 'close');
  }

  #serve(socket: Socket): void {
    const decoder = new MessageDecoder('request');
    const open: Message[] = [];
    const connection: ScriptedConnection = {
      number: this.connections.length,
      socket,
      open,
      answer({ uid, operation }, payload) {
        const at = open.findIndex((request) => request.uid === uid);
        if (at >= 0) open.splice(at, 1);
        socket.write(encodeMessage('response', { uid, operation, payload: Buffer.from(payload) }));
      },
    };
    this.connections.push(connection);
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      decoder.push(chunk);
      for (let request = decoder.next(); request !== undefined; request = decoder.next()) {
        // what was received is not to be written to, nor kept
        const kept = { ...request, payload: Buffer.from(request.payload) };
        this.requests.push(kept);
        open.push(kept);
        this.#onRequest(kept, connection);
      }
    });
  }
}
