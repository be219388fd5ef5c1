import type { Fields } from '../http/fields.js';
import { storedPart } from '../http/partial.js';
import type { ResponseHead } from '../http/response-head.js';
import type { StoredFreshness } from '../http/reuse.js';
import { PARTIAL_STATUSES } from './entry.js';
import { formatRecord, type GenerationRecord, parseRecord } from './generation-record.js';
import { itemValue } from './item.js';
import { escapeKey, unescapeKey } from './key.js';
import type { Authenticator } from './mac.js';
import { decodeMessage, MAX_HEAD_BYTES, storedLines } from './message.js';
import { formatLayout, parseLayout, type SegmentLayout } from './segment.js';

/**
 * A stored response as `memcached.cache` keeps it. Two lines tell the cache all it needs besides the response, and the
 * second one matters only when something was purged since:
 *
 *     HTTP/1.1 200
 *     lookaside: 2 mac=- at=1763640000123 age=0 life=60 swr=0 sie=- reval=may imm=0 mark=0 vary=- epoch=17 body=5 seg=- key=…
 *     lookaside-purge: prefix=http://example.org/ tags=news counters=1849…,1849…,1849…
 *     content-type: text/html
 *
 *     <body>
 *
 * A body that does not fit lies in segments, and `seg` says where.
 */
export interface CachedEntry {
  readonly status: number;
  readonly fields: Fields;
  readonly metadata: CachedMetadata;
  /** The `lookaside-purge` line, not yet read: {@link recordOf} does. */
  readonly purgeLine: string;
  /** The body; empty when it lies in segments. */
  readonly body: Buffer;
}

export interface CachedMetadata {
  /** As the entry itself says: purges are not considered. */
  readonly freshness: Omit<StoredFreshness, 'isSoftPurged'>;
  /** The mark of the variant index it was stored under; 0 without one. Another mark there: it was soft-purged. */
  readonly mark: number;
  /** As in `EntryMetadata`. */
  readonly variant: string;
  /** The epoch when its fetch began (see `Generations`). */
  readonly epoch: string;
  readonly bodyBytes: number;
  /** `undefined` when the body follows the head. */
  readonly layout: SegmentLayout | undefined;
  /** As in `EntryMetadata`. */
  readonly key: string;
}

/**
 * The value of an entry under `storeKey`; `undefined` when its head is larger than any that would be read again. `body`
 * is left out when there is a layout.
 */
export function encodeCachedEntry(
  storeKey: string,
  { status, fields }: ResponseHead,
  metadata: CachedMetadata,
  record: GenerationRecord,
  body: readonly Uint8Array[],
  authenticator: Authenticator | undefined,
): Uint8Array[] | undefined {
  const head = `${formatMetadata(metadata)}\r\n${PURGE_NAME}${formatRecord(record)}\r\n${storedLines(fields)}\r\n`;
  if (head.length > MAX_HEAD_BYTES - OPENING_BYTES) return undefined;
  const rest = [Buffer.from(head, 'latin1'), ...(metadata.layout === undefined ? body : [])];
  return itemValue(storeKey, `HTTP/1.1 ${status} \r\nlookaside: 2 mac=`, rest, authenticator);
}

const PURGE_NAME = 'lookaside-purge: ';

/** Room for what stands in front of the metadata, and a MAC. */
const OPENING_BYTES = 128;

/**
 * The entry in `value`, which `openItem` took for one; `undefined` when it is not. One of a part of a response (206)
 * comes to those only who ask for `partials`.
 */
export function decodeCachedEntry(value: Buffer, options: { partials: boolean }): CachedEntry | undefined {
  const message = decodeMessage(value);
  if (message === undefined || message.own.length !== 2) return undefined;
  const [line = '', purgeLine = ''] = message.own;
  const metadata = parseMetadata(line);
  if (metadata === undefined || !purgeLine.startsWith(PURGE_NAME)) return undefined;
  const { status, fields, body } = message;
  if (body.length !== (metadata.layout === undefined ? metadata.bodyBytes : 0)) return undefined;
  if (PARTIAL_STATUSES.has(status) && !(options.partials && isPart({ status, fields }, metadata))) return undefined;
  return { status, fields, metadata, purgeLine, body };
}

