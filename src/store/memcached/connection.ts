import { createConnection, type Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions as TlsOptions } from 'node:tls';
import { MemcacheClient, MemcacheConnection, Status } from 'memcache-client';
import { StoreError, type StoreErrorCode } from '../store.js';
import { type Address, formatAddress } from './address.js';
import { ClassicDialect } from './classic.js';
import { type Dialect, FATAL, MORE, type Next } from './dialect.js';
import { type Credentials, Greeting, type GreetingStep } from './greeting.js';
import { MetaDialect } from './meta.js';
import type { GetSlot, Operation } from './operation.js';
import { Outbox } from './outbox.js';
import { Queue } from './queue.js';
import { BROKEN, LINE, ReplyParser } from './reply-parser.js';

export interface ConnectionSettings {
  readonly address: Address;
  /** How long an operation may take from the end of the turn it was issued in. */
  readonly timeoutMs: number;
  /** How long it may take until the first operation can be sent: name resolution, TLS and {@link Greeting} included. */
  readonly connectTimeoutMs: number;
  /** Larger values are not read. */
  readonly maxValueBytes: number;
  readonly tls: TlsOptions | undefined;
  readonly auth: Credentials | undefined;
}

/** What several connections have in flight together. They keep it up to date. */
export interface Load {
  operations: number;
  bytes: number;
}

/** Who is told what happens to a connection. */
export interface ConnectionOwner {
  /** At least one operation was answered in time. */
  answered(): void;
  /** At least one operation ran out of time; told once for all that did at the same moment. */
  overdue(error: StoreError): void;
  /** The connection is gone, for `error`; `orphans` are the operations it leaves behind, unsettled and in order. */
  lost(error: StoreError, orphans: readonly Operation[]): void;
}

/**
 * memcache-client's connection, taught the meta protocol. Its own way with queues, timers and replies is not used.
 *
 * Operations issued in one turn of the event loop leave in one write, and so does everything that was issued until the
 * connection was ready. Replies are matched in order. From the first byte that does not belong, nothing on this
 * connection means anything: it is closed and what was outstanding fails.
 *
 * The socket holds the process only while operations are outstanding.
 */
