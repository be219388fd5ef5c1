import { StoreError } from '../store.js';
import type { Operation } from './operation.js';
import type { Outbox } from './outbox.js';
import { BROKEN } from './reply-parser.js';

/**
 * How operations are said to a server, and its replies understood. One for each connection, as it remembers the line
 * whose block is still to come. Neither method writes to a socket or closes one: the connection does, as it is told.
 */
export interface Dialect {
  /** Puts the command of `slot` into `out`; `false` when there is no such command, and then nothing was put there. */
  write(slot: Operation, out: Outbox): boolean;

  /** A line came, from `start` to `end`, and `slot` is next to be answered. Says what comes after it. */
  line(slot: Operation, bytes: Buffer, start: number, end: number): Next;

  /** The block that the last line announced. */
  block(slot: Operation, bytes: Buffer): Next;
}

/** The length of the block that comes next, or {@link MORE}, {@link DONE}, {@link FATAL} or {@link BROKEN}. */
export type Next = number;

/** More lines belong to this reply. */
export const MORE = -3;

/** The slot was answered, or failed; the next line is for the next one. */
export const DONE = -4;

/** As {@link DONE}, but what comes next on this connection can not be told. */
export const FATAL = -5;

/**
 * Reads the error lines that both dialects share. After an error to a set, its data block may have been taken for
 * further commands, unless the server says that the fault is its own: then it has swallowed the block.
 */
export function errorReply(slot: Operation, text: string, server: string): Next {
  if (!isPrintable(text)) return BROKEN;
  const word = text.split(' ', 1)[0];
  if (word === 'SERVER_ERROR') {
    const code = text === 'SERVER_ERROR object too large for cache' ? 'too-large' : 'server-error';
    slot.fail(new StoreError(code, `${server}: ${text}`, { server }));
    return DONE;
  }
  if (word !== 'CLIENT_ERROR' && word !== 'ERROR') return BROKEN;
  slot.fail(new StoreError('server-error', `${server}: ${text}`, { server }));
  return slot.kind === 'set' ? FATAL : DONE;
}

/** Whether `text` can stand in a message or a log line as it is. */
export function isPrintable(text: string): boolean {
  return /^[\x20-\x7e]*$/.test(text);
}

/** The decimal number from `start` to `end`; NaN unless there are 1 to 15 digits and nothing else. */
export function decimal(bytes: Buffer, start: number, end: number): number {
  if (end <= start || end - start > MAX_EXACT_DIGITS) return Number.NaN;
  let number = 0;
  for (let i = start; i < end; i++) {
    const digit = (bytes[i] ?? 0) - 0x30;
    if (digit < 0 || digit > 9) return Number.NaN;
    number = number * 10 + digit;
  }
  return number;
}

/** Whether `text` is a decimal number of at most 64 bits. */
export function isUnsigned64(text: string): boolean {
  if (text.length === 0 || text.length > MAX_UNSIGNED_64.length) return false;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 0x30 || code > 0x39) return false;
  }
  return text.length < MAX_UNSIGNED_64.length || text <= MAX_UNSIGNED_64;
}

/** memcached's client flags are 32 bits wide. */
export const MAX_FLAGS = 2 ** 32 - 1;

/** Every decimal number of so many digits is exact as a JavaScript number. */
const MAX_EXACT_DIGITS = 15;

const MAX_UNSIGNED_64 = String(2n ** 64n - 1n);
