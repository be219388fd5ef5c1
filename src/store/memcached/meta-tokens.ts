import { decimal, isUnsigned64, MAX_FLAGS } from './dialect.js';
import type { Operation } from './operation.js';

/**
 * The tokens that end a line of the meta protocol: one letter each, with a value or without.
 *
 * {@link KEY} and {@link OPAQUE} tell whose reply it is. The opaque is one character that counts the commands of a
 * connection modulo 64, so that even two replies for one key can not change places.
 */
export class MetaTokens {
  /** Of the item, as the last line read has it; so with the two below. */
  flags = 0;
  /** `undefined` when it never expires. */
  ttlSeconds: number | undefined;
  cas = '';

  /**
   * Reads what lies between `start` and `end`: which tokens were there, once each, as a union of the bits below. With
   * anything else there, or an echo of another slot, it is {@link INVALID}.
   */
  read(slot: Operation, bytes: Buffer, start: number, end: number): number {
    let seen = 0;
    let otherKey = '';
    for (let at = start; at < end; at++) {
      if (bytes[at] === SPACE) continue;
      const letter = bytes[at];
      const begin = at + 1;
      while (at < end && bytes[at] !== SPACE) at++;
      let token = 0;
      switch (letter) {
        case LETTER_k:
          token = KEY;
          if (!equals(bytes, begin, at, slot.key)) otherKey = bytes.toString('latin1', begin, at);
          break;
        case LETTER_O:
          token = OPAQUE;
          if (at !== begin + 1 || bytes[begin] !== OPAQUES.charCodeAt(slot.opaque % OPAQUES.length)) return INVALID;
          break;
        case LETTER_f:
          token = FLAGS;
          this.flags = decimal(bytes, begin, at);
          if (!(this.flags <= MAX_FLAGS)) return INVALID;
          break;
        case LETTER_t:
          token = TTL;
          this.ttlSeconds = equals(bytes, begin, at, '-1') ? undefined : decimal(bytes, begin, at);
          if (Number.isNaN(this.ttlSeconds)) return INVALID;
          break;
        case LETTER_c:
          token = CAS;
          this.cas = bytes.toString('latin1', begin, at);
          if (!isUnsigned64(this.cas)) return INVALID;
          break;
        case LETTER_b:
          // written by a client that keeps binary keys: those are echoed in base64
          if (at !== begin || otherKey !== Buffer.from(slot.key, 'latin1').toString('base64')) return INVALID;
          otherKey = '';
          break;
        case LETTER_W:
        case LETTER_X:
        case LETTER_Z:
          // another client marked the item stale, and tells those who know of it who is to refresh it
          if (at !== begin) return INVALID;
          break;
        default:
          return INVALID;
      }
      if ((seen & token) !== 0) return INVALID;
      seen |= token;
    }
    return otherKey === '' ? seen : INVALID;
  }
}

/** The tokens by which a command asks for its echo. */
export function echo(slot: Operation): string {
  return ECHOES[slot.opaque % OPAQUES.length] ?? '';
}

const KEY = 1;
const OPAQUE = 2;
const FLAGS = 4;
const TTL = 8;
const CAS = 16;

/** The tokens every reply must have. */
export const ECHOED = KEY | OPAQUE;

/** The tokens that come with a value that was asked for by `f t c`. */
export const DESCRIBED = FLAGS | TTL | CAS;

const INVALID = -1;

const OPAQUES = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
const ECHOES = [...OPAQUES].map((opaque) => `k O${opaque}`);

const SPACE = 0x20;
const LETTER_W = 0x57;
const LETTER_X = 0x58;
const LETTER_Z = 0x5a;
const LETTER_O = 0x4f;
const LETTER_b = 0x62;
const LETTER_c = 0x63;
const LETTER_f = 0x66;
const LETTER_k = 0x6b;
const LETTER_t = 0x74;

/** Whether the bytes from `start` to `end` are `text`, a byte string. */
function equals(bytes: Buffer, start: number, end: number, text: string): boolean {
  if (end - start !== text.length) return false;
  for (let i = 0; i < text.length; i++) if (bytes[start + i] !== text.charCodeAt(i)) return false;
  return true;
}
