import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';

/** A measured process: pinned to a core, with its CPU time read from the operating system. */
export interface Pinned {
  readonly pid: number;
  /** First line the process wrote on stdout; empty when it was not waited for. */
  readonly ready: string;
  stop(): Promise<void>;
}

/** Servers have a core to themselves; load, memcached and origin share the other one. */
export const SERVER_CORE = 0;
export const LOAD_CORE = 1;

const READY_TIMEOUT_MS = 10_000;

/** Starts `command` on `core`. With `waitForLine` it is up when its first line is there. */
export async function pinned(
  core: number,
  command: string,
  args: readonly string[],
  { waitForLine = true } = {},
): Promise<Pinned> {
  const child = spawn('taskset', ['-c', String(core), command, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => {
    errors = (errors + chunk.toString()).slice(-4000);
  });
  const ready = waitForLine ? await firstLine(child, command, () => errors) : '';
  const { pid } = child;
  if (pid === undefined) throw new Error(`${command} did not start`);
  return {
    pid,
    ready,
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGTERM');
      await once(child, 'exit');
    },
  };
}

function firstLine(child: ChildProcess, command: string, errors: () => string): Promise<string> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`${command} is not up after ${READY_TIMEOUT_MS} ms: ${errors()}`)),
      READY_TIMEOUT_MS,
    );
    let text = '';
    child.stdout?.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      const end = text.indexOf('\n');
      if (end < 0) return;
      clearTimeout(timer);
      resolve(text.slice(0, end));
    });
    child.once('exit', (code) => {
      clearTimeout(timer);
      reject(new Error(`${command} exited with ${code}: ${errors()}`));
    });
  });
}

const TICKS_PER_SECOND = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));

/** CPU time a process has used so far, user and system, in µs. */
export function cpuMicroseconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The command name, in parentheses, may hold spaces: count fields from behind it.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [userTicks, systemTicks] = [Number(fields[11]), Number(fields[12])];
  return ((userTicks + systemTicks) / TICKS_PER_SECOND) * 1e6;
}

/** Where `command` is, or `undefined` when it is not installed. */
export function which(command: string): string | undefined {
  try {
    return execFileSync('sh', ['-c', `command -v ${command}`], { encoding: 'utf8' }).trim();
  } catch {
    return undefined;
  }
}
