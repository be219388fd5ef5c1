import { randomBytes } from 'node:crypto';
import { storeFailure } from '../store/store.js';
import { announce } from './diagnostics.js';
import type { TicketCounts } from './metrics.js';
import type { Fleet } from './options.js';
import { TicketKeyEntries } from './ticket-key-entries.js';
import { TICKET_KEY_BYTES, type TicketKey, TicketRing, ticketKey } from './ticket-ring.js';

/**
 * Where ticket keys come from.
 *
 * `shared`: random ones. Whoever needs the key of a period first offers one to the store; what the store has, all use.
 * Once the period after the next has begun, nobody has the key any more, whatever becomes of the secret, except in copies
 * of memcached's memory together with the secret.
 *
 * `derived`: computed of the secret and the period, without the store. Weaker: whoever gets the secret can open all
 * tickets that were ever recorded, and with them the sessions of TLS 1.2.
 */
export const TICKET_KEY_MODES = ['shared', 'derived'] as const;
export type TicketKeyMode = (typeof TICKET_KEY_MODES)[number];

/** The next key is fetched that long before it seals; in short periods, in their last quarter. */
const MAX_LEAD_MS = 60_000;
const LEAD_SHARE = 0.25;

/**
 * How often the store is asked whether it still has the key, so that a memcached that was restarted is given it again: twice
 * in the time that the next key is fetched ahead.
 */
const POLLS_PER_LEAD = 2;

/** First wait after a failure; each further one is twice as long, up to the time between polls. */
const RETRY_MS = 500;

/** Clocks are set: what the next period is is looked at from time to time. */
const MAX_WAIT_MS = 30_000;

/** A process that starts is busy, and may see the store's answer too late. */
const FIRST_ATTEMPTS = 3;

/** How often a server may be overtaken by others in one attempt. */
const MAX_RACES = 4;

/** The key that seals tickets and those that open them, kept up to date while the process runs. */
export class TicketKeys {
  readonly ring: TicketRing;
  /** Settles when the first attempt to agree with the fleet has ended, well or not. Never rejects. */
  readonly ready: Promise<void>;
  readonly #fleet: Fleet;
  readonly #mode: TicketKeyMode;
  readonly #entries: TicketKeyEntries;
  readonly #counts: TicketCounts;
  readonly #sealingKeyChanged: () => void;
  /** The periods whose key is the fleet's. */
  readonly #agreed = new Set<number>();
  #timer: NodeJS.Timeout | undefined;
  #failures = 0;
  #isLocal = false;
  #isClosed = false;

  constructor(
    fleet: Fleet,
    { mode, rotateSeconds }: { readonly mode: TicketKeyMode; readonly rotateSeconds: number },
    counts: TicketCounts,
    sealingKeyChanged: () => void,
  ) {
    this.#fleet = fleet;
    this.#mode = mode;
    this.#entries = new TicketKeyEntries(fleet, rotateSeconds);
    this.#counts = counts;
    this.#sealingKeyChanged = sealingKeyChanged;
    const epoch = this.#epoch();
    const [first, ...others] = this.#ownKeys(epoch);
    this.ring = new TicketRing(first ?? randomKey(epoch));
    for (const key of others) this.ring.accept(key);
    this.ready = this.#run(FIRST_ATTEMPTS);
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }

