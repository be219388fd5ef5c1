import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import fc from 'fast-check';
import { WireError } from '../../src/distcache/decoder.js';
import { Plug, type PlugOptions } from '../../src/distcache/plug.js';
import { encodeMessage, MAX_PAYLOAD_BYTES, type Message, OPERATIONS } from '../../src/distcache/wire.js';
import { temporaryDirectory } from './command.js';

const path = join(temporaryDirectory(), 'plug.sock');
const hello: Message = { uid: 7, operation: 'get', payload: Buffer.from('hello') };

/** The two ends of a connection. */
async function sockets(t: TestContext): Promise<[here: Socket, there: Socket]> {
  const server = createServer({ allowHalfOpen: true }).listen(path);
  await once(server, 'listening');
  const here = connect({ path, allowHalfOpen: true });
  const [[there]] = await Promise.all([once(server, 'connection'), once(here, 'connect')]);
  server.close();
  t.after(() => {
    here.destroy();
    there.destroy();
  });
  return [here, there];
}

/** A plug, and the other end of its connection. */
async function plugged(t: TestContext, options?: PlugOptions): Promise<[plug: Plug, there: Socket]> {
  const [here, there] = await sockets(t);
  return [new Plug(here, options), there];
}

/** A message as the other end of a server's plug sends it. */
function request(payload: Buffer, uid = 1): Buffer {
  return encodeMessage('request', { uid, operation: 'have', payload });
}

test('reading goes from empty by full and user to empty', async (t) => {
  const [plug, there] = await plugged(t);
  assert.equal(plug.readState, 'empty');
  assert.equal(plug.read(), undefined);
  assert.equal(plug.read(true), undefined);
  assert.equal(plug.consume(), false);
  there.write(request(Buffer.from('an id'), 0xffffffff));
  await once(plug, 'message');
  assert.equal(plug.readState, 'full');
  assert.equal(plug.consume(), false, 'what was not read is not consumed');
  const message = { uid: 0xffffffff, operation: 'have', payload: Buffer.from('an id') };
  assert.deepEqual(plug.read(), message);
  assert.equal(plug.readState, 'user');
  assert.equal(plug.read(), undefined, 'it is open already');
  assert.deepEqual(plug.read(true), message);
  assert.equal(plug.consume(), true);
  assert.equal(plug.readState, 'empty');
  assert.equal(plug.consume(), false);
});

test('reading is io when the first frame of several is in', async (t) => {
  const [plug, there] = await plugged(t);
  const bytes = request(Buffer.alloc(5000));
  there.write(bytes.subarray(0, 2061));
  await delay(20);
  assert.equal(plug.readState, 'empty');
  there.write(bytes.subarray(2061, 2062));
  await delay(20);
  assert.equal(plug.readState, 'io');
  assert.equal(plug.read(), undefined);
  assert.equal(plug.consume(), false);
  there.write(bytes.subarray(2062));
  await once(plug, 'message');
  assert.equal(plug.read()?.payload.length, 5000);
  plug.consume();
  assert.equal(plug.readState, 'empty');
});

test('what came together is read one by one, without recursion', async (t) => {
  const [plug, there] = await plugged(t);
  const uids = Array.from({ length: 20_000 }, (_, index) => index);
  const read: number[] = [];
  plug.on('message', () => {
    const message = plug.read();
    assert.ok(message);
    read.push(message.uid);
    plug.consume();
  });
  there.write(Buffer.concat(uids.map((uid) => request(Buffer.from('x'), uid))));
  while (read.length < uids.length) await delay(5);
  assert.deepEqual(read, uids);
});

test('the next message is there at once when one is consumed', async (t) => {
  const [plug, there] = await plugged(t);
  there.write(Buffer.concat([request(Buffer.from('a'), 1), request(Buffer.from('b'), 2)]));
  await once(plug, 'message');
  assert.equal(plug.read()?.uid, 1);
  assert.equal(plug.consume(), true);
  assert.equal(plug.readState, 'full');
  assert.equal(plug.read()?.uid, 2);
});

