import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Target } from './load.js';
import { LOAD_CORE, type Pinned, pinned, SERVER_CORE, which } from './process.js';

/** A server under test, started and warm. */
export interface Running extends Target {
  stop(): Promise<void>;
}

export interface Candidate {
  readonly name: string;
  /** Starts the server for bodies of `bytes`, answering from its cache (`hit`) or from the origin (`miss`). */
  start(bytes: number): Promise<Running>;
}

const MAIN = fileURLToPath(new URL('../src/cli/main.js', import.meta.url));
const server = (name: string) => fileURLToPath(new URL(`servers/${name}.js`, import.meta.url));

export const fastifyConstant: Candidate = {
  name: 'Fastify answering a constant',
  async start(bytes) {
    return running(await node(SERVER_CORE, server('constant'), String(bytes)));
  },
};

export const httpProxy: Candidate = {
  name: '@fastify/http-proxy alone',
  async start(bytes) {
    const origin = await startOrigin(bytes);
    return running(await node(SERVER_CORE, server('http-proxy'), origin.ready), [origin]);
  },
};

export const embedded: Candidate = {
  name: 'lookaside serve, embedded store',
  async start(bytes) {
    const origin = await startOrigin(bytes);
    return running(await serve('--upstream', origin.ready), [origin]);
  },
};

export const memcached: Candidate = {
  name: 'lookaside serve, memcached',
  async start(bytes) {
    const origin = await startOrigin(bytes);
    const daemon = await startMemcached();
    return running(await serve('--upstream', origin.ready, '--memcached', daemon.address), [origin], daemon);
  },
};

export const plugin: Candidate = {
  name: 'plugin, memcached: a hit of an ordinary route',
  async start(bytes) {
    const daemon = await startMemcached();
    return running(await node(SERVER_CORE, server('plugin'), String(bytes), daemon.address), [], daemon);
  },
};

export const nginx: Candidate = {
  name: 'nginx memcached_pass, keep-alive, large buffer',
  async start(bytes) {
    const daemon = await startMemcached();
    await put(daemon.port, '/', 'x'.repeat(bytes));
    const folder = mkdtempSync(join(tmpdir(), 'lookaside-bench-'));
    const port = await freePort();
    writeFileSync(join(folder, 'nginx.conf'), nginxConfig(folder, port, daemon.address));
    const args = ['-c', join(folder, 'nginx.conf'), '-e', join(folder, 'error.log')];
    const master = await pinned(SERVER_CORE, 'nginx', args, { waitForLine: false });
    const url = `http://127.0.0.1:${port}/`;
    await untilAnswers(url);
    const stop = async () => {
      await master.stop();
      await daemon.stop();
      rmSync(folder, { recursive: true });
    };
    return { url, serverPids: [master.pid], memcachedPid: daemon.pid, stop };
  },
};

export function nginxInstalled(): boolean {
  return which('nginx') !== undefined;
}

/** One process does it all, so that its CPU time is the server's. */
function nginxConfig(folder: string, port: number, upstream: string): string {
  return `
daemon off; master_process off; pid ${folder}/pid;
events { worker_connections 1024; }
http {
  access_log off; keepalive_requests 1000000000; client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi; uwsgi_temp_path ${folder}/uwsgi; scgi_temp_path ${folder}/scgi;
  upstream memcached { server ${upstream}; keepalive 64; }
  server {
    listen 127.0.0.1:${port};
    location / { set $memcached_key $uri; memcached_buffer_size 128k; memcached_pass memcached; default_type text/plain; }
  }
}`;
}

function node(core: number, script: string, ...args: string[]): Promise<Pinned> {
  return pinned(core, process.execPath, [script, ...args]);
}

/** `lookaside serve` with a ttl that outlasts the run and room for the bodies. */
async function serve(...args: string[]): Promise<Pinned> {
  const started = await node(SERVER_CORE, MAIN, 'serve', '--listen', '127.0.0.1:0', '--ttl', '1h', ...args);
  return { ...started, ready: started.ready.replace(/^.* on /, '') };
}

function startOrigin(bytes: number): Promise<Pinned> {
  return node(LOAD_CORE, server('origin'), String(bytes));
}

interface Daemon extends Pinned {
  readonly address: string;
  readonly port: number;
}

async function startMemcached(): Promise<Daemon> {
  const port = await freePort();
  const args = ['-u', 'nobody', '-l', '127.0.0.1', '-p', String(port), '-U', '0', '-t', '1', '-m', '256'];
  const daemon = await pinned(LOAD_CORE, 'memcached', args, { waitForLine: false });
  await untilListens(port);
  return { ...daemon, port, address: `127.0.0.1:${port}` };
}

async function running(main: Pinned, others: readonly Pinned[] = [], daemon?: Daemon): Promise<Running> {
  const url = `${main.ready}/`;
  await untilAnswers(url);
  return {
    url,
    serverPids: [main.pid],
    memcachedPid: daemon?.pid,
    async stop() {
      for (const one of [main, ...others, ...(daemon === undefined ? [] : [daemon])]) await one.stop();
    },
  };
}

async function put(port: number, key: string, value: string): Promise<void> {
  const command = `printf 'set %s 0 0 %d\\r\\n%s\\r\\nquit\\r\\n' "$1" \${#2} "$2" >/dev/tcp/127.0.0.1/$0`;
  execFileSync('bash', ['-c', command, String(port), key, value]);
}

async function untilAnswers(url: string): Promise<void> {
  await attempt(async () => {
    const response = await fetch(url);
    await response.arrayBuffer();
    if (response.status !== 200) throw new Error(`${url} answered ${response.status}`);
  });
}

async function untilListens(port: number): Promise<void> {
  await attempt(
    async () => void execFileSync('bash', ['-c', `exec 3<>/dev/tcp/127.0.0.1/${port}`], { stdio: 'ignore' }),
  );
}

const ATTEMPTS = 100;
const ATTEMPT_PAUSE_MS = 50;

async function attempt(action: () => Promise<void>): Promise<void> {
  for (let left = ATTEMPTS; ; left--) {
    try {
      return await action();
    } catch (error) {
      if (left === 0) throw error;
      await new Promise((resolve) => setTimeout(resolve, ATTEMPT_PAUSE_MS));
    }
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() =>
        typeof address === 'object' && address ? resolve(address.port) : reject(new Error('no port')),
      );
    });
  });
}