  async #run(attempts = 1): Promise<void> {
    const epoch = this.#epoch();
    const before = this.ring.sealing;
    this.#turnTo(epoch);
    if (this.#mode === 'shared') {
      await this.#agree(epoch, attempts);
      this.#tellWhose(epoch);
    }
    this.#counts.ticket_keys_epoch = epoch;
    if (this.ring.sealing !== before) this.#sealingKeyChanged();
    this.#schedule();
  }

  #turnTo(epoch: number): void {
    for (const near of [epoch - 1, epoch, epoch + 1]) {
      // of the other periods random keys are of no use
      if (this.#mode === 'shared' && near !== epoch) continue;
      if (this.ring.of(near).length === 0) for (const key of this.#ownKeys(near)) this.ring.accept(key);
    }
    if (epoch !== this.ring.sealing.epoch) this.ring.turnTo(epoch);
    for (const agreed of this.#agreed) if (Math.abs(agreed - epoch) > 1) this.#agreed.delete(agreed);
  }

  async #agree(epoch: number, attempts: number): Promise<void> {
    try {
      if (this.ring.of(epoch - 1).length === 0) await this.#takeOver(epoch - 1);
      await this.#elect(epoch);
      if (this.#msUntil(epoch + 1) <= this.#leadMs()) await this.#elect(epoch + 1);
      this.#failures = 0;
    } catch (error) {
      const reason = reasonOf(error);
      if (reason === 'timeout' && attempts > 1) return this.#agree(epoch, attempts - 1);
      this.#failures++;
      this.#counts.ticket_keys_errors_total++;
      announce({ subject: 'ticket-key', outcome: 'error', fleet: this.#fleet.name, epoch, reason });
    }
  }

  /** The key of a period that is over: tickets that it sealed are still about. */
  async #takeOver(epoch: number): Promise<void> {
    const { key } = await this.#entries.find(epoch);
    if (key !== undefined) this.ring.accept(key);
  }

  /** Until the store has a key for the period: it becomes this server's, or this server's becomes it. */
  async #elect(epoch: number): Promise<void> {
    for (let race = 0; race < MAX_RACES; race++) {
      const found = await this.#entries.find(epoch);
      if (found.key !== undefined) {
        if (found.item === undefined) await this.#entries.offer(found.key, found);
        this.#adopt(found.key);
        for (const other of found.others) this.ring.accept(other);
        return;
      }
      if (found.item !== undefined) this.#counts.ticket_keys_rejected_total++;
      const own = this.ring.of(epoch)[0] ?? randomKey(epoch);
      if (await this.#entries.offer(own, found)) {
        this.#adopt(own);
        return;
      }
    }
    throw new Error(`the ticket key of period ${epoch} was replaced ${MAX_RACES} times while it was read`);
  }

  #adopt(key: TicketKey): void {
    this.#agreed.add(key.epoch);
    const [known] = this.ring.of(key.epoch);
    if (known === undefined || !known.bytes.equals(key.bytes)) this.ring.adopt(key);
  }

  #tellWhose(epoch: number): void {
    const { name: fleet, log } = this.#fleet;
    const isLocal = !this.#agreed.has(epoch);
    announce({ subject: 'ticket-key', outcome: isLocal ? 'local' : 'current', fleet, epoch });
    if (isLocal === this.#isLocal) return;
    this.#isLocal = isLocal;
    this.#counts.ticket_keys_local = isLocal ? 1 : 0;
    if (isLocal)
      log.warn(
        { fleet, epoch },
        'no ticket key of the fleet can be had: other servers can not resume what this one seals',
      );
    else log.info({ fleet, epoch }, 'the fleet has a ticket key again');
  }

  #schedule(): void {
    if (this.#isClosed) return;
    const next = this.#epoch() + 1;
    const untilNext = this.#msUntil(next);
    const waits = [untilNext, MAX_WAIT_MS];
    if (this.#mode === 'shared') {
      const poll = this.#leadMs() / POLLS_PER_LEAD;
      const retry = this.#failures === 0 ? poll : RETRY_MS * 2 ** (this.#failures - 1);
      waits.push(jittered(Math.min(poll, retry)));
      const untilLead = untilNext - this.#leadMs();
      if (!this.#agreed.has(next) && untilLead > 0) waits.push(untilLead + Math.random() * (this.#leadMs() / 2));
    }
    const wait = Math.max(1, Math.ceil(Math.min(...waits)));
    this.#timer = setTimeout(() => void this.#run(), wait).unref();
  }

  /** What this server uses for a period of its own accord. */
  #ownKeys(epoch: number): TicketKey[] {
    if (this.#mode === 'shared') return [randomKey(epoch)];
    const purpose = `ticket key ${this.#entries.rotateSeconds} ${epoch}`;
    return this.#fleet.seal.derive(purpose, TICKET_KEY_BYTES).map((bytes) => ticketKey(epoch, bytes));
  }

  #epoch(): number {
    return this.#entries.epochAt(Date.now());
  }

  #msUntil(epoch: number): number {
    return epoch * this.#entries.rotateSeconds * 1000 - Date.now();
  }

  #leadMs(): number {
    return Math.min(MAX_LEAD_MS, this.#entries.rotateSeconds * 1000 * LEAD_SHARE);
  }
}

function randomKey(epoch: number): TicketKey {
  return ticketKey(epoch, randomBytes(TICKET_KEY_BYTES));
}

/** Up to a quarter less, so that the servers of a fleet do not ask all at once. */
function jittered(ms: number): number {
  return ms * (1 - Math.random() / 4);
}

function reasonOf(error: unknown): string {
  try {
    return storeFailure(error).code;
  } catch {
    return String(error);
  }
}
