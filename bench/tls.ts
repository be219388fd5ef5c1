/**
 * `npm run build:test && node build/bench/tls.js`: what a handshake costs a server, full and resumed, by what it shares with
 * its fleet and how. Writes TLS.md.
 *
 * All the cases take turns in every round, so that a noisy neighbour hits all of them; medians are what counts.
 */
import { execFileSync } from 'node:child_process';
import { constants } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { cpuMicroseconds, LOAD_CORE, type Pinned, pinned, SERVER_CORE } from './process.js';

const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 5);
const SECONDS = Number(process.env.BENCH_SECONDS ?? 0.6);

/** How long each server is warmed up, whatever it has for cases: V8 compiles what it has seen often enough. */
const WARM_SECONDS = 2;

/** Connections at a time: enough to keep the server busy. */
const AT_A_TIME = 16;

/** A lookup that the machine was too busy for makes a full handshake: more of those would be another measurement. */
const MAX_FAILED_SHARE = 0.02;

const built = (path: string) => fileURLToPath(new URL(path, import.meta.url));

const KEYS = {
  'RSA-2048': ['-newkey', 'rsa:2048'],
  'ECDSA P-256': ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'],
} as const;
type KeyType = keyof typeof KEYS;

/** How clients connect. */
const CLIENTS = {
  '1.2 by session id': { maxVersion: 'TLSv1.2', secureOptions: constants.SSL_OP_NO_TICKET },
  '1.2 by ticket': { maxVersion: 'TLSv1.2' },
  '1.3': { minVersion: 'TLSv1.3' },
} as const satisfies Record<string, ConnectionOptions>;
type Client = keyof typeof CLIENTS;

const SHARINGS = {
  node: 'Node by itself',
  map: 'sessions in a map of the process',
  fleet: 'shared through memcached',
  down: 'shared, memcached down',
} as const;
type Sharing = keyof typeof SHARINGS;

type Way = 'full' | 'resumed';

/** What is measured of each server. */
const CASES: Readonly<Record<Sharing, readonly (readonly [Way, Client])[]>> = {
  node: [
    ['full', '1.2 by session id'],
    ['full', '1.3'],
    ['resumed', '1.2 by ticket'],
    ['resumed', '1.3'],
  ],
  map: [
    ['full', '1.2 by session id'],
    ['resumed', '1.2 by session id'],
  ],
  fleet: [
    ['full', '1.2 by session id'],
    ['full', '1.3'],
    ['resumed', '1.2 by session id'],
    ['resumed', '1.2 by ticket'],
    ['resumed', '1.3'],
  ],
  down: [
    ['full', '1.2 by session id'],
    ['full', '1.3'],
  ],
};

/** What a case may cost at most, as a multiple of another one. */
interface Target {
  readonly claim: string;
  readonly of: readonly [Sharing, Way, Client];
  readonly against: readonly [Sharing, Way, Client];
  /** Left out: for comparison. */
  readonly atMost?: number;
  readonly onlyFor?: KeyType;
}

const TARGETS: readonly Target[] = [
  ...(['1.2 by ticket', '1.3'] as const).map((client) => ({
    claim: `tickets of the fleet against Node's own, ${client}`,
    of: ['fleet', 'resumed', client] as const,
    against: ['node', 'resumed', client] as const,
    atMost: 1.05,
  })),
  {
    claim: 'session ids through memcached against a map of the process',
    of: ['fleet', 'resumed', '1.2 by session id'],
    against: ['map', 'resumed', '1.2 by session id'],
    atMost: 1.2,
  },
  ...(['1.2 by session id', '1.3'] as const).map((client) => ({
    claim: `resumed against full, ${client}`,
    of: ['fleet', 'resumed', client] as const,
    against: ['fleet', 'full', client] as const,
    atMost: 0.5,
    onlyFor: 'RSA-2048' as const,
  })),
  {
    claim: 'the same of Node by itself, 1.3',
    of: ['node', 'resumed', '1.3'],
    against: ['node', 'full', '1.3'],
    onlyFor: 'RSA-2048',
  },
  {
    claim: 'full with memcached down against Node by itself, 1.3',
    of: ['down', 'full', '1.3'],
    against: ['node', 'full', '1.3'],
    atMost: 1.05,
  },
  {
    // what any store costs is the events with which Node offers it sessions
    claim: 'full with memcached down against a map of the process, 1.2 by session id',
    of: ['down', 'full', '1.2 by session id'],
    against: ['map', 'full', '1.2 by session id'],
    atMost: 1.05,
  },
];

