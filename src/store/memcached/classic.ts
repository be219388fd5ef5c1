import type { Item, SetResult } from '../store.js';
import { type Dialect, DONE, errorReply, isPrintable, isUnsigned64, MAX_FLAGS, MORE, type Next } from './dialect.js';
import { expiry } from './expiry.js';
import type { Operation } from './operation.js';
import type { Outbox } from './outbox.js';
import { BROKEN } from './reply-parser.js';

/**
 * The commands that every memcached and most proxies understand, for servers without the meta commands.
 *
 * Only a value comes with its key; every other reply is matched by its order and by being one that its command can have.
 * There is no time to live in a reply, no delete by `cas`, and no counter that creates itself.
 */
export class ClassicDialect implements Dialect {
  readonly #server: string;
  readonly #maxValueBytes: number;
  /** What has come of the reply that is being read. */
  #item: Item | undefined;
  #described: { flags: number; cas: string } | undefined;
  #report = new Map<string, string>();

  /** A reply with a value above `maxValueBytes` is refused. `server` is for messages. */
  constructor(server: string, maxValueBytes: number) {
    this.#server = server;
    this.#maxValueBytes = maxValueBytes;
  }

  write(slot: Operation, out: Outbox): boolean {
    const { key } = slot;
    switch (slot.kind) {
      case 'get':
        out.text(`gets ${key}\r\n`);
        return true;
      case 'set': {
        const { value, valueBytes, mode, flags, ttlSeconds, cas } = slot.request;
        const command = cas === undefined ? mode : 'cas';
        const condition = cas === undefined ? '' : ` ${cas}`;
        out.text(`${command} ${key} ${flags} ${expiry(ttlSeconds)} ${valueBytes}${condition}\r\n`);
        out.block(value);
        return true;
      }
      case 'delete':
        if (slot.request.cas !== undefined) return false;
        out.text(`delete ${key}\r\n`);
        return true;
      case 'touch':
        out.text(`touch ${key} ${expiry(slot.request.ttlSeconds)}\r\n`);
        return true;
      case 'increment': {
        const { delta } = slot.request;
        out.text(delta < 0n ? `decr ${key} ${-delta}\r\n` : `incr ${key} ${delta}\r\n`);
        return true;
      }
      case 'stats':
        out.text('stats\r\n');
        return true;
    }
  }

  line(slot: Operation, bytes: Buffer, start: number, end: number): Next {
    const text = bytes.toString('latin1', start, end);
    if (!isPrintable(text)) return BROKEN;
    const words = text.split(' ');
    switch (slot.kind) {
      case 'get':
        if (words[0] === 'VALUE') return this.#value(slot.key, words);
        if (text !== 'END') break;
        slot.answer(this.#item ?? null);
        this.#item = undefined;
        return DONE;
      case 'set': {
        const result = SET_RESULTS.get(text);
        if (result === undefined) break;
        slot.answer(result);
        return DONE;
      }
      case 'delete':
        if (text !== 'DELETED' && text !== 'NOT_FOUND') break;
        slot.answer(text === 'DELETED');
        return DONE;
      case 'touch':
        if (text !== 'TOUCHED' && text !== 'NOT_FOUND') break;
        slot.answer(text === 'TOUCHED');
        return DONE;
      case 'increment':
        if (text !== 'NOT_FOUND' && !isUnsigned64(text)) break;
        slot.answer(text === 'NOT_FOUND' ? null : BigInt(text));
        return DONE;
      case 'stats':
        if (words[0] === 'STAT') return this.#stat(words);
        if (text !== 'END') break;
        slot.answer(this.#report);
        this.#report = new Map();
        return DONE;
    }
    this.#item = undefined;
    this.#report = new Map();
    return errorReply(slot, text, this.#server);
  }

  block(slot: Operation, bytes: Buffer): Next {
    if (slot.kind !== 'get' || this.#described === undefined) return BROKEN;
    this.#item = { value: bytes, ...this.#described, ttlSeconds: undefined };
    this.#described = undefined;
    return MORE;
  }

  /** `VALUE <key> <flags> <bytes> <cas unique>` */
  #value(key: string, [, name, flags = '', length = '', cas = '', ...rest]: readonly string[]): Next {
    if (this.#item !== undefined || name !== key || rest.length > 0) return BROKEN;
    if (!isUnsigned64(flags) || !isUnsigned64(length) || !isUnsigned64(cas)) return BROKEN;
    if (Number(flags) > MAX_FLAGS || Number(length) > this.#maxValueBytes) return BROKEN;
    this.#described = { flags: Number(flags), cas };
    return Number(length);
  }

  #stat([, name = '', ...value]: readonly string[]): Next {
    if (name === '' || this.#report.size >= MAX_STATS) return BROKEN;
    this.#report.set(name, value.join(' '));
    return MORE;
  }
}

const SET_RESULTS: ReadonlyMap<string, SetResult> = new Map([
  ['STORED', 'stored'],
  ['NOT_STORED', 'not-stored'],
  ['EXISTS', 'exists'],
  ['NOT_FOUND', 'not-found'],
]);

/** memcached 1.6.18 has some ninety. */
const MAX_STATS = 1000;
