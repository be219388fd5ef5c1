import type { Socket } from 'node:net';
import { DistcacheError, type DistcacheErrorCode } from './client-error.js';
import { RESULT } from './payload.js';
import { type LinkLoss, ServerLink } from './server-link.js';
import type { Message, Operation } from './wire.js';

export interface ChannelOptions {
  /** Starts to connect. Called anew for each connection. */
  readonly connect: (onBytes: (bytes: Buffer) => void) => Socket;
  /** The event by which the socket says that it can be used. */
  readonly readyEvent: 'connect' | 'secureConnect';
  /** Whether a request is sent once more after the connection broke. */
  readonly retry: boolean;
  /** For a request with all that it takes, for connecting, and for the server's silence. */
  readonly timeoutMs: number;
  /** Bytes of requests on the wire that may wait for their responses together. One request always may. */
  readonly maxOutstandingBytes: number;
}

export interface Response {
  /** In memory of its own. */
  readonly payload: Buffer;
  /** The request was sent twice, and the server may have dealt with it twice. */
  readonly isResent: boolean;
}

/** Calls that wait while no more may be sent. That many take a server a fraction of a second. */
const MAX_WAITING = 10_000;

/**
 * Requests to one server over one connection at a time, which is made when it is needed and made again when it is lost.
 *
 * When a connection breaks, those of its requests that are safe to repeat are asked once more, one at a time: GET and
 * HAVE if there were several in flight (a C server drops a connection that it can not follow), and all of them with
 * `retry`. A failure to connect fails all that wait for it.
 */
export class Channel {
  readonly #options: ChannelOptions;
  /** Without outcome, in the order they were made, which is the order in which their time is up. */
  readonly #unsettled = new Set<Call>();
  /** Those of them that were not sent, or are to be sent again. */
  readonly #waiting: Call[] = [];
  #deadline: NodeJS.Timeout | undefined;
  #socket: Socket | undefined;
  #connecting: Promise<void> | undefined;
  #link: ServerLink<Call> | undefined;
  /** A repeated request is in flight, and stays alone. */
  #isCareful = false;
  #isClosed = false;

  constructor(options: ChannelOptions) {
    this.#options = options;
  }

  /** Makes the connection unless there is one. Rejects with a {@link DistcacheError}. */
  async connect(): Promise<void> {
    if (this.#isClosed) throw closedError();
    if (this.#link !== undefined) return;
    this.#connecting ??= this.#open();
    await this.#connecting;
  }

  /** The response to a request. Rejects with a {@link DistcacheError}, or with the reason of `signal`. */
  request(operation: Operation, payload: Buffer, signal?: AbortSignal): Promise<Response> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      if (this.#isClosed) return reject(closedError());
      if (this.#waiting.length >= MAX_WAITING) {
        return reject(new DistcacheError('busy', `${MAX_WAITING} operations wait already`));
      }
      const deadlineMs = performance.now() + this.#options.timeoutMs;
      const call = new Call({ uid: 0, operation, payload }, deadlineMs, {
        resolve,
        reject,
        unsettled: this.#unsettled,
      });
      if (signal !== undefined) call.failOn(signal, () => this.#unqueue(call));
      this.#waiting.push(call);
      this.#deadline ??= this.#checkIn(this.#options.timeoutMs);
      this.#work();
    });
  }

  /** Ends the connection, and fails what is outstanding. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#deadline);
    for (const call of this.#waiting.splice(0)) call.fail(closedError());
    const socket = this.#socket;
    if (socket === undefined) return;
    await new Promise<void>((closed) => {
      socket.once('close', closed);
      socket.destroy();
    });
  }

  #open(): Promise<void> {
    let link: ServerLink<Call> | undefined;
    const socket = this.#options.connect((bytes) => link?.receive(bytes));
    this.#socket = socket;
    socket.once('close', () => {
      if (this.#socket === socket) this.#socket = undefined;
    });
    return new Promise((resolve, reject) => {
      whenConnected(socket, this.#options, {
        ready: () => {
          this.#connecting = undefined;
          link = this.#linkTo(socket);
          this.#link = link;
          resolve();
          this.#work();
        },
        failed: (cause) => {
          this.#connecting = undefined;
          const error = this.#isClosed ? closedError() : cause;
          reject(error);
          for (const call of this.#waiting.splice(0)) call.fail(error);
        },
      });
    });
  }

  #linkTo(socket: Socket): ServerLink<Call> {
    const { timeoutMs, maxOutstandingBytes } = this.#options;
    return new ServerLink(
      socket,
      { responseTimeoutMs: timeoutMs, maxOutstandingBytes },
      {
        response: (call, payload) => {
          if (isNoAnswer(payload)) call.fail(new DistcacheError('disconnected', 'the proxy has no server'));
          // the memory of what was received is used again
          else call.answer(Buffer.from(payload));
        },
        ready: () => this.#work(),
        lost: (loss, reason, unanswered) => this.#lost(loss, reason, unanswered),
      },
    );
  }

  /** Sends what may be sent. */
  #work(): void {
    for (let call = this.#waiting[0]; call !== undefined; call = this.#waiting[0]) {
      if (this.#link === undefined) {
        // those who wait are told by the failure
        this.connect().catch(() => {});
        return;
      }
      if (!this.#maySend(call, this.#link)) return;
      this.#waiting.shift();
      this.#isCareful = call.isResent;
      this.#link.forward(call);
    }
  }

  #maySend(call: Call, link: ServerLink<Call>): boolean {
    return call.isResent || this.#isCareful ? link.isIdle : link.canTake(call.message);
  }

