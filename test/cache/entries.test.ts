import { after, before, describe } from 'node:test';
import { EmbeddedStore } from '../../src/store/embedded.js';
import { Server } from '../../src/store/memcached/server.js';
import { openStore } from '../../src/store/open.js';
import { entriesBehaviour } from '../behaviour/entries.js';
import { type Memcached, startMemcached } from '../support/memcached.js';

/** The suite asks whether answers are right, not how soon they come, on a machine that has other things to do. */
const PATIENT = { timeoutMs: 10_000, connectTimeoutMs: 10_000 };

describe('whatever the store,', { concurrency: true }, () => {
  entriesBehaviour('the embedded store', async () => new EmbeddedStore());

  describe('with a server', () => {
    let memcached: Memcached;
    before(async () => {
      memcached = await startMemcached();
    });
    after(() => memcached.stop());
    entriesBehaviour('a memcached', async () => new Server(memcached.address, PATIENT));
  });

  describe('with three servers', () => {
    let memcacheds: readonly Memcached[];
    before(async () => {
      memcacheds = await Promise.all([startMemcached(), startMemcached(), startMemcached()]);
    });
    after(() => Promise.all(memcacheds.map((memcached) => memcached.stop())));
    entriesBehaviour('a pool of memcacheds', async () => openStore({ memcached: { ...PATIENT, servers: memcacheds } }));
  });
});
