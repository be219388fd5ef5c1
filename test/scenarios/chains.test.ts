import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { type Served, startLookaside } from '../support/lookaside.js';
import { play } from '../support/transcript.js';

const config = (upstream: string) => `
listen: 127.0.0.1:0
actions:
  - when:
      if: req.path =^ "/fixed"
      then:
        - header.add: {X-Early: "set before the response"}
        - respond: {status: 201, body: "%{req.method} %{req.path}", type: text/x-own}
        - header.add: {X-Status: "%{resp.status}"}
        - set_status: 202
  - when:
      if: req.path =~ "^/user/([0-9]+)/(.*)$"
      then:
        - log.write: "user %1 asks for %2"
        - rewrite: "/people/%1?page=%2"
  - when:
      if: req.path == "/old"
      then:
        - redirect: "%{req.scheme}://%{req.authority}/new"
  - when:
      if: (req.header["x-secret"] == "yes" or req.query == "secret") and not req.method == "POST"
      then:
        - respond: 403
  - req_header.add: {X-Added: "%{req.host}"}
  - req_header.remove: X-Removed
  - req_header.overwrite: {X-Overwritten: ours}
  - memcached.lookup:
      key: "%{req.raw_path}"
      headers: true
      hit:
        - header.add: {X-Memcached: Hit}
      miss:
        - header.add: {X-Memcached: Miss}
        - proxy: ${upstream}
        - header.remove: [X-Powered-By]
        - header.overwrite: {X-Stored: "yes"}
        - memcached.store: {key: "%{req.raw_path}", headers: true, ttl: 60s}
        - header.add: {X-After: not stored}
  - header.append: {X-List: last}
`;

describe('a chain of actions', () => {
  /** Says what reached it. */
  const origin = createServer((request, response) => {
    response.setHeader('X-Powered-By', 'test');
    response.setHeader('X-List', 'first');
    const seen = ['x-added', 'x-removed', 'x-overwritten', 'x-forwarded-for', 'x-forwarded-host'];
    response.end(
      `${request.method} ${request.url} ${seen.map((name) => `${name}=${request.headers[name]}`).join(' ')}`,
    );
  });
  let lookaside: Served;

  before(async () => {
    origin.listen(0, '127.0.0.1');
    await once(origin, 'listening');
    lookaside = await startLookaside({ config: config(`http://127.0.0.1:${(origin.address() as AddressInfo).port}`) });
  });
  after(async () => {
    await lookaside?.stop();
    origin.close();
    origin.closeAllConnections();
  });

  test('answers by itself, and edits what it answers', () =>
    play(
      lookaside.url,
      `
      > GET /fixed/answer
      < 202
      < X-Early: set before the response
      < X-Status: 201
      < Content-Type: text/x-own
      < X-List: last
      < !Cache-Status
      << GET /fixed/answer
      `,
    ));

  test('stores what stands between the origin and memcached.store, and nothing of before and after', () =>
    play(
      lookaside.url,
      `
      > GET /page
      > X-Removed: client
      > X-Overwritten: client
      > X-Forwarded-For: 6.6.6.6
      > X-Forwarded-Host: evil.test
      < 200
      < X-Memcached: Miss
      < !X-Powered-By
      < X-Stored: yes
      < X-After: not stored
      < X-List: first, last
      << /^GET /page x-added=127.0.0.1 x-removed=undefined x-overwritten=ours x-forwarded-for=127.0.0.1 x-forwarded-host=127.0.0.1:[0-9]+$/
      > GET /page
      < 200
      < X-Memcached: Hit
      < !X-Powered-By
      < X-Stored: yes
      < !X-After
      < X-List: first, last
      `,
    ));

  test('matches, captures and rewrites', async () => {
    await play(
      lookaside.url,
      `
      > GET /user/42/photos
      < 200
      << /^GET /people/42.page=photos x-added/
      `,
    );
    assert.match(lookaside.log(), /user 42 asks for photos/);
  });

  test('redirects', () => play(lookaside.url, '> GET /old\n< 301\n< Location: /^http://127.0.0.1:[0-9]+/new$/'));

  test('decides by conditions', () =>
    play(
      lookaside.url,
      `
      > GET /page
      > X-Secret: yes
      < 403
      > GET /page?secret
      < 403
      > POST /page?secret
      < 200
      < Cache-Status: /fwd=method/
      `,
    ));
});
