import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import type { IncomingMessage, RequestListener } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { proxyAction } from '../../src/actions/proxy.js';
import { settingsOf } from '../../src/config/load.js';
import { stepOf } from '../support/action.js';
import { exchangeOf } from '../support/exchange.js';
import {
  type Origin,
  type Seen,
  startOrigin,
  startRawOrigin,
  startRecordingOrigin,
  startTlsOrigin,
  valuesOf,
} from '../support/origin.js';
import { startProxy, type TestProxy } from '../support/proxy.js';
import { RawClient, rawRequest } from '../support/raw-client.js';
import { fetchRaw } from '../support/transcript.js';

/** What a proxy with these options makes of one request to an origin that does as `answer` says. */
async function throughProxy(
  answer: Parameters<typeof startRawOrigin>[0],
  options: { readonly [name: string]: unknown } = {},
  request = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
): Promise<string> {
  const origin = await startRawOrigin(answer);
  const proxy = await startProxy({ actions: { proxy: { upstream: origin.url, ...options } } });
  try {
    return await rawRequest(proxy.url, request);
  } finally {
    await proxy.close();
    await origin.close();
  }
}

const says = (response: string) => (socket: { end(text: string, encoding: 'latin1'): unknown }) => {
  socket.end(response, 'latin1');
};

describe('what reaches the upstream', () => {
  let origin: Origin & { readonly requests: readonly Seen[] };
  let proxy: TestProxy;

  before(async () => {
    origin = await startRecordingOrigin();
    proxy = await startProxy({ actions: { proxy: origin.url } });
  });
  after(async () => {
    await proxy?.close();
    await origin?.close();
  });

  const last = () => origin.requests.at(-1) ?? assert.fail('nothing arrived');
  const send = (request: string) => rawRequest(proxy.url, request);

  for (const target of [
    '/',
    '/a?b=c',
    '//other.example/x',
    '/../../etc/passwd',
    '/%2e%2e/%2E%2E/',
    '/a/./b//c',
    '/%zz?%',
    '/%ff',
    '/a;b=c,d',
    '/?http://other.example/',
    '/@other.example/',
    '/\\other.example\\',
    '/a#b',
    '/%00%0d%0a',
    '/"<>`{|}^',
  ]) {
    test(`the target byte for byte: ${target}`, async () => {
      assert.match(await send(`GET ${target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`), /^HTTP\/1\.1 200 /);
      assert.equal(last().target, target);
    });
  }

  for (const method of [
    'GET',
    'POST',
    'PUT',
    'PATCH',
    'DELETE',
    'OPTIONS',
    'QUERY',
    'M-SEARCH',
    'PROPFIND',
    'PURGE',
    'TRACE',
  ]) {
    test(`the method ${method}`, async () => {
      assert.match(await send(`${method} /m HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`), /^HTTP\/1\.1 200 /);
      assert.equal(last().method, method);
    });
  }

  test('bodies as they are, whatever type they claim, sized or chunked', async () => {
    const body = '{"not json\x00\xff';
    for (const type of ['application/json', 'text/plain', 'not a type', '']) {
      const head = `POST /body HTTP/1.1\r\nHost: a\r\nContent-Type: ${type}\r\nConnection: close\r\n`;
      await send(`${head}Content-Length: ${body.length}\r\n\r\n${body}`);
      assert.equal(Buffer.from(last().body).toString('latin1').startsWith('{"not json'), true);
      assert.deepEqual(valuesOf(last(), 'content-length'), [String(body.length)]);
      assert.deepEqual(valuesOf(last(), 'content-type'), [type]);
      await send(`${head}Transfer-Encoding: chunked\r\n\r\n5\r\n{"not\r\n5\r\n json\r\n0\r\n\r\n`);
      assert.equal(last().body, '{"not json');
    }
  });

  test('a body on DELETE, OPTIONS and QUERY, too', async () => {
    for (const method of ['DELETE', 'OPTIONS', 'QUERY']) {
      await send(`${method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody`);
      assert.equal(last().body, 'body');
    }
  });

  test('no body on GET and HEAD, and nothing of it as a request of its own', async () => {
    const before = origin.requests.length;
    const smuggled = 'GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n';
    for (const method of ['GET', 'HEAD']) {
      const head = `${method} /fat HTTP/1.1\r\nHost: a\r\nConnection: close\r\n`;
      await send(`${head}Content-Length: ${smuggled.length}\r\n\r\n${smuggled}`);
      await send(
        `${head}Transfer-Encoding: chunked\r\n\r\n${smuggled.length.toString(16)}\r\n${smuggled}\r\n0\r\n\r\n`,
      );
    }
    const seen = origin.requests.slice(before);
    assert.deepEqual(
      seen.map(({ target, body }) => [target, body]),
      Array.from({ length: 4 }, () => ['/fat', '']),
    );
    for (const request of seen) {
      assert.deepEqual([...valuesOf(request, 'content-length'), ...valuesOf(request, 'transfer-encoding')], []);
    }
  });

  test('fields byte for byte, in their order, repeated ones as often as they came', async () => {
    await send('GET / HTTP/1.1\r\nHost: a\r\nX-B: 1\r\nx-a: \xe4\xff\r\nX-B: 2\r\nConnection: close\r\n\r\n');
    const own = last().fields.filter(([name]) => /^x-[ab]$/i.test(name));
    assert.deepEqual(own, [
      ['X-B', '1'],
      ['x-a', '\xe4\xff'],
      ['X-B', '2'],
    ]);
  });

  for (const method of ['M-SEARCH', 'PROPFIND', 'QUERY', 'REPORT', 'DELETE', 'OPTIONS', 'UNBIND']) {
    test(`${method} and its body`, async () => {
      await send(`${method} /m HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody`);
      assert.deepEqual([last().method, last().target, last().body], [method, '/m', 'body']);
      const head = `${method} /m HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n`;
      await send(`${head}4\r\nmore\r\n0\r\n\r\n`);
      assert.deepEqual([last().method, last().body], [method, 'more']);
    });
  }

  test('a body that the client holds back until it is told to continue', async () => {
    const client = await RawClient.connect(proxy.url);
    client.send(
      'POST /expect HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\nConnection: close\r\n\r\n',
    );
    await client.until(/^HTTP\/1\.1 100 Continue\r\n\r\n/);
    client.send('body');
    assert.match(await client.untilClosed(), /HTTP\/1\.1 200 /);
    assert.equal(last().body, 'body');
    assert.deepEqual(valuesOf(last(), 'expect'), []);
  });
});

