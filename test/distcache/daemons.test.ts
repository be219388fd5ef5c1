import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, readlinkSync, statSync, writeFileSync } from 'node:fs';
import { createConnection, createServer } from 'node:net';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { runDistcacheClient } from '../../src/cli/distcache-client.js';
import { runDistcacheServer } from '../../src/cli/distcache-server.js';
import { addPayload } from '../../src/distcache/payload.js';
import { startMemcached } from '../support/memcached.js';
import { Command, type CommandName, temporaryDirectory } from './command.js';
import { Peer } from './peer.js';

const directory = temporaryDirectory();
let paths = 0;

function newPath(): string {
  return join(directory, `p${paths++}`);
}

const ID = Buffer.from('0102030405060708', 'hex');
const OK = Buffer.of(0x00);
const NOT_OK = Buffer.of(0x01);

function add(id: string, data = 'a session'): Buffer {
  return addPayload(Buffer.from(id), Buffer.from(data), 60_000);
}

/** Starts a daemon that listens on a socket of its own. */
async function start(context: TestContext, name: CommandName, args: readonly string[]) {
  const path = newPath();
  const command = new Command(name, ['-listen', `UNIX:${path}`, ...args]);
  context.after(() => command.stop('SIGKILL'));
  await command.listening(path);
  return { command, path };
}

describe('wrong usage', () => {
  const unix = `UNIX:${join(directory, 'never')}`;
  const inProcess = { dc_server: runDistcacheServer, dc_client: runDistcacheClient };

  /** What a command says and returns that does not come to the point of serving. */
  async function refusal(context: TestContext, name: keyof typeof inProcess, args: readonly string[]) {
    const write = context.mock.method(process.stderr, 'write', () => true);
    const status = await inProcess[name](args);
    const text = write.mock.calls.map((call) => String(call.arguments[0])).join('');
    write.mock.restore();
    return { status, text };
  }

  for (const [name, args, line] of [
    ['dc_server', [], 'Error, must provide -listen'],
    ['dc_server', ['-listen'], 'Error, --listen requires an argument'],
    ['dc_server', ['-listen', unix, '-sessions', '0'], 'Error, --sessions given an invalid argument'],
    ['dc_server', ['-listen', unix, '-sessions', '60001'], 'Error, --sessions given an invalid argument'],
    ['dc_server', ['-listen', unix, '-memory', '0'], 'Error, --memory given an invalid argument'],
    ['dc_server', ['-listen', unix, '-progress', '1000001'], 'Error, --progress given an invalid argument'],
    ['dc_server', ['-listen', unix, '-sockperms', '9'], 'Error, --sockperms given an invalid argument'],
    ['dc_server', ['--listen', unix, '--sessions', 'many'], 'Error, --sessions given an invalid argument'],
    ['dc_client', [], 'Error, no server specified!'],
    ['dc_client', ['-server', unix, '-retry', '0'], 'Error, -retry given an invalid argument'],
    ['dc_client', ['-server', unix, '-retry', '3600001'], 'Error, -retry given an invalid argument'],
    ['dc_client', ['-server', unix, '-idle', '-1'], 'Error, -idle given an invalid argument'],
    ['dc_client', ['-server', unix, '-server', unix], 'Error, too many servers'],
    ['dc_client', ['-server', unix, '-connect', unix], 'Error, too many servers'],
    ['dc_client', ['-server', 'IP:9001'], 'Error, internal initialisation problems'],
    ['dc_client', ['-server', `${unix},nonsense`], 'Error, internal initialisation problems'],
    ['dc_client', ['-server', unix, '-listen', 'nowhere'], 'Error, bad listen address'],
    ['dc_client', ['-server'], 'Error, -server requires an argument'],
  ] as const) {
    test(`${[name, ...args.map((arg) => arg.replace(directory, ''))].join(' ')}: ${line}`, async (context) => {
      assert.deepEqual(await refusal(context, name, args), { status: 1, text: `${line}\n` });
    });
  }

  test('a memcached that is no address is refused with the reason', async (context) => {
    const { status, text } = await refusal(context, 'dc_server', ['-listen', unix, '--memcached', 'a:b:c']);
    assert.equal(status, 1);
    assert.match(
      text,
      /^Error, --memcached given an invalid argument: "a:b:c" is not the address of a memcached server/,
    );
  });

  for (const name of ['dc_server', 'dc_client'] as const) {
    test(`${name} with an unknown option says so, and how it is used`, async (context) => {
      const { status, text } = await refusal(context, name, ['-bogus']);
      assert.equal(status, 1);
      assert.ok(text.startsWith(`Error, "-bogus" not recognised\nUsage:  ${name} [options]\n  -listen <addr>`));
    });

    for (const help of ['-h', '-help', '-?']) {
      test(`${name} ${help} says how it is used`, async (context) => {
        const { status, text } = await refusal(context, name, [help]);
        assert.equal(status, 0);
        assert.ok(text.startsWith(`Usage:  ${name} [options]\n  -listen <addr>`));
      });
    }
  }

  for (const [args, line] of [
    [[], 'Error, must provide -listen'],
    [['-listen', unix, '-sessions', '63'], 'Error, malloc/initialisation failure'],
    [['-listen', 'nowhere'], "Error, can't listen on 'nowhere'"],
    [['-listen', 'UNIX:/none/such'], "Error, can't listen on 'UNIX:/none/such'"],
    [['-listen', unix, '--tls'], 'Error, --tls requires --tls-cert and --tls-key'],
    [['-listen', unix, '--seal-secret-file', '/dev/null'], 'Error, --seal-secret-file is for --memcached'],
    [['-listen', unix, '-user', 'nobody-at-all'], "Error, there is no nobody-at-all in the system's passwd database"],
  ] as const) {
    test(`the command dc_server ${args.join(' ').replace(directory, '')} ends: ${line}`, async () => {
      const { status, stderr } = await Command.run('dc_server', args);
      assert.deepEqual([status, stderr.split('\n')[0]], [1, line]);
    });
  }
});

