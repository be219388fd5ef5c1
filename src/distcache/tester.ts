import { randomBytes } from 'node:crypto';
import { DistcacheError } from './client-error.js';
import { type Added, expected, judge, loosened, type Mark, type Outcome, type TestFailure } from './expectation.js';
import { SeededRandom } from './random.js';
import { OPERATIONS, type Operation } from './wire.js';

export interface TestPlan {
  readonly sessions: number;
  readonly operations: number;
  /** Bytes of a session's data: `dataMin` to `dataMax - 1`. */
  readonly dataMin: number;
  readonly dataMax: number;
  /** Sessions are added for this time, in seconds, more or less `timeoutSpread`. */
  readonly timeout: number;
  readonly timeoutSpread: number;
  /** Operations under way at a time, each on a session and through a client of its own. At most `sessions`. */
  readonly concurrency: number;
  /**
   * Determines everything that is random when the concurrency is 1, but for the bytes of the ids: the cache may still
   * have the sessions of a test with the same seed.
   */
  readonly seed: number;
  /** Ask also that sessions are gone when their time has passed. */
  readonly strictExpiry: boolean;
  /**
   * Go on when there is no answer, and when there is one that the loss of a session explains, or a cache that can do
   * nothing just now. Nothing but a wrong answer is a failure then: other data, or a session where none can be.
   */
  readonly lossy: boolean;
}

/** What is tested: a `DistcacheClient`. */
export interface TestedClient {
  add(id: Buffer, data: Buffer, timeoutMs: number): Promise<boolean>;
  get(id: Buffer): Promise<Buffer | undefined>;
  remove(id: Buffer): Promise<boolean>;
  has(id: Buffer): Promise<boolean>;
}

export interface TestReport {
  /** Operations that ended as they must, or may. */
  readonly succeeded: number;
  /** Of these, the ones that did so because the test is `lossy`: without an answer, or as if a session was lost. */
  readonly unanswered: number;
  readonly lost: number;
  /** What ended the test before its time. */
  readonly failure?: TestFailure;
  /** Why there was no answer. */
  readonly cause?: Error;
  readonly elapsedMs: number;
  /** Of each operation that succeeded, in ms, shortest first. */
  readonly latencies: Float64Array;
}

const MIN_ID_BYTES = 10;
const MAX_ID_BYTES = 63;

interface TestSession {
  readonly id: Buffer;
  readonly data: Buffer;
  mark: Mark;
  /** An ADD did not succeed, and may yet, at any time: its answer was late or lost, or the cache could not tell. */
  mayAppear: boolean;
}

/**
 * The test of dc_test: random operations on random sessions, each compared with what the ones before it must have left
 * behind. Stops at the first that differs. Nobody else may use the sessions; the cache must have room for them.
 *
 * Beyond dc_test's, a session whose time may have passed is one that may be gone.
 */
export class Tester {
  readonly #plan: TestPlan;
  readonly #random: SeededRandom;
  /** Those that no operation is under way on. */
  readonly #free: TestSession[];
  readonly #latencies: Float64Array;
  #started = 0;
  #succeeded = 0;
  #unanswered = 0;
  #lost = 0;
  #isStopped = false;
  #failure: { readonly failure: TestFailure; readonly cause?: Error } | undefined;

  constructor(plan: TestPlan) {
    this.#plan = plan;
    this.#random = new SeededRandom(plan.seed);
    this.#free = Array.from({ length: plan.sessions }, () => this.#newSession());
    this.#latencies = new Float64Array(plan.operations);
  }

