import { after, before, describe } from 'node:test';
import { EmbeddedStore } from '../../src/store/embedded.js';
import { Server } from '../../src/store/memcached/server.js';
import { staleBehaviour } from '../behaviour/http-cache-stale.js';
import { type Memcached, startMemcached } from '../support/memcached.js';

/** The suite asks whether answers are right, not how soon they come, on a machine that has other things to do. */
const PATIENT = { timeoutMs: 10_000, connectTimeoutMs: 10_000 };

describe('whatever the store,', () => {
  staleBehaviour('the embedded store', async () => new EmbeddedStore());

  describe('with a server,', () => {
    let memcached: Memcached;
    before(async () => {
      memcached = await startMemcached();
    });
    after(() => memcached.stop());
    staleBehaviour('a memcached', async () => new Server(memcached.address, PATIENT));
  });
});
