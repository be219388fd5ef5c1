import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, afterEach, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { MAIN, type Served, startLookaside } from '../support/lookaside.js';
import { type Origin, startOrigin } from '../support/origin.js';
import { RawClient, rawRequest } from '../support/raw-client.js';
import { fetchRaw, play, playUntilItHolds } from '../support/transcript.js';
import { until } from '../support/until.js';

/** What a `serve` that can not start says, and how it ends. */
async function failing(args: readonly string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [MAIN, 'serve', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = once(child, 'exit', { signal: AbortSignal.timeout(30_000) });
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  return { code, stdout, stderr };
}

const config = (body: string, more = '') => `listen: 127.0.0.1:0\n${more}actions:\n  - respond: {body: "${body}"}\n`;

const bodyOf = async ({ url }: Served, path = '/') => (await fetchRaw(url, 'GET', path)).body.toString();

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** The exit code of one that was told to end: `stop` would tell it a second time. */
async function endOf(served: Served): Promise<number | null> {
  await until(() => !isAlive(served.pid), 'it did not end');
  return served.stop();
}

describe('lookaside serve', () => {
  let origin: Origin;
  let pending: ServerResponse[] = [];
  const started: Served[] = [];

  before(async () => {
    origin = await startOrigin((request, response) => {
      if (request.url === '/waits') pending.push(response);
      else if (request.url === '/streams') response.write('begun,', () => pending.push(response));
      else response.end(`answer to ${request.url}`);
    });
  });
  after(() => origin.close());
  afterEach(async () => {
    for (const served of started.splice(0)) await served.stop();
    pending = [];
  });

  async function start(from: Parameters<typeof startLookaside>[0]): Promise<Served> {
    const served = await startLookaside(from);
    started.push(served);
    return served;
  }

  test('with --upstream alone is a caching proxy', async () => {
    const served = await start({ args: ['--upstream', origin.url] });
    await play(served.url, '> GET /page?a=1\n< 200\n< Cache-Status: /uri-miss.*stored/\n<< answer to /page?a=1');
    await playUntilItHolds(served.url, '> GET /page?a=1\n< Cache-Status: /hit; ttl=(29|30)/\n<< answer to /page?a=1');
  });

  test('--key is that of the entries, --ttl that of those that do not say it, and --profile says how careful it is', async () => {
    const args = ['--upstream', origin.url, '--key', '%{req.path}', '--ttl', '5m', '--profile', 'rfc'];
    const served = await start({ args });
    await play(served.url, '> GET /page?a=1\n> Cookie: a=b\n< Cache-Status: /stored/');
    await playUntilItHolds(served.url, '> GET /page?a=2\n< Cache-Status: /hit; ttl=(299|300)/\n<< answer to /page?a=1');
  });

  test('listens on a unix socket', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'lookaside-serve-'));
    const path = join(folder, 'l.sock');
    const served = await start({ config: config('here').replace('127.0.0.1:0', `unix:${path}`) });
    assert.equal(served.url, `unix:${path}`);
    assert.match(await rawRequest(served.url, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'), /here$/);
    await served.stop();
    await rm(folder, { recursive: true });
  });

  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    test(`${signal}: what is in flight is finished, then it exits with 0`, async () => {
      const served = await start({ args: ['--upstream', origin.url] });
      const [waiting, streaming] = [await RawClient.connect(served.url), await RawClient.connect(served.url)];
      waiting.send('GET /waits HTTP/1.1\r\nHost: a\r\n\r\n');
      streaming.send('GET /streams HTTP/1.1\r\nHost: a\r\n\r\n');
      await until(() => pending.length === 2, 'the origin was not asked');
      await streaming.until(/begun,/);
      served.signal(signal);
      await until(() => served.log().includes('"closing"'), 'it did not begin to close');
      for (const response of pending) response.end('ended');
      assert.match(await waiting.untilClosed(), /^HTTP\/1\.1 200 .*Connection: close.*ended/is);
      assert.match(await streaming.untilClosed(), /begun,.*ended.*\r\n0\r\n\r\n$/s);
      assert.equal(await endOf(served), 0);
    });
  }

  test('SIGHUP: the new configuration counts, and a bad one changes nothing', async () => {
    const served = await start({ config: config('one') });
    assert.equal(await bodyOf(served), 'one');
    await served.reload(config('two'));
    await until(async () => (await bodyOf(served)) === 'two', 'the reload had no effect');

    await served.reload(config('three').replace('respond', 'respnod'));
    await until(() => served.log().includes('the old one stays'), 'nothing was logged');
    assert.match(served.log(), /lookaside\.yaml:3:5: unknown action \\"respnod\\", did you mean \\"respond\\"/);
    assert.equal(await bodyOf(served), 'two');

    await served.reload(config('four'));
    await until(async () => (await bodyOf(served)) === 'four', 'no reload after a bad one');
  });

  test('SIGHUP under load fails no request', async () => {
    const served = await start({ config: config('0') });
    let isOver = false;
    let answers = 0;
    const client = async () => {
      while (!isOver) {
        const { message, body } = await fetchRaw(served.url, 'GET', '/');
        assert.equal(message.statusCode, 200);
        assert.match(body.toString(), /^\d+$/);
        answers++;
      }
    };
    const clients = [client(), client(), client()];
    for (let round = 1; round <= 10; round++) {
      await served.reload(config(String(round)));
      await delay(50);
    }
    await until(async () => (await bodyOf(served)) === '10', 'the last reload had no effect');
    isOver = true;
    await Promise.all(clients);
    assert.ok(answers > 20, `only ${answers} answers`);
  });

  test('logs go to stderr as JSON, at the level that the configuration says', async () => {
    const served = await start({ config: config('x') });
    await bodyOf(served);
    await served.reload(config('x', 'log: {level: debug}\n'));
    await until(() => served.log().includes('reloaded'), 'not reloaded');
    await bodyOf(served, '/logged');
    await until(() => served.log().includes('/logged'), 'the request was not logged');
    const lines = served
      .log()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    assert.deepEqual(
      lines.map(({ msg }) => msg),
      ['configuration reloaded', 'request'],
    );
  });
});

