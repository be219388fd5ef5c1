import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, unlinkSync, writeFileSync } from 'node:fs';
import type { Log } from './limited-log.js';

/**
 * Node can not fork. To detach, the process starts its own command again in a session of its own and without terminal, and
 * waits until that one serves or has failed: what it says until then, and its exit status, are passed on.
 */

/** Tells the started process that it is the one to stay. */
const DETACHED = 'LOOKASIDE_DETACHED';

/** What the one to stay tells the one that waits. */
type Report = { readonly line: string } | { readonly isServing: true };

/** Starts this command again, detached. The exit status is 0 as soon as it serves. */
export async function startDetached(say: Log): Promise<number> {
  const command = [...process.execArgv, ...process.argv.slice(1)];
  const child = spawn(process.execPath, command, {
    detached: true,
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    env: { ...process.env, [DETACHED]: '1' },
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (status) => resolve(status ?? 1));
    child.on('message', (report: Report) => {
      if ('line' in report) {
        say(report.line);
        return;
      }
      child.unref();
      child.removeAllListeners('exit');
      resolve(0);
    });
  });
}

/** A process that {@link startDetached} started. */
export interface Detached {
  /** Heard until the process serves, and by nobody afterwards. */
  readonly say: Log;
  /** Lets the one that waits end. */
  isServing(): void;
}

/** `undefined` when this process is an ordinary one. */
export function detached(): Detached | undefined {
  if (process.env[DETACHED] === undefined || process.send === undefined) return undefined;
  delete process.env[DETACHED];
  const report = (what: Report, then?: () => void) => {
    if (process.connected) process.send?.(what, undefined, undefined, then);
  };
  return {
    say: (line) => report({ line }),
    isServing: () => report({ isServing: true }, () => process.disconnect()),
  };
}

/** Writes the process id, and gives the function that removes the file when it is still this process's. */
export function writePidFile(path: string): () => void {
  const pid = String(process.pid);
  writeFileSync(path, pid);
  return () => {
    try {
      if (readFileSync(path, 'latin1') === pid) unlinkSync(path);
    } catch {
      // it is gone, or not ours to remove any more
    }
  };
}

const STOP_SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

/** By default SIGUSR1 would open Node's debugger. */
const USER_SIGNALS = ['SIGUSR1', 'SIGUSR2'] as const;

/** Resolves when a signal asks the process to end. SIGUSR1 and SIGUSR2 do when it is `killable`, and are ignored else. */
export async function stopSignal({ killable }: { readonly killable: boolean }): Promise<void> {
  const stops = killable ? [...STOP_SIGNALS, ...USER_SIGNALS] : STOP_SIGNALS;
  const ignore = () => {};
  for (const signal of USER_SIGNALS) process.on(signal, ignore);
  await Promise.race(stops.map((signal) => once(process, signal)));
}
