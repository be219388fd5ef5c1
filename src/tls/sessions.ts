import { storeFailure } from '../store/store.js';
import { within } from './bounded.js';
import { announce } from './diagnostics.js';
import type { Generation } from './generation.js';
import type { SessionCounts } from './metrics.js';
import type { Fleet } from './options.js';
import type { SealKind } from './seal.js';
import { type SessionFacts, sessionFacts, TLS_1_3 } from './session-der.js';
import { decodeSession, type Encoding, encodeSession, type SessionEntry } from './session-entry.js';

export interface SessionSettings {
  readonly encoding: Encoding;
  /** How long a session is kept, unless its own end comes first. */
  readonly timeoutSeconds: number;
  /** Whether entries are sealed. */
  readonly isSealed: boolean;
  /** How long a handshake may be held up for each lookup, and for each write. */
  readonly timeoutMs: number;
}

/** Node gives no larger ones (`SecureContext::kMaxSessionSize`); tickets carry them. */
const MAX_SESSION_BYTES = 10 * 1024;

/** A session in base64, and room for what is around it. */
const MAX_ENTRY_BYTES = 16 * 1024;

type SessionKind = Extract<SealKind, 'session' | 'session-1.3'>;

/** Why a lookup found nothing. */
type Nothing = 'absent' | 'expired' | 'cleared' | 'rejected';

/**
 * The sessions of the fleet, in the store. No method rejects, and none takes longer than the settings allow for: a store
 * that fails, and a value that is not what it should be, make a full handshake.
 */
export class Sessions {
  readonly #fleet: Fleet;
  readonly #generation: Generation;
  readonly #counts: SessionCounts;
  readonly #settings: SessionSettings;

  constructor(fleet: Fleet, generation: Generation, counts: SessionCounts, settings: SessionSettings) {
    this.#fleet = fleet;
    this.#generation = generation;
    this.#counts = counts;
    this.#settings = settings;
  }

