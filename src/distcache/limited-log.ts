/** A sentence for the operator, without line break. */
export type Log = (line: string) => void;

/** One line of a kind in this time: whoever can connect can make a server say something with each packet. */
const INTERVAL_MS = 10_000;

/** A log that says each kind of thing once in {@link INTERVAL_MS}, and how often it kept silent. */
export class LimitedLog {
  readonly #write: Log;
  readonly #now: () => number;
  readonly #kinds = new Map<string, { saidAt: number; unsaid: number }>();

  constructor(write: Log, now: () => number = () => performance.now()) {
    this.#write = write;
    this.#now = now;
  }

  /** `kind` is one of a few: never a text that a peer chose. */
  say(kind: string, line: string): void {
    const now = this.#now();
    const last = this.#kinds.get(kind);
    if (last !== undefined && now - last.saidAt < INTERVAL_MS) {
      last.unsaid++;
      return;
    }
    this.#kinds.set(kind, { saidAt: now, unsaid: 0 });
    this.#write(last === undefined || last.unsaid === 0 ? line : `${line} (and ${last.unsaid} times before)`);
  }
}
