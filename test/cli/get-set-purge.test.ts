import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type Ended, lookaside } from '../support/command.js';
import { MAIN } from '../support/lookaside.js';
import { type Memcached, rawCommand, startMemcached } from '../support/memcached.js';

let memcached: Memcached;
let other: Memcached;
const folder = mkdtempSync(join(tmpdir(), 'lookaside-cli-'));

before(async () => {
  [memcached, other] = await Promise.all([startMemcached(), startMemcached({ unix: true })]);
});
after(async () => {
  await Promise.all([memcached.stop(), other.stop()]);
  rmSync(folder, { recursive: true });
});

/** Runs a command on the memcached of this file. */
function run(command: string, args: readonly string[], stdin?: string | Uint8Array): Promise<Ended> {
  return lookaside([command, '--memcached', memcached.server, ...args], { stdin });
}

/** What another client finds under a key: flags, and value as a byte string. */
async function stored(key: string, at = memcached): Promise<string> {
  return (await rawCommand(at.address, `get ${key}\r\n`)).replace(/END\r\n$/, '');
}

async function put(key: string, value: string, at = memcached): Promise<void> {
  assert.equal(await rawCommand(at.address, `set ${key} 0 0 ${value.length}\r\n${value}\r\n`), 'STORED\r\n');
}

describe('lookaside set', () => {
  it('keeps stdin, says nothing, and another client finds it', async () => {
    const bytes = Buffer.from([0, 13, 10, 255, 69, 78, 68, 13, 10]);
    const { exitCode, stdout, stderr } = await run('set', ['bytes', '--flags', '7', '--ttl', '1m'], bytes);
    assert.deepEqual({ exitCode, stdout, stderr }, { exitCode: 0, stdout: '', stderr: '' });
    assert.equal(await stored('bytes'), `VALUE bytes 7 9\r\n${bytes.toString('latin1')}\r\n`);
    assert.match(await rawCommand(memcached.address, 'mg bytes t\r\n'), /^HD t(60|59|58|57|56|55)\r\n/);
  });

  it('keeps without end unless told otherwise', async () => {
    await run('set', ['endless'], 'x');
    assert.match(await rawCommand(memcached.address, 'mg endless t\r\n'), /^HD t-1\r\n/);
  });

  it('adds only what is not there, replaces only what is', async () => {
    assert.equal((await run('set', ['modes', '--mode', 'replace'], 'no')).exitCode, 1);
    assert.equal((await run('set', ['modes', '--mode', 'add'], 'one')).exitCode, 0);
    const again = await run('set', ['modes', '--mode', 'add'], 'two');
    assert.deepEqual({ exitCode: again.exitCode, stdout: again.stdout }, { exitCode: 1, stdout: '' });
    assert.match(again.stderr, /^not stored: with add there must be no item/);
    assert.equal(await stored('modes'), 'VALUE modes 0 3\r\none\r\n');
    assert.equal((await run('set', ['modes', '--mode', 'replace'], 'three')).exitCode, 0);
    assert.equal(await stored('modes'), 'VALUE modes 0 5\r\nthree\r\n');
  });

  it('refuses what is larger than an item may be, and sends none of it', async () => {
    const { exitCode, stderr } = await run('set', ['large'], Buffer.alloc(2 * 1024 * 1024));
    assert.equal(exitCode, 1);
    assert.match(stderr, /^not stored: the value is larger than an item may be/);
    assert.equal(await stored('large'), '');
  });

  it('tells in JSON what it did', async () => {
    const { exitCode, stdout } = await run('set', ['with space', '--json'], 'four');
    assert.deepEqual(JSON.parse(stdout), {
      key: 'with space',
      storeKey: sha1('with space'),
      size: 4,
      result: 'stored',
    });
    assert.equal(exitCode, 0);
    const refused = await run('set', ['with space', '--json', '--mode', 'add'], 'x');
    assert.deepEqual(
      { ...JSON.parse(refused.stdout), exitCode: refused.exitCode },
      {
        key: 'with space',
        storeKey: sha1('with space'),
        size: 1,
        result: 'not-stored',
        exitCode: 1,
      },
    );
  });
});

