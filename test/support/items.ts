import assert from 'node:assert/strict';
import { type Memcached, rawCommand } from './memcached.js';

/** The value under `key` in memcached, as a byte string. Fails when there is none. */
export async function readItem({ address }: Memcached, key: string): Promise<string> {
  const reply = await rawCommand(address, `get ${key}\r\n`);
  const [, length, value = ''] = /^VALUE \S+ \d+ (\d+)\r\n(.*)\r\nEND\r\n$/s.exec(reply) ?? [];
  assert.equal(value.length, Number(length), `${key}: ${reply.slice(0, 100)}`);
  return value;
}

/** Puts a byte string there, for a minute. */
export async function writeItem({ address }: Memcached, key: string, value: string): Promise<void> {
  const reply = await rawCommand(address, `set ${key} 0 60 ${value.length}\r\n${value}\r\n`);
  assert.equal(reply, 'STORED\r\n');
}

/** The keys of the segments that the entry of `url` has, in order. */
export async function segmentKeys(memcached: Memcached, url: string): Promise<string[]> {
  const entry = await readItem(memcached, url);
  const [, id, bytes, each] = / seg=([0-9a-f]{32})\/(\d+)\/(\d+) /.exec(entry) ?? [];
  assert.ok(id !== undefined, entry.slice(0, 300));
  return Array.from({ length: Math.ceil(Number(bytes) / Number(each)) }, (_, n) => `lookaside:s:${id}:${n}`);
}