describe('options', () => {
  let origin: Origin & { readonly requests: readonly Seen[] };
  beforeEach(async () => {
    origin = await startRecordingOrigin();
  });
  afterEach(() => origin.close());

  async function requestWith(options: { readonly [name: string]: unknown }, fields = ''): Promise<Seen> {
    const proxy = await startProxy({ actions: { proxy: { upstream: origin.url, ...options } } });
    try {
      await rawRequest(proxy.url, `GET /t?q HTTP/1.1\r\nHost: Client.Example:81\r\n${fields}Connection: close\r\n\r\n`);
    } finally {
      await proxy.close();
    }
    return origin.requests.at(-1) ?? assert.fail('nothing arrived');
  }

  test('host: the client’s as it was written, the upstream’s, or another', async () => {
    const upstreamHost = new URL(origin.url).host;
    for (const [host, expected] of [
      ['client', 'Client.Example:81'],
      ['upstream', upstreamHost],
      ['fixed.example', 'fixed.example'],
    ]) {
      assert.deepEqual(valuesOf(await requestWith({ host }), 'host'), [expected]);
    }
  });

  test('a path in the upstream comes in front of the target', async () => {
    assert.equal((await requestWith({ upstream: `${origin.url}/base/` })).target, '/base/t?q');
    assert.equal((await requestWith({ upstream: `${origin.url}/base` })).target, '/base/t?q');
  });

  test('forwarded: what proxies say about the client is made anew, or kept', async () => {
    const claims =
      'X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: 1\r\nForwarded: for=6.6.6.6\r\n';
    const anew = await requestWith({}, claims);
    assert.deepEqual(valuesOf(anew, 'x-forwarded-for'), ['127.0.0.1']);
    assert.deepEqual(valuesOf(anew, 'x-forwarded-proto'), ['http']);
    assert.deepEqual(valuesOf(anew, 'x-forwarded-host'), ['Client.Example:81']);
    assert.deepEqual([...valuesOf(anew, 'x-forwarded-port'), ...valuesOf(anew, 'forwarded')], []);
    const kept = await requestWith({ forwarded: 'keep' }, claims);
    assert.deepEqual(valuesOf(kept, 'x-forwarded-for'), ['6.6.6.6']);
    assert.deepEqual(valuesOf(kept, 'x-forwarded-proto'), ['https']);
    assert.deepEqual(valuesOf(kept, 'forwarded'), ['for=6.6.6.6']);
  });

  for (const [options, complaint] of [
    ['127.0.0.1:80', /is not an upstream/],
    ['ftp://127.0.0.1', /is not an upstream/],
    ['http:127.0.0.1', /is not an upstream/],
    ['http://user@127.0.0.1', /is not an upstream/],
    ['http://127.0.0.1/?q', /is not an upstream/],
    ['http://', /is not an upstream/],
    [{ upstream: 'http://127.0.0.1', host: 'a b' }, /is not a host/],
    [{ upstream: 'http://127.0.0.1', tlsCa: '/nowhere/ca.pem' }, /ENOENT/],
    [{}, /"upstream" is missing/],
  ] as const) {
    test(`${JSON.stringify(options)} is refused`, () => {
      assert.throws(() => settingsOf({ actions: { proxy: options } }, 'test'), complaint);
    });
  }
});