describe('the socket', () => {
  test('gets its permissions, owner and group', async (context) => {
    const path = newPath();
    const [user, group] = [process.getuid?.(), process.getgid?.()];
    const args = ['-listen', `UNIX:${path}`, '-sockowner', String(user), '-sockgroup', String(group)];
    const server = new Command('dc_server', [...args, '-sockperms', '0640']);
    context.after(() => server.stop('SIGKILL'));
    await server.until(() => existsSync(path) && (statSync(path).mode & 0o777) === 0o640, 'sets the permissions');
    assert.deepEqual([statSync(path).uid, statSync(path).gid], [user, group]);
    assert.equal(server.stderr, '');
  });

  test('gets another owner with the group of that user, or another group; or stays whose it is when it can not', async (context) => {
    const [user, group] = ['-u', '-g'].map((flag) => Number(execFileSync('id', [flag, 'nobody'])));
    for (const [flags, owner, given] of [
      [['-sockowner', 'nobody'], { uid: user, gid: group }, "user 'nobody' and group ''"],
      [['-sockowner', 'nobody', '-sockgroup', '0'], { uid: user, gid: 0 }, "user 'nobody' and group '0'"],
    ] as const) {
      const path = newPath();
      const server = new Command('dc_server', ['-listen', `UNIX:${path}`, ...flags]);
      context.after(() => server.stop('SIGKILL'));
      if (process.getuid?.() === 0) await server.until(() => isOwnedBy(path, owner), 'gives the socket away');
      else {
        const warning = `Warning, can't set socket ownership to ${given}, continuing anyway\n`;
        await server.until(() => server.stderr === warning, 'warns');
      }
      const peer = await Peer.connect({ path });
      assert.deepEqual(await peer.ask('have', ID), NOT_OK);
      peer.leave();
      if (process.getuid?.() === 0) assert.equal(server.stderr, '');
    }
  });

  function isOwnedBy(path: string, { uid, gid }: { uid: number | undefined; gid: number | undefined }): boolean {
    const found = statSync(path, { throwIfNoEntry: false });
    return found?.uid === uid && found?.gid === gid;
  }

  test('of an unknown owner is served all the same, with a warning', async (context) => {
    const { command } = await start(context, 'dc_server', [
      '-sockowner',
      'no-such-user',
      '-sockgroup',
      'no-such-group',
    ]);
    const warning =
      "Warning, can't set socket ownership to user 'no-such-user' and group 'no-such-group', continuing anyway\n";
    await command.until(() => command.stderr === warning, 'warns');
  });

  test('is removed when the daemon ends, and replaced when it was killed', async (context) => {
    const { command, path } = await start(context, 'dc_server', []);
    await command.stop('SIGKILL');
    assert.ok(existsSync(path));
    const second = new Command('dc_server', ['-listen', `UNIX:${path}`]);
    context.after(() => second.stop('SIGKILL'));
    let peer: Peer | undefined;
    await second.until(() => {
      Peer.connect({ path }).then(
        (connected) => {
          peer ??= connected;
        },
        () => {},
      );
      return peer !== undefined;
    }, 'takes connections');
    assert.deepEqual(await peer?.ask('have', ID), NOT_OK);
    peer?.leave();
    await second.stop();
    assert.equal(existsSync(path), false);
  });

  test('of a live server is not taken from it', async (context) => {
    const { path } = await start(context, 'dc_server', []);
    const { status, stderr } = await Command.run('dc_server', ['-listen', `UNIX:${path}`]);
    assert.equal(status, 1);
    assert.ok(stderr.startsWith(`Error, can't listen on 'UNIX:${path}'\n`), stderr);
    const peer = await Peer.connect({ path });
    assert.deepEqual(await peer.ask('have', ID), NOT_OK);
    peer.leave();
  });
});

