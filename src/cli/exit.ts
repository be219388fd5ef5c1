import { ConfigError } from '../config/config-error.js';
import { StoreError, type StoreErrorCode } from '../store/store.js';

/** How a command ended, for shell scripts. `--help` of every command lists these. */
export const EXIT = { ok: 0, no: 1, usage: 2, store: 3 } as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

export const EXIT_HELP = `Exit codes:
  0  done
  1  the answer is no: there is no such key, nothing was removed or written, the configuration has faults
  2  wrong usage, or a configuration that can not be used
  3  the store could not be reached, or answered with an error`;

/** The command line asks for something that can not be done. The message is a sentence for the person who wrote it. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** Failures of a store that are about the key or the value, and not about the store. */
const ANSWERS: ReadonlyMap<StoreErrorCode, ExitCode> = new Map([
  ['bad-key', EXIT.usage],
  ['too-large', EXIT.no],
]);

/** How a command ends that failed with `error`. Throws what is not a failure but a bug. */
export function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof UsageError || error instanceof ConfigError) return EXIT.usage;
  if (error instanceof StoreError) return ANSWERS.get(error.code) ?? EXIT.store;
  throw error;
}