test('a message that is not consumed holds the peer up', async (t) => {
  const [here, there] = await sockets(t);
  const plug = new Plug(here);
  const large = request(Buffer.alloc(MAX_PAYLOAD_BYTES));
  for (let i = 0; i < 1000; i++) there.write(large);
  await once(plug, 'message');
  await delay(50);
  const taken = here.bytesRead;
  assert.ok(taken < 10 * large.length, `${taken} bytes were taken`);
  await delay(50);
  assert.equal(here.bytesRead, taken);
  let read = 0;
  const readOn = () => {
    assert.ok(plug.read());
    plug.consume();
    read++;
  };
  plug.on('message', readOn);
  readOn();
  while (read < 1000) await delay(5);
});

test('writing goes from empty by user to empty, and the peer gets the message', async (t) => {
  const [plug, there] = await plugged(t);
  assert.equal(plug.writeState, 'empty');
  assert.equal(plug.commit(), false);
  assert.equal(plug.rollback(), false);
  assert.equal(plug.writeMore(Buffer.from('more')), false);
  assert.equal(plug.write(hello), true);
  assert.equal(plug.writeState, 'user');
  assert.equal(plug.write(hello), false, 'one was begun already');
  assert.equal(plug.writeMore(Buffer.from(' world')), true);
  assert.equal(plug.commit(), true);
  assert.equal(plug.writeState, 'empty');
  assert.equal(plug.commit(), false);
  const [bytes] = await once(there, 'data');
  assert.deepEqual(bytes, encodeMessage('response', { ...hello, payload: Buffer.from('hello world') }));
});

test('a plug to a server sends requests, and expects responses', async (t) => {
  const [plug, there] = await plugged(t, { toServer: true });
  plug.write(hello);
  plug.commit();
  const [bytes] = await once(there, 'data');
  assert.deepEqual(bytes, encodeMessage('request', hello));
  there.write(encodeMessage('response', { ...hello, payload: Buffer.from('there') }));
  await once(plug, 'message');
  assert.equal(String(plug.read()?.payload), 'there');
});

test('a message that was begun can be replaced, or forgotten', async (t) => {
  const [plug, there] = await plugged(t);
  plug.write({ uid: 1, operation: 'add', payload: Buffer.from('gone') });
  plug.writeMore(Buffer.from('gone too'));
  assert.equal(plug.write(hello, true), true);
  assert.equal(plug.rollback(), true);
  assert.equal(plug.writeState, 'empty');
  assert.equal(plug.rollback(), false);
  assert.equal(plug.write({ uid: 2, operation: 'have', payload: Buffer.alloc(0) }), true);
  assert.equal(plug.write(hello, true), true);
  plug.commit();
  const [bytes] = await once(there, 'data');
  assert.deepEqual(bytes, encodeMessage('response', hello));
});

test('a message can be empty, and no longer than the protocol allows', async (t) => {
  const [plug, there] = await plugged(t);
  assert.throws(() => plug.write({ ...hello, payload: Buffer.alloc(MAX_PAYLOAD_BYTES + 1) }), RangeError);
  assert.equal(plug.writeState, 'empty');
  plug.write({ ...hello, payload: Buffer.alloc(MAX_PAYLOAD_BYTES - 1) });
  assert.throws(() => plug.writeMore(Buffer.alloc(0)), RangeError);
  assert.throws(() => plug.writeMore(Buffer.alloc(2)), RangeError);
  assert.equal(plug.writeMore(Buffer.alloc(1)), true);
  plug.rollback();
  plug.write({ ...hello, payload: Buffer.alloc(0) });
  plug.commit();
  const [bytes] = await once(there, 'data');
  assert.equal(bytes.toString('hex'), '00110000010000000700010100 00'.replace(' ', ''));
});

test('writing is io while the stream can not take more, or a message of a trap size is paced', async (t) => {
  const [plug, there] = await plugged(t);
  there.pause();
  plug.write({ ...hello, payload: Buffer.alloc(4069) });
  plug.commit();
  assert.equal(plug.writeState, 'io');
  assert.equal(plug.write(hello), false);
  assert.equal(plug.write(hello, true), false);
  assert.equal(plug.writeMore(Buffer.from('more')), false);
  assert.equal(plug.commit(), false);
  assert.equal(plug.rollback(), false);
  await once(plug, 'drain');
  assert.equal(plug.writeState, 'empty');

  let written = 0;
  while (plug.writeState === 'empty') {
    plug.write({ ...hello, payload: Buffer.alloc(MAX_PAYLOAD_BYTES) });
    plug.commit();
    written++;
  }
  assert.ok(written < 1000);
  await delay(20);
  assert.equal(plug.writeState, 'io');
  there.resume();
  await once(plug, 'drain');
  assert.equal(plug.write(hello), true);
});