/** Whether it is a 206 whose Content-Range fits its body. */
function isPart(head: ResponseHead, { bodyBytes }: CachedMetadata): boolean {
  const part = storedPart(head);
  return part !== undefined && part.end - part.start + 1 === bodyBytes;
}

/** What the entry recorded of the generation counters, or `undefined` when that can not be read. */
export function recordOf({ purgeLine }: Pick<CachedEntry, 'purgeLine'>): GenerationRecord | undefined {
  return parseRecord(purgeLine.slice(PURGE_NAME.length));
}

function formatMetadata({ freshness, mark, variant, epoch, bodyBytes, layout, key }: CachedMetadata): string {
  const { staleIfErrorSeconds: sie } = freshness;
  return [
    ` at=${Math.floor(freshness.storedAtMs)}`,
    `age=${seconds(freshness.ageSeconds)}`,
    `life=${seconds(freshness.lifetimeSeconds)}`,
    `swr=${seconds(freshness.staleWhileRevalidateSeconds)}`,
    `sie=${sie === undefined ? '-' : seconds(sie)}`,
    `reval=${freshness.revalidation}`,
    `imm=${freshness.immutable ? 1 : 0}`,
    `mark=${mark}`,
    `vary=${variant === '' ? '-' : variant}`,
    `epoch=${epoch}`,
    `body=${bodyBytes}`,
    `seg=${layout === undefined ? '-' : formatLayout(layout)}`,
    `key=${escapeKey(key)}`,
  ].join(' ');
}

/** Ten digits are enough for every time HTTP knows (RFC 9111, section 1.2.2). */
const MAX_SECONDS = 9_999_999_999;

function seconds(value: number): number {
  return Math.min(Math.max(0, Math.floor(value)), MAX_SECONDS);
}

const METADATA = new RegExp(
  [
    '^lookaside: 2 mac=(?:[0-9a-f]{32}|-) at=(?<at>[0-9]{1,15}) age=(?<age>[0-9]{1,10}) life=(?<life>[0-9]{1,10})',
    'swr=(?<swr>[0-9]{1,10}) sie=(?<sie>[0-9]{1,10}|-) reval=(?<reval>may|must|always) imm=(?<imm>[01])',
    'mark=(?<mark>[0-9]{1,10}) vary=(?<vary>[0-9a-f]{32}|-) epoch=(?<epoch>[0-9]{1,20})',
    'body=(?<body>[0-9]{1,15}) seg=(?<seg>[0-9a-f/]{1,64}|-) key=(?<key>[\\x21-\\x7e]*)$',
  ].join(' '),
);

function parseMetadata(line: string): CachedMetadata | undefined {
  const found = METADATA.exec(line)?.groups;
  if (found === undefined) return undefined;
  const { at, age, life, swr, sie, reval, imm, mark, vary = '-', epoch = '', body, seg = '-', key = '' } = found;
  const layout = seg === '-' ? undefined : parseLayout(seg);
  const bodyBytes = Number(body);
  if (seg !== '-' && layout?.bytes !== bodyBytes) return undefined;
  return {
    freshness: {
      storedAtMs: Number(at),
      ageSeconds: Number(age),
      lifetimeSeconds: Number(life),
      staleWhileRevalidateSeconds: Number(swr),
      staleIfErrorSeconds: sie === '-' ? undefined : Number(sie),
      revalidation: reval === 'must' || reval === 'always' ? reval : 'may',
      immutable: imm === '1',
    },
    mark: Number(mark),
    variant: vary === '-' ? '' : vary,
    epoch,
    bodyBytes,
    layout,
    key: unescapeKey(key),
  };
}
