import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { MAIN } from '../support/lookaside.js';

/** The tools that are no daemons, under both of their names, as they were built beside these tests. */
const TOOLS = {
  dc_test: fileURLToPath(new URL('../../src/cli/dc-test.js', import.meta.url)),
  dc_snoop: fileURLToPath(new URL('../../src/cli/dc-snoop.js', import.meta.url)),
  lookaside: MAIN,
} as const;

export type ToolName = keyof typeof TOOLS;

/** Runs a command with a terminal for all that it says, and passes on what that shows and how the command ended. */
const ON_TERMINAL =
  'import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:], lambda fd: os.read(fd, 1024))))';

export interface ToolOptions {
  /** Give it a terminal. What it says is then all on stdout. */
  readonly terminal?: boolean;
  readonly env?: NodeJS.ProcessEnv;
}

export interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A running tool. It does not outlive this process. */
export class Tool {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  /** What it has said so far on stdout and stderr, together. */
  output = '';

  constructor(name: ToolName, args: readonly string[], { terminal = false, env }: ToolOptions = {}) {
    const command = [process.execPath, TOOLS[name], ...args];
    const child = terminal
      ? spawn('/usr/bin/python3', ['-c', ON_TERMINAL, ...command], { env: { ...process.env, ...env } })
      : spawn(process.execPath, command.slice(1), { env: { ...process.env, ...env } });
    this.child = child;
    child.stdin.end();
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk) => {
        this.output += chunk;
      });
    }
    this.ended = Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]).then(
      ([stdout, stderr]) => ({ status: child.exitCode, stdout, stderr }),
    );
    const kill = () => child.kill('SIGKILL');
    process.once('exit', kill);
    child.once('exit', () => process.off('exit', kill));
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<Ended> {
    this.child.kill(signal);
    return this.ended;
  }
}

/** Runs a tool to its end. */
export function runTool(name: ToolName, args: readonly string[], options?: ToolOptions): Promise<Ended> {
  return new Tool(name, args, options).ended;
}
