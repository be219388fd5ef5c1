const WIDTH = 40;

/** Redrawing oftener is not seen, and costs. */
const REDRAW_MS = 100;

/** A line on the terminal, on stderr, that shows how far something is. */
export class ProgressBar {
  readonly #total: number;
  readonly #startedAt = performance.now();
  #drawnAt = 0;

  constructor(total: number) {
    this.#total = total;
  }

  advance(done: number): void {
    const now = performance.now();
    if (now - this.#drawnAt < REDRAW_MS) return;
    this.#drawnAt = now;
    process.stderr.write(`\r${progressLine(done, this.#total, now - this.#startedAt)}`);
  }

  /** Makes the line empty. */
  clear(): void {
    process.stderr.write('\r\x1b[K');
  }
}

/** For example `[##########------------------------------]  25%  250 of 1000, 20000/s`. */
export function progressLine(done: number, total: number, elapsedMs: number): string {
  const part = done / total;
  const filled = Math.floor(part * WIDTH);
  const bar = '#'.repeat(filled).padEnd(WIDTH, '-');
  const percent = String(Math.floor(part * 100)).padStart(3);
  return `[${bar}] ${percent}%  ${done} of ${total}, ${Math.round((done / elapsedMs) * 1000)}/s`;
}
