import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { type Served, startLookaside } from '../support/lookaside.js';
import { type Memcached, rawCommand, startMemcached } from '../support/memcached.js';
import { play, playUntilItHolds } from '../support/transcript.js';

/** An origin that numbers its answers, so that a second one can not pass for the first. */
const ROUTES: { readonly [path: string]: (response: ServerResponse, answer: number) => void } = {
  '/page': (response, n) =>
    response.writeHead(200, { 'content-type': 'text/x-own', etag: '"e1"', 'x-n': n }).end('page'),
  '/cookie': (response, n) => response.setHeader('set-cookie', 'id=1').end(`${n}`),
  '/private': (response, n) => response.setHeader('cache-control', 'private, max-age=60').end(`${n}`),
  '/no-store': (response, n) => response.setHeader('cache-control', 'no-store').end(`${n}`),
  '/no-cache': (response, n) => response.setHeader('cache-control', 'no-cache').end(`${n}`),
  '/expired': (response, n) => response.setHeader('cache-control', 'max-age=0').end(`${n}`),
  '/short': (response, n) => response.setHeader('cache-control', 'max-age=2').end(`${n}`),
  '/aged': (response, n) => response.writeHead(200, { age: '5', 'cache-control': 'max-age=60' }).end(`${n}`),
  '/vary': (response, n) => response.setHeader('vary', 'Accept-Language').end(`${n}`),
  '/vary-any': (response, n) => response.setHeader('vary', '*').end(`${n}`),
  '/moved': (response, n) => response.writeHead(302, { location: '/page' }).end(`${n}`),
  '/gone': (response, n) => response.writeHead(410).end(`${n}`),
  '/gzip': (response, n) => response.writeHead(200, { 'content-encoding': 'gzip' }).end(`${n}`),
  '/truncated': (response) => {
    response.writeHead(200, { 'content-length': '100' });
    response.write('half');
    setTimeout(() => response.destroy(), 20);
  },
  '/broken-chunks': (response) => {
    response.write('half');
    setTimeout(() => response.destroy(), 20);
  },
  '/until-close': (response) => {
    response.socket?.end('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall or half?');
  },
  '/slow': (response) => {
    response.writeHead(200, { 'content-length': '8' });
    response.write('half');
    setTimeout(() => response.end('half'), 500);
  },
};

