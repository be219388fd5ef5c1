import { after, before, describe } from 'node:test';
import { EmbeddedStore } from '../../src/store/embedded.js';
import { Server } from '../../src/store/memcached/server.js';
import { openStore } from '../../src/store/open.js';
import { storeBehaviour } from '../behaviour/store.js';
import { type Memcached, startMemcached } from '../support/memcached.js';

/** The suite asks whether answers are right, not how soon they come, on a machine that has other things to do. */
const PATIENT = { timeoutMs: 10_000, connectTimeoutMs: 10_000 };

describe('whatever it keeps its items in,', { concurrency: true }, () => {
  storeBehaviour('the embedded store', async () => new EmbeddedStore());

  for (const unix of [false, true]) {
    describe(unix ? 'over a unix socket,' : 'over TCP,', () => {
      let memcached: Memcached;
      before(async () => {
        memcached = await startMemcached({ unix });
      });
      after(() => memcached.stop());
      storeBehaviour('a memcached', async () => new Server(memcached.address, PATIENT));
    });
  }

  for (const failover of ['miss', 'next'] as const) {
    describe(`with failover "${failover}",`, () => {
      let memcacheds: readonly Memcached[];
      before(async () => {
        memcacheds = await Promise.all([startMemcached(), startMemcached({ unix: true }), startMemcached()]);
      });
      after(() => Promise.all(memcacheds.map((memcached) => memcached.stop())));
      storeBehaviour('a pool of three memcacheds', async () =>
        openStore({ memcached: { ...PATIENT, servers: memcacheds, failover } }),
      );
    });
  }
});
