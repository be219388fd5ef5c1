import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { type Results, resultsSchema, type Suite } from './suite.js';

/** The suite's origin server on a port of its own. */
export interface SuiteOrigin {
  readonly url: string;
  stop(): Promise<void>;
}

const STARTING_MS = 15_000;

/** A run takes about a minute; more than this and something hangs. */
const CLIENT_MS = 10 * 60_000;

export async function startOrigin({ directory }: Suite): Promise<SuiteOrigin> {
  const folder = await mkdtemp(join(tmpdir(), 'lookaside-conformance-'));
  const child = spawn(process.execPath, ['test-engine/server/server.mjs'], {
    cwd: directory,
    env: withSettings({ protocol: 'http', port: '0', pidfile: join(folder, 'origin.pid') }),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const kill = killWithUs(child);
  const port = await listeningPort(child);
  // it reports every request that it finds odd: nobody reads that, but it must go somewhere
  child.stdout.resume();
  return {
    url: `http://127.0.0.1:${port}`,
    async stop() {
      kill();
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function listeningPort(child: ChildProcess & { readonly stdout: NodeJS.ReadableStream }): Promise<string> {
  const signal = AbortSignal.timeout(STARTING_MS);
  const lines = createInterface(child.stdout);
  const [line] = await Promise.race([once(lines, 'line', { signal }), once(child, 'exit', { signal })]);
  lines.close();
  const [, port] = /^Listening on \S+:(\d+)\/$/.exec(String(line)) ?? [];
  if (port === undefined) throw new Error(`the origin server of the suite did not start: ${line}`);
  return port;
}

/** Runs every test of the suite against the cache at `url`. */
export async function runClient({ directory }: Suite, url: string): Promise<Results> {
  const output = await clientOutput(directory, { base: url, id: '' }, 'ignore');
  const start = output.search(/^\{$/m);
  if (start < 0) throw new Error(`the client of the suite gave no results: ${output}`);
  return resultsSchema.parse(JSON.parse(output.slice(start)));
}

/** Runs one test; resolves to the transcript of it that the suite makes. */
export function runOneTest({ directory }: Suite, url: string, id: string): Promise<string> {
  return clientOutput(directory, { base: url, id }, 'inherit');
}

async function clientOutput(
  directory: string,
  settings: { readonly base: string; readonly id: string },
  stderr: 'ignore' | 'inherit',
): Promise<string> {
  const child = spawn(process.execPath, ['--no-warnings', 'test-engine/cli.mjs'], {
    cwd: directory,
    env: withSettings(settings),
    stdio: ['ignore', 'pipe', stderr],
    timeout: CLIENT_MS,
  });
  killWithUs(child);
  const [output] = await Promise.all([text(child.stdout), once(child, 'close')]);
  if (child.exitCode !== 0) throw new Error(`the client of the suite failed (${child.exitCode ?? child.signalCode})`);
  return output;
}

/** The suite is made to be run by npm, which hands settings over in this form. */
function withSettings(settings: { readonly [name: string]: string }): NodeJS.ProcessEnv {
  const named = Object.entries(settings).map(([name, value]) => [`npm_config_${name}`, value] as const);
  // a setting that is empty has a default, which has to be empty, too
  const defaults = Object.keys(settings).map((name) => [`npm_package_config_${name}`, ''] as const);
  return { ...process.env, ...Object.fromEntries([...named, ...defaults]) };
}

function killWithUs(child: ChildProcess): () => void {
  const kill = () => void child.kill('SIGKILL');
  process.once('exit', kill);
  child.once('exit', () => process.off('exit', kill));
  return kill;
}