  /** The session of TLS <= 1.2 that a client asks for by `id`, or `null`. */
  async find(id: Buffer): Promise<Buffer | null> {
    return this.#bounded('session lookup', null, async () => {
      const { found } = await this.#lookUp('session', id);
      return this.#outcome(found);
    });
  }

  /**
   * The session of TLS 1.3 that a client asks for by `id`, or `null`. It is given to one asker only: of several that read
   * it at the same time, the one whose delete removed it.
   */
  async take(id: Buffer): Promise<Buffer | null> {
    return this.#bounded('session lookup', null, async () => {
      const { found, key } = await this.#lookUp('session-1.3', id);
      if (!Buffer.isBuffer(found)) return this.#outcome(found);
      if (!(await this.#fleet.store.delete(key))) return this.#outcome('absent');
      this.#counts.sessions_deletes_total++;
      return this.#outcome(found);
    });
  }

  /** Keeps a session that was just negotiated, if it is one of TLS <= 1.2. */
  async keep(der: Buffer): Promise<void> {
    const facts = sessionFacts(der);
    if (facts !== undefined && facts.protocolVersion < TLS_1_3) await this.#keep('session', facts, der);
  }

  /** Keeps a session that was just negotiated, whatever its protocol. */
  async keepAll(der: Buffer): Promise<void> {
    const facts = sessionFacts(der);
    if (facts === undefined) return;
    await this.#keep(facts.protocolVersion < TLS_1_3 ? 'session' : 'session-1.3', facts, der);
  }

  async #keep(kind: SessionKind, facts: SessionFacts, data: Buffer): Promise<void> {
    const counts = this.#counts;
    counts.sessions_max_bytes = Math.max(counts.sessions_max_bytes, data.length);
    const now = Math.floor(Date.now() / 1000);
    const expiresAt = Math.min(now + this.#settings.timeoutSeconds, facts.expiresAt);
    if (expiresAt <= now) return;
    await this.#bounded('session write', undefined, async () => {
      const value = this.#packed(kind, facts.id, { generation: await this.#generation.known(), expiresAt, data });
      const { store, seal, name: fleet, log } = this.#fleet;
      if (data.length > MAX_SESSION_BYTES || value.length > store.maxItemBytes) {
        counts.sessions_exceeds_total++;
        announce({ subject: 'session', outcome: 'too-large', fleet });
        log.info({ bytes: data.length }, 'a TLS session is too large to be shared');
        return;
      }
      await store.set(seal.storeKey(kind, facts.id), value, { ttlSeconds: expiresAt - now });
      counts.sessions_stores_total++;
      announce({ subject: 'session', outcome: 'stored', fleet });
    });
  }

  /** What is there under one of the names that `id` has, and the key it lies under. */
  async #lookUp(kind: SessionKind, id: Buffer): Promise<{ found: Buffer | Nothing; key: string }> {
    const keys = this.#fleet.seal.storeKeys(kind, id);
    const items = await this.#fleet.store.getMany([this.#generation.key, ...keys]);
    const counter = items.get(this.#generation.key);
    const generation = this.#generation.observed(counter);
    if (counter === undefined) this.#generation.refresh().catch(() => {});
    let found: Nothing = 'absent';
    for (const key of keys) {
      const item = items.get(key);
      if (item === undefined) continue;
      const session = this.#unpacked(kind, id, item.value, generation);
      if (Buffer.isBuffer(session)) return { found: session, key };
      found = session;
    }
    return { found, key: '' };
  }

  #packed(kind: SessionKind, id: Buffer, entry: SessionEntry): Buffer {
    const { encoding, isSealed } = this.#settings;
    const bytes = encodeSession(entry, encoding);
    return isSealed ? this.#fleet.seal.seal(kind, id, bytes) : bytes;
  }

  /** The session in `value`, copied out of it. */
  #unpacked(kind: SessionKind, id: Buffer, value: Buffer, generation: bigint | undefined): Buffer | Nothing {
    if (value.length > MAX_ENTRY_BYTES) return 'rejected';
    const bytes = this.#settings.isSealed ? this.#fleet.seal.open(kind, id, value) : value;
    const entry = bytes === undefined ? undefined : decodeSession(bytes);
    const facts = entry === undefined ? undefined : sessionFacts(entry.data);
    if (entry === undefined || facts === undefined || !facts.id.equals(id)) return 'rejected';
    if (facts.protocolVersion < TLS_1_3 !== (kind === 'session')) return 'rejected';
    if (entry.generation !== generation) return 'cleared';
    if (Math.min(entry.expiresAt, facts.expiresAt) <= Date.now() / 1000) return 'expired';
    return Buffer.from(entry.data);
  }

  #outcome(found: Buffer | Nothing): Buffer | null {
    const { name: fleet } = this.#fleet;
    if (Buffer.isBuffer(found)) {
      this.#counts.sessions_hits_total++;
      announce({ subject: 'session', outcome: 'hit', fleet });
      return found;
    }
    if (found === 'rejected') this.#counts.sessions_rejected_total++;
    this.#counts.sessions_misses_total++;
    announce({ subject: 'session', outcome: 'miss', fleet, reason: found });
    return null;
  }

  /**
   * The result of `work`, or `otherwise`. It catches what is a bug as well: in a listener of `tls` that would end the
   * process, or hold up the handshake for two minutes.
   */
  async #bounded<Result>(what: string, otherwise: Result, work: () => Promise<Result>): Promise<Result> {
    try {
      return await within(this.#settings.timeoutMs, work());
    } catch (error) {
      this.#failed(what, error);
      return otherwise;
    }
  }

  #failed(what: string, error: unknown): void {
    const { log, name: fleet } = this.#fleet;
    this.#counts.sessions_errors_total++;
    try {
      const { code } = storeFailure(error);
      announce({ subject: 'session', outcome: 'error', fleet, reason: code });
      log.debug({ reason: code }, `${what} failed: the handshake goes on without`);
    } catch {
      log.warn({ err: error }, `${what} failed by a defect: the handshake goes on without`);
    }
  }
}
