import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type Served, startLookaside } from '../support/lookaside.js';
import { type Memcached, startMemcached } from '../support/memcached.js';
import { packageRoot } from '../support/root.js';
import { play } from '../support/transcript.js';

const BACKENDS = {
  Python: ['/usr/bin/python3', join(packageRoot, 'examples/backends/purge.py')],
  shell: ['bash', join(packageRoot, 'examples/backends/purge.sh')],
} as const;

const config = (memcached: string, headers: boolean) => `
listen: 127.0.0.1:0
memcached:
  servers: ["${memcached}"]
  timeout: 2s
actions:
  - memcached.lookup:
      key: "%{req.scheme}://%{req.host}%{req.path}"
      headers: ${headers}
      miss:
        - respond: {status: 404, body: "nothing here"}
`;

for (const [language, [program, script]] of Object.entries(BACKENDS)) {
  describe(`a backend in ${language}`, () => {
    let memcached: Memcached;
    const proxies: Served[] = [];

    before(async () => {
      memcached = await startMemcached();
      for (const headers of [false, true]) {
        proxies.push(await startLookaside({ config: config(memcached.server, headers) }));
      }
    });
    after(async () => {
      for (const proxy of proxies) await proxy.stop();
      await memcached?.stop();
    });

    async function backend(command: 'set' | 'delete', key: string, body = ''): Promise<number> {
      const child = spawn(program, [script, memcached.server, command, key], { stdio: ['pipe', 'inherit', 'inherit'] });
      child.stdin.end(body);
      const [code] = await once(child, 'exit');
      return code;
    }

    const [raw, whole] = [() => proxies[0]?.url ?? '', () => proxies[1]?.url ?? ''];

    test('sets a page and Lookaside serves it; deletes it and Lookaside forgets at once', async () => {
      assert.equal(await backend('set', 'http://127.0.0.1/news.html', '<p>News</p>\n'), 0);
      await play(
        raw(),
        `
        > GET /news.html
        < 200
        < Content-Type: text/html; charset=utf-8
        << <p>News</p>\\n
        `,
      );
      assert.equal(await backend('delete', 'http://127.0.0.1/news.html'), 0);
      await play(raw(), '> GET /news.html\n< 404');
      assert.equal(await backend('delete', 'http://127.0.0.1/news.html'), 1, 'there is nothing left to delete');
    });

    test('uses the same SHA-1 for long and for odd keys', async () => {
      const long = `/${'x'.repeat(300)}.txt`;
      assert.equal(await backend('set', `http://127.0.0.1${long}`, 'long'), 0);
      assert.equal(await backend('set', 'http://127.0.0.1/café au lait.txt', 'odd'), 0);
      await play(
        raw(),
        `
        > GET ${long}
        < 200
        << long
        > GET /caf%C3%A9%20au%20lait.txt
        < 200
        << odd
        `,
      );
    });

    test('may write whole responses, with status and fields', async () => {
      const message = 'HTTP/1.1 200 OK\r\nContent-Type: text/x-own\r\nX-Own: yes\r\nETag: "v1"\r\n\r\nwhole';
      assert.equal(await backend('set', 'http://127.0.0.1/whole', message), 0);
      await play(
        whole(),
        `
        > GET /whole
        < 200
        < Content-Type: text/x-own
        < X-Own: yes
        << whole
        > GET /whole
        > If-None-Match: W/"v1"
        < 304
        < ETag: "v1"
        `,
      );
    });

    test('can not make Lookaside serve somebody’s cookie, or something that is no response', async () => {
      assert.equal(
        await backend('set', 'http://127.0.0.1/cookie', 'HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\n\r\nhers'),
        0,
      );
      assert.equal(await backend('set', 'http://127.0.0.1/broken', 'not a response'), 0);
      await play(
        whole(),
        `
        > GET /cookie
        < 404
        < Cache-Status: /detail="?set-cookie/
        > GET /broken
        < 404
        < Cache-Status: /malformed/
        `,
      );
    });
  });
}
