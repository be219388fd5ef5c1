import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TicketRing, ticketKey } from '../../src/tls/ticket-ring.js';

function key(epoch: number, name: number) {
  return ticketKey(epoch, Buffer.alloc(48, name));
}

test('one key seals, and those of the periods around open', () => {
  const keys = [5, 6, 7, 8].map((epoch) => key(epoch, epoch));
  const [k5, k6, k7, k8] = keys;
  assert.ok(k5 && k6 && k7 && k8);
  const ring = new TicketRing(k5);
  for (const later of [k6, k7]) ring.accept(later);
  assert.equal(ring.sealing, k5);
  const known = () => keys.filter(({ name }) => ring.named(name) !== undefined).map(({ epoch }) => epoch);
  ring.turnTo(6);
  assert.equal(ring.sealing, k6);
  assert.deepEqual(known(), [5, 6, 7]);
  ring.turnTo(7);
  assert.deepEqual(known(), [6, 7]);
  assert.throws(() => ring.turnTo(8), /no ticket key for period 8/);
});

test('the key that the fleet agreed on seals, and the one used before opens', () => {
  const [own, fleets] = [key(5, 1), key(5, 2)];
  const ring = new TicketRing(own);
  ring.adopt(fleets);
  assert.equal(ring.sealing, fleets);
  assert.equal(ring.named(own.name), own);
  ring.adopt(own);
  assert.equal(ring.sealing, own);
  assert.equal(ring.of(5).length, 2);
});

test('ever new keys do not fill memory', () => {
  const ring = new TicketRing(key(5, 0));
  for (let name = 1; name < 100; name++) {
    ring.adopt(key(5, name));
    ring.accept(key(6, name));
  }
  assert.equal(ring.named(key(5, 99).name), ring.sealing);
  assert.ok(ring.of(5).length <= 8 && ring.of(6).length <= 8);
});

test('a key has 48 bytes, and is a copy', () => {
  assert.throws(() => ticketKey(1, Buffer.alloc(47)), /48 bytes/);
  const bytes = Buffer.alloc(48, 1);
  const copied = ticketKey(1, bytes);
  bytes.fill(2);
  assert.deepEqual(copied.bytes, Buffer.alloc(48, 1));
});