for (const kind of ['memcached', 'embedded'] as const) {
  describe(`lookaside serve --upstream, ${kind}`, () => {
    let answers = 0;
    const origin = createServer((request, response) => {
      const path = (request.url ?? '').split('?')[0] ?? '';
      const route = ROUTES[path];
      if (route === undefined) response.writeHead(404).end();
      else route(response, ++answers);
    });
    let memcached: Memcached | undefined;
    let lookaside: Served;

    before(async () => {
      origin.listen(0, '127.0.0.1');
      await once(origin, 'listening');
      const upstream = `http://127.0.0.1:${(origin.address() as AddressInfo).port}`;
      if (kind === 'memcached') memcached = await startMemcached();
      const store = memcached === undefined ? [] : ['--memcached', memcached.server];
      lookaside = await startLookaside({ args: ['--upstream', upstream, '--ttl', '60s', ...store] });
    });
    after(async () => {
      await lookaside?.stop();
      await memcached?.stop();
      origin.close();
      origin.closeAllConnections();
    });

    const twice = async (path: string, first: string, second: string, fields = '') => {
      await play(lookaside.url, `> GET ${path}\n${fields}\n${first}`);
      await playUntilItHolds(lookaside.url, `> GET ${path}\n${fields}\n${second}`);
    };

    test('a response comes back whole: status, fields and body', async () => {
      await twice(
        '/page?a=1',
        `
        < 200
        < Cache-Status: lookaside; fwd=uri-miss; fwd-status=200; stored
        < X-N: /^[0-9]+$/
        << page
        `,
        `
        < 200
        < Cache-Status: /^lookaside; hit; ttl=(59|60)$/
        < Content-Type: text/x-own
        < ETag: "e1"
        < Age: /^[01]$/
        << page
        `,
      );
      await play(
        lookaside.url,
        `
        > GET /page?a=1
        > If-None-Match: "e0", W/"e1"
        < 304
        < ETag: "e1"
        < Cache-Status: /hit/
        > GET /page?a=1
        > Range: bytes=1-2
        < 206
        < Content-Range: bytes 1-2/4
        << ag
        > GET /page?a=1
        > Range: bytes=1-2
        > If-Range: "other"
        < 200
        << page
        > HEAD /page?a=1
        < 200
        < Content-Length: 4
        < Cache-Status: /hit/
        # another query is another page
        > GET /page?a=2
        < Cache-Status: /uri-miss/
        `,
      );
    });

    for (const reason of ['set-cookie', 'private', 'no-store', 'no-cache'] as const) {
      const path = reason === 'set-cookie' ? '/cookie' : `/${reason}`;
      test(`${path} is not stored, and nobody waits for the next one to be: ${reason}`, () =>
        twice(
          path,
          `< 200\n< Cache-Status: lookaside; fwd=uri-miss; fwd-status=200; detail=${reason}`,
          `< Cache-Status: lookaside; fwd=miss; fwd-status=200; detail="hit-for-miss, ${reason}"`,
        ));
    }

    test('what is expired when it comes is kept for the case that the origin fails, and asked for anew', () =>
      twice(
        '/expired',
        '< 200\n< Cache-Status: lookaside; fwd=uri-miss; fwd-status=200; stored',
        '< 200\n< Cache-Status: lookaside; fwd=stale; fwd-status=200; stored',
      ));

    test('what a request with Authorization got is not stored', () =>
      twice(
        '/page?authorized',
        '< Cache-Status: lookaside; fwd=uri-miss; fwd-status=200; detail=authorization',
        '< Cache-Status: /uri-miss/',
        '> Authorization: Basic eA==',
      ));

    test('a page is used no longer than it says itself, and shows its age', async () => {
      await twice('/short', '< Cache-Status: /stored/', '< Cache-Status: /hit/');
      await twice('/aged', '< Cache-Status: /stored/', '< Cache-Status: /hit; ttl=5[45]$/\n< Age: /^[56]$/');
      await play(lookaside.url, '~ 2100\n> GET /short\n< Cache-Status: /fwd=stale/');
    });

    test('a variant is given only to requests that select it', async () => {
      await twice('/vary', '< Cache-Status: /stored/', '< Cache-Status: /hit/', '> Accept-Language: de');
      await play(
        lookaside.url,
        `
        > GET /vary
        > Accept-Language: en
        < Cache-Status: lookaside; fwd=vary-miss; fwd-status=200; stored; detail=vary
        > GET /vary
        < Cache-Status: /vary-miss/
        > GET /vary-any
        < Cache-Status: lookaside; fwd=uri-miss; fwd-status=200; detail=vary
        `,
      );
    });

    test('an encoded body keeps its Content-Encoding', () =>
      twice('/gzip', '< Cache-Status: /stored/', '< Cache-Status: /hit/\n< Content-Encoding: gzip'));

    test('--ttl is for responses of lasting statuses that do not say it themselves', async () => {
      await twice('/moved', '< 302\n< Cache-Status: /stored/', '< 302\n< Cache-Status: /hit; ttl=(59|60)/');
      await twice('/gone', '< 410\n< Cache-Status: /detail=no-freshness/', '< 410\n< Cache-Status: /hit-for-miss/');
    });

    test('what a request with a cookie got is stored only when the response says that it is for all', async () => {
      const cookie = '> Cookie: id=1';
      await twice(
        '/page?mine',
        '< Cache-Status: /uri-miss; .*detail=cookie/',
        '< Cache-Status: /fwd=.*cookie/',
        cookie,
      );
      await twice('/aged?mine', '< Cache-Status: /stored/', '< Cache-Status: /hit/', cookie);
    });

    for (const path of ['/truncated', '/broken-chunks']) {
      test(`a body that breaks off is never stored, and the client can tell: ${path}`, async () => {
        await assert.rejects(play(lookaside.url, `> GET ${path}`), /aborted|ECONNRESET|hang up/);
        await assert.rejects(play(lookaside.url, `> GET ${path}`), /aborted|ECONNRESET|hang up/);
      });
    }

    test('a body that only the end of the connection ends is passed on and not stored', () =>
      twice(
        '/until-close',
        '< 200\n< Cache-Status: /detail=unknown-length/\n<< all or half?',
        '< Cache-Status: /detail="hit-for-miss, unknown-length"/\n<< all or half?',
      ));

    test('a client that leaves in the middle leaves no half page behind', async () => {
      const { hostname, port } = new URL(lookaside.url);
      const socket = connect(Number(port), hostname);
      socket.write(`GET /slow HTTP/1.1\r\nHost: ${hostname}:${port}\r\n\r\n`);
      await once(socket, 'data');
      socket.destroy();
      await play(
        lookaside.url,
        `
        ~ 100
        > GET /slow
        < 200
        << halfhalf
        > GET /slow
        << halfhalf
        `,
      );
    });

    if (kind === 'memcached') {
      test('an entry is a message that other clients can read', async () => {
        assert.ok(memcached);
        const { host } = new URL(lookaside.url);
        await twice('/page?readable', '< 200', '< Cache-Status: /hit/');
        const reply = await rawCommand(memcached.address, `get http://${host}/page?readable\r\n`);
        const [, statusLine, metadata] = reply.split('\r\n');
        assert.equal(statusLine, 'HTTP/1.1 200 ');
        assert.match(metadata ?? '', /^lookaside: 2 mac=- at=\d+ age=0 life=60 .* body=4 seg=- key=http:.*readable$/);
        assert.match(reply, /\r\n\r\npage\r\nEND\r\n$/);
      });

      test('an entry under a key that is not its own is a miss', async () => {
        assert.ok(memcached);
        const { host } = new URL(lookaside.url);
        await twice('/page?its-own', '< 200', '< Cache-Status: /hit/');
        const reply = await rawCommand(memcached.address, `get http://${host}/page?its-own\r\n`);
        const value = reply.slice(reply.indexOf('\r\n') + 2, -'\r\nEND\r\n'.length);
        const key = `http://${host}/page?yours`;
        await rawCommand(memcached.address, `set ${key} 0 60 ${value.length}\r\n${value}\r\n`);
        await play(lookaside.url, '> GET /page?yours\n< Cache-Status: /fwd=miss; .*detail=wrong-key/');
      });
    }
  });
}
