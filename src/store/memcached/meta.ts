import { ClassicDialect } from './classic.js';
import { type Dialect, DONE, decimal, errorReply, isUnsigned64, type Next } from './dialect.js';
import { expiry } from './expiry.js';
import { DESCRIBED, ECHOED, echo, MetaTokens } from './meta-tokens.js';
import type { IncrementSlot, Operation, SetSlot } from './operation.js';
import type { Outbox } from './outbox.js';
import { BROKEN } from './reply-parser.js';

/**
 * The meta commands of memcached 1.6.10 and later (protocol.txt, "Meta Commands").
 *
 * Every command asks for its key and an opaque to be echoed: a reply that does not carry both of the slot it would
 * answer is not believed.
 */
export class MetaDialect implements Dialect {
  readonly #server: string;
  readonly #maxValueBytes: number;
  readonly #tokens = new MetaTokens();
  /** `stats` has no meta form. */
  readonly #classic: ClassicDialect;

  /** A reply with a value above `maxValueBytes` is refused. `server` is for messages. */
  constructor(server: string, maxValueBytes: number) {
    this.#server = server;
    this.#maxValueBytes = maxValueBytes;
    this.#classic = new ClassicDialect(server, maxValueBytes);
  }

  write(slot: Operation, out: Outbox): boolean {
    switch (slot.kind) {
      case 'get':
        out.text(`mg ${slot.key} v f t c ${echo(slot)}\r\n`);
        return true;
      case 'set':
        writeSet(slot, out);
        return true;
      case 'delete':
        out.text(`md ${slot.key} ${echo(slot)}${casToken(slot.request.cas)}\r\n`);
        return true;
      case 'touch':
        out.text(`mg ${slot.key} ${echo(slot)} T${expiry(slot.request.ttlSeconds)}\r\n`);
        return true;
      case 'increment':
        writeIncrement(slot, out);
        return true;
      case 'stats':
        return this.#classic.write(slot, out);
    }
  }

  line(slot: Operation, bytes: Buffer, start: number, end: number): Next {
    if (slot.kind === 'stats') return this.#classic.line(slot, bytes, start, end);
    const isCode = end - start === 2 || bytes[start + 2] === SPACE;
    const code = isCode ? ((bytes[start] ?? 0) << 8) | (bytes[start + 1] ?? 0) : 0;
    switch (code) {
      case VA:
        return this.#value(slot, bytes, start + 3, end);
      case EN:
        // before 1.6.18 a miss echoes nothing
        if (end - start === 2) return answerStatus(slot, code);
        return this.#isEchoed(slot, bytes, start + 2, end) ? answerStatus(slot, code) : BROKEN;
      case HD:
      case NF:
      case NS:
      case EX:
        return this.#isEchoed(slot, bytes, start + 2, end) ? answerStatus(slot, code) : BROKEN;
      default:
        return errorReply(slot, bytes.toString('latin1', start, end), this.#server);
    }
  }

  block(slot: Operation, bytes: Buffer): Next {
    if (slot.kind === 'get') {
      const { flags, cas, ttlSeconds } = this.#tokens;
      slot.answer({ value: bytes, flags, cas, ttlSeconds });
      return DONE;
    }
    const counter = bytes.toString('latin1');
    if (slot.kind !== 'increment' || !isUnsigned64(counter)) return BROKEN;
    slot.answer(BigInt(counter));
    return DONE;
  }

  #value(slot: Operation, bytes: Buffer, start: number, end: number): Next {
    let lengthEnd = start;
    while (lengthEnd < end && bytes[lengthEnd] !== SPACE) lengthEnd++;
    const length = decimal(bytes, start, lengthEnd);
    const seen = this.#tokens.read(slot, bytes, lengthEnd, end);
    if (slot.kind === 'get') return seen === (ECHOED | DESCRIBED) && length <= this.#maxValueBytes ? length : BROKEN;
    return slot.kind === 'increment' && seen === ECHOED && length <= MAX_COUNTER_DIGITS ? length : BROKEN;
  }

  #isEchoed(slot: Operation, bytes: Buffer, start: number, end: number): boolean {
    return this.#tokens.read(slot, bytes, start, end) === ECHOED;
  }
}

/** Gives `slot` the answer that lies in the return code alone. */
function answerStatus(slot: Operation, code: number): Next {
  switch (slot.kind) {
    case 'get':
      if (code !== EN) return BROKEN;
      slot.answer(null);
      return DONE;
    case 'set':
      if (code === HD) slot.answer('stored');
      else if (code === NS) slot.answer('not-stored');
      else if (code === EX) slot.answer('exists');
      else if (code === NF) slot.answer('not-found');
      else return BROKEN;
      return DONE;
    case 'delete':
      if (code !== HD && code !== NF && code !== EX) return BROKEN;
      slot.answer(code === HD);
      return DONE;
    case 'touch':
      if (code !== HD && code !== EN) return BROKEN;
      slot.answer(code === HD);
      return DONE;
    case 'increment':
      if (code !== NF) return BROKEN;
      slot.answer(null);
      return DONE;
    case 'stats':
      return BROKEN;
  }
}

function writeSet(slot: SetSlot, out: Outbox): void {
  const { value, valueBytes, mode, flags, ttlSeconds, cas } = slot.request;
  const keepsRest = mode === 'append' || mode === 'prepend';
  const rest = keepsRest ? '' : ` F${flags} T${expiry(ttlSeconds)}`;
  out.text(`ms ${slot.key} ${valueBytes} ${echo(slot)} M${MODES[mode]}${rest}${casToken(cas)}\r\n`);
  out.block(value);
}

function writeIncrement(slot: IncrementSlot, out: Outbox): void {
  const { delta, initial, ttlSeconds } = slot.request;
  const change = delta < 0n ? `MD D${-delta}` : `MI D${delta}`;
  const create = initial === undefined ? '' : ` N${expiry(ttlSeconds)} J${initial}`;
  out.text(`ma ${slot.key} v ${echo(slot)} ${change}${create}\r\n`);
}

function casToken(cas: string | undefined): string {
  return cas === undefined ? '' : ` C${cas}`;
}

/** protocol.txt, "Meta Set": the mode switch. */
const MODES = { set: 'S', add: 'E', replace: 'R', append: 'A', prepend: 'P' } as const;

// the return codes, as the two bytes they are
const VA = 0x5641;
const HD = 0x4844;
const EN = 0x454e;
const NF = 0x4e46;
const NS = 0x4e53;
const EX = 0x4558;

const SPACE = 0x20;

/** A counter has 64 bits. */
const MAX_COUNTER_DIGITS = 20;
