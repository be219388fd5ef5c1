import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { openStore } from '../../src/store/open.js';
import type { Store } from '../../src/store/store.js';
import { Seal } from '../../src/tls/seal.js';
import { sessionFacts } from '../../src/tls/session-der.js';
import { rawCommand } from '../support/memcached.js';
import {
  type FleetServer,
  nodeClient,
  opensslClient,
  SECRET,
  sessionIn,
  startFleet,
  type TestFleet,
  temporaryDirectory,
} from './fleet.js';

let fleet: TestFleet;
let store: Store;
let a: FleetServer;
let b: FleetServer;

before(async () => {
  fleet = await startFleet();
  store = openStore({ memcached: { servers: [{ address: fleet.memcached.address }] } });
  [a, b] = await fleet.pair();
});

after(async () => {
  await store.close();
  await fleet.stop();
});

/** All that lies in memcached, by key. */
async function contents(): Promise<Map<string, Buffer>> {
  const dump = await rawCommand(fleet.memcached.address, 'lru_crawler metadump all\r\n');
  const keys = [...dump.matchAll(/^key=(\S+)/gm)].map(([, key = '']) => decodeURIComponent(key));
  return new Map([...(await store.getMany(keys))].map(([key, { value }]) => [key, value]));
}

/** A session of TLS 1.2 that `server` did not put into a ticket, as openssl keeps it. */
interface Kept {
  readonly file: string;
  readonly der: Buffer;
  readonly id: Buffer;
}

const ARGS = ['-tls1_2', '-no_ticket'];
const directory = temporaryDirectory();
let files = 0;

async function keptBy(server: FleetServer): Promise<Kept> {
  const file = join(directory, `${++files}.pem`);
  await opensslClient(server.port, ARGS, file);
  const der = sessionIn(file);
  const id = sessionFacts(der)?.id;
  assert.equal(id?.length, 32);
  return { file, der, id };
}

/** The fifth element of SSL_SESSION, 48 bytes, behind the id. */
function masterSecretOf({ der, id }: Kept): Buffer {
  const start = der.indexOf(id) + id.length;
  assert.deepEqual([der[start], der[start + 1]], [0x04, 48]);
  return der.subarray(start + 2, start + 50);
}

function keyOf({ id }: Kept, fleetName = 'default'): string {
  return new Seal([SECRET], fleetName).storeKey('session', id);
}

async function isResumed({ file }: Kept, server = b): Promise<boolean> {
  return (await opensslClient(server.port, [...ARGS, '-sess_in', file])).isReused;
}

test('nothing in memcached tells a session id, a master secret or a ticket key', async () => {
  for (const encoding of ['binary', 'json'] as const) {
    const server = await fleet.one({ options: { secrets: [SECRET], fleet: encoding, sessions: { encoding } } });
    const session = await keptBy(server);
    const everything = await contents();
    const key = keyOf(session, encoding);
    assert.ok(everything.has(key), `${[...everything.keys()]} without ${key}`);
    const ticketKeyName = Buffer.from(String(await server.ask('key-name')), 'hex');
    assert.equal(ticketKeyName.length, 16);
    for (const secret of [session.id, masterSecretOf(session), ticketKeyName]) {
      for (const form of ['latin1', 'hex', 'base64', 'base64url'] as const) {
        const text = secret.toString(form);
        for (const [name, value] of everything) {
          assert.ok(
            !name.includes(text) && !value.toString('latin1').includes(text),
            `${name} tells a secret in ${form}`,
          );
        }
      }
    }
  }
});

test('without a seal the master secret does lie there: the search above would find it', async () => {
  const options = { secrets: [SECRET], fleet: 'open', sessions: { sealed: false } };
  const [from, to] = await fleet.pair({ options });
  const session = await keptBy(from);
  const secret = masterSecretOf(session);
  assert.ok([...(await contents()).values()].some((value) => value.includes(secret)));
  assert.equal(await isResumed(session, to), true);
});

test('a flipped bit, wherever it is, makes a full session', async () => {
  const session = await keptBy(a);
  const key = keyOf(session);
  const value = Buffer.from((await store.get(key))?.value ?? '');
  assert.equal(await isResumed(session), true);
  const rejected = (await b.counts()).sessions_rejected_total ?? 0;
  const places = [0, 4, 5, 16, 17, value.length >> 1, value.length - 17, value.length - 16, value.length - 1];
  for (const place of places) {
    const damaged = Buffer.from(value);
    damaged[place] = (damaged[place] ?? 0) ^ 0x10;
    await store.set(key, damaged);
    assert.equal(await isResumed(session), false, `byte ${place}`);
  }
  assert.equal((await b.counts()).sessions_rejected_total, rejected + places.length);
  for (const short of [value.subarray(0, 32), value.subarray(0, -1), Buffer.alloc(0), Buffer.alloc(20_000, 1)]) {
    await store.set(key, short);
    assert.equal(await isResumed(session), false, `${short.length} bytes`);
  }
  await store.set(key, value);
  assert.equal(await isResumed(session), true);
});

test('a value that lies under another id, or in another fleet, makes a full session', async () => {
  const [one, two] = [await keptBy(a), await keptBy(a)];
  const value = Buffer.from((await store.get(keyOf(one)))?.value ?? '');
  await store.set(keyOf(two), value);
  assert.equal(await isResumed(two), false);
  assert.equal(await isResumed(one), true);

  const other = await fleet.one({ options: { secrets: [SECRET], fleet: 'other' } });
  await store.set(keyOf(one, 'other'), value);
  assert.equal(await isResumed(one, other), false);
  assert.equal((await other.counts()).sessions_rejected_total, 1);
});

test('a session that is over, or was kept for another protocol, is not offered', async () => {
  const options = { secrets: [SECRET], fleet: 'brief', sessions: { timeoutSeconds: 1 } };
  const server = await fleet.one({ options });
  const session = await keptBy(server);
  const key = keyOf(session, 'brief');
  const item = await store.get(key);
  assert.ok((item?.ttlSeconds ?? Number.NaN) <= 1);
  const value = Buffer.from(item?.value ?? '');
  await new Promise((resolve) => setTimeout(resolve, 1_100));
  // as if memcached had kept it for too long
  await store.set(key, value);
  assert.equal(await isResumed(session, server), false);
  assert.equal((await server.counts()).sessions_rejected_total, 0);
  assert.equal((await server.counts()).sessions_misses_total, 1);
});

test('what is planted as the ticket key of the fleet is replaced', async () => {
  const options = { secrets: [SECRET], fleet: 'planted' };
  const before = new Set((await contents()).keys());
  await fleet.one({ options });
  const [key] = [...(await contents()).keys()].filter((name) => name.includes('ticket-key') && !before.has(name));
  assert.ok(key !== undefined);
  for (const planted of ['x', 'planted, and about as long as a sealed key would be, which has 81 bytes: 48 and 33.']) {
    await store.set(key, Buffer.from(planted));
    const [one, other] = await fleet.pair({ options });
    const counts = await Promise.all([one.counts(), other.counts()]);
    assert.ok(counts.some(({ ticket_keys_rejected_total }) => (ticket_keys_rejected_total ?? 0) > 0));
    assert.deepEqual(
      counts.map(({ ticket_keys_local }) => ticket_keys_local),
      [0, 0],
    );
    const { session } = await nodeClient(one.port);
    assert.equal((await nodeClient(other.port, { session })).isReused, true);
  }
});
