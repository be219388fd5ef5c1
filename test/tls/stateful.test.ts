import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import {
  type FleetServer,
  NO_TICKETS,
  nodeClient,
  opensslClient,
  SECRET,
  startFleet,
  type TestFleet,
  temporaryDirectory,
} from './fleet.js';

const options = { secrets: [SECRET], statefulTls13: true };

let fleet: TestFleet;
let a: FleetServer;
let b: FleetServer;

before(async () => {
  fleet = await startFleet();
  [a, b] = await fleet.pair({ options });
});

after(() => fleet.stop());

test('a session of TLS 1.3 in the store is resumed once, by openssl', async () => {
  const session = join(temporaryDirectory(), 'session.pem');
  const first = await opensslClient(a.port, ['-tls1_3'], session);
  const second = await opensslClient(b.port, ['-tls1_3', '-sess_in', session]);
  const third = await opensslClient(a.port, ['-tls1_3', '-sess_in', session]);
  assert.deepEqual(
    [first, second, third].map(({ isReused }) => isReused),
    [false, true, false],
  );
  assert.match(second.text, new RegExp(`served by ${b.pid} resumed=true`));
});

test("Node's client is given a new session with each resumption", async () => {
  let { session } = await nodeClient(a.port);
  for (const server of [b, a, b]) {
    const next = await nodeClient(server.port, { session });
    assert.equal(next.isReused, true);
    assert.notEqual(next.session, undefined);
    session = next.session;
  }
});

test('of clients that race with one session, one resumes', async () => {
  const { session } = await nodeClient(a.port);
  const racers = Array.from({ length: 12 }, (_, i) => nodeClient(i % 2 === 0 ? a.port : b.port, { session }));
  const outcomes = await Promise.all(racers);
  assert.equal(outcomes.filter(({ isReused }) => isReused).length, 1);
  assert.ok(outcomes.every(({ protocol }) => protocol === 'TLSv1.3'));
});

test('sessions of TLS 1.2 are resumed as without it, more than once', async () => {
  const { session } = await nodeClient(a.port, NO_TICKETS);
  for (const server of [b, a]) assert.equal((await nodeClient(server.port, { ...NO_TICKETS, session })).isReused, true);
});

test('without the store handshakes are full', async () => {
  const { session } = await nodeClient(a.port);
  fleet.memcached.pause();
  try {
    assert.equal((await nodeClient(b.port, { session })).isReused, false);
  } finally {
    fleet.memcached.resume();
  }
});
