import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { MAIN } from '../support/lookaside.js';

/** The daemons, under both of their names, as they were built beside these tests. */
const COMMANDS = {
  dc_server: fileURLToPath(new URL('../../src/cli/dc-server.js', import.meta.url)),
  dc_client: fileURLToPath(new URL('../../src/cli/dc-client.js', import.meta.url)),
  lookaside: MAIN,
} as const;

export type CommandName = keyof typeof COMMANDS;

const START_TIMEOUT_MS = 15_000;

/** A directory for sockets and files that is gone when the process ends. */
export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'lookaside-distcache-'));
  process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** A running command. It does not outlive this process. */
export class Command {
  readonly child: ChildProcess;
  stderr = '';
  readonly #exit: Promise<unknown>;

  constructor(name: CommandName, args: readonly string[], options: { cwd?: string } = {}) {
    const command = [process.execPath, COMMANDS[name], ...args];
    this.child = spawn(command[0] ?? '', command.slice(1), { stdio: ['ignore', 'ignore', 'pipe'], cwd: options.cwd });
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
    });
    this.#exit = once(this.child, 'close');
    const kill = () => this.child.kill('SIGKILL');
    process.once('exit', kill);
    this.child.once('exit', () => process.off('exit', kill));
  }

  /** Runs it to its end. */
  static async run(name: CommandName, args: readonly string[], options: { cwd?: string } = {}): Promise<Command> {
    const command = new Command(name, args, options);
    await command.ended();
    return command;
  }

  get status(): number | null {
    return this.child.exitCode;
  }

  /** Waits until the socket at `path` is there. */
  async listening(path: string): Promise<void> {
    await this.until(() => isListenedOn(path), `listens on ${path}`);
  }

  /** Waits for what its errors show, or its doings. */
  async until(isSo: () => boolean, what: string): Promise<void> {
    const deadline = performance.now() + START_TIMEOUT_MS;
    while (!isSo()) {
      const isGone = this.child.exitCode !== null || this.child.signalCode !== null;
      if (isGone) throw new Error(`it ended before it ${what}: ${this.stderr}`);
      if (performance.now() > deadline) throw new Error(`it never ${what}: ${this.stderr}`);
      await delay(5);
    }
  }

  async ended(): Promise<void> {
    await this.#exit;
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    this.child.kill(signal);
    await this.ended();
  }
}

/** Whether a process accepts connections there: the socket's file is there a moment before that. */
export function isListenedOn(path: string): boolean {
  const acceptsConnections = ' 00010000 ';
  const sockets = readFileSync('/proc/net/unix', 'utf8').split('\n');
  return sockets.some((line) => line.endsWith(` ${path}`) && line.includes(acceptsConnections));
}