  #lost(loss: LinkLoss, reason: string, unanswered: readonly Call[]): void {
    this.#link = undefined;
    const error = this.#isClosed ? closedError() : new DistcacheError(LOSS_CODES[loss], `lost the server: ${reason}`);
    const again = unanswered.filter((call) => this.#mayResend(call, unanswered.length));
    for (const call of unanswered) call.isResent = true;
    for (const call of unanswered) if (!again.includes(call)) call.fail(error);
    this.#waiting.unshift(...again);
    this.#work();
  }

  #mayResend(call: Call, lostTogether: number): boolean {
    if (call.isSettled || call.isResent || this.#isClosed) return false;
    const { operation } = call.message;
    return this.#options.retry || (lostTogether > 1 && (operation === 'get' || operation === 'have'));
  }

  /** What is open has a connection, or is about to: that keeps the process alive, and not the timer. */
  #checkIn(ms: number): NodeJS.Timeout {
    return setTimeout(() => this.#checkDeadlines(), ms).unref();
  }

  #checkDeadlines(): void {
    this.#deadline = undefined;
    const now = performance.now();
    for (const call of this.#unsettled) {
      if (call.deadlineMs > now) {
        this.#deadline = this.#checkIn(call.deadlineMs - now);
        return;
      }
      this.#timeOut(call);
    }
  }

  /** The server is silent: what else it has to answer on this connection would wait as long. */
  #timeOut(call: Call): void {
    const error = new DistcacheError('timeout', `no answer within ${this.#options.timeoutMs} ms`);
    if (!this.#unqueue(call)) this.#socket?.destroy(error);
    call.fail(error);
  }

  /** Takes back what was not sent yet; whether it was so. What was sent keeps its uid until the response comes. */
  #unqueue(call: Call): boolean {
    const at = this.#waiting.indexOf(call);
    if (at >= 0) this.#waiting.splice(at, 1);
    return at >= 0;
  }
}

/** What a proxy says when its server is away; a C dc_client says nothing. */
function isNoAnswer(payload: Buffer): boolean {
  return payload.length === 0 || (payload.length === 1 && payload[0] === RESULT.disconnected);
}

const LOSS_CODES: Readonly<Record<LinkLoss, DistcacheErrorCode>> = {
  closed: 'connection',
  timeout: 'timeout',
  fault: 'protocol',
};

interface Settling {
  resolve(response: Response): void;
  reject(error: unknown): void;
  /** Where the call is until it has its outcome. */
  readonly unsettled: Set<Call>;
}

/** A request from the moment it is made to its outcome, whatever connections it takes. */
class Call {
  readonly message: Message;
  /** By `performance.now`. */
  readonly deadlineMs: number;
  isResent = false;
  readonly #settling: Settling;
  #stopListening: (() => void) | undefined;

  constructor(message: Message, deadlineMs: number, settling: Settling) {
    this.message = message;
    this.deadlineMs = deadlineMs;
    this.#settling = settling;
    settling.unsettled.add(this);
  }

  get isSettled(): boolean {
    return !this.#settling.unsettled.has(this);
  }

  failOn(signal: AbortSignal, failed: () => void): void {
    const abort = () => {
      this.fail(signal.reason);
      failed();
    };
    signal.addEventListener('abort', abort, { once: true });
    this.#stopListening = () => signal.removeEventListener('abort', abort);
  }

  answer(payload: Buffer): void {
    if (this.#settle()) this.#settling.resolve({ payload, isResent: this.isResent });
  }

  fail(error: unknown): void {
    if (this.#settle()) this.#settling.reject(error);
  }

  #settle(): boolean {
    if (!this.#settling.unsettled.delete(this)) return false;
    this.#stopListening?.();
    return true;
  }
}

interface Connecting {
  ready(): void;
  /** The socket is gone. */
  failed(error: DistcacheError): void;
}

function whenConnected(socket: Socket, { readyEvent, timeoutMs }: ChannelOptions, { ready, failed }: Connecting): void {
  let error = new DistcacheError('connection', 'can not connect: the server closed the connection');
  const timer = setTimeout(() => {
    error = new DistcacheError('timeout', `no connection within ${timeoutMs} ms`);
    socket.destroy();
  }, timeoutMs);
  const closed = () => {
    clearTimeout(timer);
    failed(error);
  };
  socket.once('close', closed);
  socket.on('error', (cause) => {
    error = new DistcacheError('connection', `can not connect: ${cause.message}`, cause);
  });
  socket.once(readyEvent, () => {
    clearTimeout(timer);
    socket.off('close', closed);
    ready();
  });
}

function closedError(): DistcacheError {
  return new DistcacheError('closed', 'the client is closed');
}
