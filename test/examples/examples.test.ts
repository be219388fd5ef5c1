import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { type Memcached, rawCommand, startMemcached } from '../support/memcached.js';
import { startRecordingOrigin } from '../support/origin.js';
import { packageRoot } from '../support/root.js';

interface Example {
  readonly url: string;
  /** Ends it as a service manager would; resolves to its exit code. */
  stop(): Promise<number | null>;
}

/** Starts `examples/NAME/server.js` as its head says; it imports the package by its name, built. */
async function startExample(t: TestContext, name: string, environment: NodeJS.ProcessEnv): Promise<Example> {
  const child = spawn(process.execPath, [join(packageRoot, 'examples', name, 'server.js')], {
    env: { ...process.env, PORT: '0', ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let log = '';
  child.stderr.on('data', (chunk: Buffer) => {
    log += chunk.toString();
  });
  const exited = once(child, 'exit');
  t.after(() => child.kill('SIGKILL'));
  const lines = createInterface(child.stdout);
  const [url] = await Promise.race([once(lines, 'line'), exited.then(() => [])]);
  assert.ok(typeof url === 'string', `the example ended before it listened: ${log}`);
  return {
    url,
    async stop() {
      child.kill('SIGTERM');
      const [code] = await exited;
      return code;
    },
  };
}

async function memcachedFor(t: TestContext): Promise<Memcached> {
  const memcached = await startMemcached();
  t.after(() => memcached.stop());
  return memcached;
}

async function get(url: string) {
  const response = await fetch(url, { headers: { connection: 'close' } });
  return {
    status: response.status,
    headers: response.headers,
    cacheStatus: response.headers.get('cache-status') ?? '',
    body: await response.text(),
  };
}

test('examples/route: responses are stored, and purged with what they show', async (t) => {
  const memcached = await memcachedFor(t);
  const example = await startExample(t, 'route', { MEMCACHED: memcached.server });
  const product = `${example.url}/products/1`;
  assert.match((await get(product)).cacheStatus, /stored$/);
  const hit = await get(product);
  assert.match(hit.cacheStatus, /hit/);
  assert.deepEqual(JSON.parse(hit.body), { name: 'Coffee' });
  assert.match(await rawCommand(memcached.address, 'get /products/1\r\n'), /"name":"Coffee"/);

  const put = await fetch(product, {
    method: 'PUT',
    headers: { 'content-type': 'application/json', connection: 'close' },
    body: '{"name":"Tea"}',
  });
  assert.deepEqual(await put.json(), { purged: 1 });
  const changed = await get(product);
  assert.match(changed.cacheStatus, /stored$/);
  assert.deepEqual(JSON.parse(changed.body), { name: 'Tea' });
  assert.equal((await get(`${example.url}/products/2`)).status, 404);
  assert.equal(await example.stop(), 0);
});

test('examples/proxy: the second request does not reach the upstream', async (t) => {
  const memcached = await memcachedFor(t);
  const origin = await startRecordingOrigin();
  t.after(() => origin.close());
  const example = await startExample(t, 'proxy', { MEMCACHED: memcached.server, UPSTREAM: origin.url });
  assert.match((await get(`${example.url}/page?q=1`)).cacheStatus, /stored$/);
  const hit = await get(`${example.url}/page?q=1`);
  assert.match(hit.cacheStatus, /hit/);
  assert.equal(hit.body, 'answer to /page?q=1');
  assert.deepEqual(
    origin.requests.map(({ target }) => target),
    ['/page?q=1'],
  );
  assert.equal(await example.stop(), 0);
});

test('examples/static: files are kept in memcached, and X-Memcached tells', async (t) => {
  const memcached = await memcachedFor(t);
  const example = await startExample(t, 'static', { MEMCACHED: memcached.server });
  const files = { '/': ['index.html', 'text/html'], '/style.css': ['style.css', 'text/css'] } as const;
  for (const [path, [file, type]] of Object.entries(files)) {
    const text = await readFile(join(packageRoot, 'examples', 'static', 'public', file), 'utf8');
    const miss = await get(example.url + path);
    const hit = await get(example.url + path);
    assert.equal(miss.headers.get('x-memcached'), 'Miss');
    assert.equal(hit.headers.get('x-memcached'), 'Hit');
    for (const response of [miss, hit]) {
      assert.equal(response.body, text);
      assert.ok(response.headers.get('content-type')?.startsWith(type));
      assert.equal(response.headers.get('etag'), miss.headers.get('etag'));
    }
  }
  assert.match(
    await rawCommand(memcached.address, 'get http://127.0.0.1/style.css\r\n'),
    /^VALUE .*\r\nHTTP\/1\.1 200 /,
  );
  const missing = await get(`${example.url}/missing`);
  assert.equal(missing.status, 404);
  assert.equal(missing.headers.get('x-memcached'), 'Miss');
  assert.equal(await example.stop(), 0);
});
