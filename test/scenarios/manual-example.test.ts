import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type Served, startLookaside } from '../support/lookaside.js';
import { type Memcached, rawCommand, startMemcached } from '../support/memcached.js';
import { play } from '../support/transcript.js';

/** The example of the mod_memcached manual, with another docroot, a ttl that a test can wait for, and flags. */
const manualExample = (memcached: string, docroot: string) => `
listen: 127.0.0.1:0
memcached:
  servers: ["${memcached}"]
  timeout: 2s
actions:
  - memcached.lookup:
      key: "%{req.scheme}://%{req.host}%{req.path}"
      hit:
        - header.add: {X-Memcached: Hit}
      miss:
        - header.add: {X-Memcached: Miss}
        - docroot: ${docroot}
        - static
        - memcached.store: {key: "%{req.scheme}://%{req.host}%{req.path}", ttl: 2s, maxsize: 100, flags: 7}
`;

describe("the manual's example", () => {
  let memcached: Memcached;
  let lookaside: Served;
  let folder: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lookaside-scenario-'));
    const docroot = join(folder, 'www');
    await mkdir(join(docroot, 'dir'), { recursive: true });
    await writeFile(join(folder, 'secret.txt'), 'secret\n');
    await writeFile(join(docroot, 'index.html'), '<p>Hello</p>\n');
    await writeFile(join(docroot, 'hello.txt'), 'hello\n');
    await writeFile(join(docroot, 'unknown.thing'), 'what?\n');
    await writeFile(join(docroot, 'fits.txt'), 'x'.repeat(100));
    await writeFile(join(docroot, 'large.txt'), 'x'.repeat(101));
    await writeFile(join(docroot, '.htpasswd'), 'secret\n');
    await symlink('../secret.txt', join(docroot, 'link.txt'));
    memcached = await startMemcached();
    lookaside = await startLookaside({ config: manualExample(memcached.server, docroot) });
  });
  after(async () => {
    await lookaside?.stop();
    await memcached?.stop();
    await rm(folder, { recursive: true });
  });

  const stored = (path: string) => rawCommand(memcached.address, `get http://127.0.0.1${path}\r\n`);

  test('misses, then hits, until the ttl is over', () =>
    play(
      lookaside.url,
      `
      > GET /hello.txt
      < 200
      < X-Memcached: Miss
      < Content-Type: text/plain; charset=utf-8
      < Cache-Status: lookaside; fwd=uri-miss; fwd-status=200; stored
      << hello\\n

      > GET /hello.txt
      < 200
      < X-Memcached: Hit
      < Content-Type: text/plain; charset=utf-8
      < Content-Length: 6
      < Cache-Status: /^lookaside; hit; ttl=[12]$/
      << hello\\n

      ~ 3100
      > GET /hello.txt
      < 200
      < X-Memcached: Miss
      `,
    ));

  test('tells the type of a hit by the extension of its path', () =>
    play(
      lookaside.url,
      `
      > GET /index.html
      < X-Memcached: Miss
      < Content-Type: text/html; charset=utf-8
      > GET /index.html
      < X-Memcached: Hit
      < Content-Type: text/html; charset=utf-8
      << <p>Hello</p>\\n

      > GET /unknown.thing
      < X-Memcached: Miss
      > GET /unknown.thing
      < X-Memcached: Hit
      < Content-Type: application/octet-stream
      `,
    ));

  test('stores a body of maxsize bytes and none that is larger', async () => {
    await play(
      lookaside.url,
      `
      > GET /fits.txt
      < X-Memcached: Miss
      > GET /fits.txt
      < X-Memcached: Hit

      > GET /large.txt
      < X-Memcached: Miss
      < Cache-Status: lookaside; fwd=uri-miss; fwd-status=200; detail=above-maxsize
      > GET /large.txt
      < X-Memcached: Miss
      < Content-Length: 101
      `,
    );
    assert.equal(await stored('/large.txt'), 'END\r\n');
  });

  test('writes what any other client can read, flags included', async () => {
    await play(lookaside.url, '> GET /fits.txt');
    assert.equal(await stored('/fits.txt'), `VALUE http://127.0.0.1/fits.txt 7 100\r\n${'x'.repeat(100)}\r\nEND\r\n`);
  });

  test('serves what any other client has written, and forgets what it deletes', async () => {
    await rawCommand(memcached.address, 'set http://127.0.0.1/other.css 0 60 6\r\na{b:c}\r\n');
    await play(
      lookaside.url,
      `
      > GET /other.css
      < 200
      < X-Memcached: Hit
      < Content-Type: text/css; charset=utf-8
      << a{b:c}
      `,
    );
    await rawCommand(memcached.address, 'delete http://127.0.0.1/other.css\r\n');
    await play(
      lookaside.url,
      `
      > GET /other.css
      < 404
      < X-Memcached: Miss
      `,
    );
  });

  test('answers HEAD and conditional requests, and ranges of a hit', () =>
    play(
      lookaside.url,
      `
      > GET /hello.txt
      > HEAD /hello.txt
      < 200
      < X-Memcached: Hit
      < Content-Length: 6
      << /^$/
      > GET /hello.txt
      > Range: bytes=1-3
      < 206
      < Content-Range: bytes 1-3/6
      < Content-Length: 3
      << ell
      > GET /hello.txt
      > Range: bytes=-2
      < 206
      << /^o\\n$/
      > GET /hello.txt
      > Range: bytes=99-
      < 416
      < Content-Range: bytes */6
      > GET /hello.txt
      > If-Match: "x"
      < Cache-Status: /detail="?precondition/
      `,
    ));

  test('does not store a range, an error or the answer to a HEAD', () =>
    play(
      lookaside.url,
      `
      > GET /dir/missing.txt
      < 404
      < Cache-Status: lookaside; fwd=uri-miss; fwd-status=404; detail=status
      > HEAD /unknown.thing?fresh
      > POST /hello.txt
      >> body
      < Cache-Status: /fwd=method/
      `,
    ));

  test('serves no dotfile, no directory, and nothing outside the docroot', () =>
    play(
      lookaside.url,
      `
      > GET /.htpasswd
      < 404
      > GET /link.txt
      < 404
      > GET /../secret.txt
      < 404
      > GET /%2e%2e/secret.txt
      < 404
      > GET /..%2fsecret.txt
      < 404
      > GET /dir/..%2f..%2fsecret.txt
      < 404
      > GET /dir/
      < 404
      `,
    ));

  test('bypasses the cache when the path could mean something else to somebody else', async () => {
    await play(
      lookaside.url,
      `
      > GET /dir/..%2fhello.txt
      < Cache-Status: /fwd=bypass; .*ambiguous-path/
      > GET //hello.txt
      < Cache-Status: /ambiguous-path/
      `,
    );
  });
});
