import { EventEmitter } from 'node:events';
import type { Duplex } from 'node:stream';
import { MessageDecoder, WireError } from './decoder.js';
import { MessageSender } from './sender.js';
import {
  encodeMessage,
  MAX_FRAME_BYTES,
  MAX_PAYLOAD_BYTES,
  type Message,
  type MessageKind,
  wireBytesOf,
} from './wire.js';

/**
 * Where a half of a plug is. `empty`: nothing is there. `io`: reading, the first frame of a longer message is in; writing,
 * a message is on its way into the stream. `full`: a whole message is in, and nobody has opened it. `user`: the caller has
 * it open, to read or to write.
 */
export type PlugState = 'empty' | 'io' | 'full' | 'user';

export interface PlugOptions {
  /** Send requests and expect responses, or (default) the other way round. */
  readonly toServer?: boolean;
  /** Leave the stream open when the plug is closed, or the peer sends what it must not. */
  readonly keepStream?: boolean;
}

export interface PlugEvents {
  /** A whole message is in: `read` gives it. */
  message: [];
  /** The stream has taken the message that `commit` could not give to it at once. */
  drain: [];
  /** The peer has sent its last byte. Messages that were in before may still be there to be read, and answered. */
  end: [];
  /** The stream failed, or the peer sent what it must not (a {@link WireError}). */
  error: [Error];
  /** The stream is gone. */
  close: [];
}

/**
 * Messages over one connected stream (the C library's `DC_PLUG`), for those who want to build a client, a server or a
 * proxy of their own. Each direction has room for one message: what the peer sends behind one that is not consumed stays
 * in the stream, which holds the peer up.
 *
 *     reading   empty → (io →) full → read → user → consume → empty
 *     writing   empty → write → user → commit → (io →) empty
 *                               user → rollback → empty
 *
 * A verb that does not fit the state does nothing, and says `false` or `undefined`.
 */
export class Plug extends EventEmitter<PlugEvents> {
  readonly #stream: Duplex;
  readonly #keepStream: boolean;
  readonly #sends: MessageKind;
  readonly #decoder: MessageDecoder;
  readonly #sender: MessageSender;
  #readState: PlugState = 'empty';
  #incoming: Message | undefined;
  /** Bytes received behind the last whole message. */
  #unreadBytes = 0;
  #isTelling = false;
  #writeState: PlugState = 'empty';
  #outgoing: { readonly message: Message; readonly parts: Uint8Array[]; size: number } | undefined;
  readonly #unplug: () => void;

  constructor(stream: Duplex, { toServer = false, keepStream = false }: PlugOptions = {}) {
    super();
    this.#stream = stream;
    this.#keepStream = keepStream;
    this.#sends = toServer ? 'request' : 'response';
    this.#decoder = new MessageDecoder(toServer ? 'response' : 'request');
    this.#sender = new MessageSender(stream, () => this.#drained());
    const received = (chunk: Buffer) => {
      this.#unreadBytes += chunk.length;
      this.#decoder.push(chunk);
      this.#parse();
    };
    const ended = () => this.emit('end');
    const failed = (error: Error) => this.emit('error', error);
    const closed = () => this.emit('close');
    stream.on('data', received).on('end', ended).on('error', failed).on('close', closed);
    this.#unplug = () =>
      stream.off('data', received).off('end', ended).off('error', failed).off('close', closed).pause();
  }

  get readState(): PlugState {
    return this.#readState;
  }

  get writeState(): PlugState {
    return this.#writeState;
  }

  /** Opens the message that is in. One that is open already is given again only with `resume`. Valid until `consume`. */
  read(resume = false): Message | undefined {
    if (this.#readState !== 'full' && !(this.#readState === 'user' && resume)) return undefined;
    this.#readState = 'user';
    return this.#incoming;
  }

  /** Lets go of the message that was read, and looks for the next. */
  consume(): boolean {
    if (this.#readState !== 'user') return false;
    this.#readState = 'empty';
    this.#incoming = undefined;
    this.#parse();
    return true;
  }

  /**
   * Begins a message; with `resume` also in place of one that was begun. The payload may be empty, and is not to be
   * written to before `commit`. Throws a RangeError when it is too long.
   */
  write(message: Message, resume = false): boolean {
    if (this.#writeState !== 'empty' && !(this.#writeState === 'user' && resume)) return false;
    const size = message.payload.length;
    checkSize(size);
    this.#outgoing = { message, parts: [message.payload], size };
    this.#writeState = 'user';
    return true;
  }

  /** Adds to the payload of the message that was begun. Throws a RangeError when it gets too long, or `data` is empty. */
  writeMore(data: Uint8Array): boolean {
    if (this.#outgoing === undefined) return false;
    if (data.length === 0) throw new RangeError('there is nothing to add');
    checkSize(this.#outgoing.size + data.length);
    this.#outgoing.parts.push(data);
    this.#outgoing.size += data.length;
    return true;
  }

  /** Sends the message that was begun. */
  commit(): boolean {
    if (this.#outgoing === undefined) return false;
    const { message, parts, size } = this.#outgoing;
    this.#outgoing = undefined;
    this.#sender.send(encodeMessage(this.#sends, { ...message, payload: Buffer.concat(parts, size) }));
    this.#sender.flush();
    this.#writeState = this.#sender.isFull ? 'io' : 'empty';
    return true;
  }

  /** Forgets the message that was begun. */
  rollback(): boolean {
    if (this.#outgoing === undefined) return false;
    this.#outgoing = undefined;
    this.#writeState = 'empty';
    return true;
  }

  /** Ends the use of the stream, and the stream unless it is to be kept; what it has received beyond is lost. */
  close(): void {
    if (!this.#keepStream) this.#stream.destroy();
    else this.#unplug();
  }

  #parse(): void {
    if (this.#readState === 'full' || this.#readState === 'user') {
      this.#stream.pause();
      return;
    }
    try {
      this.#incoming = this.#decoder.next();
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.#fail(error);
      return;
    }
    if (this.#incoming === undefined) {
      // frames but for the last are full ones
      this.#readState = this.#unreadBytes >= MAX_FRAME_BYTES ? 'io' : 'empty';
      this.#stream.resume();
      return;
    }
    this.#readState = 'full';
    this.#unreadBytes = this.#decoder.hasBytes ? this.#unreadBytes - wireBytesOf(this.#incoming.payload.length) : 0;
    this.#tell();
  }

  #fail(error: WireError): void {
    if (!this.#keepStream) {
      this.#stream.destroy(error);
      return;
    }
    this.#unplug();
    this.emit('error', error);
  }

  /** Not at once: a listener that consumes many small messages would call itself for each. */
  #tell(): void {
    if (this.#isTelling) return;
    this.#isTelling = true;
    process.nextTick(() => {
      this.#isTelling = false;
      if (this.#readState === 'full') this.emit('message');
    });
  }

  #drained(): void {
    if (this.#writeState !== 'io') return;
    this.#writeState = 'empty';
    this.emit('drain');
  }
}

function checkSize(bytes: number): void {
  if (bytes > MAX_PAYLOAD_BYTES) throw new RangeError(`a payload of ${bytes} bytes is above ${MAX_PAYLOAD_BYTES}`);
}
