/** What a progress report is made of. */
export interface ProgressState {
  readonly operations: number;
  readonly sessions: number;
  /** On a clock that never goes back. */
  readonly atMs: number;
}

/** Reports that no multiple of operations calls for come no closer than this. */
const REPORT_INTERVAL_MS = 1000;

/** The C server's loop turns at least this often. */
const CHECK_INTERVAL_MS = 500;

/**
 * Whether `state` is to be reported after `last` was: at once when the operations have passed a multiple of `every` (0:
 * they never do), and otherwise once a second when the number of sessions has changed. An idle server is silent.
 */
export function isReportDue(last: ProgressState, state: ProgressState, every: number): boolean {
  if (hasPassedMultiple(last.operations, state.operations, every)) return true;
  return state.sessions !== last.sessions && state.atMs - last.atMs >= REPORT_INTERVAL_MS;
}

/** The C server's line, byte for byte. */
export function progressLine(last: ProgressState, state: ProgressState): string {
  const operations = String(state.operations).padStart(7);
  const moreOperations = String(state.operations - last.operations).padStart(5);
  const sessions = String(state.sessions).padStart(5);
  const change = String(Math.abs(state.sessions - last.sessions)).padStart(3);
  const sign = signOf(state.sessions - last.sessions);
  return `Info, total operations = ${operations}  (+ ${moreOperations}), total sessions = ${sessions}  (${sign}${change})`;
}

function signOf(change: number): string {
  if (change === 0) return '=';
  return change > 0 ? '+' : '-';
}

function hasPassedMultiple(before: number, after: number, every: number): boolean {
  return every > 0 && Math.floor(before / every) !== Math.floor(after / every);
}

export interface ProgressSource {
  operations(): number;
  sessions(): Promise<number>;
}

/** Watches a server and writes its progress lines. */
export class ProgressReport {
  readonly #source: ProgressSource;
  readonly #every: number;
  readonly #write: (line: string) => void;
  readonly #timer: NodeJS.Timeout;
  #last: ProgressState = { operations: 0, sessions: 0, atMs: performance.now() };
  #isLooking = false;

  /** `every`: a report each time the operations pass a multiple of it; 0 = none besides the one a second. */
  constructor(source: ProgressSource, every: number, write: (line: string) => void) {
    this.#source = source;
    this.#every = every;
    this.#write = write;
    this.#timer = setInterval(() => void this.#look(), CHECK_INTERVAL_MS);
    this.#timer.unref();
  }

  /** To be called with each operation. */
  operationDone(): void {
    if (!this.#isLooking && hasPassedMultiple(this.#last.operations, this.#source.operations(), this.#every)) {
      void this.#look();
    }
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    const state = {
      operations: this.#source.operations(),
      sessions: await this.#source.sessions(),
      atMs: performance.now(),
    };
    this.#isLooking = false;
    if (!isReportDue(this.#last, state, this.#every)) return;
    this.#write(progressLine(this.#last, state));
    this.#last = state;
  }
}
