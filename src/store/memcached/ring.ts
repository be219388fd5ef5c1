import { hash } from 'node:crypto';
import type { Address } from './address.js';
import { DEFAULT_PORT } from './address.js';

/**
 * Which server keeps a key, in the three ways of libmemcached, so that every client of a fleet agrees about it.
 *
 * Facts from libmemcached's `hosts.cc` (`update_continuum`) and `hash.cc` (`dispatch_host`), and from what the library
 * answers: `test/fixtures/ketama` was made by it.
 *
 * | kind | points | hash |
 * |---|---|---|
 * | `ketama` | 40 × 4 a server, shared out by weight | MD5 |
 * | `ketama-unweighted` | 100 a server | Jenkins's one-at-a-time |
 * | `modula` | none: hash modulo number of servers | Jenkins's one-at-a-time |
 */
export const RING_KINDS = ['ketama', 'ketama-unweighted', 'modula'] as const;
export type RingKind = (typeof RING_KINDS)[number];

export interface Ring {
  /** Index of the server that keeps `key`. */
  at(key: string): number;
  /** Every server once, as they follow one another on the ring from `key` on; the first is `at(key)`. */
  from(key: string): Iterable<number>;
}

export interface RingServer {
  /** See {@link ringName}. */
  readonly name: string;
  /** Share of the keys in relation to the other servers: a positive integer. Only `ketama` knows weights. */
  readonly weight: number;
}

/**
 * The name libmemcached hashes a server under: the host as configured, without brackets, and the port when it is not
 * memcached's own. A unix socket is its path with the port 0.
 */
export function ringName(address: Address): string {
  if (address.kind === 'unix') return `${address.path}:0`;
  return address.port === DEFAULT_PORT ? address.host : `${address.host}:${address.port}`;
}

/** Throws when there are no servers, or weights that the ring can not keep. */
export function buildRing(servers: readonly RingServer[], kind: RingKind): Ring {
  if (servers.length === 0) throw new Error('a ring needs at least one server');
  for (const { name, weight } of servers) checkWeight(name, weight, kind);
  if (kind === 'modula') return new Modula(servers.length);
  return kind === 'ketama'
    ? new Continuum(weightedPoints(servers), ketamaHash)
    : new Continuum(evenPoints(servers), oneAtATime);
}

function checkWeight(name: string, weight: number, kind: RingKind): void {
  if (!Number.isSafeInteger(weight) || weight < 1) throw new Error(`the weight of ${name} is not a positive integer`);
  if (kind !== 'ketama' && weight !== 1)
    throw new Error(`${name} has a weight, which the ring "${kind}" does not know`);
}

interface Point {
  readonly value: number;
  readonly server: number;
}

/** Servers own the arcs that end in their points; a key belongs to the first point at or after its hash. */
class Continuum implements Ring {
  readonly #hash: (key: string) => number;
  /** Ascending; `#owners` runs parallel to it. */
  readonly #values: Uint32Array;
  readonly #owners: Uint16Array;

  constructor(points: Point[], hash: (key: string) => number) {
    points.sort((a, b) => a.value - b.value);
    this.#hash = hash;
    this.#values = Uint32Array.from(points, (point) => point.value);
    this.#owners = Uint16Array.from(points, (point) => point.server);
  }

  at(key: string): number {
    return this.#owners[this.#pointOf(key)] ?? 0;
  }

  *from(key: string): Generator<number> {
    const seen = new Set<number>();
    const first = this.#pointOf(key);
    for (let i = 0; i < this.#owners.length; i++) {
      const server = this.#owners[(first + i) % this.#owners.length] ?? 0;
      if (seen.has(server)) continue;
      seen.add(server);
      yield server;
    }
  }

  #pointOf(key: string): number {
    const value = this.#hash(key);
    let low = 0;
    let high = this.#values.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#values[middle] ?? 0) < value) low = middle + 1;
      else high = middle;
    }
    return low === this.#values.length ? 0 : low;
  }
}

class Modula implements Ring {
  readonly #servers: number;

  constructor(servers: number) {
    this.#servers = servers;
  }

  at(key: string): number {
    return oneAtATime(key) % this.#servers;
  }

  *from(key: string): Generator<number> {
    const first = this.at(key);
    for (let i = 0; i < this.#servers; i++) yield (first + i) % this.#servers;
  }
}

const MD5S_PER_SERVER = 40;
const POINTS_PER_MD5 = 4;
const POINTS_PER_UNWEIGHTED_SERVER = 100;

/** A server whose share is below one MD5 gets no points, and no keys: so it is in libmemcached. */
function weightedPoints(servers: readonly RingServer[]): Point[] {
  const total = servers.reduce((sum, { weight }) => sum + weight, 0);
  return servers.flatMap(({ name, weight }, server) =>
    Array.from({ length: md5Count(weight, total, servers.length) }, (_, i) =>
      hash('md5', `${name}-${i}`, 'buffer'),
    ).flatMap((digest) => [0, 4, 8, 12].map((offset) => ({ value: digest.readUInt32LE(offset), server }))),
  );
}

/** libmemcached computes in 32-bit floats, and in this order: near a whole number it decides about a point. */
function md5Count(weight: number, total: number, servers: number): number {
  const share = Math.fround(Math.fround(weight) / Math.fround(total));
  const scaled = Math.fround(Math.fround(share * MD5S_PER_SERVER * POINTS_PER_MD5) / POINTS_PER_MD5);
  return Math.floor(Math.fround(Math.fround(scaled * servers) + Math.fround(1e-10)));
}

function evenPoints(servers: readonly RingServer[]): Point[] {
  return servers.flatMap(({ name }, server) =>
    Array.from({ length: POINTS_PER_UNWEIGHTED_SERVER }, (_, i) => ({ value: oneAtATime(`${name}-${i}`), server })),
  );
}

function ketamaHash(key: string): number {
  return hash('md5', key, 'buffer').readUInt32LE(0);
}

/** Bob Jenkins's one-at-a-time hash of a byte string: libmemcached's default. */
function oneAtATime(text: string): number {
  let value = 0;
  for (let i = 0; i < text.length; i++) {
    value = (value + text.charCodeAt(i)) | 0;
    value = (value + (value << 10)) | 0;
    value ^= value >>> 6;
  }
  value = (value + (value << 3)) | 0;
  value ^= value >>> 11;
  return (value + (value << 15)) >>> 0;
}
