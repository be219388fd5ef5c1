import cluster, { type Worker } from 'node:cluster';
import type { Logger } from 'pino';
import { z } from 'zod';
import { ListenError } from './listener.js';

/**
 * Several processes that answer requests, and a primary that carries none: it starts them, replaces those that crash,
 * and passes on what they are to do.
 */

/** What a worker tells its primary. */
const report = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('listening'), urls: z.array(z.string()) }),
  z.object({ kind: z.literal('failed'), reason: z.string() }),
]);

export type WorkerReport = z.output<typeof report>;

/** What the primary tells its workers. */
const order = z.enum(['reload', 'close']);

export type WorkerOrder = z.output<typeof order>;

/** The pause before a crashed worker is replaced: it doubles with every crash, up to the most. */
const FIRST_PAUSE_MS = 100;
const MAX_PAUSE_MS = 10_000;

/** A worker that lived as long as this did not crash at its start: the pauses begin anew. */
const STEADY_MS = 10_000;

export class Workers {
  readonly #log: Logger;
  readonly #workers = new Set<Worker>();
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #listening = new Set<Worker>();
  #pauseMs = FIRST_PAUSE_MS;
  #closing = false;

  private constructor(log: Logger) {
    this.#log = log;
  }

  /**
   * Starts `count` workers, each a process that runs what this one runs. Resolves to where they listen when all do;
   * rejects with a {@link ListenError}, when none of them is left, if one can not.
   */
  static async start(
    count: number,
    log: Logger,
  ): Promise<{ readonly workers: Workers; readonly urls: readonly string[] }> {
    const workers = new Workers(log);
    try {
      const urls = await workers.#startAll(count);
      return { workers, urls };
    } catch (error) {
      await workers.close();
      throw error;
    }
  }

  #startAll(count: number): Promise<readonly string[]> {
    return new Promise((resolve, reject) => {
      const settled = (report: WorkerReport) => {
        if (report.kind === 'failed') reject(new ListenError(report.reason));
        else if (this.#listening.size === count) resolve(report.urls);
      };
      for (let started = 0; started < count; started++) this.#fork(settled);
    });
  }

  reload(): void {
    this.#send('reload');
  }

  /** Has all workers finish what is in flight; resolves when they have ended. */
  async close(): Promise<void> {
    this.#closing = true;
    for (const timer of this.#timers) clearTimeout(timer);
    const ended = [...this.#workers].map((worker) => new Promise((resolve) => worker.once('exit', resolve)));
    this.#send('close');
    await Promise.all(ended);
  }

  #send(order: WorkerOrder): void {
    for (const worker of this.#workers) if (worker.isConnected()) worker.send(order);
  }

  #fork(reported: (report: WorkerReport) => void): void {
    const worker = cluster.fork();
    const begun = performance.now();
    this.#workers.add(worker);
    worker.on('message', (message: unknown) => {
      const read = report.safeParse(message);
      if (!read.success) return;
      if (read.data.kind === 'listening') this.#listening.add(worker);
      reported(read.data);
    });
    // An order may find the worker dying; its exit says what there is to say.
    worker.on('error', (err) => this.#log.debug({ err, worker: worker.process.pid }, 'an order did not arrive'));
    worker.once('exit', (code, signal) => {
      const hadListened = this.#listening.delete(worker);
      this.#workers.delete(worker);
      if (this.#closing) return;
      const pid = worker.process.pid;
      if (!hadListened) reported({ kind: 'failed', reason: `worker ${pid} ended before it listened` });
      this.#log.error({ worker: pid, code, signal }, 'a worker ended; it will be replaced');
      this.#replace(performance.now() - begun);
    });
  }

  #replace(livedMs: number): void {
    if (livedMs >= STEADY_MS) this.#pauseMs = FIRST_PAUSE_MS;
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      this.#fork((report) => this.#log.info({ report }, 'a worker was replaced'));
    }, this.#pauseMs);
    this.#timers.add(timer);
    this.#pauseMs = Math.min(this.#pauseMs * 2, MAX_PAUSE_MS);
  }
}

/** In a worker: tells the primary how the start went. */
export function reportToPrimary(report: WorkerReport): void {
  cluster.worker?.send(report);
}

/** In a worker: does what the primary says. */
export function onOrder(obey: (order: WorkerOrder) => void): void {
  cluster.worker?.on('message', (message: unknown) => {
    const read = order.safeParse(message);
    if (read.success) obey(read.data);
  });
}
