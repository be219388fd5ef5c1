import { type ChildProcess, execFile, fork, spawn } from 'node:child_process';
import { constants } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type ConnectionOptions, connect } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type Memcached, rawCommand, startMemcached } from '../support/memcached.js';
import type { Hello, Question, ServerRecipe } from './server-process.js';

export const SECRET = 'a secret of the fleet, 32 bytes long or more';

/** Options of Node's client. */
export const TLS_1_2 = { maxVersion: 'TLSv1.2' } as const;
export const NO_TICKETS = { ...TLS_1_2, secureOptions: constants.SSL_OP_NO_TICKET } as const;

const run = promisify(execFile);

/** Certificates made by openssl, in a directory that the test's process removes when it ends. */
export interface Certificates {
  readonly directory: string;
  readonly key: string;
  readonly cert: string;
}

const directories = new Set<string>();
process.once('exit', () => {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
});

export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'lookaside-tls-'));
  directories.add(directory);
  return directory;
}

/** A self-signed certificate for `commonName`, which is its own authority. */
export async function makeCertificate(directory: string, commonName: string): Promise<Certificates> {
  const [key, cert] = [join(directory, `${commonName}.key`), join(directory, `${commonName}.crt`)];
  const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
  await run('openssl', ['req', '-x509', ...ec, '-keyout', key, '-out', cert, '-subj', `/CN=${commonName}`]);
  return { directory, key, cert };
}

/** A server of a fleet in a process of its own. */
export class FleetServer {
  readonly port: number;
  /** What it warned of before it listened. */
  readonly warnings: readonly string[];
  readonly #child: ChildProcess;