export class MetaConnection extends MemcacheConnection {
  readonly #settings: ConnectionSettings;
  readonly #server: string;
  readonly #load: Load;
  readonly #owner: ConnectionOwner;
  readonly #greeting: Greeting;
  readonly #parser = new ReplyParser({
    line: (bytes, start, end) => this.#readLine(bytes, start, end),
    block: (bytes) => this.#readBlock(bytes),
  });
  readonly #outbox = new Outbox();
  /** In the order their replies must come. */
  readonly #sent = new Queue<Operation>();
  #unsent: Operation[] = [];
  /** The unsent get of each key that a later get may still join. */
  readonly #joinable = new Map<string, GetSlot>();
  /** `undefined` until the greeting is over. */
  #dialect: Dialect | undefined;
  #opaque = 0;
  #isFlushing = false;
  #isHeld = true;
  #timer: NodeJS.Timeout | undefined;
  readonly #timeoutError: StoreError;
  /** When to give up if it is not {@link wasReady} by then, and if the next step of the greeting has not come. */
  #connectBy = 0;
  #greetBy = Number.POSITIVE_INFINITY;
  /** When the last bytes came, as far as the timer has noticed. */
  #heardAt = 0;
  #heard = false;
  #answered = false;
  /** Why the connection must be closed as soon as the parser returns. */
  #breach: StoreError | undefined;
  #ready: ((connection: this) => void) | undefined;
  #failed: ((error: StoreError) => void) | undefined;

  constructor(settings: ConnectionSettings, load: Load, owner: ConnectionOwner) {
    const server = formatAddress(settings.address);
    // the base class takes its logger and its number from a client
    super(new MemcacheClient({ server }));
    this.#settings = settings;
    this.#server = server;
    this.#load = load;
    this.#owner = owner;
    this.#greeting = new Greeting(server, settings.auth);
    this.#timeoutError = this.#error('timeout', `no answer within ${settings.timeoutMs} ms`);
  }

  /** Resolves when operations can be sent. Rejects, after the owner was told, when that does not come about. */
  override connect(): Promise<this> {
    const { address, tls, connectTimeoutMs } = this.#settings;
    const target =
      address.kind === 'unix'
        ? { path: address.path }
        : {
            host: address.host,
            port: address.port,
            noDelay: true,
            keepAlive: true,
            keepAliveInitialDelay: KEEP_ALIVE_MS,
          };
    const socket = tls === undefined ? createConnection(target) : connectTls({ ...tls, ...target });
    socket.once(tls === undefined ? 'connect' : 'secureConnect', () => this.#take(this.#greeting.begin()));
    this.socket = socket;
    this._status = Status.CONNECTING;
    this._setupConnection(socket);
    this.#connectBy = performance.now() + connectTimeoutMs;
    this.#watch();
    this.#hold();
    return new Promise((resolve, reject) => {
      this.#ready = resolve;
      this.#failed = reject;
    });
  }

  /** Whether it was ever usable. */
  get wasReady(): boolean {
    return this.#dialect !== undefined;
  }

  /** Sends an operation with the others of this turn. It is settled here, or handed back by the owner's `lost`. */
  issue(slot: Operation): void {
    this.#load.operations += slot.operations;
    this.#load.bytes += slot.bytes;
    if (!this.isReady()) slot.stamp(performance.now() + this.#settings.timeoutMs);
    if (slot.kind === 'get') {
      // Only a command that has not left is shared: a reply under way may be older than what its caller knows.
      const leader = this.#joinable.get(slot.key);
      if (leader !== undefined) {
        leader.lead(slot);
        return;
      }
      this.#joinable.set(slot.key, slot);
    } else {
      // A get from before this operation must not answer one from after it.
      this.#joinable.delete(slot.key);
    }
    this.#unsent.push(slot);
    if (this.#isFlushing) return;
    this.#isFlushing = true;
    this.#hold();
    setImmediate(this.#flush);
  }

  /** Lets go of the connection; what was outstanding is handed to the owner's `lost` with `error`. */
  close(error: StoreError): void {
    if (this.isShutdown()) return;
    const orphans = [...this.#sent, ...this.#unsent];
    for (const slot of orphans) this.#release(slot);
    this.#unsent = [];
    clearInterval(this.#timer);
    super._shutdown(error.message);
    this.#owner.lost(error, orphans);
    this.#failed?.(error);
  }

  override _shutdown(message: string): void {
    this.close(this.#error('connection', message));
  }

  override _setupConnection(socket: Socket): void {
    socket.on('data', (chunk: Buffer) => this.onData(chunk));
    socket.on('error', (cause) => this.close(this.#error('connection', messageOf(cause), cause)));
    socket.on('end', () => this._shutdown('closed by the server'));
    socket.on('close', () => this._shutdown('closed'));
  }

  override onData(chunk: Buffer): void {
    if (this.isShutdown()) return;
    this.#heard = true;
    const isSound = this.#parser.push(chunk);
    if (this.#answered) {
      this.#answered = false;
      this.#owner.answered();
    }
    if (isSound) this.#hold();
    else this.close(this.#breach ?? this.#error('protocol', 'unexpected bytes'));
  }

  #readLine(bytes: Buffer, start: number, end: number): number {
    if (this.#dialect === undefined) return this.#take(this.#greeting.next(bytes.toString('latin1', start, end)));
    const slot = this.#sent.peek();
    return slot === undefined ? BROKEN : this.#proceed(slot, this.#dialect.line(slot, bytes, start, end));
  }

  #readBlock(bytes: Buffer): number {
    const slot = this.#sent.peek();
    if (slot === undefined || this.#dialect === undefined) return BROKEN;
    return this.#proceed(slot, this.#dialect.block(slot, bytes));
  }

  /** Tells the parser what comes after a part of the reply to `slot`. */
  #proceed(slot: Operation, next: Next): number {
    if (next === MORE) return LINE;
    if (next === BROKEN || next >= 0) return next;
    this.#sent.shift();
    this.#release(slot);
    if (!slot.late) this.#answered = true;
    if (next !== FATAL) return LINE;
    this.#breach = this.#error('connection', 'given up after an error that may have put it out of step');
    return BROKEN;
  }

  /** Takes a step of the greeting, and tells the parser what comes after it. */
  #take(step: GreetingStep): number {
    if ('giveUp' in step) {
      this.#breach = step.giveUp;
      return BROKEN;
    }
    if ('say' in step) {
      // it is an operation like any other
      this.#greetBy = performance.now() + this.#settings.timeoutMs;
      this.socket?.write(step.say, 'latin1');
      return LINE;
    }
    const dialect = step.speak === 'meta' ? MetaDialect : ClassicDialect;
    this.#dialect = new dialect(this.#server, this.#settings.maxValueBytes);
    this._status = Status.READY;
    this.#ready?.(this);
    this.#flush();
    return LINE;
  }

  readonly #flush = (): void => {
    this.#isFlushing = false;
    if (this.#dialect === undefined || this.socket === undefined || this.#unsent.length === 0) return;
    const slots = this.#unsent;
    this.#unsent = [];
    this.#joinable.clear();
    const deadline = performance.now() + this.#settings.timeoutMs;
    for (const slot of slots) {
      slot.stamp(deadline);
      slot.opaque = this.#opaque++;
      if (!slot.waiting) {
        // it ran out of time while there was no connection: it is not sent at all
        this.#release(slot);
      } else if (this.#dialect.write(slot, this.#outbox)) {
        this.#sent.push(slot);
      } else {
        this.#release(slot);
        slot.fail(this.#error('server-error', `this server has no command for this ${slot.kind}`));
      }
    }
    this.#watch();
    this.#hold();
    this.#outbox.flush(this.socket);
  };

  #release(slot: Operation): void {
    this.#load.operations -= slot.operations;
    this.#load.bytes -= slot.bytes;
  }

  /** Makes the socket hold the process, or not, as there are operations outstanding. */
  #hold(): void {
    const isHeld = this.#sent.length + this.#unsent.length > 0;
    if (isHeld === this.#isHeld) return;
    this.#isHeld = isHeld;
    if (isHeld) this.socket?.ref();
    else this.socket?.unref();
  }

  /** Has {@link expire} run until there is nothing to wait for. */
  #watch(): void {
    if (this.#timer !== undefined) return;
    const tick = Math.min(Math.max(this.#settings.timeoutMs / TICKS_PER_DEADLINE, MIN_TICK_MS), MAX_TICK_MS);
    // Replies that came while this process was busy are read before the clock is: it is not the server that was late.
    this.#timer = setInterval(() => setImmediate(this.#expire), tick).unref();
  }

  readonly #expire = (): void => {
    if (this.isShutdown()) return;
    const now = performance.now();
    if (this.#heard) this.#heardAt = now;
    this.#heard = false;
    let isOverdue = false;
    for (const slot of this.#sent) isOverdue = slot.expire(now, this.#timeoutError) || isOverdue;
    for (const slot of this.#unsent) isOverdue = slot.expire(now, this.#timeoutError) || isOverdue;
    if (isOverdue) this.#owner.overdue(this.#timeoutError);
    if (!this.wasReady && now >= Math.min(this.#connectBy, this.#greetBy)) this._shutdown('no connection in time');
    if (this.#isSilent(now)) this.close(this.#error('timeout', 'silent'));
    if (this.#dialect === undefined || this.#sent.length > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  };

  /** Whether nothing at all was heard for {@link SILENCE_DEADLINES} while a reply was due. */
  #isSilent(now: number): boolean {
    const oldest = this.#sent.peek();
    if (oldest === undefined) return false;
    const { timeoutMs } = this.#settings;
    const since = Math.max(this.#heardAt, oldest.deadline - timeoutMs);
    return now - since >= SILENCE_DEADLINES * timeoutMs;
  }

  #error(code: StoreErrorCode, message: string, cause?: Error): StoreError {
    return new StoreError(code, `${this.#server}: ${message}`, { server: this.#server, cause });
  }
}

/** A name with several addresses fails with one error for all, which has no message of its own. */
function messageOf(cause: Error): string {
  return cause instanceof AggregateError ? cause.errors.map(String).join('; ') : cause.message;
}

/** A caller waits at most this part of the deadline longer than the deadline. */
const TICKS_PER_DEADLINE = 10;

/** Looking at the clock more often costs more than the caller gains. */
const MIN_TICK_MS = 2;

/** With a long deadline a tenth of it is too much to wait on top. */
const MAX_TICK_MS = 25;

/** One deadline for the caller to give up, and one more for the late reply that keeps the connection usable. */
const SILENCE_DEADLINES = 2;

/** As memcache-client has it: keeps the idle connection known to what lies between. */
const KEEP_ALIVE_MS = 60_000;