describe('lookaside serve that can not start', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lookaside-serve-'));
  });
  after(() => rm(folder, { recursive: true }));

  /** Arguments, and the one sentence that is expected. */
  const FAILURES: readonly (readonly [args: string[], sentence: RegExp])[] = [
    [[], /^lookaside serve: say what to serve: --upstream URL or --config FILE\n$/],
    [['--upstream', 'nonsense'], /^lookaside serve: --upstream: "nonsense" is not an upstream: .*\n$/],
    [['--upstream', 'ftp://127.0.0.1'], /^lookaside serve: --upstream: "ftp:.*\n$/],
    [['--upstream', 'http://a', '--listen', 'nowhere:x'], /^lookaside serve: --listen: expected a port, .*\n$/],
    [['--upstream', 'http://a', '--memcached', 'a:b:c'], /^lookaside serve: --memcached: .*\n$/],
    [
      ['--upstream', 'http://a', '--key', '%{req.pth}'],
      /^lookaside serve: --key: unknown variable "req.pth", did you mean .*\n$/,
    ],
    [['--upstream', 'http://a', '--ttl', 'soon'], /^lookaside serve: --ttl: "soon" is not a duration.*\n$/],
    [
      ['--upstream', 'http://a', '--profile', 'unsafe'],
      /^lookaside serve: --profile: "unsafe" is not one of safe, rfc.*\n$/,
    ],
    [['--upstream', 'http://a', '--workers', '0'], /^lookaside serve: --workers: .*\n$/],
    [
      ['--upstream', 'http://a', '--config', 'b.yaml'],
      /^lookaside serve: --upstream and --config exclude each other\n$/,
    ],
    [['--config', 'b.yaml', '--ttl', '5s'], /^lookaside serve: --ttl and --config exclude each other\n$/],
    [['--config', '/nowhere.yaml'], /^lookaside serve: \/nowhere\.yaml: can not be read: ENOENT.*\n$/],
    [
      ['--upstream', 'http://a', '--listen', '192.0.2.1:0'],
      /^lookaside serve: can not listen on 192\.0\.2\.1:0: this machine has no such address\n$/,
    ],
  ];
  for (const [args, sentence] of FAILURES) {
    test(`${args.join(' ') || 'nothing to serve'}: one sentence, and an exit code`, async () => {
      const { code, stdout, stderr } = await failing(args);
      assert.match(stderr, sentence);
      assert.equal(code, 2);
      assert.equal(stdout, '');
    });
  }

  test('a configuration with faults: all of them, with their places', async () => {
    const file = join(folder, 'faulty.yaml');
    await writeFile(file, 'listen: 127.0.0.1:0\nlog: {levl: debug}\nactions:\n  - statc\n');
    const { code, stdout, stderr } = await failing(['--config', file]);
    assert.match(stderr, /faulty\.yaml:2:7: unknown option "levl", did you mean "level"\?/);
    assert.match(stderr, /faulty\.yaml:4:5: unknown action "statc", did you mean "static"\?/);
    assert.equal(code, 2);
    assert.equal(stdout, '');
  });

  test('a port that is in use, also with several workers', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const address = taken.address();
    assert.ok(address !== null && typeof address === 'object');
    const listen = `127.0.0.1:${address.port}`;
    for (const workers of ['1', '2']) {
      const { code, stdout, stderr } = await failing([
        '--upstream',
        'http://a',
        '--listen',
        listen,
        '--workers',
        workers,
      ]);
      const sentence = stderr.split('\n').filter((line) => line !== '' && !line.startsWith('{'));
      assert.deepEqual(sentence, [`lookaside serve: can not listen on ${listen}: it is in use`]);
      assert.equal(code, 2);
      assert.equal(stdout, '');
    }
    taken.close();
  });
});

