import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** The command as users run it. */
export const MAIN = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));

/** A running `lookaside serve`. */
export interface Served {
  /** Origin of its URL, as the ready line named it. */
  readonly url: string;
  readonly pid: number;
  /** Everything it has logged so far. */
  log(): string;
  /** Replaces the config file and has it read again. */
  reload(config: string): Promise<void>;
  signal(name: NodeJS.Signals): void;
  /** Ends it in an orderly way and resolves to its exit code. */
  stop(): Promise<number | null>;
}

const STARTING_MS = 15_000;

/**
 * Starts `lookaside serve` with a config (as text) or with arguments, or another command that serves; it is up when this
 * resolves.
 */
export async function startLookaside(
  from: { config: string } | { args: readonly string[] },
  command = 'serve',
): Promise<Served> {
  const folder = await mkdtemp(join(tmpdir(), 'lookaside-test-'));
  const file = join(folder, 'lookaside.yaml');
  if ('config' in from) await writeFile(file, from.config);
  const args = 'config' in from ? ['--config', file] : ['--listen', '127.0.0.1:0', ...from.args];
  const child = spawn(process.execPath, [MAIN, command, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const leave = () => child.kill('SIGKILL');
  process.once('exit', leave);
  let log = '';
  child.stderr.on('data', (chunk: Buffer) => {
    log += chunk.toString();
  });
  const url = await readyLine(child, () => log);
  const { pid } = child;
  assert.ok(pid !== undefined);
  return {
    url,
    pid,
    log: () => log,
    async reload(config) {
      await writeFile(file, config);
      child.kill('SIGHUP');
    },
    signal: (name) => void child.kill(name),
    async stop() {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGTERM');
        await once(child, 'exit');
      }
      process.off('exit', leave);
      await rm(folder, { recursive: true, force: true });
      return child.exitCode;
    },
  };
}

async function readyLine(child: ChildProcess, log: () => string): Promise<string> {
  assert.ok(child.stdout);
  const lines = createInterface(child.stdout);
  const signal = AbortSignal.timeout(STARTING_MS);
  const exited = once(child, 'exit', { signal }).then(([code]) => assert.fail(`exited with ${code}: ${log()}`));
  const [line] = await Promise.race([once(lines, 'line', { signal }), exited]);
  const match = /^lookaside listening on (\S+)$/.exec(String(line));
  assert.ok(match?.[1], `not a ready line: ${line}`);
  return match[1];
}
