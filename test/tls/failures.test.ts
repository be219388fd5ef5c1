import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import {
  eventually,
  type FleetServer,
  NO_TICKETS,
  nodeClient,
  SECRET,
  startFleet,
  type TestFleet,
  TLS_1_2,
} from './fleet.js';

/** A handshake may be held up twice for 50 ms; a loaded machine needs more. Without a bound it would be 120 s. */
const BOUND_MS = 2_000;

/** So that servers ask often. */
const ROTATE_SECONDS = 4;

async function resumes(from: FleetServer, to: FleetServer, client: object): Promise<boolean> {
  const { session } = await nodeClient(from.port, client);
  return (await nodeClient(to.port, { ...client, session })).isReused;
}

for (const [what, fail, recover] of [
  [
    'stopped',
    async (fleet: TestFleet) => fleet.memcached.pause(),
    async (fleet: TestFleet) => fleet.memcached.resume(),
  ],
  ['killed', (fleet: TestFleet) => fleet.memcached.kill(), (fleet: TestFleet) => fleet.memcached.restart()],
] as const) {
  describe(`memcached is ${what}`, () => {
    let fleet: TestFleet;
    let a: FleetServer;
    let b: FleetServer;

    before(async () => {
      fleet = await startFleet();
      [a, b] = await fleet.pair({ options: { secrets: [SECRET], rotateSeconds: ROTATE_SECONDS } });
    });

    after(() => fleet.stop());

    test('handshakes are completed in full and in time, tickets are resumed, and all is well when it is back', async () => {
      assert.equal(await resumes(a, b, NO_TICKETS), true);
      const stored = await nodeClient(a.port, NO_TICKETS);
      await fail(fleet);
      for (let i = 0; i < 5; i++) {
        const handshake = await nodeClient(b.port, { ...NO_TICKETS, session: stored.session });
        assert.equal(handshake.isReused, false);
        assert.ok(handshake.milliseconds < BOUND_MS, `${handshake.milliseconds} ms`);
      }
      assert.ok(((await b.counts()).sessions_errors_total ?? 0) > 0);
      assert.equal(await resumes(a, a, {}), true);
      await recover(fleet);
      await eventually('sessions are stored again', () => resumes(a, b, NO_TICKETS));
      await eventually('tickets are shared again', () => resumes(a, b, {}));
    });
  });
}

describe('memcached is away when the servers start', () => {
  let fleet: TestFleet;

  before(async () => {
    fleet = await startFleet();
  });

  after(() => fleet.stop());

  test('they start with keys of their own, loudly, and share them when it comes', async () => {
    await fleet.memcached.kill();
    const recipe = { options: { secrets: [SECRET], rotateSeconds: ROTATE_SECONDS } };
    const [a, b] = await Promise.all([fleet.alone(recipe), fleet.alone(recipe)]);
    for (const server of [a, b]) {
      assert.match(server.warnings.join(), /no ticket key of the fleet can be had/);
      assert.equal((await server.counts()).ticket_keys_local, 1);
      assert.equal(await resumes(server, server, {}), true);
      assert.equal(await resumes(server, server, NO_TICKETS), false);
    }
    assert.equal(await resumes(a, b, TLS_1_2), false);
    const own = await nodeClient(a.port);
    await fleet.memcached.restart();
    await eventually('both have a key of the fleet', async () => {
      const counts = await Promise.all([a.counts(), b.counts()]);
      return counts.every(({ ticket_keys_local }) => ticket_keys_local === 0);
    });
    await eventually('tickets are shared', () => resumes(a, b, {}));
    await eventually('sessions are shared', () => resumes(a, b, NO_TICKETS));
    assert.equal((await nodeClient(a.port, { session: own.session })).protocol, 'TLSv1.3');
  });
});