interface Running {
  readonly keyType: KeyType;
  readonly sharing: Sharing;
  readonly server: Pinned;
  readonly port: number;
}

interface Sample {
  readonly perSecond: number;
  /** CPU a handshake took, in µs: of the server, and of memcached. */
  readonly server: number;
  readonly memcached: number;
}

const directory = mkdtempSync(join(tmpdir(), 'lookaside-bench-'));
const running: Pinned[] = [];
// the load is this process
execFileSync('taskset', ['-cp', String(LOAD_CORE), String(process.pid)]);
try {
  const port = await freePort();
  const args = ['-u', 'nobody', '-l', '127.0.0.1', '-p', String(port), '-U', '0', '-t', '1'];
  const memcached = await pinned(LOAD_CORE, 'memcached', args, { waitForLine: false });
  running.push(memcached);
  const servers = await startServers(`127.0.0.1:${port}`);
  const samples = await measure(servers, memcached);
  const report = described(samples);
  writeFileSync(built('../../bench/TLS.md'), report);
  console.log(report);
} finally {
  for (const one of running) await one.stop();
  rmSync(directory, { recursive: true, force: true });
}

async function startServers(memcached: string): Promise<Running[]> {
  const nowhere = `127.0.0.1:${await freePort()}`;
  const servers: Running[] = [];
  for (const keyType of keysOf(KEYS)) {
    const [key, cert] = [join(directory, `${keyType}.key`), join(directory, `${keyType}.pem`)];
    const files = ['-nodes', '-days', '2', '-keyout', key, '-out', cert, '-subj', '/CN=localhost'];
    execFileSync('openssl', ['req', '-x509', ...KEYS[keyType], ...files], { stdio: 'ignore' });
    for (const sharing of keysOf(SHARINGS)) {
      const kind = sharing === 'down' ? ['fleet', key, cert, nowhere] : [sharing, key, cert, memcached];
      const server = await pinned(SERVER_CORE, process.execPath, [built('servers/tls.js'), ...kind]);
      running.push(server);
      servers.push({ keyType, sharing, server, port: Number(server.ready) });
    }
  }
  return servers;
}

async function measure(servers: readonly Running[], memcached: Pinned): Promise<Map<string, Sample[]>> {
  const samples = new Map<string, Sample[]>();
  for (const running of servers) {
    const cases = CASES[running.sharing];
    for (const [way, client] of cases) await load(running, way, client, memcached, WARM_SECONDS / cases.length);
  }
  for (let round = 1; round <= ROUNDS; round++) {
    for (const running of servers) {
      for (const [way, client] of CASES[running.sharing]) {
        const sample = await load(running, way, client, memcached, SECONDS);
        const name = nameOf(running.keyType, [running.sharing, way, client]);
        samples.set(name, [...(samples.get(name) ?? []), sample]);
      }
    }
    console.error(`round ${round} of ${ROUNDS}`);
  }
  return samples;
}

async function load(
  { server, port }: Running,
  way: Way,
  client: Client,
  memcached: Pinned,
  forSeconds: number,
): Promise<Sample> {
  const options = { port, host: '127.0.0.1', rejectUnauthorized: false, ...CLIENTS[client] };
  const sessions =
    way === 'full' ? [] : await Promise.all(Array.from({ length: AT_A_TIME }, () => newSession(options)));
  const before = [cpuMicroseconds(server.pid), cpuMicroseconds(memcached.pid)] as const;
  const begun = performance.now();
  const end = begun + forSeconds * 1000;
  let count = 0;
  let failed = 0;
  const one = async (_: unknown, index: number) => {
    const session = sessions[index];
    for (; performance.now() < end; count++) {
      const isReused = await handshake(session === undefined ? options : { ...options, session });
      if (isReused !== (way === 'resumed')) failed++;
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, one));
  if (failed > count * MAX_FAILED_SHARE)
    throw new Error(`${failed} of ${count} handshakes by ${client} are not ${way}`);
  const seconds = (performance.now() - begun) / 1000;
  return {
    perSecond: count / seconds,
    server: (cpuMicroseconds(server.pid) - before[0]) / count,
    memcached: (cpuMicroseconds(memcached.pid) - before[1]) / count,
  };
}