describe('the end', () => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    for (const name of ['dc_server', 'dc_client'] as const) {
      test(`${name} ends with status 0 on ${signal}, and leaves nothing`, async (context) => {
        const pidFile = newPath();
        const more = name === 'dc_client' ? ['-server', `UNIX:${newPath()}`] : [];
        const { command, path } = await start(context, name, ['-pidfile', pidFile, ...more]);
        await command.until(() => existsSync(pidFile) && readFileSync(pidFile, 'utf8') !== '', 'writes its pid');
        assert.equal(readFileSync(pidFile, 'utf8'), String(command.child.pid));
        const peer = await Peer.connect({ path });
        await command.stop(signal);
        assert.equal(command.status, 0);
        assert.deepEqual([existsSync(path), existsSync(pidFile)], [false, false]);
        peer.leave();
      });
    }
  }

  test('SIGUSR1 and SIGUSR2 end what is killable, with status 0', async (context) => {
    for (const signal of ['SIGUSR1', 'SIGUSR2'] as const) {
      const { command, path } = await start(context, 'dc_server', ['-killable']);
      await (await Peer.connect({ path })).ask('have', ID);
      await command.stop(signal);
      assert.equal(command.status, 0);
    }
  });

  test('SIGUSR1 and SIGUSR2 are ignored otherwise, and open no debugger', async (context) => {
    const { command, path } = await start(context, 'dc_server', []);
    const peer = await Peer.connect({ path });
    for (const signal of ['SIGUSR1', 'SIGUSR2'] as const) {
      command.child.kill(signal);
      await delay(100);
      assert.deepEqual(await peer.ask('have', ID), NOT_OK);
    }
    assert.equal(command.stderr, '');
    peer.leave();
  });
});

describe('a daemon', () => {
  /** Runs it, and gives the process that stays. */
  async function detach(context: TestContext, path: string, args: readonly string[]) {
    const pidFile = newPath();
    const command = await Command.run(
      'dc_server',
      ['-listen', `UNIX:${path}`, '-daemon', '-pidfile', pidFile, ...args],
      {
        cwd: directory,
      },
    );
    assert.deepEqual([command.status, command.stderr], [0, '']);
    const pid = Number(readFileSync(pidFile, 'utf8'));
    let isRunning = true;
    const stop = async () => {
      if (!isRunning) return;
      isRunning = false;
      process.kill(pid, 'SIGTERM');
      while (existsSync(`/proc/${pid}/exe`) && existsSync(path)) await delay(5);
    };
    context.after(stop);
    return { pid, pidFile, stop };
  }

  test('serves when the command has ended, from / and without a terminal', async (context) => {
    const path = newPath();
    const { pid, stop, pidFile } = await detach(context, path, []);
    const peer = await Peer.connect({ path });
    assert.deepEqual(await peer.ask('add', add('id')), OK);
    peer.leave();
    const [, , , , session] = readFileSync(`/proc/${pid}/stat`, 'latin1')
      .replace(/^.*\) /, 'x x ')
      .split(' ');
    assert.notEqual(session, undefined);
    assert.equal(readlinkSync(`/proc/${pid}/cwd`), '/');
    for (const descriptor of [0, 1, 2]) {
      const target = readlinkSync(`/proc/${pid}/fd/${descriptor}`);
      assert.equal(target, '/dev/null');
    }
    await stop();
    assert.deepEqual([existsSync(path), existsSync(pidFile)], [false, false]);
  });

  test('that can not listen says so before the command ends', async () => {
    const { status, stderr } = await Command.run('dc_server', ['-listen', 'UNIX:/none/such', '-daemon']);
    assert.equal(status, 1);
    assert.ok(stderr.startsWith("Error, can't listen on 'UNIX:/none/such'\n"), stderr);
  });
});