  /** Runs the test with as many clients as operations are to be under way. `onDone` is told of each success. */
  async run(clients: readonly TestedClient[], onDone: (succeeded: number) => void): Promise<TestReport> {
    const startedAt = performance.now();
    await Promise.all(clients.map((client) => this.#runOne(client, onDone)));
    return {
      succeeded: this.#succeeded,
      unanswered: this.#unanswered,
      lost: this.#lost,
      ...this.#failure,
      elapsedMs: performance.now() - startedAt,
      latencies: this.#latencies.subarray(0, this.#succeeded).sort(),
    };
  }

  /** Begins no more operations. */
  stop(): void {
    this.#isStopped = true;
  }

  async #runOne(client: TestedClient, onDone: (succeeded: number) => void): Promise<void> {
    while (this.#started < this.#plan.operations && this.#failure === undefined && !this.#isStopped) {
      this.#started++;
      const session = this.#takeFree();
      const latencyMs = await this.#test(client, session);
      if (latencyMs === undefined) return;
      this.#free.push(session.mayAppear && session.mark === 'absent' ? this.#newSession() : session);
      this.#latencies[this.#succeeded++] = latencyMs;
      onDone(this.#succeeded);
    }
  }

  /** Does something with the session. How long it took; or `undefined`, and the test has failed. */
  async #test(client: TestedClient, session: TestSession): Promise<number | undefined> {
    const operation = OPERATIONS[this.#random.below(OPERATIONS.length)] ?? 'add';
    const timeoutMs = this.#randomTimeoutMs();
    const sentAt = performance.now();
    try {
      const outcome = await perform(client, operation, session, timeoutMs);
      const answeredAt = performance.now();
      return this.#check(session, outcome, { sentAt, answeredAt, timeoutMs }) ? answeredAt - sentAt : undefined;
    } catch (error) {
      if (!(error instanceof DistcacheError)) throw error;
      return this.#noAnswer(session, operation, error) ? performance.now() - sentAt : undefined;
    }
  }

  /** Whether the outcome is as it must be; if not, the test has failed. */
  #check(session: TestSession, outcome: Outcome, times: Added): boolean {
    const { strictExpiry, lossy } = this.#plan;
    const { operation, isSuccess } = outcome;
    const expectation = expected(session.mark, times, strictExpiry);
    const failure = judge(outcome, expectation, session.data);
    if (failure !== undefined) {
      if (!lossy || judge(outcome, loosened(expectation, operation), session.data) !== undefined) {
        this.#failure ??= { failure };
        return false;
      }
      this.#lost++;
    }
    if (lossy && operation === 'add' && !isSuccess) session.mayAppear = true;
    session.mark = markAfter(session.mark, outcome, times, lossy);
    return true;
  }

  /** Whether the test goes on. */
  #noAnswer(session: TestSession, operation: Operation, cause: DistcacheError): boolean {
    if (!this.#plan.lossy) {
      this.#failure ??= { failure: 'no-answer', cause };
      return false;
    }
    this.#unanswered++;
    if (operation === 'add') session.mayAppear = true;
    if (operation === 'remove' && session.mark !== 'absent') session.mark = 'unknown';
    return true;
  }

  #takeFree(): TestSession {
    const at = this.#random.below(this.#free.length);
    const session = this.#free[at];
    const last = this.#free.pop();
    if (session === undefined || last === undefined) throw new RangeError('more operations at a time than sessions');
    if (session !== last) this.#free[at] = last;
    return session;
  }

  #newSession(): TestSession {
    const { dataMin, dataMax } = this.#plan;
    const id = randomBytes(MIN_ID_BYTES + this.#random.below(MAX_ID_BYTES - MIN_ID_BYTES + 1));
    const data = this.#random.bytes(dataMin + this.#random.below(dataMax - dataMin));
    return { id, data, mark: 'absent', mayAppear: false };
  }

  #randomTimeoutMs(): number {
    const { timeout, timeoutSpread } = this.#plan;
    return 1000 * (timeout - timeoutSpread) + this.#random.below(2000 * timeoutSpread);
  }
}

async function perform(
  client: TestedClient,
  operation: Operation,
  { id, data }: TestSession,
  timeoutMs: number,
): Promise<Outcome> {
  switch (operation) {
    case 'add':
      return { operation, isSuccess: await isAdded(client, id, data, timeoutMs) };
    case 'get': {
      const found = await client.get(id);
      return { operation, isSuccess: found !== undefined, data: found };
    }
    case 'remove':
      return { operation, isSuccess: await client.remove(id) };
    case 'have':
      return { operation, isSuccess: await client.has(id) };
  }
}

/** A client does not even try to add data that it could not read again; to the test that is a failure like others. */
async function isAdded(client: TestedClient, id: Buffer, data: Buffer, timeoutMs: number): Promise<boolean> {
  try {
    return await client.add(id, data, timeoutMs);
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}

/** What is known of a session after an operation that ended as it must. A loss may have been none but in the answer. */
function markAfter(mark: Mark, { operation, isSuccess }: Outcome, added: Added, lossy: boolean): Mark {
  if (operation === 'add') return isSuccess ? added : mark;
  if (isSuccess) return operation === 'remove' ? 'absent' : mark;
  return lossy && mark !== 'absent' ? 'unknown' : 'absent';
}

/** The value below which this part (0 to 1) of sorted values lies; NaN when there are none. */
export function percentile(sorted: Float64Array, part: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;
}
