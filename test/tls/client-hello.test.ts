import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { before, test } from 'node:test';
import { type ConnectionOptions, connect } from 'node:tls';
import fc from 'fast-check';
import { readClientHello } from '../../src/tls/client-hello.js';

/** What a client sends first. */
async function helloOf(options: ConnectionOptions): Promise<Buffer> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  const client = connect({ port: address.port, host: '127.0.0.1', ...options }).on('error', () => {});
  const [socket] = await once(server, 'connection');
  const [bytes] = await once(socket, 'data');
  client.destroy();
  socket.destroy();
  server.close();
  return bytes;
}

let tls13: Buffer;
let tls12: Buffer;

before(async () => {
  tls13 = await helloOf({ servername: 'localhost' });
  tls12 = await helloOf({ maxVersion: 'TLSv1.2' });
});

/** The same hello in records of at most `size` bytes. */
function inRecords(hello: Buffer, size: number): Buffer {
  const message = hello.subarray(5);
  const records: Buffer[] = [];
  for (let at = 0; at < message.length; at += size) {
    const fragment = message.subarray(at, at + size);
    const header = Buffer.from([22, 3, 1, 0, 0]);
    header.writeUInt16BE(fragment.length, 3);
    records.push(header, fragment);
  }
  return Buffer.concat(records);
}

test('what clients of TLS 1.3 and 1.2 say is read', () => {
  const modern = readClientHello(tls13);
  assert.ok(typeof modern === 'object');
  assert.deepEqual([modern.offersTls13, modern.sessionId.length, modern.pskIdentity], [true, 32, undefined]);
  const old = readClientHello(tls12);
  assert.ok(typeof old === 'object');
  assert.deepEqual([old.offersTls13, old.sessionId.length, old.pskIdentity], [false, 0, undefined]);
  assert.deepEqual([modern.ticket?.length, old.ticket?.length], [0, 0]);
});

test('every beginning of a hello is incomplete, however it is cut into records; what follows it does not matter', () => {
  for (const hello of [tls13, tls12]) {
    for (let length = 0; length < hello.length; length++) {
      assert.equal(readClientHello(hello.subarray(0, length)), 'incomplete', `${length} bytes`);
    }
    const whole = readClientHello(hello);
    assert.deepEqual(readClientHello(Buffer.concat([hello, Buffer.from([20, 3, 3, 0, 1, 1])])), whole);
    for (const size of [1, 3, 4, 100]) {
      const records = inRecords(hello, size);
      assert.deepEqual(readClientHello(records), whole);
      assert.equal(readClientHello(records.subarray(0, -1)), 'incomplete');
    }
  }
});

test('what is no hello is none, and nothing throws', () => {
  for (const text of ['GET / HTTP/1.1\r\n\r\n', '\x80\x2e\x01\x03\x01', '\x15\x03\x01\x00\x02\x02\x28']) {
    assert.equal(readClientHello(Buffer.from(text, 'latin1')), undefined);
  }
  const tooLarge = Buffer.from('16030140000100ffff0303', 'hex');
  assert.equal(readClientHello(tooLarge), undefined);
  fc.assert(
    fc.property(fc.nat(tls13.length - 1), fc.uint8Array({ minLength: 1, maxLength: 8 }), (at, bytes) => {
      const damaged = Buffer.from(tls13);
      damaged.set(bytes.subarray(0, damaged.length - at), at);
      readClientHello(damaged);
    }),
  );
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => void readClientHello(Buffer.from(bytes))));
});

test('the first identity of a pre-shared key is read', () => {
  const identity = Buffer.from('an identity of thirty-two bytes.');
  const extensions = Buffer.concat([
    Buffer.from([0, 43, 0, 3, 2, 3, 4]),
    Buffer.from([0, 41, 0, 2 + 2 + identity.length + 4 + 2 + 33]),
    Buffer.from([0, 2 + identity.length + 4, 0, identity.length]),
    identity,
    Buffer.from([0, 0, 0, 0, 0, 33, 32]),
    Buffer.alloc(32),
  ]);
  const body = Buffer.concat([
    Buffer.from([3, 3]),
    Buffer.alloc(32),
    Buffer.from([0, 0, 2, 0x13, 0x01, 1, 0]),
    Buffer.from([extensions.length >> 8, extensions.length & 0xff]),
    extensions,
  ]);
  const message = Buffer.concat([Buffer.from([1, 0, body.length >> 8, body.length & 0xff]), body]);
  const hello = readClientHello(
    Buffer.concat([Buffer.from([22, 3, 1, message.length >> 8, message.length & 0xff]), message]),
  );
  assert.ok(typeof hello === 'object');
  assert.deepEqual([hello.offersTls13, hello.pskIdentity], [true, identity]);
});
