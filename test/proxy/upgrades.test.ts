import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { Socket } from 'node:net';
import { after, before, describe, type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { settingsOf } from '../../src/config/load.js';
import { type Origin, startOrigin, startRawOrigin } from '../support/origin.js';
import { startProxy, type TestProxy } from '../support/proxy.js';
import { RawClient, rawRequest, statusesIn } from '../support/raw-client.js';
import { until } from '../support/until.js';

const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';

function handshake(path = '/chat', protocol = 'websocket', more = ''): string {
  const fields = `Sec-WebSocket-Key: ${KEY}\r\nSec-WebSocket-Version: 13\r\n${more}`;
  return `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: ${protocol}\r\n${fields}\r\n`;
}

/** A text frame of a client: its payload is masked (RFC 6455, section 5.3). */
function frame(text: string): string {
  const mask = [0x11, 0x22, 0x33, 0x44];
  const masked = [...Buffer.from(text)].map((byte, at) => byte ^ (mask[at % 4] ?? 0));
  return Buffer.from([0x81, 0x80 | masked.length, ...mask, ...masked]).toString('latin1');
}

/** Accepts WebSockets, and sends every frame back unmasked. */
function websocket(socket: Socket, head: string): void {
  const key = /sec-websocket-key: (\S+)/i.exec(head)?.[1] ?? '';
  const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
  const fields = `Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\nX-Origin: \xe4\r\n`;
  socket.write(`HTTP/1.1 101 Switching Protocols\r\n${fields}\r\n`, 'latin1');
  socket.removeAllListeners('data');
  socket.on('data', (data: Buffer) => {
    for (let at = 0; at < data.length; ) {
      const length = (data[at + 1] ?? 0) & 0x7f;
      const mask = data.subarray(at + 2, at + 6);
      const payload = data.subarray(at + 6, at + 6 + length).map((byte, index) => byte ^ (mask[index % 4] ?? 0));
      socket.write(Buffer.concat([Buffer.from([0x81, length]), payload]));
      at += 6 + length;
    }
  });
  socket.once('end', () => socket.end());
}

describe('a WebSocket', () => {
  let origin: Origin;
  let proxy: TestProxy;
  let heads: string[] = [];
  const sockets: Socket[] = [];

  before(async () => {
    origin = await startRawOrigin((socket, head) => {
      heads.push(head);
      sockets.push(socket);
      websocket(socket, head);
    });
    proxy = await startProxy({ actions: [{ proxy: origin.url }, { 'header.add': { 'X-Later': 'yes' } }] });
  });
  after(async () => {
    await proxy?.close();
    await origin?.close();
  });

  async function connected(url = proxy.url): Promise<RawClient> {
    heads = [];
    const client = await RawClient.connect(url);
    client.send(handshake());
    await client.until(/\r\n\r\n/);
    return client;
  }

  test('the handshake passes both ways, with its fields; later actions see the response', async () => {
    const client = await connected();
    assert.equal(
      client.received,
      'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
        'Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nX-Origin: \xe4\r\nX-Later: yes\r\n\r\n',
    );
    const [head = ''] = heads;
    assert.match(head, /^GET \/chat HTTP\/1\.1\r\n/);
    assert.match(head, /\r\nconnection: upgrade\r\nupgrade: websocket\r\n/);
    assert.match(head, /\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n/);
    assert.match(head, /\r\nVia: 1\.1 lookaside\r\n/);
    client.close();
  });

  test('frames pass both ways', async () => {
    const client = await connected();
    client.received = '';
    client.send(frame('hello'));
    await client.until(/hello$/);
    assert.equal(client.received, '\x81\x05hello');
    client.send(frame('again') + frame('and again'));
    await client.until(/and again$/);
    assert.equal(client.received, '\x81\x05hello\x81\x05again\x81\x09and again');
    client.close();
  });

  test('frames that come right behind the handshake are not lost', async () => {
    const client = await RawClient.connect(proxy.url);
    client.send(handshake() + frame('early'));
    assert.ok((await client.until(/early$/)).endsWith('\r\n\r\n\x81\x05early'));
    client.close();
  });

  test('the client leaves: so does the proxy', async () => {
    const client = await connected();
    const socket = sockets.at(-1) ?? assert.fail('no connection');
    let closed = false;
    socket.once('close', () => {
      closed = true;
    });
    client.close();
    await until(() => closed, 'the upstream was not let go');
  });

  test('the upstream leaves: so does the proxy, behind its last byte', async () => {
    const client = await connected();
    sockets.at(-1)?.end('last');
    assert.match(await client.untilClosed(), /last$/);
  });

  test('on a connection that was used before', async () => {
    const client = await RawClient.connect(proxy.url);
    client.send('GET /no HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n');
    await client.untilClosed();
    const second = await connected();
    second.close();
  });

  test('of a silent pair ends after tunnelTimeout', async (t) => {
    const impatient = await startProxy({ actions: { proxy: { upstream: origin.url, tunnelTimeout: '200ms' } } });
    t.after(() => impatient.close());
    const client = await connected(impatient.url);
    const socket = sockets.at(-1) ?? assert.fail('no connection');
    await client.untilClosed();
    await until(() => socket.destroyed, 'the upstream was not let go');
  });

  test('is not held up by the time that ordinary connections may be silent', async (t) => {
    const server = { idleTimeout: '100ms' };
    const patient = await startProxy({ server, actions: { proxy: origin.url } });
    t.after(() => patient.close());
    const client = await connected(patient.url);
    await delay(400);
    client.received = '';
    client.send(frame('still here'));
    await client.until(/still here/);
    client.close();
  });

  test('holds the stop of the server for drainTimeout, and no longer', async () => {
    const server = { drainTimeout: '300ms' };
    const stopping = await startProxy({ server, actions: { proxy: origin.url } });
    const client = await connected(stopping.url);
    const closed = stopping.close();
    client.received = '';
    client.send(frame('while it drains'));
    await client.until(/while it drains/);
    await closed;
    await client.untilClosed();
  });

  test('that is not allowed is an ordinary request', async (t) => {
    const seen: string[] = [];
    const plain = await startOrigin((request, response) => {
      seen.push(request.headers.upgrade ?? 'none');
      response.end('plain');
    });
    t.after(() => plain.close());
    const without = await startProxy({ actions: { proxy: { upstream: plain.url, upgrade: false } } });
    t.after(() => without.close());
    assert.match(await rawRequest(without.url, handshake()), /^HTTP\/1\.1 200 [\s\S]*plain$/);
    assert.deepEqual(seen, ['none']);
  });
});

describe('a tunnel', () => {
  /** A client whose connection leads to `socket` of an origin that speaks no HTTP any more. */
  async function tunnel(t: TestContext): Promise<{ client: RawClient; socket: Socket }> {
    const sockets: Socket[] = [];
    const origin = await startRawOrigin((socket) => {
      sockets.push(socket);
      socket.removeAllListeners('data');
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    });
    t.after(() => origin.close());
    const proxy = await startProxy({ server: { drainTimeout: '10ms' }, actions: { proxy: origin.url } });
    t.after(() => proxy.close());
    const client = await RawClient.connect(proxy.url);
    client.send(handshake());
    await client.until(/\r\n\r\n/);
    return { client, socket: sockets[0] ?? assert.fail('no connection') };
  }

  test('passes the end of one direction on, and goes on with the other', async (t) => {
    const { client, socket } = await tunnel(t);
    let received = '';
    socket.on('data', (data: Buffer) => {
      received += data.toString('latin1');
    });
    socket.once('end', () => socket.end(`${received.length} bytes came`));
    client.socket.end('x'.repeat(1000));
    assert.match(await client.untilClosed(), /1000 bytes came$/);
  });

  test('takes from the upstream no faster than the client reads', async (t) => {
    const { client, socket } = await tunnel(t);
    const [piece, most] = [Buffer.alloc(64 * 1024), 128 * 1024 * 1024];
    client.socket.pause();
    let sent = 0;
    const flood = () => {
      while (sent < most) {
        sent += piece.length;
        if (!socket.write(piece)) break;
      }
    };
    socket.on('drain', flood);
    flood();
    let before = -1;
    while (sent !== before) {
      before = sent;
      await delay(200);
    }
    assert.ok(sent < most / 2, `${sent} bytes taken`);
    client.close();
  });
});

describe('an upgrade', () => {
  /** What a client gets that asks for an upgrade of an origin that answers with `answer`. */
  async function upgraded(
    answer: string,
    { request = handshake(), upgrade = true }: { request?: string; upgrade?: boolean | string[] } = {},
  ): Promise<{ received: string; heads: string[] }> {
    const heads: string[] = [];
    const origin = await startRawOrigin((socket, head) => {
      heads.push(head);
      socket.end(answer, 'latin1');
    });
    const proxy = await startProxy({ actions: { proxy: { upstream: origin.url, upgrade } } });
    try {
      return { received: await rawRequest(proxy.url, request), heads };
    } finally {
      await proxy.close();
      await origin.close();
    }
  }

  test('that the upstream declines is answered as usual, and the connection ends', async () => {
    const { received } = await upgraded('HTTP/1.1 426 Upgrade Required\r\nX-A: 1\r\nContent-Length: 4\r\n\r\nnope');
    assert.match(received, /^HTTP\/1\.1 426 Upgrade Required\r\nX-A: 1\r\n/);
    assert.match(received, /\r\nConnection: close\r\n[\s\S]*\r\nnope$/);
  });

  test('that is declined hands nothing of what follows to the upstream', async () => {
    const smuggled = 'GET /admin HTTP/1.1\r\nHost: a\r\n\r\n';
    const answer = 'HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n';
    const { received, heads } = await upgraded(answer, { request: handshake() + smuggled });
    assert.deepEqual(statusesIn(received), [426]);
    assert.equal(heads.length, 1);
    assert.doesNotMatch(heads[0] ?? '', /admin/);
  });

  test('to what nobody offered is an error of the upstream', async () => {
    const { received } = await upgraded('HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n');
    assert.match(received, /^HTTP\/1\.1 502 [\s\S]*error=http_protocol_error/);
  });

  test('without a protocol is an error of the upstream', async () => {
    const { received } = await upgraded('HTTP/1.1 101 Switching Protocols\r\n\r\n');
    assert.match(received, /^HTTP\/1\.1 502 /);
  });

  test('to another protocol passes when the configuration names it', async () => {
    const answer = 'HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: Telnet/1\r\n\r\nwelcome';
    const request = handshake('/', 'telnet/1, websocket');
    const { received, heads } = await upgraded(answer, { request, upgrade: ['Telnet/1'] });
    assert.match(received, /^HTTP\/1\.1 101 [\s\S]*Upgrade: Telnet\/1\r\n[\s\S]*welcome$/);
    assert.match(heads[0] ?? '', /\r\nupgrade: telnet\/1\r\n/);
    const refused = await upgraded('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n', {
      request: handshake('/', 'telnet'),
    });
    assert.doesNotMatch(refused.heads[0] ?? '', /telnet/);
  });

  test('to HTTP can not be configured', () => {
    for (const protocol of ['h2c', 'H2C', 'HTTP/2.0', 'http']) {
      const actions = { proxy: { upstream: 'http://127.0.0.1', upgrade: [protocol] } };
      assert.throws(() => settingsOf({ actions }, 'test'), /is HTTP again/);
    }
  });

  test('is neither answered from the store nor kept there', async (t) => {
    let asked = 0;
    const origin = await startOrigin((_request, response) => response.end(`answer ${++asked}`));
    t.after(() => origin.close());
    const actions = ['memcached.lookup', { proxy: origin.url }, 'memcached.store'];
    const proxy = await startProxy({ actions });
    t.after(() => proxy.close());
    const plain = 'GET /chat HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';
    assert.match(await rawRequest(proxy.url, handshake()), /fwd=bypass; [\s\S]*answer 1$/);
    assert.match(await rawRequest(proxy.url, plain), /stored[\s\S]*answer 2$/);
    assert.match(await rawRequest(proxy.url, plain), /hit[\s\S]*answer 2$/);
    assert.match(await rawRequest(proxy.url, handshake()), /detail="?upgrade[\s\S]*answer 3$/);
  });

  test('of a request that the guard refuses does not happen', async () => {
    const twoHosts = handshake('/', 'websocket', 'Host: b\r\n');
    const { received, heads } = await upgraded('', { request: twoHosts });
    assert.match(received, /^HTTP\/1\.1 400 /);
    assert.deepEqual(heads, []);
  });
});

describe('an offer of h2c', () => {
  let origin: Origin;
  let proxy: TestProxy;
  const seen: string[] = [];

  before(async () => {
    origin = await startOrigin(async (request, response) => {
      const body = (await request.toArray()).join('');
      const { upgrade = 'none', 'http2-settings': settings = 'none' } = request.headers;
      seen.push(`${request.method} ${request.url} ${body} upgrade: ${upgrade} settings: ${settings}`);
      response.end(`answer to ${request.url}`);
    });
    proxy = await startProxy({ actions: { proxy: origin.url } });
  });
  after(async () => {
    await proxy?.close();
    await origin?.close();
  });

  const offer = (start: string, more = '') =>
    `${start} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n${more}\r\n`;

  test('is not heeded: body, pipeline and connection are those of ordinary requests', async () => {
    const client = await RawClient.connect(proxy.url);
    const chunked = '2\r\nab\r\n0\r\n\r\n';
    client.send(
      offer('GET /1') +
        offer('POST /2', 'Content-Length: 4\r\n') +
        'body' +
        offer('PUT /3', 'Transfer-Encoding: chunked\r\n') +
        chunked +
        'GET /4 HTTP/1.1\r\nHost: a\r\n\r\n',
    );
    await client.until(/answer to \/4/);
    client.send(offer('GET /5'));
    await client.until(/answer to \/5/);
    assert.deepEqual(statusesIn(client.received), [200, 200, 200, 200, 200]);
    const without = 'upgrade: none settings: none';
    assert.deepEqual(seen, [
      `GET /1  ${without}`,
      `POST /2 body ${without}`,
      `PUT /3 ab ${without}`,
      `GET /4  ${without}`,
      `GET /5  ${without}`,
    ]);
    client.close();
  });

  test('behind a request that is not answered yet waits for its turn', async () => {
    const client = await RawClient.connect(proxy.url);
    client.send(`GET /first HTTP/1.1\r\nHost: a\r\n\r\n${handshake('/second')}`);
    await client.untilClosed();
    assert.match(client.received, /answer to \/first[\s\S]*answer to \/second/);
  });

  test('CONNECT is not answered', async () => {
    assert.equal(await rawRequest(proxy.url, 'CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n'), '');
  });
});
