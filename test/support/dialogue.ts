import { Writable } from 'node:stream';
import { type Dialect, FATAL, MORE, type Next } from '../../src/store/memcached/dialect.js';
import { type Count, type Operation, Slot, type Write } from '../../src/store/memcached/operation.js';
import { Outbox } from '../../src/store/memcached/outbox.js';
import { BROKEN, LINE, ReplyParser } from '../../src/store/memcached/reply-parser.js';
import { StoreError } from '../../src/store/store.js';

/** What became of an operation: its answer, the code of its error, or that nothing has come yet. */
export type Outcome = { readonly answer: unknown } | { readonly error: string } | 'outstanding';

/** A dialect at work without a connection: operations are put to it, and bytes are taken for the replies. */
export class Dialogue {
  /** One for each operation, in the order they were asked. */
  readonly outcomes: Outcome[] = [];
  /** Why the replies were given up, if they were. */
  end: 'broken' | 'fatal' | undefined;
  readonly #dialect: Dialect;
  readonly #outstanding: Operation[] = [];
  readonly #outbox = new Outbox();
  readonly #parser = new ReplyParser({
    line: (bytes, start, end) => this.#next((slot) => this.#dialect.line(slot, bytes, start, end)),
    block: (bytes) => this.#next((slot) => this.#dialect.block(slot, bytes)),
  });

  constructor(dialect: Dialect) {
    this.#dialect = dialect;
  }

  get(key: string): this {
    return this.#ask(new Slot('get', key, undefined, ...this.#outcome()));
  }

  set(key: string, text: string, write: Partial<Write> = {}): this {
    const value = Buffer.from(text, 'latin1');
    const request: Write = {
      mode: 'set',
      flags: 0,
      ttlSeconds: 0,
      cas: undefined,
      ...write,
      value,
      valueBytes: value.length,
    };
    return this.#ask(new Slot('set', key, request, ...this.#outcome()));
  }

  delete(key: string, cas?: string): this {
    return this.#ask(new Slot('delete', key, { cas }, ...this.#outcome()));
  }

  touch(key: string, ttlSeconds: number): this {
    return this.#ask(new Slot('touch', key, { ttlSeconds }, ...this.#outcome()));
  }

  increment(key: string, delta: bigint, count: Partial<Count> = {}): this {
    const request = { initial: undefined, ttlSeconds: 0, ...count, delta };
    return this.#ask(new Slot('increment', key, request, ...this.#outcome()));
  }

  stats(): this {
    return this.#ask(new Slot('stats', '', undefined, ...this.#outcome()));
  }

  /** The commands so far, as a byte string. */
  said(): string {
    const chunks: Buffer[] = [];
    const sink = new Writable({
      write(chunk: Buffer, _encoding, done) {
        chunks.push(chunk);
        done();
      },
    });
    this.#outbox.flush(sink);
    return Buffer.concat(chunks).toString('latin1');
  }

  /** Takes `bytes`, a byte string cut before each of `cuts`, for what the server sent. */
  hear(bytes: string, cuts: readonly number[] = []): this {
    const wire = Buffer.from(bytes, 'latin1');
    const ends = [...new Set(cuts.map((at) => at % (wire.length + 1))), wire.length].sort((a, b) => a - b);
    for (const [i, end] of ends.entries()) {
      if (this.end === undefined && !this.#parser.push(wire.subarray(ends[i - 1] ?? 0, end))) this.end ??= 'broken';
    }
    return this;
  }

  #ask(slot: Operation): this {
    slot.opaque = this.outcomes.length;
    this.outcomes.push('outstanding');
    if (this.#dialect.write(slot, this.#outbox)) this.#outstanding.push(slot);
    else slot.fail(new StoreError('server-error', 'no such command'));
    return this;
  }

  #outcome(): [(answer: unknown) => void, (error: StoreError) => void] {
    const at = this.outcomes.length;
    return [
      (answer) => {
        this.outcomes[at] = { answer };
      },
      (error) => {
        this.outcomes[at] = { error: error.code };
      },
    ];
  }

  #next(read: (slot: Operation) => Next): number {
    const [slot] = this.#outstanding;
    if (slot === undefined) return BROKEN;
    const next = read(slot);
    if (next === MORE) return LINE;
    if (next >= 0 || next === BROKEN) return next;
    this.#outstanding.shift();
    if (next !== FATAL) return LINE;
    this.end = 'fatal';
    return BROKEN;
  }
}
