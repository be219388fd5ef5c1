import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { request } from 'undici';
import { startMemcached } from '../support/memcached.js';
import { startOrigin } from '../support/origin.js';
import { packageRoot } from '../support/root.js';
import { until } from '../support/until.js';

test('examples/cached-api: two processes share what they have made and fetched, and what is purged', async (t) => {
  const memcached = await startMemcached();
  t.after(() => memcached.stop());
  let fetches = 0;
  const origin = await startOrigin((_request, response) => {
    fetches++;
    response.setHeader('cache-control', 'max-age=60');
    response.end('news');
  });
  t.after(() => origin.close());
  const urls = await Promise.all(
    [1, 2].map(async () => {
      const child = spawn(process.execPath, [join(packageRoot, 'examples/cached-api/server.js')], {
        env: { ...process.env, PORT: '0', MEMCACHED: memcached.server, UPSTREAM: origin.url },
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const exited = once(child, 'exit');
      t.after(async () => {
        child.kill('SIGTERM');
        assert.deepEqual(await exited, [0, null]);
      });
      const [url] = await Promise.race([once(createInterface(child.stdout), 'line'), exited.then(() => [])]);
      assert.ok(typeof url === 'string', 'the example ended before it listened');
      return url;
    }),
  );
  const [one, two] = urls;
  const get = async (url: string) => {
    // As behind a load balancer: both are asked for the same host.
    const { headers, body } = await request(url, { headers: { host: 'api.example' }, reset: true });
    return { status: String(headers['cache-status']), body: await body.text() };
  };
  for (const path of ['/products/1', '/products']) {
    await until(async () => {
      const answers = [await get(one + path), await get(two + path)];
      assert.match(answers[0]?.body ?? '', /Coffee/);
      return answers.every(({ status }) => status.includes('; hit'));
    }, `${path} is not stored`);
  }
  const put = await fetch(`${two}/products/1`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json', connection: 'close' },
    body: '{"name":"Tea"}',
  });
  assert.match(await put.text(), /"result":"purged"/);
  for (const path of ['/products/1', '/products']) {
    // Only this process knows the new name: the other one has it from memcached.
    await until(async () => (await get(two + path)).status.includes('; hit'), `${path} is not stored again`);
    assert.match((await get(one + path)).body, /Tea/);
  }
  await until(async () => {
    const before = fetches;
    for (const url of urls) assert.equal((await get(`${url}/news`)).body, 'news');
    return fetches === before;
  }, 'the news are not stored');
});