describe('what comes back', () => {
  test('status, and fields byte for byte', async () => {
    const response = await throughProxy(
      says(
        'HTTP/1.1 299 Odd\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\nX-Bytes: \xe4\xff\r\nX-A: 1\r\nX-A: 2\r\nContent-Length: 2\r\n\r\nok',
      ),
    );
    assert.match(response, /^HTTP\/1\.1 299 /);
    assert.match(response, /\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\nX-Bytes: \xe4\xff\r\nX-A: 1\r\nX-A: 2\r\n/);
    assert.match(response, /\r\n\r\nok$/);
  });

  test('a 304 with the Content-Length of what it does not carry', async (t) => {
    const origin = await startRawOrigin((socket) =>
      socket.write('HTTP/1.1 304 Not Modified\r\nETag: "e"\r\nContent-Length: 1000\r\n\r\n'),
    );
    t.after(() => origin.close());
    const proxy = await startProxy({ actions: { proxy: origin.url } });
    t.after(() => proxy.close());
    for (let nth = 0; nth < 3; nth++) {
      const { message, body } = await fetchRaw(proxy.url, 'GET', '/');
      assert.equal(message.statusCode, 304);
      assert.equal(message.headers.etag, '"e"');
      assert.equal(body.length, 0);
    }
    assert.deepEqual(
      proxy.lines.filter(({ level }) => level >= 40),
      [],
    );
  });

  test('the head of a HEAD, with the length of the body', async () => {
    const head = 'HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';
    const response = await throughProxy(says('HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n'), {}, head);
    assert.match(response, /^HTTP\/1\.1 200 .*\r\nContent-Length: 1000\r\n.*\r\n\r\n$/s);
  });

  test('a body that the end of the connection ends', async () => {
    assert.match(await throughProxy(says('HTTP/1.1 200 OK\r\n\r\nuntil close')), /until close/);
    assert.match(await throughProxy(says('HTTP/1.0 200 OK\r\n\r\nuntil close')), /until close/);
  });

  test('no more than Content-Length says', async () => {
    const response = await throughProxy(says(`HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n`));
    assert.match(response, /\r\n\r\nok$/);
    const long = await throughProxy(says(`HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n${'0123456789'.repeat(3)}`));
    assert.match(long, /\r\nContent-Length: 10\r\n[\s\S]*\r\n\r\n0123456789$/);
  });

  test('a body in a transfer coding that nobody knows: as it is, until the connection ends', async () => {
    const response = await throughProxy(says('HTTP/1.1 200 OK\r\nTransfer-Encoding: xyz\r\n\r\nabcdef'));
    assert.match(response, /^HTTP\/1\.1 200 [\s\S]*abcdef/);
    assert.doesNotMatch(response, /xyz/);
  });

  test('no trailers, and nothing that announces them', async () => {
    const response = await throughProxy(
      says('HTTP/1.1 200 OK\r\nTrailer: X-T\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-T: late\r\n\r\n'),
    );
    assert.match(response, /ok/);
    assert.doesNotMatch(response, /trailer|x-t/i);
  });

  test('a short response as soon as it is there, a long one piece by piece', async () => {
    const piece = 'x'.repeat(40_000);
    const response = await throughProxy((socket) => {
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 80000\r\n\r\n');
      socket.write(piece);
      setTimeout(() => socket.write(piece), 20);
    });
    assert.equal(response.length - response.indexOf('\r\n\r\n') - 4, 80_000);
  });

  test('a 503 once: the upstream is not asked again', async () => {
    let asked = 0;
    const response = await throughProxy((socket) => {
      asked++;
      socket.end('HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n');
    });
    assert.match(response, /^HTTP\/1\.1 503 /);
    assert.equal(asked, 1);
  });

  test('an answer that comes before the end of the request’s body', async () => {
    const request = `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n${'x'.repeat(100_000)}`;
    const response = await throughProxy(
      says('HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig'),
      {},
      request,
    );
    assert.match(response, /^HTTP\/1\.1 413 .*big$/s);
    assert.match(response, /\r\nConnection: close\r\n/);
  });
});