describe('lookaside serve --workers', () => {
  const started: Served[] = [];
  afterEach(async () => {
    for (const served of started.splice(0)) await served.stop();
  });

  async function start(more = ''): Promise<Served> {
    const served = await startLookaside({ config: config('one', `workers: 2\n${more}`) });
    started.push(served);
    return served;
  }

  const workersOf = ({ pid }: { readonly pid: number }) =>
    readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
      .split(' ')
      .filter((child) => child !== '')
      .map(Number);

  test('says once where they listen, and warns when each has a cache of its own', async () => {
    const served = await start();
    assert.equal(workersOf(served).length, 2);
    assert.equal(await bodyOf(served), 'one');
    assert.equal(served.log().match(/without memcached each worker keeps entries of its own/g)?.length, 1);
  });

  test('a worker that is killed is replaced, and requests go on', async () => {
    const served = await start();
    const [victim] = workersOf(served);
    assert.ok(victim !== undefined);
    process.kill(victim, 'SIGKILL');
    await until(() => !workersOf(served).includes(victim), 'the victim lives');
    for (let nth = 0; nth < 10; nth++) assert.equal(await bodyOf(served), 'one');
    await until(() => served.log().includes('a worker was replaced'), 'it was not replaced');
    assert.equal(workersOf(served).length, 2);
    for (let nth = 0; nth < 10; nth++) assert.equal(await bodyOf(served), 'one');
  });

  test('SIGHUP reaches all of them', async () => {
    const served = await start();
    await served.reload(config('two', 'workers: 2\n'));
    await until(() => (served.log().match(/"configuration reloaded"/g)?.length ?? 0) >= 3, 'not all reloaded');
    for (let nth = 0; nth < 10; nth++) assert.equal(await bodyOf(served), 'two');
    await served.reload('nonsense: true\n');
    await until(() => served.log().includes('the old one stays'), 'nothing was logged');
    assert.equal(await bodyOf(served), 'two');
  });

  test('SIGTERM ends all of them in an orderly way, also when the whole process group gets it', async () => {
    const served = await start();
    const pids = workersOf(served);
    const client = await RawClient.connect(served.url);
    client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await client.until(/one/);
    for (const pid of [...pids, served.pid]) process.kill(pid, 'SIGTERM');
    assert.equal(await endOf(served), 0);
    await client.untilClosed();
    assert.deepEqual(pids.filter(isAlive), []);
  });

  test('no worker outlives a primary that was killed', async () => {
    const served = await start();
    const pids = workersOf(served);
    served.signal('SIGKILL');
    await until(() => !pids.some(isAlive), 'a worker lives on');
  });
});
