import type { Socket } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import { type Address, connectTo } from './address.js';
import { FrameSplitter } from './frame-splitter.js';

export type Direction = 'client->server' | 'server->client';

/** What looks at one connection through a {@link Snoop}. */
export interface Watcher {
  /** Bytes have come. `false`: they are no messages, and the direction is passed on as it comes from now on. */
  bytes(direction: Direction, bytes: Buffer): boolean;
  /** A frame has come, the last byte of which was among the `bytes`. */
  frame(direction: Direction, frame: Buffer): void;
  /** A frame is longer than one can be. Both sides are disconnected. */
  illegalFrame(direction: Direction, dataLength: number): void;
  /** Both sides are gone; `error` is what was wrong with one of them. */
  closed(error: Error | undefined): void;
}

export interface SnoopOptions {
  readonly server: Address;
  readonly tls?: ConnectionOptions;
  /** A watcher for each connection; they are counted from 0. */
  readonly watch: (connection: number) => Watcher;
}

/** More would not leave descriptors for anything else on a machine with the usual limit, and nobody could read along. */
const MAX_CONNECTIONS = 400;

/**
 * A transparent proxy that lets something else look at what passes. Connects to the server once for each client, passes
 * every byte on, the end of either side too, and takes no more from one side than the other takes.
 *
 * Frames are passed on whole, those that came together with one write: the C programs misread frames that come in pieces.
 */
export class Snoop {
  readonly #options: SnoopOptions;
  readonly #open = new Set<Socket>();
  #connections = 0;

  constructor(options: SnoopOptions) {
    this.#options = options;
  }

  serve(client: Socket): void {
    if (this.#open.size >= 2 * MAX_CONNECTIONS) {
      client.destroy();
      return;
    }
    const watcher = this.#options.watch(this.#connections++);
    const server = connectTo(this.#options.server, { tls: this.#options.tls });
    let error: Error | undefined;
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#open.add(socket);
      socket.on('error', (cause) => {
        error ??= cause;
      });
      socket.once('close', () => {
        this.#open.delete(socket);
        if (this.#open.has(other)) closeAfterWrites(other);
        else watcher.closed(error);
      });
    }
    passOn('client->server', client, server, watcher);
    passOn('server->client', server, client, watcher);
  }

  /** Disconnects everybody. */
  close(): void {
    for (const socket of this.#open) socket.destroy();
  }
}

function passOn(direction: Direction, from: Socket, to: Socket, watcher: Watcher): void {
  const splitter = new FrameSplitter();
  let isCut = true;
  const write = (bytes: Buffer) => {
    if (bytes.length > 0 && to.writable && !to.write(bytes)) from.pause();
  };
  from.on('data', (chunk: Buffer) => {
    if (!isCut) return write(chunk);
    isCut = watcher.bytes(direction, chunk);
    const frames = splitter.push(chunk);
    for (const frame of frames) watcher.frame(direction, frame);
    write(frames.length === 1 && frames[0] !== undefined ? frames[0] : Buffer.concat(frames));
    if (!isCut) write(splitter.takeRest());
    else if (splitter.illegalLength !== undefined) {
      watcher.illegalFrame(direction, splitter.illegalLength);
      from.destroy();
    }
  });
  to.on('drain', () => from.resume());
  from.on('end', () => {
    write(splitter.takeRest());
    to.end();
  });
}

/** What waits to be written goes out first, though nobody may ever take it. */
function closeAfterWrites(socket: Socket): void {
  socket.destroySoon();
  setTimeout(() => socket.destroy(), LINGER_MS).unref();
}

/** For a peer that does not read. */
const LINGER_MS = 1000;