describe('another user', () => {
  const isRoot = process.getuid?.() === 0;

  test('is taken with all of its groups and none of root; or refused to who is not root', async () => {
    const path = newPath();
    const server = new Command('dc_server', ['-listen', `UNIX:${path}`, '-user', 'nobody']);
    if (!isRoot) {
      await server.ended();
      assert.equal(server.status, 1);
      return;
    }
    const nobody = execFileSync('id', ['-u', 'nobody'], { encoding: 'utf8' }).trim();
    const group = execFileSync('id', ['-g', 'nobody'], { encoding: 'utf8' }).trim();
    const groups = execFileSync('id', ['-G', 'nobody'], { encoding: 'utf8' }).trim();
    const statusLine = (name: string) =>
      new RegExp(`^${name}:\\s*(.*?)\\s*$`, 'm').exec(readFileSync(`/proc/${server.child.pid}/status`, 'utf8'))?.[1];
    try {
      await server.until(() => statusLine('Uid') === Array(4).fill(nobody).join('\t'), 'becomes nobody');
      assert.equal(statusLine('Gid'), Array(4).fill(group).join('\t'));
      assert.equal(statusLine('Groups'), groups);
      const peer = await Peer.connect({ path });
      assert.deepEqual(await peer.ask('have', ID), NOT_OK);
      peer.leave();
    } finally {
      await server.stop();
    }
  });
});

