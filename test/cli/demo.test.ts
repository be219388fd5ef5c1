import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startLookaside } from '../support/lookaside.js';
import { startMemcached } from '../support/memcached.js';
import { play } from '../support/transcript.js';

const MISS_AND_HIT = `
  > GET /hello
  < 200
  < Cache-Status: lookaside; fwd=uri-miss; fwd-status=200; stored
  << /^.hello as the backend made it at /
  > GET /hello
  < 200
  < Cache-Status: /^lookaside; hit; ttl=(9|10)$/
`;

test('the demo shows a miss and a hit, and ends when it is told to', async () => {
  const demo = await startLookaside({ args: [] }, 'demo');
  await play(demo.url, MISS_AND_HIT);
  assert.equal(await demo.stop(), 0, demo.log());
});

test('the demo keeps pages in memcached when one is named', async () => {
  const memcached = await startMemcached();
  const demo = await startLookaside({ args: ['--memcached', memcached.server] }, 'demo');
  await play(demo.url, MISS_AND_HIT);
  assert.equal(await demo.stop(), 0, demo.log());
  await memcached.stop();
});
