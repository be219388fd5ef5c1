import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { buffer, text } from 'node:stream/consumers';
import { MAIN } from './lookaside.js';

/** How a command ended and what it said. */
export interface Ended {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stdoutBytes: Buffer;
  readonly stderr: string;
}

export interface Surroundings {
  readonly stdin?: string | Uint8Array;
  readonly env?: NodeJS.ProcessEnv;
}

/** Runs `lookaside` with `args` as a shell would, to its end. */
export async function lookaside(args: readonly string[], { stdin = '', env }: Surroundings = {}): Promise<Ended> {
  const child = spawn(process.execPath, [MAIN, ...args], { env: { ...process.env, ...env } });
  // a command that fails at once may not read its stdin
  child.stdin.on('error', () => {});
  child.stdin.end(stdin);
  const [stdoutBytes, stderr] = await Promise.all([buffer(child.stdout), text(child.stderr), once(child, 'close')]);
  return { exitCode: child.exitCode, stdout: stdoutBytes.toString(), stdoutBytes, stderr };
}
