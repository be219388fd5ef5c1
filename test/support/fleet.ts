import { type Served, startLookaside } from './lookaside.js';
import { type Memcached, type MemcachedOptions, startMemcached } from './memcached.js';

export interface FleetOptions {
  /** Where the proxies fetch from. */
  readonly upstream: string;
  /** How many there are. Default 1. */
  readonly processes?: number;
  /** Options of `memcached.cache`, without its chain. */
  readonly cache?: { readonly [name: string]: unknown };
  /** Options of `memcached`, without the servers. */
  readonly store?: { readonly [name: string]: unknown };
  /** Options of `proxy`, without the upstream. */
  readonly proxy?: { readonly [name: string]: unknown };
  readonly memcached?: MemcachedOptions;
}

/** Processes of `lookaside serve` that share what they store in one memcached. */
export interface Fleet {
  readonly memcached: Memcached;
  readonly processes: readonly Served[];
  /** Where each of them is. */
  readonly urls: readonly string[];
  stop(): Promise<void>;
}

/** A machine that is busy with other tests must not pass for a memcached that fails. */
const PATIENT = { timeout: '3s' };

export async function startFleet(options: FleetOptions): Promise<Fleet> {
  const memcached = await startMemcached(options.memcached);
  const config = JSON.stringify({
    listen: '127.0.0.1:0',
    log: { level: 'warn' },
    memcached: { servers: [memcached.server], ...PATIENT, ...options.store },
    actions: [
      { 'memcached.cache': { ...options.cache, chain: [{ proxy: { upstream: options.upstream, ...options.proxy } }] } },
    ],
  });
  const starting = Array.from({ length: options.processes ?? 1 }, () => startLookaside({ config }));
  const processes = await Promise.all(starting).catch(async (error) => {
    await memcached.stop();
    throw error;
  });
  return {
    memcached,
    processes,
    urls: processes.map(({ url }) => url),
    async stop() {
      await Promise.all(processes.map((process) => process.stop()));
      await memcached.stop();
    },
  };
}
