import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startLookaside } from '../support/lookaside.js';
import { startMemcached } from '../support/memcached.js';
import { play, playUntilItHolds } from '../support/transcript.js';

async function missAndHit(url: string): Promise<void> {
  await play(
    url,
    `
    > GET /hello
    < 200
    < Cache-Status: lookaside; fwd=uri-miss; fwd-status=200; stored
    << /^.hello as the backend made it at /
    `,
  );
  await playUntilItHolds(url, '> GET /hello\n< 200\n< Cache-Status: /^lookaside; hit; ttl=(9|10)$/');
}

test('the demo shows a miss and a hit, and ends when it is told to', async () => {
  const demo = await startLookaside({ args: [] }, 'demo');
  await missAndHit(demo.url);
  assert.equal(await demo.stop(), 0, demo.log());
});

test('the demo keeps pages in memcached when one is named', async () => {
  const memcached = await startMemcached();
  const demo = await startLookaside({ args: ['--memcached', memcached.server] }, 'demo');
  await missAndHit(demo.url);
  assert.equal(await demo.stop(), 0, demo.log());
  await memcached.stop();
});
