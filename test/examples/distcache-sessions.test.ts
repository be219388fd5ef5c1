import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { Command, temporaryDirectory } from '../distcache/command.js';
import { type Memcached, startMemcached } from '../support/memcached.js';
import { packageRoot } from '../support/root.js';

const directory = temporaryDirectory();

/** Starts one of the two apps as its head says; gives its origin. It imports the package by its name, built. */
async function startApp(t: TestContext, name: 'shop' | 'account', address: string): Promise<string> {
  const child = spawn(process.execPath, [join(packageRoot, 'examples', 'distcache-sessions', `${name}.js`)], {
    env: { ...process.env, PORT: '0', SESSIONS: address },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let log = '';
  child.stderr.on('data', (chunk) => {
    log += chunk;
  });
  const exited = once(child, 'exit');
  t.after(async () => {
    child.kill('SIGTERM');
    const [status] = await exited;
    assert.equal(status, 0, log);
  });
  const [url] = await Promise.race([once(createInterface(child.stdout), 'line'), exited.then(() => [])]);
  assert.ok(typeof url === 'string', `${name} ended before it listened: ${log}`);
  return url;
}

interface Answer {
  readonly status: number;
  readonly body: unknown;
  /** Of the session, as the browser sends it back. */
  readonly cookie: string | undefined;
}

async function ask(url: string, { cookie = '', post }: { cookie?: string; post?: object } = {}): Promise<Answer> {
  const response = await fetch(url, {
    headers: { connection: 'close', cookie, ...(post && { 'content-type': 'application/json' }) },
    ...(post && { method: 'POST', body: JSON.stringify(post) }),
  });
  const [set = ''] = response.headers.getSetCookie();
  return { status: response.status, body: await response.json(), cookie: /^session=[^;]+/.exec(set)?.[0] };
}

async function startServer(path: string, memcached: Memcached): Promise<Command> {
  const server = new Command('dc_server', ['-listen', `UNIX:${path}`, '--memcached', memcached.server]);
  await server.listening(path);
  return server;
}

test('examples/distcache-sessions: two apps know the same logins', async (t) => {
  const memcached = await startMemcached();
  t.after(() => memcached.stop());
  // each app has a distcache server of its own, as on another machine
  const paths = ['first', 'second'].map((name) => join(directory, name));
  const [first = '', second = ''] = paths;
  let servers = await Promise.all(paths.map((path) => startServer(path, memcached)));
  t.after(() => Promise.all(servers.map((server) => server.stop())));
  const shop = await startApp(t, 'shop', `UNIX:${first}`);
  const account = await startApp(t, 'account', `UNIX:${second}`);

  assert.equal((await ask(`${account}/`)).status, 401);
  const wrong = await ask(`${shop}/login`, { post: { user: 'ada', password: 'guess' } });
  assert.deepEqual([wrong.status, wrong.cookie], [403, undefined]);
  assert.equal((await ask(`${shop}/login`, { post: { user: 'constructor' } })).status, 403);
  const { cookie } = await ask(`${shop}/login`, { post: { user: 'ada', password: 'lovelace' } });
  assert.ok(cookie);
  assert.deepEqual((await ask(`${account}/`, { cookie })).body, { user: 'ada', items: 0 });
  await ask(`${shop}/cart`, { cookie, post: { item: 'tea' } });
  await ask(`${shop}/cart`, { cookie, post: { item: 'cups' } });
  assert.deepEqual((await ask(`${account}/`, { cookie })).body, { user: 'ada', items: 2 });
  assert.deepEqual((await ask(`${shop}/cart`, { cookie })).body, ['tea', 'cups']);
  const forged = `session=${Buffer.alloc(32).toString('base64url')}`;
  assert.equal((await ask(`${account}/`, { cookie: forged })).status, 401);

  // the servers are only ways to memcached: nothing is lost with them
  await Promise.all(servers.map((server) => server.stop('SIGKILL')));
  assert.equal((await ask(`${account}/`, { cookie })).status, 401);
  servers = await Promise.all(paths.map((path) => startServer(path, memcached)));
  for (let waits = 0; (await ask(`${account}/`, { cookie })).status === 401; waits++) assert.ok(waits < 1000);
  assert.deepEqual((await ask(`${account}/`, { cookie })).body, { user: 'ada', items: 2 });

  const out = await ask(`${account}/logout`, { cookie, post: {} });
  assert.equal(out.status, 200);
  assert.equal((await ask(`${shop}/cart`, { cookie })).status, 401);
});