describe('dc_server', () => {
  test('reports its progress in the lines of the C server', async (context) => {
    const { command, path } = await start(context, 'dc_server', ['-progress', '100']);
    const peer = await Peer.connect({ path });
    for (let i = 0; i < 100; i++) await peer.ask('add', add(`id ${i % 5}`));
    const line = 'Info, total operations =     100  (+   100), total sessions =     5  (+  5)\n';
    await command.until(() => command.stderr.startsWith(line), 'reports');
    peer.leave();
  });

  test('says once that somebody speaks something else', async (context) => {
    const { command, path } = await start(context, 'dc_server', []);
    for (let i = 0; i < 5; i++) {
      const peer = await Peer.connect({ path });
      peer.send(Buffer.from('GET / HTTP/1.0\r\n\r\n'));
      await peer.expectClosed();
      peer.leave();
    }
    await delay(20);
    assert.equal(command.stderr, 'Warning, closed a connection: another protocol version, or no distcache at all\n');
  });

  test('raises small timeouts', async (context) => {
    const { path } = await start(context, 'dc_server', ['--min-timeout', '60000']);
    const peer = await Peer.connect({ path });
    assert.deepEqual(await peer.ask('add', addPayload(ID, Buffer.from('a session'), 1)), OK);
    await delay(50);
    assert.deepEqual(await peer.ask('have', ID), OK);
    peer.leave();
  });

  test('keeps no more than the memory it is given', async (context) => {
    const { path } = await start(context, 'dc_server', ['-memory', '1', '-sessions', '60000']);
    const peer = await Peer.connect({ path });
    const large = 'x'.repeat(30_000);
    for (let i = 0; i < 100; i++) assert.deepEqual(await peer.ask('add', add(`id ${i}`, large)), OK);
    let kept = 0;
    for (let i = 0; i < 100; i++) if ((await peer.ask('have', Buffer.from(`id ${i}`))).equals(OK)) kept++;
    assert.ok(kept >= 30 && kept <= 34, `${kept} of 30 KB in 1 MiB`);
    peer.leave();
  });

  test('shows its metrics', async (context) => {
    const metrics = newPath();
    const { command, path } = await start(context, 'dc_server', ['--metrics', `UNIX:${metrics}`]);
    await command.listening(metrics);
    const peer = await Peer.connect({ path });
    await peer.ask('add', add('id'));
    const answer = await httpGet(metrics, '/metrics');
    assert.match(answer, /^HTTP\/1.1 200 OK\r\n/);
    assert.match(answer, /^lookaside_distcache_server_added_total 1$/m);
    assert.match(answer, /^lookaside_distcache_server_sessions 1$/m);
    assert.match(await httpGet(metrics, '/other'), /^HTTP\/1.1 404 /);
    assert.match(await httpGet(metrics, '/metrics', 'POST'), /^HTTP\/1.1 405 /);
    peer.leave();
  });

  test('seals what it keeps in memcached', async (context) => {
    const memcached = await startMemcached();
    context.after(() => memcached.stop());
    const secretFile = newPath();
    writeFileSync(secretFile, 'a secret of enough bytes\n', { mode: 0o600 });
    const sealed = await start(context, 'dc_server', [
      '--memcached',
      memcached.server,
      '--seal-secret-file',
      secretFile,
    ]);
    const peer = await Peer.connect({ path: sealed.path });
    assert.deepEqual(await peer.ask('add', add('id', 'master secret')), OK);
    assert.deepEqual(await peer.ask('get', Buffer.from('id')), Buffer.from('master secret'));
    const open = await start(context, 'dc_server', ['--memcached', memcached.server]);
    const reader = await Peer.connect({ path: open.path });
    assert.equal((await reader.ask('get', Buffer.from('id'))).includes('master'), false);
    peer.leave();
    reader.leave();
  });

  async function httpGet(path: string, target: string, method = 'GET'): Promise<string> {
    const socket = createConnection(path);
    socket.write(`${method} ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    let answer = '';
    for await (const chunk of socket) answer += chunk;
    return answer;
  }
});

describe('dc_client', () => {
  test('stands between programs and a dc_server', async (context) => {
    const server = await start(context, 'dc_server', []);
    const proxy = await start(context, 'dc_client', ['-connect', `UNIX:${server.path}`, '-retry', '100']);
    const peer = await Peer.connect({ path: proxy.path });
    let answer = await peer.ask('add', add('id'));
    while (answer[0] === 2) answer = await peer.ask('add', add('id'));
    assert.deepEqual(answer, OK);
    assert.deepEqual(await peer.ask('get', Buffer.from('id')), Buffer.from('a session'));
    await server.command.stop();
    assert.deepEqual(await peer.ask('get', Buffer.from('id')), Buffer.of(2));
    peer.leave();
  });

  test('says when it has too many clients', async (context) => {
    const server = await start(context, 'dc_server', []);
    const { command, path } = await start(context, 'dc_client', ['-server', `UNIX:${server.path}`]);
    const peers = [];
    for (let i = 0; i < 1024; i++) {
      const peer = await Peer.connect({ path });
      await peer.ask('have', ID);
      peers.push(peer);
    }
    const late = await Peer.connect({ path });
    await late.expectClosed();
    const lines =
      'Error, rejected new client connection already at maximum (1024)\n' +
      "Error, couldn't add in new client connection - dropping it.\n";
    await command.until(() => command.stderr.endsWith(lines), 'says so');
    for (const peer of [late, ...peers]) peer.leave();
  });
});

describe('TLS', () => {
  const files = join(directory, 'tls');

  /** A certificate that is its own authority, and one that nobody knows. */
  function certificates(): void {
    mkdirSync(files);
    for (const name of ['good', 'unknown']) {
      const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
      const subject = ['-subj', `/CN=${name}`, '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
      const out = ['-keyout', join(files, `${name}.key`), '-out', join(files, `${name}.pem`)];
      execFileSync('openssl', ['req', '-x509', '-days', '2', ...key, ...subject, ...out], { stdio: 'ignore' });
    }
  }

  function tlsFlags(name: string): string[] {
    const [cert, key, ca] = [join(files, `${name}.pem`), join(files, `${name}.key`), join(files, 'good.pem')];
    return ['--tls', '--tls-cert', cert, '--tls-key', key, '--tls-ca', ca];
  }

  test('carries requests between a client and a server that know each other, and no others', async (context) => {
    certificates();
    const port = await freePort();
    const server = new Command('dc_server', ['-listen', `IP:127.0.0.1:${port}`, ...tlsFlags('good')]);
    context.after(() => server.stop('SIGKILL'));
    const where = ['-server', `IP:localhost:${port}`, '-retry', '50'];
    const good = await start(context, 'dc_client', [...where, ...tlsFlags('good')]);
    const unknown = await start(context, 'dc_client', [...where, ...tlsFlags('unknown')]);
    const plain = await start(context, 'dc_client', where);

    const peer = await Peer.connect({ path: good.path });
    let answer = await peer.ask('add', add('id'));
    for (; answer[0] === 2; await delay(10)) answer = await peer.ask('add', add('id'));
    assert.deepEqual(answer, OK);
    for (const { path } of [unknown, plain]) {
      const refused = await Peer.connect({ path });
      assert.deepEqual(await refused.ask('have', Buffer.from('id')), Buffer.of(2));
      refused.leave();
    }
    peer.leave();
  });

  async function freePort(): Promise<number> {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const bound = server.address();
    assert.ok(bound !== null && typeof bound === 'object');
    server.close();
    await once(server, 'close');
    return bound.port;
  }
});