  constructor(child: ChildProcess, { port, warnings }: Hello) {
    this.#child = child;
    this.port = port;
    this.warnings = warnings;
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  async ask(question: Question): Promise<unknown> {
    this.#child.send(question);
    const [{ reply }] = await once(this.#child, 'message');
    return reply;
  }

  async counts(): Promise<Record<string, number>> {
    return (await this.ask('counts')) as Record<string, number>;
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill('SIGKILL');
    await once(this.#child, 'exit');
  }
}

export async function startServer(recipe: ServerRecipe): Promise<FleetServer> {
  const script = fileURLToPath(new URL('server-process.js', import.meta.url));
  const child = fork(script, [JSON.stringify(recipe)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const [hello] = await Promise.race([once(child, 'message'), once(child, 'exit').then(() => [undefined])]);
  if (hello === undefined) throw new Error('the server process ended while it started');
  return new FleetServer(child, hello);
}

/** A memcached, a certificate, and the servers that use them. */
export class TestFleet {
  readonly memcached: Memcached;
  readonly site: Certificates;
  readonly #servers: FleetServer[] = [];

  constructor(memcached: Memcached, site: Certificates) {
    this.memcached = memcached;
    this.site = site;
  }

  /** A server of the fleet, but for `changes`. */
  recipe(changes: Partial<ServerRecipe> = {}): ServerRecipe {
    const { key, cert } = this.site;
    return { kind: 'tls', memcached: this.memcached.server, key, cert, options: { secrets: [SECRET] }, ...changes };
  }

  /** A server that agrees with the others. */
  async one(changes: Partial<ServerRecipe> = {}): Promise<FleetServer> {
    const server = await this.alone(changes);
    await eventually('the server has the ticket key of the fleet', async () => {
      return (await server.counts()).ticket_keys_local === 0;
    });
    return server;
  }

  /** A server that may not have heard of the others. */
  async alone(changes: Partial<ServerRecipe> = {}): Promise<FleetServer> {
    const server = await startServer(this.recipe(changes));
    this.#servers.push(server);
    return server;
  }

  pair(first: Partial<ServerRecipe> = {}, second = first): Promise<[FleetServer, FleetServer]> {
    return Promise.all([this.one(first), this.one(second)]);
  }

  /** What memcached counts under these names of its `stats`. */
  async stats(...names: readonly string[]): Promise<number[]> {
    const stats = await rawCommand(this.memcached.address, 'stats\r\n');
    return names.map((name) => {
      const count = new RegExp(`STAT ${name} (\\d+)`).exec(stats)?.[1];
      if (count === undefined) throw new Error(`memcached does not tell ${name}`);
      return Number(count);
    });
  }

  async stop(): Promise<void> {
    await Promise.all(this.#servers.map((server) => server.stop()));
    await this.memcached.stop();
  }
}

/** Servers and memcached must have found each other again within this time. */
const EVENTUALLY_MS = 15_000;

export async function eventually(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + EVENTUALLY_MS;
  while (!(await isSo())) {
    if (Date.now() > deadline) throw new Error(`not within ${EVENTUALLY_MS} ms: ${what}`);
    await delay(50);
  }
}

export async function startFleet(): Promise<TestFleet> {
  return new TestFleet(...(await Promise.all([startMemcached(), makeCertificate(temporaryDirectory(), 'localhost')])));
}

/** How a handshake went, as the client saw it. */
export interface Handshake {
  readonly isReused: boolean;
  readonly protocol: string;
  /** What the server said of the connection. */
  readonly text: string;
}

/** Longer than any handshake takes on a loaded machine. */
const PATIENCE_MS = 15_000;

/**
 * A connection of `openssl s_client`. Its input is held open until the server has spoken and the session is saved: a
 * session of TLS 1.3 comes after the handshake.
 */
export async function opensslClient(port: number, args: readonly string[], sessionOut?: string): Promise<Handshake> {
  const save = sessionOut === undefined ? [] : ['-sess_out', sessionOut];
  const child = spawn('openssl', ['s_client', '-connect', `127.0.0.1:${port}`, ...save, ...args]);
  let text = '';
  child.stdout.setEncoding('latin1').on('data', (chunk: string) => {
    text += chunk;
  });
  child.stderr.resume();
  const isOver = once(child, 'close');
  const deadline = Date.now() + PATIENCE_MS;
  const speaks = args.includes('-alpn') ? /^(New|Reused), /m : /resumed=/;
  const isDone = () => speaks.test(text) && (sessionOut === undefined || hasContent(sessionOut));
  while (!isDone() && child.exitCode === null && Date.now() < deadline) await delay(5);
  child.stdin.end();
  await isOver;
  const found = /^(New|Reused), (\S+), Cipher is/m.exec(text);
  if (found === null) throw new Error(`no handshake: ${text}`);
  return { isReused: found[1] === 'Reused', protocol: found[2] ?? '', text };
}

/** The session in a file of `-sess_out`, as DER. */
export function sessionIn(file: string): Buffer {
  const pem = readFileSync(file, 'latin1');
  return Buffer.from(/-----BEGIN SSL SESSION PARAMETERS-----([^-]+)-----END/.exec(pem)?.[1] ?? '', 'base64');
}

/** All handshakes of `openssl s_client -reconnect`: a full one, and five with its session. */
export async function opensslReconnect(port: number, args: readonly string[]): Promise<boolean[]> {
  const child = spawn('openssl', ['s_client', '-connect', `127.0.0.1:${port}`, '-reconnect', ...args]);
  let text = '';
  child.stdout.setEncoding('latin1').on('data', (chunk: string) => {
    text += chunk;
  });
  child.stderr.resume();
  const isOver = once(child, 'close');
  const outcomes = () =>
    [...text.matchAll(/^(New|Reused), \S+, Cipher is/gm)].map(([, outcome]) => outcome === 'Reused');
  const deadline = Date.now() + PATIENCE_MS;
  while (outcomes().length < 6 && child.exitCode === null && Date.now() < deadline) await delay(5);
  child.stdin.end();
  await isOver;
  return outcomes();
}

function hasContent(path: string): boolean {
  return (statSync(path, { throwIfNoEntry: false })?.size ?? 0) > 0;
}

export interface NodeHandshake extends Handshake {
  /** The last session the server gave. */
  readonly session: Buffer | undefined;
  readonly milliseconds: number;
}

/** After what was said, no session comes any more: Node's own servers give none when they resume. */
const NO_SESSION_MS = 1_000;

/** A connection of Node's client, until the server has spoken and, in TLS 1.3, has given a session if it will. */
export async function nodeClient(port: number, options: ConnectionOptions = {}): Promise<NodeHandshake> {
  const started = performance.now();
  const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options });
  socket.setTimeout(PATIENCE_MS, () => socket.destroy(new Error('the server says nothing')));
  const given = once(socket, 'session');
  // of a connection that fails, what follows tells
  given.catch(() => {});
  try {
    await once(socket, 'secureConnect');
    const milliseconds = performance.now() - started;
    const [text] = await once(socket.setEncoding('latin1'), 'data');
    const protocol = socket.getProtocol() ?? '';
    const [session] =
      protocol === 'TLSv1.3' ? await Promise.race([given, delay(NO_SESSION_MS, [])]) : [socket.getSession()];
    return { isReused: socket.isSessionReused(), protocol, text, session, milliseconds };
  } finally {
    socket.destroy();
  }
}
