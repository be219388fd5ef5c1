/**
 * `npm run build:test && node build/bench/distcache.js`: what an operation of `lookaside distcache` costs, over unix sockets
 * and TCP, with persistent connections or not, direct and through the client proxy, one and 16 at a time, sessions in the
 * server and in memcached; and whether idle connections and many sessions cost those anything that are active. Writes
 * DISTCACHE.md.
 *
 * All the cases take turns in every round, so that a noisy neighbour hits all of them; medians are what counts.
 */
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { cpuMicroseconds, LOAD_CORE, type Pinned, pinned, SERVER_CORE } from './process.js';

const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 3);
const SECONDS = Number(process.env.BENCH_SECONDS ?? 2);

const MAX_ATTEMPTS = 5;

const run = promisify(execFile);
const built = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const SERVER = built('../src/cli/dc-server.js');
const PROXY = built('../src/cli/dc-client.js');
const LOAD = built('distcache-load.js');
const CROWD = built('distcache-crowd.js');
const root = built('../../');
const directory = mkdtempSync(join(tmpdir(), 'lookaside-bench-'));

const BACKENDS = ['embedded', 'memcached'] as const;
const TRANSPORTS = ['unix', 'tcp'] as const;
const WAYS = ['direct', 'proxy'] as const;
const MODES = ['persistent', 'temporary', 'library'] as const;

interface Setup {
  readonly backend: (typeof BACKENDS)[number];
  readonly transport: (typeof TRANSPORTS)[number];
  readonly way: (typeof WAYS)[number];
  readonly address: string;
  readonly server: Pinned;
  readonly proxy: Pinned | undefined;
  readonly memcached: Pinned | undefined;
}

interface Case {
  readonly setup: Setup;
  readonly mode: (typeof MODES)[number];
  readonly atATime: 1 | 16;
  /** Whether the load and memcached run on the core of the daemons, or on the other one. */
  readonly cores: 'one' | 'two';
}

/** Who is there besides the load. */
interface Crowd {
  readonly connections: number;
  readonly sessions: number;
}

/** The first is what the others are compared with. */
const CROWDS: readonly Crowd[] = [
  { connections: 0, sessions: 0 },
  { connections: 2000, sessions: 0 },
  { connections: 0, sessions: 50_000 },
  { connections: 2000, sessions: 50_000 },
];

interface Sample {
  readonly perSecond: number;
  /** CPU an operation took, in µs. */
  readonly server: number;
  readonly proxy: number;
  readonly memcached: number;
}

/**
 * What the C pair did with its one-at-a-time tester on a machine of this kind, over a unix socket: operations per second,
 * and the CPU of the daemon for each in µs.
 */
const C_FIGURES: readonly { way: string; mode: string; atATime: number; perSecond: number; server?: number }[] = [
  { way: 'direct', mode: 'persistent', atATime: 1, perSecond: 27_000, server: 14 },
  { way: 'direct', mode: 'temporary', atATime: 1, perSecond: 21_000, server: 22 },
  { way: 'proxy', mode: 'persistent', atATime: 1, perSecond: 18_000 },
  { way: 'proxy', mode: 'temporary', atATime: 1, perSecond: 15_000 },
  { way: 'direct', mode: 'persistent', atATime: 16, perSecond: 74_000 },
];

async function start(): Promise<Setup[]> {
  const port = await freePort();
  const args = ['-u', 'nobody', '-l', '127.0.0.1', '-p', String(port), '-U', '0', '-t', '1'];
  const memcached = await pinned(LOAD_CORE, 'memcached', args, { waitForLine: false });
  const setups: Setup[] = [];
  for (const backend of BACKENDS) {
    for (const transport of TRANSPORTS) {
      const behind = backend === 'memcached' ? { memcached } : { memcached: undefined };
      const extra = backend === 'memcached' ? ['--memcached', `127.0.0.1:${port}`] : [];
      const address = await newAddress(transport);
      const server = await daemon(SERVER, ['-listen', address, '-sessions', '60000', ...extra]);
      setups.push({ backend, transport, way: 'direct', address, server, proxy: undefined, ...behind });
      const proxyAddress = await newAddress(transport);
      const proxy = await daemon(PROXY, ['-listen', proxyAddress, '-server', address, '-outstanding', '1000000']);
      setups.push({ backend, transport, way: 'proxy', address: proxyAddress, server, proxy, ...behind });
    }
  }
  return setups;
}

let addresses = 0;

async function newAddress(transport: Setup['transport']): Promise<string> {
  return transport === 'unix' ? `UNIX:${directory}/${addresses++}` : `IP:127.0.0.1:${await freePort()}`;
}

interface Crowded {
  readonly crowd: Crowd;
  readonly setup: Setup;
  /** The process that has the connections. */
  readonly others: Pinned;
}