/** A handshake, and the end of its connection; whether it resumed a session. */
async function handshake(options: ConnectionOptions): Promise<boolean> {
  const socket = connect(options);
  await once(socket, 'secureConnect');
  const isReused = socket.isSessionReused();
  await ended(socket);
  return isReused;
}

async function newSession(options: ConnectionOptions): Promise<Buffer> {
  const socket = connect(options);
  const [session] = await once(socket, 'session');
  await ended(socket);
  return session;
}

async function ended(socket: TLSSocket): Promise<void> {
  socket.resume().end();
  await once(socket, 'close');
}

function described(samples: ReadonlyMap<string, readonly Sample[]>): string {
  const numbers = (keyType: KeyType, of: Target['of'], field: keyof Sample) =>
    (samples.get(nameOf(keyType, of)) ?? []).map((sample) => sample[field]).sort((a, b) => a - b);
  const rows = keysOf(KEYS).flatMap((keyType) =>
    keysOf(SHARINGS).flatMap((sharing) =>
      CASES[sharing].map(([way, client]) => {
        const of = [sharing, way, client] as const;
        const cpu = numbers(keyType, of, 'server');
        const spread = `${cpu.at(0)?.toFixed(0)}–${cpu.at(-1)?.toFixed(0)}`;
        const [perSecond, memcached] = [
          median(numbers(keyType, of, 'perSecond')),
          median(numbers(keyType, of, 'memcached')),
        ];
        const cells = [keyType, way, client, SHARINGS[sharing], perSecond.toFixed(0), median(cpu).toFixed(0), spread];
        return `| ${[...cells, memcached.toFixed(0)].join(' | ')} |`;
      }),
    ),
  );
  const ratios = keysOf(KEYS).flatMap((keyType) =>
    TARGETS.filter(({ onlyFor }) => onlyFor === undefined || onlyFor === keyType).map(
      ({ claim, of, against, atMost }) => {
        const [costs, others] = [numbers(keyType, of, 'server'), numbers(keyType, against, 'server')];
        const ratio = median(costs) / median(others);
        if (atMost === undefined) return `| ${keyType} | ${claim} | ${ratio.toFixed(2)} | | |`;
        const verdict = ratio <= atMost ? 'met' : '**not met**';
        return `| ${keyType} | ${claim} | ${ratio.toFixed(2)} | ${atMost.toFixed(2)} | ${verdict} |`;
      },
    ),
  );
  const [{ model = 'unknown CPU' } = {}] = cpus();
  return `# What a TLS handshake costs

Made by \`npm run build:test && node build/bench/tls.js\` on ${new Date().toISOString().slice(0, 10)}: ${cpus().length} cores, ${model.trim()}; Node ${process.version}.
The server (node:https) has one core, the clients (${AT_A_TIME} at a time, in JavaScript) and memcached the other. ${ROUNDS} rounds of ${SECONDS} s in which the
cases take turns; medians. CPU is user and system time as the kernel counts it, per handshake, with all that making and ending a connection takes; it
is what counts, as the clients are at their limit before the server is. When a session in a ticket is resumed, servers of a fleet give a new ticket (clients of
TLS 1.3 use each only once, RFC 8446 C.4); Node by itself gives none: so its figures are of less work.

| key | target: CPU of the server | ratio | at most | |
|---|---|---|---|---|
${ratios.join('\n')}

| key | handshake | client | server | per second | CPU µs | spread | memcached CPU µs |
|---|---|---|---|---|---|---|---|
${rows.join('\n')}
`;
}

function nameOf(keyType: KeyType, [sharing, way, client]: Target['of']): string {
  return `${keyType}, ${sharing}, ${way}, ${client}`;
}

function median(sorted: readonly number[]): number {
  const middle = sorted.length / 2;
  const [low = Number.NaN, high = low] = [sorted[Math.ceil(middle) - 1], sorted[Math.floor(middle)]];
  return (low + high) / 2;
}

function keysOf<Key extends string>(table: Readonly<Record<Key, unknown>>): Key[] {
  return Object.keys(table).filter((key): key is Key => key in table);
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
