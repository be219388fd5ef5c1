import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { ringIsSupported } from '../../src/tls/ring-probe.js';
import { type FleetServer, nodeClient, SECRET, startFleet, type TestFleet, TLS_1_2 } from './fleet.js';

const ROTATE_SECONDS = 3;

/** A little into a period: the servers have turned to its key. */
const SETTLED_MS = 400;

let fleet: TestFleet;

before(async () => {
  fleet = await startFleet();
});

after(() => fleet.stop());

function epoch(): number {
  return Math.floor(Date.now() / 1000 / ROTATE_SECONDS);
}

async function untilEpoch(wanted: number): Promise<void> {
  await delay(Math.max(0, wanted * ROTATE_SECONDS * 1000 + SETTLED_MS - Date.now()));
}

async function keyNames(servers: readonly FleetServer[]): Promise<unknown[]> {
  return Promise.all(servers.map((server) => server.ask('key-name')));
}

test('a ring of keys works in this Node: if not, say so in the README and remove this test', async () => {
  assert.equal(await ringIsSupported(), true);
});

describe('ticket keys', { concurrency: true }, () => {
  test('six servers that start at once agree on one key, and on the next; tickets live through one change of keys', async () => {
    const options = { secrets: [SECRET], rotateSeconds: ROTATE_SECONDS };
    const servers = await Promise.all(Array.from({ length: 6 }, () => fleet.one({ options })));
    const [a, b] = servers as [FleetServer, FleetServer];

    const start = epoch() + 1;
    await untilEpoch(start);
    const names = await keyNames(servers);
    assert.equal(new Set(names).size, 1, `keys: ${names}`);

    const first = await Promise.all([nodeClient(a.port), nodeClient(a.port, TLS_1_2)]);
    assert.equal(epoch(), start, 'this machine is too slow for this test');

    await untilEpoch(start + 1);
    const next = await keyNames(servers);
    assert.equal(new Set(next).size, 1, `keys: ${next}`);
    assert.notEqual(next[0], names[0]);
    const [tls13, tls12] = first;
    const second = await Promise.all([
      nodeClient(b.port, { session: tls13.session }),
      nodeClient(b.port, { ...TLS_1_2, session: tls12.session }),
    ]);
    assert.deepEqual(
      second.map(({ isReused }) => isReused),
      [true, true],
    );
    assert.equal((await b.counts()).tickets_previous_total, 2);

    await untilEpoch(start + 2);
    const [renewed13, renewed12] = second;
    const third = await Promise.all([
      nodeClient(a.port, { session: tls13.session }),
      nodeClient(a.port, { ...TLS_1_2, session: tls12.session }),
      nodeClient(a.port, { session: renewed13.session }),
      nodeClient(a.port, { ...TLS_1_2, session: renewed12.session }),
    ]);
    assert.deepEqual(
      third.map(({ isReused }) => isReused),
      [false, false, true, true],
    );
    assert.deepEqual(
      third.map(({ protocol }) => protocol),
      ['TLSv1.3', 'TLSv1.2', 'TLSv1.3', 'TLSv1.2'],
    );
  });

  test('a server that can have one key only resumes with the others, and says what it can not', async () => {
    const options = { secrets: [SECRET], fleet: 'mixed' };
    const [one, many] = await fleet.pair({ options, mode: 'one-key' }, { options });
    assert.match(one.warnings.join(), /one ticket key only/);
    assert.deepEqual(many.warnings, []);
    assert.equal((await one.counts()).ticket_keys_ring, 0);
    for (const [from, to] of [
      [one, many],
      [many, one],
    ] as const) {
      for (const client of [{}, TLS_1_2]) {
        const { session } = await nodeClient(from.port, client);
        assert.equal((await nodeClient(to.port, { ...client, session })).isReused, true);
      }
    }
  });

  test('a server that joins opens the tickets of the period before', async () => {
    const options = { secrets: [SECRET], fleet: 'joined', rotateSeconds: ROTATE_SECONDS };
    const old = await fleet.one({ options });
    const { session } = await nodeClient(old.port);
    const issued = epoch();
    await untilEpoch(issued + 1);
    const joined = await fleet.one({ options });
    assert.equal((await nodeClient(joined.port, { session })).isReused, true);
  });
});