/** Servers that are alike, each with a crowd of its own. */
async function startCrowds(): Promise<Crowded[]> {
  const started: Crowded[] = [];
  for (const crowd of CROWDS) {
    const address = await newAddress('unix');
    const server = await daemon(SERVER, ['-listen', address, '-sessions', '60000']);
    const embedded = {
      backend: 'embedded',
      transport: 'unix',
      way: 'direct',
      proxy: undefined,
      memcached: undefined,
    } as const;
    const setup: Setup = { ...embedded, address, server };
    await untilUp(setup);
    const args = [CROWD, address, String(crowd.connections), String(crowd.sessions)];
    started.push({ crowd, setup, others: await pinned(LOAD_CORE, process.execPath, args) });
  }
  return started;
}

/** A daemon says nothing when it is up: the first load finds out. */
async function daemon(program: string, args: readonly string[]): Promise<Pinned> {
  return pinned(SERVER_CORE, process.execPath, [program, ...args], { waitForLine: false });
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((listening) => server.once('listening', listening));
  const address = server.address();
  await new Promise((closed) => server.close(closed));
  if (address === null || typeof address === 'string') throw new Error('no TCP port could be had');
  return address.port;
}

async function measure({ setup, mode, atATime, cores }: Case, seconds: number): Promise<Sample> {
  const { server, proxy, memcached, address } = setup;
  const core = String(cores === 'one' ? SERVER_CORE : LOAD_CORE);
  if (memcached !== undefined) await run('taskset', ['-a', '-c', '-p', core, String(memcached.pid)]);
  const processes = [server, proxy, memcached];
  const before = processes.map(cpuOf);
  const load = ['-c', core, process.execPath, LOAD, address, mode, String(atATime), String(seconds)];
  const { operations, perSecond } = JSON.parse((await run('taskset', load)).stdout);
  const [serverCpu = 0, proxyCpu = 0, memcachedCpu = 0] = processes.map(
    (process, index) => (cpuOf(process) - (before[index] ?? 0)) / operations,
  );
  return { perSecond, server: serverCpu, proxy: proxyCpu, memcached: memcachedCpu };
}

/** On a machine that does something else besides, memcached may be too late once, and the server then says no. */
async function measureAgain(one: Case, seconds: number): Promise<Sample> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await measure(one, seconds);
    } catch (error) {
      if (attempt === MAX_ATTEMPTS) throw error;
    }
  }
}

function cpuOf(process: Pinned | undefined): number {
  return process === undefined ? 0 : cpuMicroseconds(process.pid);
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return ((sorted[Math.floor((sorted.length - 1) / 2)] ?? 0) + (sorted[Math.ceil((sorted.length - 1) / 2)] ?? 0)) / 2;
}

function row({ setup, mode, atATime, cores }: Case, samples: readonly Sample[]): string {
  const { backend, transport, way } = setup;
  const rates = samples.map(({ perSecond }) => perSecond);
  const [server, proxy, memcached] = (['server', 'proxy', 'memcached'] as const).map((process) =>
    median(samples.map((sample) => sample[process])).toFixed(1),
  );
  const cpu = [server, ...(setup.proxy ? [proxy] : []), ...(setup.memcached ? [memcached] : [])].join(' + ');
  const cells = [backend, transport, way, mode, atATime, cores, thousands(median(rates)), spread(rates), cpu];
  return `| ${[...cells, comparison(setup, mode, atATime, median(rates))].join(' | ')} |`;
}

/** With C's figure for the same case, where there is one. */
function comparison(setup: Setup, mode: string, atATime: number, perSecond: number): string {
  if (setup.backend !== 'embedded' || setup.transport !== 'unix') return '';
  // the C tester is a program that uses the C library
  const like = mode === 'library' && atATime === 1 ? 'persistent' : mode;
  const figure = C_FIGURES.find((c) => c.way === setup.way && c.mode === like && c.atATime === atATime);
  if (figure === undefined) return '';
  const verdict = perSecond > figure.perSecond ? 'beaten' : '**not beaten**';
  const cpu = figure.server === undefined ? '' : `, ${figure.server} µs`;
  return `${thousands(figure.perSecond)}${cpu}: ×${(perSecond / figure.perSecond).toFixed(2)}, ${verdict}`;
}

function crowdRow({ crowd }: Crowded, one: Case, rounds: readonly Sample[], alone: readonly Sample[]): string {
  const of = (list: readonly Sample[], what: 'perSecond' | 'server') => median(list.map((sample) => sample[what]));
  const ratio = (what: 'perSecond' | 'server') =>
    median(rounds.map((sample, round) => sample[what] / (alone[round]?.[what] ?? Number.NaN))).toFixed(2);
  const rate = thousands(of(rounds, 'perSecond'));
  const cells = [one.mode, one.atATime, one.cores, thousands(crowd.connections), thousands(crowd.sessions), rate];
  return `| ${[...cells, `×${ratio('perSecond')}`, of(rounds, 'server').toFixed(1), `×${ratio('server')}`].join(' | ')} |`;
}