/** Listens, accepts nothing, and blocks; the kernel answers no more connections when its queue is full. */
const BLOCKED_LISTENER = `
  const server = require('node:net').createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
    require('node:fs').writeSync(1, String(server.address().port));
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  });`;

async function startFullListener(): Promise<{ readonly url: string; stop(): void }> {
  const child = spawn(process.execPath, ['-e', BLOCKED_LISTENER], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [port] = await once(child.stdout, 'data');
  const queued = Array.from({ length: 4 }, () => connect(Number(port), '127.0.0.1').on('error', () => {}));
  await delay(100);
  return {
    url: `http://127.0.0.1:${port}`,
    stop() {
      for (const socket of queued) socket.destroy();
      child.kill('SIGKILL');
    },
  };
}

describe('failures', () => {
  /** The status, and what Proxy-Status names. */
  function failureIn(response: string): string {
    const [, status] = /^HTTP\/1\.1 (\d{3}) /.exec(response) ?? assert.fail(response);
    const [, error] = /\r\nProxy-Status: lookaside; error=(\w+)\r\n/.exec(response) ?? assert.fail(response);
    assert.match(response, /\r\nCache-Control: no-store\r\n/);
    return `${status} ${error}`;
  }

  const garbage = {
    'no HTTP': 'SSH-2.0-OpenSSH\r\n\r\n',
    'half a head': 'HTTP/1.1 200 OK\r\nX-A',
    'two lengths': 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab',
    'two framings': 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'a folded line': 'HTTP/1.1 200 OK\r\nX-A: 1\r\n 2\r\n\r\n',
    'a control byte in a field': 'HTTP/1.1 200 OK\r\nX-A: \x01\r\n\r\n',
    'an upgrade nobody asked for': 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n',
  };
  for (const [what, response] of Object.entries(garbage)) {
    test(`${what}: 502`, async () => {
      assert.match(failureIn(await throughProxy(says(response))), /^502 /);
    });
  }

  test('a head without end: 502', async () => {
    const response = await throughProxy((socket) => socket.write(`HTTP/1.1 200 OK\r\n${'X-A: 1\r\n'.repeat(20_000)}`));
    assert.equal(failureIn(response), '502 http_response_header_section_size');
  });

  test('nobody listens: 502, with the reason in one line of the log', async (t) => {
    const closed = await startOrigin(() => {});
    await closed.close();
    const proxy = await startProxy({ actions: { proxy: closed.url } });
    t.after(() => proxy.close());
    const { message, body } = await fetchRaw(proxy.url, 'GET', '/p?q');
    assert.equal(message.statusCode, 502);
    assert.equal(message.headers['proxy-status'], 'lookaside; error=connection_refused');
    assert.equal(body.toString(), 'Bad Gateway\n');
    assert.equal(proxy.lines.length, 1);
    assert.match(JSON.stringify(proxy.lines[0]), new RegExp(`GET ${closed.url}/p\\?q: connection_refused`));
  });

  test('the name of the proxy is the configured one, in Via and in Proxy-Status', async (t) => {
    const vias: (string | undefined)[] = [];
    const origin = await startOrigin((request, response) => {
      vias.push(request.headers.via);
      response.destroy();
    });
    t.after(() => origin.close());
    const proxy = await startProxy({ name: 'edge-1', actions: { proxy: origin.url } });
    t.after(() => proxy.close());
    const { message } = await fetchRaw(proxy.url, 'POST', '/');
    assert.deepEqual(vias, ['1.1 edge-1']);
    assert.equal(message.headers['proxy-status'], 'edge-1; error=connection_terminated');
  });

  test('the exchange says why, which tells a failure from a 502 of the upstream', async (t) => {
    const origin = await startOrigin((request, response) => {
      if (request.url === '/breaks') response.destroy();
      else response.writeHead(502).end('own');
    });
    t.after(() => origin.close());
    const step = stepOf(proxyAction, origin.url);
    const responses = [];
    for (const url of ['/breaks', '/own']) {
      const exchange = await exchangeOf({ url });
      await step(exchange);
      responses.push([exchange.response?.status, exchange.response?.failure]);
    }
    assert.deepEqual(responses, [
      [502, 'connection_terminated'],
      [502, undefined],
    ]);
  });

  test('no such host: 502', async (t) => {
    const proxy = await startProxy({ actions: { proxy: 'http://nowhere.invalid' } });
    t.after(() => proxy.close());
    const { message } = await fetchRaw(proxy.url, 'GET', '/');
    assert.equal(message.statusCode === 502 || message.statusCode === 504, true);
    assert.match(String(message.headers['proxy-status']), /dns_(error|timeout)/);
  });

  test('no answer within headersTimeout: 504', async () => {
    assert.equal(failureIn(await throughProxy(() => {}, { headersTimeout: '200ms' })), '504 http_response_timeout');
  });

  test('no connection within connectTimeout: 504', async (t) => {
    const full = await startFullListener();
    t.after(() => full.stop());
    const proxy = await startProxy({ actions: { proxy: { upstream: full.url, connectTimeout: '300ms' } } });
    t.after(() => proxy.close());
    const { message } = await fetchRaw(proxy.url, 'GET', '/');
    assert.equal(message.statusCode, 504);
    assert.equal(message.headers['proxy-status'], 'lookaside; error=connection_timeout');
  });

  test('silence within a body for bodyTimeout: the response breaks off', async () => {
    const response = await throughProxy((socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf'), {
      bodyTimeout: '200ms',
    });
    assert.match(response, /half$/);
  });
});

describe('https upstreams', () => {
  let folder: string;
  let origin: Origin;
  const proxies: TestProxy[] = [];
  const hosts: (string | undefined)[] = [];

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'lookaside-tls-'));
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
    const subject = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1'];
    const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', key];
    execFileSync('openssl', ['req', '-x509', ...newKey, '-out', cert, ...subject], { stdio: 'ignore' });
    const listener: RequestListener = (request: IncomingMessage, response) => {
      hosts.push(request.headers.host);
      response.end('secret');
    };
    origin = await startTlsOrigin({ key: readFileSync(key), cert: readFileSync(cert) }, listener);
  });
  after(async () => {
    for (const proxy of proxies) await proxy?.close();
    await origin?.close();
    rmSync(folder, { recursive: true });
  });

  async function statusWith(options: { readonly [name: string]: unknown }): Promise<string> {
    const proxy = await startProxy({ actions: { proxy: { upstream: origin.url, ...options } } });
    proxies.push(proxy);
    const { message } = await fetchRaw(proxy.url, 'GET', '/', ['Host', 'someone.else.example']);
    return `${message.statusCode} ${message.headers['proxy-status'] ?? ''}`;
  }

  test('a certificate that nobody vouches for: 502', async () => {
    assert.equal(await statusWith({}), '502 lookaside; error=tls_certificate_error');
    assert.deepEqual(hosts, []);
  });

  test('one that tlsCa vouches for, whatever Host the client names', async () => {
    assert.equal(await statusWith({ tlsCa: join(folder, 'cert.pem') }), '200 ');
    assert.deepEqual(hosts, ['someone.else.example']);
  });

  test('one for another name: 502', async () => {
    const upstream = origin.url.replace('127.0.0.1', 'localhost');
    const options = { upstream, tlsCa: join(folder, 'cert.pem') };
    assert.equal(await statusWith(options), '502 lookaside; error=tls_certificate_error');
  });

  test('any, when the configuration says insecure', async () => {
    assert.equal(await statusWith({ insecure: true }), '200 ');
  });

  test('a server that speaks no TLS: 502', async (t) => {
    const plain = await startOrigin((_request, response) => response.end());
    t.after(() => plain.close());
    assert.match(await statusWith({ upstream: plain.url.replace('http:', 'https:') }), /^502 .*tls_protocol_error/);
  });
});

test('connections to the upstream are kept and used again', async (t) => {
  const ports = new Set<number | undefined>();
  const origin = await startOrigin((request, response) => {
    ports.add(request.socket.remotePort);
    response.end('ok');
  });
  t.after(() => origin.close());
  const proxy = await startProxy({ actions: { proxy: origin.url } });
  t.after(() => proxy.close());
  for (let nth = 0; nth < 5; nth++) {
    await fetchRaw(proxy.url, 'GET', '/');
    await delay(10);
  }
  assert.equal(ports.size, 1);
});
