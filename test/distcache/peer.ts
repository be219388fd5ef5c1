import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type NetConnectOpts, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { MessageDecoder } from '../../src/distcache/decoder.js';
import { encodeMessage, type Message, type Operation } from '../../src/distcache/wire.js';
import type { Capture } from './captures.js';

/** Whatever it waits for has taken too long on any machine. */
const PATIENCE_MS = 10_000;

/** A client of a distcache server or proxy that says exactly what it is told to. */
export class Peer {
  readonly socket: Socket;
  #received: Buffer = Buffer.alloc(0);
  #isClosed = false;
  #wake: () => void = () => {};

  constructor(socket: Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      this.#wake();
    });
    const closed = () => {
      this.#isClosed = true;
      this.#wake();
    };
    socket.on('error', closed).on('end', closed).on('close', closed);
  }

  static async connect(target: NetConnectOpts): Promise<Peer> {
    const socket = connect({ ...target, allowHalfOpen: true });
    await once(socket, 'connect');
    return new Peer(socket);
  }

  /** The server has ended or cut the connection. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  send(bytes: Buffer): void {
    this.socket.write(bytes);
  }

  /** The payload of the response to a request of its own. */
  async ask(operation: Operation, payload: Buffer, uid = 1): Promise<Buffer> {
    this.send(encodeMessage('request', { uid, operation, payload }));
    const response = await this.response();
    assert.deepEqual({ uid: response.uid, operation: response.operation }, { uid, operation });
    return response.payload;
  }

  /** The next response. */
  async response(): Promise<Message> {
    let decoded = first(this.#received);
    await this.#until('a response', () => {
      decoded = first(this.#received);
      return decoded !== undefined;
    });
    assert.ok(decoded);
    this.#received = this.#received.subarray(decoded.bytes);
    return decoded.message;
  }

  /** The next bytes, which must be these. */
  async expect(bytes: Buffer): Promise<void> {
    await this.#until(`${bytes.length} bytes`, () => this.#received.length >= bytes.length);
    const got = this.#received.subarray(0, bytes.length);
    assert.equal(got.toString('hex'), bytes.toString('hex'));
    this.#received = this.#received.subarray(bytes.length);
  }

  /** The server closes, and has nothing more to say. */
  async expectClosed(): Promise<void> {
    await this.#until('the end', () => this.#isClosed);
    assert.equal(this.#received.toString('hex'), '');
  }

  /** Nothing more comes for a while, and the connection stays. */
  async expectOpen(ms = 20): Promise<void> {
    await delay(ms);
    assert.equal(this.#received.toString('hex'), '');
    assert.equal(this.#isClosed, false, 'the connection was closed');
  }

  /** Does what a capture says. */
  async replay({ steps, isClosed }: Capture): Promise<void> {
    for (const step of steps) {
      if (step.kind === 'wait') await delay(step.ms);
      else if (step.kind === 'send') this.send(step.bytes);
      else await this.expect(step.bytes);
    }
    await (isClosed ? this.expectClosed() : this.expectOpen());
  }

  leave(): void {
    this.socket.destroy();
  }

  async #until(what: string, isThere: () => boolean): Promise<void> {
    const deadline = performance.now() + PATIENCE_MS;
    while (!isThere()) {
      if (this.#isClosed) assert.fail(`the connection was closed instead of giving ${what}`);
      if (performance.now() > deadline) assert.fail(`${what} did not come`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, PATIENCE_MS);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }
}

/** The first response in `bytes`, and how long it is. */
function first(bytes: Buffer): { message: Message; bytes: number } | undefined {
  const decoder = new MessageDecoder('response');
  let at = 0;
  // one frame at a time, so that what belongs to the next message is left alone
  while (bytes.length >= at + 14) {
    const end = at + 14 + bytes.readUInt16BE(at + 12);
    if (bytes.length < end) return undefined;
    decoder.push(bytes.subarray(at, end));
    const message = decoder.next();
    if (message !== undefined) return { message, bytes: end };
    at = end;
  }
  return undefined;
}

/** The other end of a connection that lies in this process: what is written to it is kept in `written`. */
export class Loopback extends Duplex {
  readonly written: Buffer[] = [];

  constructor() {
    super({ allowHalfOpen: true });
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.written.push(chunk);
    done();
  }
}
