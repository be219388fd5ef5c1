import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { ask } from '../support/ask.js';
import { type CountingOrigin, startCountingOrigin } from '../support/counting-origin.js';
import { type Fleet, startFleet } from '../support/fleet.js';
import { writeItem } from '../support/items.js';

describe('the holder of a lease is dead, and the origin is down', () => {
  let origin: CountingOrigin;
  let fleet: Fleet;
  before(async () => {
    origin = await startCountingOrigin({ '/down': (_request, response) => void response.socket?.destroy() });
    fleet = await startFleet({ upstream: origin.url, cache: { leaseWait: '2s' } });
  });
  after(async () => {
    await fleet?.stop();
    await origin?.close();
  });

  test('only the first request waits for the dead one', async () => {
    const key = 'http://site.test/down';
    await writeItem(fleet.memcached, key, `lookaside-lease: 1 mac=- token=${'0'.repeat(32)} key=${key}\r\n`);
    const [url = ''] = fleet.urls;
    assert.equal((await ask(url, '/down')).status, 502);
    const { status, tookMs } = await ask(url, '/down');
    assert.equal(status, 502);
    assert.ok(tookMs < 1500, `waited ${Math.round(tookMs)} ms for a holder that was given up before`);
  });
});