describe('lookaside get', () => {
  it('prints the bytes and nothing else', async () => {
    await put('plain', 'a\0b\r\nc');
    const { exitCode, stdoutBytes, stderr } = await run('get', ['plain']);
    assert.deepEqual({ exitCode, stderr }, { exitCode: 0, stderr: '' });
    assert.deepEqual(stdoutBytes, Buffer.from('a\0b\r\nc'));
  });

  it('says that there is no such key', async () => {
    const { exitCode, stdout, stderr } = await run('get', ['nothing']);
    assert.deepEqual({ exitCode, stdout, stderr }, { exitCode: 1, stdout: '', stderr: 'no such key: nothing\n' });
  });

  it('follows the key rule for keys that do not fit, in UTF-8', async () => {
    for (const key of ['', 'a b', 'straße', 'x'.repeat(251)]) {
      await put(sha1(key), 'hashed');
      assert.equal((await run('get', ['--', key])).stdout, 'hashed');
    }
    await put('x'.repeat(250), 'as it is');
    assert.equal((await run('get', ['x'.repeat(250)])).stdout, 'as it is');
  });

  it('takes the key as it is with --raw', async () => {
    const { exitCode, stderr } = await run('get', ['--raw', 'a b']);
    assert.equal(exitCode, 2);
    assert.match(stderr, /^lookaside get: /);
  });

  it('tells in JSON everything that there is to know', async () => {
    await rawCommand(memcached.address, 'set json 5 100 3\r\nabc\r\n');
    const { stdout } = await run('get', ['json', '--json']);
    const { cas, ttl, ...item } = JSON.parse(stdout);
    assert.deepEqual(item, { key: 'json', storeKey: 'json', kind: 'value', flags: 5, size: 3, value: 'YWJj' });
    assert.match(cas, /^[0-9]+$/);
    assert.ok(ttl > 90 && ttl <= 100, `ttl ${ttl}`);
  });

  describe('of a stored response', () => {
    const head = 'HTTP/1.1 203 \r\ncontent-type: text/plain\r\nx: 1\r\nx: 2\r\n\r\n';
    before(() => put('response', `${head}the body`));

    it('prints the head with --head', async () => {
      const { exitCode, stdout } = await run('get', ['response', '--head']);
      assert.deepEqual({ exitCode, stdout }, { exitCode: 0, stdout: head });
    });

    it('decodes the head with --json', async () => {
      const { stdout } = await run('get', ['response', '--json']);
      const fields = [
        ['content-type', 'text/plain'],
        ['x', '1'],
        ['x', '2'],
      ];
      const { head: decoded, value, ttl } = JSON.parse(stdout);
      assert.deepEqual({ decoded, ttl }, { decoded: { status: 203, fields }, ttl: null });
      assert.equal(Buffer.from(value, 'base64').toString(), `${head}the body`);
      assert.equal('value' in JSON.parse((await run('get', ['response', '--json', '--head'])).stdout), false);
    });

    it('says that a value is none', async () => {
      await put('value', 'the body');
      const { exitCode, stdout, stderr } = await run('get', ['value', '--head']);
      assert.deepEqual({ exitCode, stdout }, { exitCode: 1, stdout: '' });
      assert.equal(stderr, 'what lies under value is not an HTTP message\n');
    });
  });

  it('ends silently when nobody reads on', async () => {
    await put('long', 'x'.repeat(900_000));
    const child = spawn(process.execPath, [MAIN, 'get', 'long', '--memcached', memcached.server]);
    child.stdout.once('data', () => child.stdout.destroy());
    let complaints = '';
    child.stderr.on('data', (chunk) => {
      complaints += chunk;
    });
    await once(child, 'close');
    assert.deepEqual({ status: child.exitCode, complaints }, { status: 141, complaints: '' });
  });

  it('finds memcached by the environment and by a configuration', async () => {
    await put('where', 'here');
    const env = { LOOKASIDE_MEMCACHED: memcached.server };
    assert.equal((await lookaside(['get', 'where'], { env })).stdout, 'here');
    const config = file('where.yaml', `memcached: {servers: ["${memcached.server}"]}\nactions: []\n`);
    assert.equal((await lookaside(['get', 'where', '--config', config])).stdout, 'here');
  });

  it('says that an embedded store is out of reach', async () => {
    const config = file('embedded.yaml', 'actions: []\n');
    const { exitCode, stderr } = await lookaside(['get', 'x', '--config', config]);
    assert.equal(exitCode, 2);
    assert.match(
      stderr,
      /embedded\.yaml names no memcached: the embedded store is in the memory of the server's process/,
    );
  });

  it('shows what is wrong with a configuration', async () => {
    const { exitCode, stderr } = await lookaside(['get', 'x', '--config', file('wrong.yaml', 'actoins: []\n')]);
    assert.equal(exitCode, 2);
    assert.match(
      stderr,
      /wrong\.yaml:1:1: unknown option "actoins", did you mean "actions"\?\n {2}actoins: \[\]\n {2}\^{7}\n/,
    );
  });
});

