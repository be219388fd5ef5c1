import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { startProxy, type TestProxy } from '../support/proxy.js';
import { RawClient } from '../support/raw-client.js';
import { play } from '../support/transcript.js';

/** Spelt apart: an object written with a property `then` looks like a promise. */
const THEN = 'then';

const when = (condition: string, actions: readonly unknown[]) => ({ when: { if: condition, [THEN]: actions } });

describe('static', () => {
  let folder: string;
  let proxy: TestProxy;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lookaside-static-'));
    const www = join(folder, 'www');
    await mkdir(join(www, 'dir', 'empty'), { recursive: true });
    await mkdir(join(www, 'öäü'));
    await mkdir(join(www, '.git'));
    await mkdir(join(folder, 'www-other'));
    await writeFile(join(folder, 'secret'), 'secret');
    await writeFile(join(folder, 'www-other', 'secret'), 'secret');
    await writeFile(join(www, 'page.html'), '<p>page</p>');
    await writeFile(join(www, 'none'), '');
    await writeFile(join(www, 'a b%c?d#e'), 'odd name');
    await writeFile(Buffer.concat([Buffer.from(`${www}/latin-`), Buffer.of(0xe4)]), 'latin1 name');
    await writeFile(join(www, 'öäü', 'ß.txt'), 'utf8 name');
    await writeFile(join(www, 'dir', 'index.html'), 'index');
    await writeFile(join(www, 'dir', 'other.html'), 'other index');
    await writeFile(join(www, 'fallback.html'), 'fallback');
    await writeFile(join(www, '.hidden'), 'secret');
    await writeFile(join(www, '.git', 'config'), 'secret');
    await symlink('page.html', join(www, 'inside'));
    await symlink('../secret', join(www, 'outside'));
    await symlink('..', join(www, 'up'));
    await symlink('../www-other', join(www, 'neighbour'));
    await symlink('loop', join(www, 'loop'));
    execFileSync('mkfifo', [join(www, 'fifo')]);
    const rewritten = (prefix: string, index: unknown) =>
      when(`req.path =^ "${prefix}"`, [{ rewrite: { [`^${prefix}(.*)`]: '$1' } }, { docroot: www }, { index }]);
    proxy = await startProxy({
      actions: [
        { docroot: www },
        rewritten('/indexed', ['missing.html', 'other.html']),
        rewritten('/fallback', ['missing.html', '/fallback.html']),
        when('req.path == "/no-range"', [
          { 'req_header.remove': 'Range' },
          { rewrite: '/page.html' },
          { docroot: www },
        ]),
        'static',
      ],
    });
  });
  after(async () => {
    await proxy?.close();
    await rm(folder, { recursive: true });
  });

  test('serves a file with its type, its length and its validators', () =>
    play(
      proxy.url,
      `
      > GET /page.html?query
      < 200
      < Content-Type: text/html; charset=utf-8
      < Content-Length: 11
      < ETag: /^W/
      < Last-Modified: /GMT$/
      < !Cache-Control
      << <p>page</p>
      > HEAD /page.html
      < 200
      < Content-Length: 11
      << /^$/
      > GET /none
      < 200
      < Content-Length: 0
      > GET /inside
      << <p>page</p>
      `,
    ));

  test('answers conditions and ranges', () =>
    play(
      proxy.url,
      `
      > GET /page.html
      > If-None-Match: *
      < 304
      << /^$/
      > GET /page.html
      > If-Match: "other"
      < 412
      > GET /page.html
      > Range: bytes=3-6
      < 206
      < Content-Range: bytes 3-6/11
      << page
      > GET /page.html
      > Range: bytes=99-
      < 416
      < Content-Range: bytes */11
      # a field that the chain removed has no effect
      > GET /no-range
      > Range: bytes=3-6
      < 200
      `,
    ));

  test('finds names of any bytes', () =>
    play(
      proxy.url,
      `
      > GET /a%20b%25c%3Fd%23e
      << odd name
      > GET /%c3%b6%C3%A4%c3%bc/%c3%9f.txt
      << utf8 name
      # a name that is not UTF-8 can not be asked of the file server
      > GET /latin-%e4
      < 404
      `,
    ));

  test('takes GET and HEAD only', () =>
    play(
      proxy.url,
      `
      > POST /page.html
      >> body
      < 405
      < Allow: GET, HEAD
      > DELETE /missing
      < 405
      `,
    ));

  test('serves the index of a directory, which has a slash at its end', () =>
    play(
      proxy.url,
      `
      > GET /dir/
      < 200
      << index
      > GET /dir?a=b
      < 301
      < Location: /dir/?a=b
      < Content-Length: 0
      > GET /dir/empty/
      < 404
      > GET /dir/empty
      < 301
      > GET /page.html/
      < 404
      > GET /indexed/dir/
      << other index
      > GET /indexed/page.html
      << <p>page</p>
      > GET /indexed/dir
      < 301
      < Location: /dir/
      > GET /indexed/dir/empty/
      < 404
      > GET /fallback/anything/at/all
      << fallback
      `,
    ));

  for (const target of [
    '/missing',
    '/.hidden',
    '/%2ehidden',
    '/.git/config',
    '/dir/../.git/config',
    '/../secret',
    '/..%2fsecret',
    '/%2e%2e/secret',
    '/dir/..%2f..%2f..%2fsecret',
    '/..%5csecret',
    '/..\\secret',
    '/outside',
    '/up/secret',
    '/up',
    '/up/',
    '/neighbour/secret',
    '/../www-other/secret',
    '/loop',
    '/fifo',
    '/page.html%00.txt',
    '/%00',
    `/${'a'.repeat(300)}`,
    `/${'a/'.repeat(3000)}`,
    '/PAGE.HTML',
    '/page.html%20',
    '/page.html/x',
    '//secret',
    '/%252e%252e/secret',
  ]) {
    test(`serves nothing for ${target.slice(0, 40)}`, async () => {
      const client = await RawClient.connect(proxy.url);
      client.send(`GET ${target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
      const received = await client.untilClosed();
      assert.match(received, /^HTTP\/1\.1 404 /);
      assert.doesNotMatch(received, /secret/);
    });
  }

  test('sends nobody to another host', async () => {
    await mkdir(join(folder, 'www', 'evil.example', 'dir'), { recursive: true });
    await play(
      proxy.url,
      `
      > GET //evil.example/dir
      < 301
      < Location: /evil.example/dir/
      > GET /evil.example/dir?a%0d%0ab"<
      < 301
      < Location: /evil.example/dir/?a%0d%0ab%22%3C
      `,
    );
  });
});

test('without a docroot static leaves the request to others', async (t) => {
  const proxy = await startProxy({
    actions: ['static', { index: 'index.html' }, { respond: { status: 418, body: 'not mine' } }],
  });
  t.after(() => proxy.close());
  await play(proxy.url, '> GET /\n< 418\n<< not mine');
});

test('a docroot that does not exist serves nothing', async (t) => {
  const proxy = await startProxy({ actions: [{ docroot: '/nowhere/at/all' }, { index: 'index.html' }, 'static'] });
  t.after(() => proxy.close());
  await play(proxy.url, '> GET /\n< 404\n> GET /x\n< 404');
});
