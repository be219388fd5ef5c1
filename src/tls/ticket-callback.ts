import { randomBytes } from 'node:crypto';
import type { SecureContext } from 'node:tls';
import type { TicketCounts } from './metrics.js';
import { TICKET_KEY_BYTES, type TicketRing, ticketKey } from './ticket-ring.js';

/**
 * Node's SecureContext can ask JavaScript for the key of each ticket. It is not public, and it is the only way to open
 * tickets of a previous key: what is relied on is `context.enableTicketKeyCallback()`, `context.onticketkeycallback` and
 * the array that this returns: what to do, the HMAC key, the AES key and, to seal, the key's name and an IV.
 */
type TicketAnswer = readonly [action: number, hmacKey: Buffer, aesKey: Buffer, name?: Buffer, iv?: Buffer];

/** What OpenSSL is told: go on without a ticket; seal with the key; open with the key and issue a new ticket. */
const IGNORE = 0;
const SEAL = 1;

/**
 * Not only for tickets of an earlier key: clients use a ticket of TLS 1.3 once, lest they be followed by it (RFC 8446 C.4),
 * and need the next one with each resumption. What version it is can not be seen from here.
 */
const OPEN_AND_RENEW = 2;

const IV_BYTES = 16;

/** Random bytes cost by the call, and each handshake of TLS 1.3 takes two IVs: no byte of a supply is used twice. */
const IV_SUPPLY_BYTES = 4096;

/** Node wants keys even where they are not used, and fails the handshake without. */
const NO_KEY = ticketKey(0, Buffer.alloc(TICKET_KEY_BYTES));

/**
 * Makes `context` use the keys of `ring`, as they are at each handshake; whether this Node allows it. {@link
 * ringIsSupported} tells whether it then works.
 */
export function useRing(context: SecureContext, ring: TicketRing, counts: TicketCounts): boolean {
  const native: unknown = context.context;
  if (typeof native !== 'object' || native === null) return false;
  const enable: unknown = Reflect.get(native, 'enableTicketKeyCallback');
  if (typeof enable !== 'function') return false;
  const answer = (name: unknown, _iv: unknown, isSealing: unknown): TicketAnswer => {
    // an exception here would be thrown into OpenSSL's handshake
    try {
      return isSealing === true ? sealing(ring, counts) : opening(ring, counts, name);
    } catch {
      return [IGNORE, NO_KEY.hmacKey, NO_KEY.aesKey, NO_KEY.name, NO_KEY.name];
    }
  };
  Reflect.set(native, 'onticketkeycallback', answer);
  Reflect.apply(enable, native, []);
  return true;
}

function sealing(ring: TicketRing, counts: TicketCounts): TicketAnswer {
  const { hmacKey, aesKey, name } = ring.sealing;
  counts.tickets_issued_total++;
  return [SEAL, hmacKey, aesKey, name, newIv()];
}

let ivSupply: Buffer = Buffer.alloc(0);

function newIv(): Buffer {
  if (ivSupply.length < IV_BYTES) ivSupply = randomBytes(IV_SUPPLY_BYTES);
  const iv = ivSupply.subarray(0, IV_BYTES);
  ivSupply = ivSupply.subarray(IV_BYTES);
  return iv;
}

function opening(ring: TicketRing, counts: TicketCounts, name: unknown): TicketAnswer {
  const key = Buffer.isBuffer(name) ? ring.named(name) : undefined;
  if (key === undefined) {
    counts.tickets_unknown_total++;
    return [IGNORE, NO_KEY.hmacKey, NO_KEY.aesKey];
  }
  if (key === ring.sealing) counts.tickets_current_total++;
  else counts.tickets_previous_total++;
  return [OPEN_AND_RENEW, key.hmacKey, key.aesKey];
}