describe('lookaside purge', () => {
  it('removes keys and tells of each whether it was there', async () => {
    await put('one', '1');
    await put(sha1('two words'), '2');
    const { exitCode, stdout, stderr } = await run('purge', ['one', 'gone', 'two words']);
    assert.deepEqual({ exitCode, stderr }, { exitCode: 0, stderr: '' });
    assert.equal(stdout, 'purged one\nabsent gone\npurged two words\n');
    assert.equal((await stored('one')) + (await stored(sha1('two words'))), '');
  });

  it('says no when nothing was there', async () => {
    const { exitCode, stdout } = await run('purge', ['nothing']);
    assert.deepEqual({ exitCode, stdout }, { exitCode: 1, stdout: 'absent nothing\n' });
  });

  it('makes the key of a URL by the pattern, as a request for it would', async () => {
    const key = '%{req.scheme}://%{req.host}%{req.path}?%{req.query}';
    await put('http://example.org/a?b=1&c', '1');
    const { stdout } = await run('purge', ['--key', key, 'HTTP://Example.ORG.:80/a?b=1&c#d']);
    assert.equal(stdout, 'purged HTTP://Example.ORG.:80/a?b=1&c#d\n');
    // without a pattern: by the one of serve --upstream
    await put('http://example.org:8080/b?x', '1');
    assert.equal((await run('purge', ['http://example.org:8080/b?x'])).stdout, 'purged http://example.org:8080/b?x\n');
    await put('/c?d', '1');
    assert.equal((await run('purge', ['--key', '%{req.raw_path}', 'http://h/c?d'])).exitCode, 0);
  });

  it('takes a URL for a key with --raw', async () => {
    await put('http://example.org/', '1');
    assert.equal((await run('purge', ['--raw', 'http://example.org/'])).stdout, 'purged http://example.org/\n');
  });

  it('does not take an ambiguous path for another one', async () => {
    await put('/account', '1');
    const { exitCode, stdout } = await run('purge', ['--key', '%{req.path}', 'http://h/static/..%2faccount']);
    assert.deepEqual({ exitCode, stdout }, { exitCode: 1, stdout: 'absent http://h/static/..%2faccount\n' });
    assert.notEqual(await stored('/account'), '');
  });

  it('removes what every caching action of a configuration may keep for a URL, wherever that is', async () => {
    const config = file(
      'purge.yaml',
      `memcached: {servers: ["${memcached.server}"]}
actions:
  - memcached.lookup: {key: "%{req.host}%{req.path}"}
  - memcached.store: {key: "other %{req.path}", server: "${other.server}"}
`,
    );
    await put('h/p', '1');
    await put(sha1('other /p'), '2', other);
    const { exitCode, stdout } = await lookaside(['purge', '--config', config, '--json', 'http://h/p', 'http://h/q']);
    assert.deepEqual(JSON.parse(stdout), [
      { target: 'http://h/p', storeKeys: ['h/p', sha1('other /p')], result: 'purged' },
      { target: 'http://h/q', storeKeys: ['h/q', sha1('other /q')], result: 'absent' },
    ]);
    assert.equal(exitCode, 0);
    assert.equal((await stored('h/p')) + (await stored(sha1('other /p'), other)), '');
  });
});

describe('a memcached that is not there', () => {
  const nowhere = ['--memcached', 'unix:/nonexistent/memcached.sock'];
  for (const [command, ...args] of [
    ['get', 'x'],
    ['set', 'x'],
    ['purge', 'x'],
  ] as const) {
    it(`ends ${command} with status 3`, async () => {
      const { exitCode, stdout, stderr } = await lookaside([command, ...nowhere, ...args], { stdin: 'x' });
      assert.equal(exitCode, 3);
      if (command === 'purge') assert.match(stdout, /^failed x: .*nonexistent/);
      else assert.deepEqual([stdout, /^lookaside (get|set): .*nonexistent/.test(stderr)], ['', true]);
    });
  }

  it('is told in JSON', async () => {
    const { exitCode, stdout } = await lookaside(['purge', ...nowhere, '--json', 'x']);
    const [{ error, ...purge }] = JSON.parse(stdout);
    assert.deepEqual({ ...purge, exitCode }, { target: 'x', storeKeys: ['x'], result: 'failed', exitCode: 3 });
    assert.match(error, /nonexistent/);
  });
});

function file(name: string, text: string): string {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
}

function sha1(text: string): string {
  return createHash('sha1').update(text).digest('hex');
}
