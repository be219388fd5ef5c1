import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect as connectSocket, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Address } from '../../../src/store/memcached/address.js';
import { Server, type ServerOptions, type StateChange } from '../../../src/store/memcached/server.js';
import { StoreError, type StoreErrorCode } from '../../../src/store/store.js';
import { storeBehaviour } from '../../behaviour/store.js';
import { hit, miss, startFakeMemcached } from '../../support/fake-memcached.js';
import { type Memcached, type MemcachedOptions, rawCommand, startMemcached } from '../../support/memcached.js';

const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** A real memcached for one test. */
async function memcached(options?: MemcachedOptions): Promise<Memcached> {
  const daemon = await startMemcached(options);
  cleanups.push(() => daemon.stop());
  return daemon;
}

function connect(address: Address, options?: Partial<ServerOptions>): Server {
  const server = new Server(address, options);
  cleanups.push(() => server.close());
  return server;
}

async function rejects(operation: Promise<unknown>, code: StoreErrorCode): Promise<StoreError> {
  const error = await operation.then(
    () => assert.fail(`resolved, but ${code} was expected`),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof StoreError, String(error));
  assert.equal(error.code, code, error.message);
  return error;
}

/** Milliseconds until `attempt` resolves to something true; asks again every few milliseconds. */
async function until(attempt: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  while (!(await attempt().catch(() => false))) {
    if (performance.now() - started > 10_000) assert.fail('it never happened');
    await delay(5);
  }
  return performance.now() - started;
}

/** How many connections memcached has been asked for, this question's own left out. */
async function connectionsMade(daemon: Memcached): Promise<number> {
  const stats = await rawCommand(daemon.address, 'stats\r\n');
  return Number(/STAT total_connections (\d+)/.exec(stats)?.[1]);
}

const VALUE = Buffer.from('value');

for (const unix of [false, true]) {
  const daemons: Memcached[] = [];
  storeBehaviour(`memcached over ${unix ? 'a unix socket' : 'TCP'}`, async () => {
    const daemon = await startMemcached({ unix });
    daemons.push(daemon);
    const server = new Server(daemon.address, { timeoutMs: 2000 });
    const close = server.close.bind(server);
    return Object.assign(server, { close: () => close().finally(() => daemon.stop()) });
  });
}
