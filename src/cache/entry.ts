import type { Fields } from '../http/fields.js';
import { escapeKey, unescapeKey } from './key.js';
import { decodeMessage, storedLines } from './message.js';

/**
 * A stored response as `memcached.store` keeps it and any backend can write it: an HTTP/1.1 message that a person
 * can read. Its first field, when Lookaside made it, is the metadata line:
 *
 *     HTTP/1.1 200 OK
 *     lookaside: 1 at=1763640000123 age=0 life=60 vary=- key=http://example.org/index.html
 *     content-type: text/html
 *
 *     <body>
 *
 * An entry without that line is as good; what it lacks follows from its own fields and from the item's time to live.
 * Values come from a network service others can write to, so decoding trusts nothing. Entries of `memcached.cache`
 * (`cached-entry.ts`) are none of these: they can be purged and cut into segments, which a plain lookup knows nothing
 * of.
 */
export interface Entry {
  readonly status: number;
  /** Without connection fields and Content-Length, which are made anew for the client. */
  readonly fields: Fields;
  readonly body: Buffer;
  /** `undefined` when somebody else wrote the entry. */
  readonly metadata: EntryMetadata | undefined;
}

/** What the cache must know of an entry besides the response itself. */
export interface EntryMetadata {
  /** Wall-clock time the response was stored, in ms since 1970. */
  readonly storedAtMs: number;
  /** Age the response had then, in seconds (its Age field). */
  readonly ageSeconds: number;
  /** Seconds it may be used from then on; 0 = as long as the store keeps it. */
  readonly lifetimeSeconds: number;
  /** Digest of the request fields that select this variant (`http/vary.ts`), or empty when the response has no Vary. */
  readonly variant: string;
  /** The full key, before the key rule: a reply for another key, swapped or shifted, is always noticed. */
  readonly key: string;
}

/** The head of an entry, to be stored in front of the body. `key` and all fields are byte strings. */
export function encodeHead(status: number, fields: Fields, metadata: EntryMetadata): Buffer {
  const head = `HTTP/1.1 ${status} \r\nlookaside: ${formatMetadata(metadata)}\r\n${storedLines(fields)}\r\n`;
  return Buffer.from(head, 'latin1');
}

/**
 * Statuses that answer one particular request only (RFC 9110): a range, a condition. They must not pass for the whole.
 */
export const PARTIAL_STATUSES: ReadonlySet<number> = new Set([206, 304, 416]);

/** The entry in `value`, or `undefined` when that is not one. It is never a part of a response. */
export function decodeEntry(value: Buffer): Entry | undefined {
  const message = decodeMessage(value);
  if (message === undefined || PARTIAL_STATUSES.has(message.status) || message.own.length > 1) return undefined;
  const { status, fields, body } = message;
  const [line] = message.own;
  const metadata = line === undefined ? undefined : parseMetadata(line);
  if (line !== undefined && metadata === undefined) return undefined;
  return { status, fields, body, metadata };
}

const METADATA =
  /^lookaside: 1 at=([0-9]{1,15}) age=([0-9]{1,10}) life=([0-9]{1,10}) vary=([0-9a-f]{1,40}|-) key=([\x21-\x7e]*)$/;

function formatMetadata({ storedAtMs, ageSeconds, lifetimeSeconds, variant, key }: EntryMetadata): string {
  const vary = variant === '' ? '-' : variant;
  return `1 at=${storedAtMs} age=${ageSeconds} life=${lifetimeSeconds} vary=${vary} key=${escapeKey(key)}`;
}

function parseMetadata(line: string): EntryMetadata | undefined {
  const match = METADATA.exec(line);
  if (match === null) return undefined;
  const [, at, age, life, vary, key = ''] = match;
  return {
    storedAtMs: Number(at),
    ageSeconds: Number(age),
    lifetimeSeconds: Number(life),
    variant: vary === '-' ? '' : (vary ?? ''),
    key: unescapeKey(key),
  };
}
