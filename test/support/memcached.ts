import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { chmod } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { type Address, formatAddress } from '../../src/store/memcached/address.js';

export interface MemcachedOptions {
  /** Listen on a unix socket in a directory of its own. Default: an ephemeral port of 127.0.0.1. */
  readonly unix?: boolean;
  /** More arguments, such as `-I 2m`, `-Y FILE` or `-Z -o ssl_chain_cert=…`. */
  readonly args?: readonly string[];
}

/** A real memcached that belongs to one test. */
export interface Memcached {
  readonly address: Address;
  /** The address as a configuration writes it. */
  readonly server: string;
  /** The process; another one after each `restart`. */
  readonly pid: number;
  /** Ends it and removes what it left in the file system. Idempotent. */
  stop(): Promise<void>;
  /** SIGKILL: connections break at once, the socket file stays. */
  kill(): Promise<void>;
  /** SIGSTOP: it keeps its connections and takes new ones, but says nothing. */
  pause(): void;
  resume(): void;
  /** Starts an empty one on the same address, after ending the old one if it still runs. */
  restart(): Promise<void>;
}

/** Another process may take a free port before memcached does. */
const PORT_ATTEMPTS = 5;

/** Starting takes some 20 ms; a loaded machine may need much longer. */
const START_TIMEOUT_MS = 10_000;

/** A paused memcached never answers. */
const ANSWER_TIMEOUT_MS = 5_000;

/** Starts memcached and waits until it answers. It can not outlive the test's process. */
export async function startMemcached(options: MemcachedOptions = {}): Promise<Memcached> {
  const directory = options.unix === true ? mkdtempSync(join(tmpdir(), 'lookaside-memcached-')) : undefined;
  if (directory !== undefined) {
    cleanups.add(() => rmSync(directory, { recursive: true, force: true }));
    // memcached gives up root before it makes the socket
    await chmod(directory, 0o777);
  }
  for (let attempt = 1; ; attempt++) {
    const address: Address =
      directory === undefined
        ? { kind: 'tcp', host: '127.0.0.1', port: await freePort() }
        : { kind: 'unix', path: join(directory, 'memcached.sock') };
    try {
      return new Daemon(await launch(address, options.args ?? []), address, options.args ?? [], directory);
    } catch (error) {
      if (!(error instanceof ExitedEarly) || attempt === PORT_ATTEMPTS) throw error;
    }
  }
}

/**
 * What memcached answers to `text` (byte string, complete with its CRLFs), sent over a connection of its own as any
 * other client would.
 */
export async function rawCommand(address: Address, text: string, options: { tls?: boolean } = {}): Promise<string> {
  const target = address.kind === 'unix' ? { path: address.path } : { host: address.host, port: address.port };
  const socket = options.tls === true ? connectTls({ ...target, rejectUnauthorized: false }) : connect(target);
  socket.setEncoding('latin1');
  socket.setTimeout(ANSWER_TIMEOUT_MS, () => socket.destroy(new Error(`${formatAddress(address)} does not answer`)));
  // after `quit` memcached sends what it still owes and closes; before a login it closes at the end of what is sent only
  socket.end(`${text}quit\r\n`, 'latin1');
  let reply = '';
  for await (const chunk of socket) reply += chunk;
  return reply;
}

/** Whether every thread of the process has stopped. */
function isStopped(pid: number): boolean {
  const threads = readdirSync(`/proc/${pid}/task`);
  return threads.every((thread) => / T [0-9]+ /.test(readFileSync(`/proc/${pid}/task/${thread}/stat`, 'latin1')));
}

class Daemon implements Memcached {
  readonly address: Address;
  readonly server: string;
  readonly #args: readonly string[];
  readonly #directory: string | undefined;
  #child: RunningChild;

  constructor(child: RunningChild, address: Address, args: readonly string[], directory: string | undefined) {
    this.address = address;
    this.server = formatAddress(address);
    this.#child = child;
    this.#args = args;
    this.#directory = directory;
  }

  get pid(): number {
    return this.#child.pid;
  }

  async kill(): Promise<void> {
    const child = this.#child;
    if (hasExited(child)) return;
    child.ref();
    child.kill('SIGKILL');
    await once(child, 'exit');
  }

  async stop(): Promise<void> {
    await this.kill();
    if (this.#directory !== undefined) rmSync(this.#directory, { recursive: true, force: true });
  }

  pause(): void {
    this.#child.kill('SIGSTOP');
    // the signal is on its way when kill returns: a thread may answer once more
    while (!isStopped(this.pid));
  }

  resume(): void {
    this.#child.kill('SIGCONT');
  }

  async restart(): Promise<void> {
    await this.kill();
    this.#child = await launch(this.address, this.#args);
  }
}

type RunningChild = ChildProcess & { readonly pid: number };

class ExitedEarly extends Error {}

async function launch(address: Address, extraArgs: readonly string[]): Promise<RunningChild> {
  const listen =
    address.kind === 'unix'
      ? ['-s', address.path, '-a', '0777']
      : ['-l', address.host, '-p', String(address.port), '-U', '0'];
  const child = await start(['-u', 'nobody', ...listen, ...extraArgs]);
  const deadline = Date.now() + START_TIMEOUT_MS;
  while (!(await answers(child, address, extraArgs.includes('-Z')))) {
    if (hasExited(child)) throw new ExitedEarly(`memcached ended with status ${child.exitCode} while it started`);
    if (Date.now() > deadline) throw new Error(`memcached on ${formatAddress(address)} did not start to answer`);
    await delay(5);
  }
  return child;
}

async function start(args: readonly string[]): Promise<RunningChild> {
  const child = spawn('memcached', args, { stdio: 'ignore' });
  // a test that forgets it ends all the same, and takes it along
  child.unref();
  const kill = () => child.kill('SIGKILL');
  cleanups.add(kill);
  child.once('exit', () => cleanups.delete(kill));
  try {
    await once(child, 'spawn');
  } catch (cause) {
    throw new Error('memcached can not be run: install it, for example with "apt-get install memcached"', { cause });
  }
  if (!isRunning(child)) throw new Error('memcached has no process id');
  return child;
}

/** Whether it is `child` that listens there: a port may have been taken by another one. */
async function answers(child: RunningChild, address: Address, tls: boolean): Promise<boolean> {
  try {
    const reply = await rawCommand(address, 'stats\r\n', { tls });
    return reply.includes(`STAT pid ${child.pid}\r\n`) || reply.startsWith('CLIENT_ERROR unauthenticated');
  } catch {
    return false;
  }
}

function isRunning(child: ChildProcess): child is RunningChild {
  return child.pid !== undefined;
}

function hasExited(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no TCP port could be had');
  return address.port;
}

/** What is left to do when the process ends, however it ends. */
const cleanups = new Set<() => void>();

process.once('exit', () => {
  for (const cleanup of cleanups) cleanup();
});
for (const [signal, status] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
] as const) {
  process.once(signal, () => process.exit(status));
}