test('both directions are independent', async (t) => {
  const [plug, there] = await plugged(t);
  plug.write(hello);
  there.write(request(Buffer.from('an id')));
  await once(plug, 'message');
  assert.equal(plug.writeState, 'user');
  assert.ok(plug.read());
  assert.equal(plug.commit(), true);
  assert.equal(plug.readState, 'user');
});

test('garbage ends the stream with an error', async (t) => {
  const [plug, there] = await plugged(t);
  // `once` would be rejected by the error
  const closed = new Promise<void>((resolve) => plug.on('close', resolve));
  there.write('GET / HTTP/1.1\r\n\r\n');
  const [error] = await once(plug, 'error');
  assert.ok(error instanceof WireError);
  assert.equal(error.fault, 'version');
  await closed;
});

test('garbage leaves a stream open that is to be kept', async (t) => {
  const [here, there] = await sockets(t);
  const plug = new Plug(here, { keepStream: true });
  there.write('GET / HTTP/1.1\r\n\r\n');
  await once(plug, 'error');
  assert.equal(here.destroyed, false);
});

test('closing ends the stream, or leaves it alone', async (t) => {
  const [plug, there] = await plugged(t);
  there.resume();
  const ended = once(there, 'end');
  plug.close();
  await Promise.all([once(plug, 'close'), ended]);

  const [here] = await sockets(t);
  const kept = new Plug(here, { keepStream: true });
  kept.on('close', () => assert.fail('it is not the plug that is closed later'));
  kept.close();
  assert.equal(here.destroyed, false);
  assert.equal(here.listenerCount('data'), 0);
  here.destroy();
  await once(here, 'close');
});

test('a peer that ends its side can still be answered', async (t) => {
  const [plug, there] = await plugged(t);
  const ended = once(plug, 'end');
  there.end(request(Buffer.from('an id')));
  await once(plug, 'message');
  plug.read();
  await ended;
  plug.write(hello);
  plug.commit();
  const [bytes] = await once(there, 'data');
  assert.deepEqual(bytes, encodeMessage('response', hello));
});

test('an error of the stream, and its end, are told', async (t) => {
  const [here] = await sockets(t);
  const plug = new Plug(here);
  const closed = new Promise<void>((resolve) => plug.on('close', resolve));
  here.destroy(new Error('cable pulled'));
  const [error] = await once(plug, 'error');
  assert.equal(error.message, 'cable pulled');
  await closed;
});

const messages = fc.array(
  fc.record(
    {
      uid: fc.nat({ max: 0xffffffff }),
      operation: fc.constantFrom(...OPERATIONS),
      payload: fc
        .oneof(fc.nat({ max: 3 }), fc.nat({ max: 5000 }), fc.constantFrom(2048, 4096, MAX_PAYLOAD_BYTES))
        .map((length) => Buffer.alloc(length, length)),
    },
    { noNullPrototype: true },
  ),
  { maxLength: 8 },
);

test('any messages go through two plugs as they are', async (t) => {
  await fc.assert(
    fc.asyncProperty(messages, fc.array(fc.nat({ max: 4 }), { maxLength: 5 }), async (sent, cuts) => {
      const [here, there] = await sockets(t);
      const [from, to] = [new Plug(here, { toServer: true }), new Plug(there)];
      const received: Message[] = [];
      const done = new Promise<void>((resolve) => {
        const check = () => received.length === sent.length && resolve();
        to.on('message', () => {
          const message = to.read();
          if (message !== undefined) received.push({ ...message, payload: Buffer.from(message.payload) });
          to.consume();
          check();
        });
        check();
      });
      for (const message of sent) {
        const cut = Math.min(cuts[message.uid % 5] ?? 0, message.payload.length);
        if (from.writeState === 'io') await once(from, 'drain');
        assert.equal(from.write({ ...message, payload: message.payload.subarray(0, cut) }), true);
        if (cut < message.payload.length) from.writeMore(message.payload.subarray(cut));
        assert.equal(from.commit(), true);
      }
      await done;
      assert.deepEqual(received, sent);
      from.close();
      to.close();
    }),
    { numRuns: 100 },
  );
});
