import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { BufferBudget } from '../../src/cache/buffer-budget.js';
import { Entries, type EntriesOptions } from '../../src/cache/entries.js';
import type { EntryWriter } from '../../src/cache/entry-writer.js';
import type { Found } from '../../src/cache/finder.js';
import type { Slot } from '../../src/cache/slot.js';
import type { EntryPlan } from '../../src/cache/storage.js';
import type { StoredEntry } from '../../src/cache/stored-entry.js';
import type { Reason } from '../../src/cache/verdict.js';
import { Fields } from '../../src/http/fields.js';
import type { Store } from '../../src/store/store.js';

export const PLAN: EntryPlan = {
  ageSeconds: 0,
  lifetimeSeconds: 60,
  staleWhileRevalidateSeconds: 0,
  staleIfErrorSeconds: undefined,
  revalidation: 'may',
  source: 'max-age',
  immutable: false,
  droppedFields: [],
  ttlSeconds: 600,
  tags: [],
};

/** A response as the tests store it. */
export interface Response {
  readonly body?: string | Uint8Array;
  readonly status?: number;
  readonly fields?: readonly string[];
  readonly plan?: Partial<EntryPlan>;
  /** Fields of the request. */
  readonly request?: readonly string[];
}

let keys = 0;
/** A key that no other test has, which is its URL as well. */
export function newUrl(): string {
  return `http://host-${process.pid}-${++keys}.example/a/b?c`;
}

/** One process of a fleet: its entries in `store`. */
export class CachingProcess {
  readonly entries: Entries;
  readonly budget = new BufferBudget();

  constructor(store: Store, options: Partial<EntriesOptions> = {}) {
    this.entries = new Entries(store, { budget: this.budget, ...options });
  }

  find(url: string, request: readonly string[] = []): Promise<Found> {
    return this.entries.find(url, url, new Fields(request));
  }

  /** The slot to write to: what was found, with the lease where that can be had. */
  async slot(url: string, request: readonly string[] = []): Promise<Slot> {
    const found = await this.find(url, request);
    assert.ok(found.slot !== undefined);
    const leased = await this.entries.lease(found.slot);
    assert.ok(leased.kind !== 'failed', 'the lease has failed');
    return leased.slot;
  }

  /** Looks up, takes the lease, and stores the response: `stored`, or why it was not. */
  async store(url: string, response: Response = {}): Promise<Reason> {
    return this.fill(await this.slot(url, response.request), response);
  }

  async fill(slot: Slot, response: Response = {}): Promise<Reason> {
    const writer = this.writer(slot, response);
    if (typeof writer === 'string') return writer;
    writer.write(bytesOf(response));
    return writer.end();
  }

  writer(slot: Slot, { status = 200, fields = [], plan, request = [] }: Response = {}): EntryWriter | Reason {
    return this.entries.writer(slot, { status, fields: new Fields(fields) }, new Fields(request), { ...PLAN, ...plan });
  }

  /** The body that is found, marked `stale` when it was soft-purged; or why none is. */
  async read(url: string, request: readonly string[] = []): Promise<string> {
    const found = await this.find(url, request);
    if (found.kind !== 'entry') return found.kind === 'none' ? found.reason : found.kind;
    const text = (await bodyOf(found.entry))?.toString() ?? 'lost';
    return found.entry.freshness.isSoftPurged ? `stale ${text}` : text;
  }
}

function bytesOf({ body = 'body' }: Response): Uint8Array {
  return typeof body === 'string' ? Buffer.from(body) : body;
}

/** The body of an entry, or a part of it; `undefined` when it is lost before it begins. */
export async function bodyOf(
  { body }: StoredEntry,
  start: number = 0,
  end: number = body.bytes,
): Promise<Buffer | undefined> {
  const content = await body.read(start, end);
  if (!(content instanceof Readable)) return content;
  const chunks: Buffer[] = [];
  for await (const chunk of content) chunks.push(chunk);
  return Buffer.concat(chunks);
}
