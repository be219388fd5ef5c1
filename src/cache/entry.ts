import { Fields, isFieldName, isFieldValue, withoutConnectionFields } from '../http/fields.js';

/**
 * A stored response: an HTTP/1.1 message that a person can read and any backend can write. Its first field, when
 * Lookaside made it, is the metadata line:
 *
 *     HTTP/1.1 200 OK
 *     lookaside: 1 at=1763640000123 age=0 life=60 vary=- key=http://example.org/index.html
 *     content-type: text/html
 *
 *     <body>
 *
 * An entry without that line is as good; what it lacks follows from its own fields and from the item's time to live.
 * Values come from a network service others can write to, so decoding trusts nothing.
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

/** Largest head of an entry, in bytes: node:http takes 16 KiB of request fields; responses are given four times that. */
const MAX_HEAD_BYTES = 64 * 1024;

/** The head of an entry, to be stored in front of the body. `key` and all fields are byte strings. */
export function encodeHead(status: number, fields: Fields, metadata: EntryMetadata): Buffer {
  let head = `HTTP/1.1 ${status} \r\nlookaside: ${formatMetadata(metadata)}\r\n`;
  const stored = ofTheResponse(fields);
  stored.delete('age');
  for (const [name, value] of stored) head += `${name}: ${value}\r\n`;
  return Buffer.from(`${head}\r\n`, 'latin1');
}

/** The entry in `value`, or `undefined` when that is not one. */
export function decodeEntry(value: Buffer): Entry | undefined {
  const end = value.subarray(0, MAX_HEAD_BYTES).indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  const [statusLine = '', ...lines] = value.toString('latin1', 0, end).split('\r\n');
  const status = parseStatusLine(statusLine);
  if (status === undefined) return undefined;
  const fields = parseFields(lines);
  if (fields === undefined) return undefined;
  const body = value.subarray(end + 4);
  for (const length of fields.all('content-length')) if (length !== String(body.length)) return undefined;

  const metadataLines = fields.all('lookaside');
  if (metadataLines.length > 1) return undefined;
  const [line] = metadataLines;
  const metadata = line === undefined ? undefined : parseMetadata(line);
  if (line !== undefined && metadata === undefined) return undefined;
  fields.delete('lookaside');
  return { status, fields: ofTheResponse(fields), body, metadata };
}

/** The fields that belong to the response and not to the connection or the framing it came with. */
function ofTheResponse(fields: Fields): Fields {
  const kept = withoutConnectionFields(fields);
  kept.delete('content-length');
  return kept;
}

/** Statuses that answer one particular request only (RFC 9110): a range, a condition. They must not pass for the whole. */
const PARTIAL_STATUSES: ReadonlySet<number> = new Set([206, 304, 416]);

function parseStatusLine(line: string): number | undefined {
  const match = /^HTTP\/1\.[01] ([2-5][0-9]{2})(?: [\t\x20-\x7e\x80-\xff]*)?$/.exec(line);
  const status = Number(match?.[1]);
  return match === null || PARTIAL_STATUSES.has(status) ? undefined : status;
}

function parseFields(lines: readonly string[]): Fields | undefined {
  const fields = new Fields();
  for (const line of lines) {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon);
    const value = line.slice(colon + 1).replace(/^[\t ]+|[\t ]+$/g, '');
    if (colon < 0 || !isFieldName(name) || !isFieldValue(value)) return undefined;
    fields.append(name, value);
  }
  return fields;
}

const METADATA = /^1 at=([0-9]{1,15}) age=([0-9]{1,10}) life=([0-9]{1,10}) vary=([0-9a-f]{1,40}|-) key=([\x21-\x7e]*)$/;

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

/** A key as visible ASCII: `%` and every byte outside 0x21–0x7e as `%XX`. */
function escapeKey(key: string): string {
  return key.replace(/[^\x21-\x24\x26-\x7e]/g, (byte) => `%${byte.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

function unescapeKey(text: string): string {
  return text.replace(/%([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}