function thousands(value: number): string {
  return Math.round(value).toLocaleString('en');
}

function spread(values: readonly number[]): string {
  return `${thousands(Math.min(...values))}–${thousands(Math.max(...values))}`;
}

async function untilUp({ address }: Setup): Promise<void> {
  const path = address.startsWith('UNIX:') ? address.slice('UNIX:'.length) : undefined;
  for (let waits = 0; waits < 200; waits++) {
    await delay(50);
    if (path !== undefined && !existsSync(path)) continue;
    const up = await run(process.execPath, [LOAD, address, 'persistent', '1', '0.01']).catch(() => undefined);
    if (up !== undefined) return;
  }
  throw new Error(`${address} does not answer`);
}

const setups = await start();
const samples = new Map<Case, Sample[]>();
const crowded = await startCrowds();
const crowdSamples = new Map<Case, Sample[]>();
try {
  for (const setup of setups) await untilUp(setup);
  for (const setup of setups) {
    for (const mode of MODES) {
      samples.set({ setup, mode, atATime: 1, cores: 'one' }, []);
      if (mode === 'persistent') samples.set({ setup, mode, atATime: 1, cores: 'two' }, []);
      samples.set({ setup, mode, atATime: 16, cores: 'two' }, []);
    }
  }
  for (const [mode, atATime, cores] of [
    ['persistent', 1, 'one'],
    ['persistent', 16, 'two'],
    ['temporary', 1, 'one'],
  ] as const) {
    for (const { setup } of crowded) crowdSamples.set({ setup, mode, atATime, cores }, []);
  }
  const all = [...samples, ...crowdSamples];
  for (const [one] of all) await measureAgain(one, 0.5);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [one, list] of all) list.push(await measureAgain(one, SECONDS));
  }
} finally {
  for (const { others } of crowded) await others.stop();
  for (const { server, proxy, memcached } of [...setups, ...crowded.map(({ setup }) => setup)]) {
    for (const process of [proxy, server, memcached]) await process?.stop();
  }
  rmSync(directory, { recursive: true });
}

/** The rows of the second table, each compared with the case of the same kind that has no crowd. */
function crowdRows(): string[] {
  let alone: readonly Sample[] = [];
  return [...crowdSamples].map(([one, list]) => {
    const found = crowded.find(({ setup }) => setup === one.setup);
    if (found === undefined) throw new Error('a case without its server');
    if (found.crowd === CROWDS[0]) alone = list;
    return crowdRow(found, one, list, alone);
  });
}

const report = `# What an operation of distcache costs

Made by \`npm run build:test && node build/bench/distcache.js\` on ${new Date().toISOString().slice(0, 10)}: ${cpus().length} cores, ${cpus()[0]?.model.trim()}; Node ${process.version}.
Server and proxy have one core; the load and memcached (\`-t 1\`) the other, or the same: with one operation at a time only one process runs at any
time, and over two cores it is the machine's time to wake up the other core that is measured. ${ROUNDS} rounds of ${SECONDS} s in which the cases take turns, each with a load that is warm; medians. CPU is
user and system time as the kernel counts it, per operation. The operations are those of dc_test with its default sizes: as many of each kind, half of
them successes, sessions of 50 to 2100 bytes.

*persistent*: a connection for each operation that is under way. *temporary*: a new connection for each operation. *library*: \`DistcacheClient\`, one
connection for all. The last column has what the C pair did on a machine of this kind, with its own tester, in operations per second (and CPU of the
daemon for each), and the ratio. Where the load, which is in JavaScript and has one core, is at its limit, that limit is what is measured.

| sessions in | transport | way | connections | at a time | cores | op/s | spread | CPU µs (server + proxy + memcached) | C |
|---|---|---|---|---|---|---|---|---|---|
${[...samples].map(([one, list]) => row(one, list)).join('\n')}

## What those cost that are idle

Servers that are alike, one of them with nobody else, the others with idle connections, with sessions that nobody asks for, or both; embedded, direct, over
a unix socket, in the same rounds as the above. The ratios are medians of those in each round to the server with nobody else. The C server falls to a fiftieth.

| connections | at a time | cores | idle connections | sessions | op/s | to none | CPU µs | to none |
|---|---|---|---|---|---|---|---|---|
${crowdRows().join('\n')}
`;
console.log(report);
writeFileSync(join(root, 'bench', 'DISTCACHE.md'), report);
