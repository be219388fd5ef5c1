import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { type Served, startLookaside } from '../support/lookaside.js';

const CLIENTS = 200;
const BODY_MIB = 4;
/** Every so manyth client reads nothing until all the others are done. */
const SLOW_EVERY = 10;
/** All bodies together are 800 MiB; the memory for bodies on their way to the store alone is 64 MiB. */
const MOST_GROWTH_MIB = 250;

describe('many large misses at a time', () => {
  /** Sends its body in chunks of unknown number, so that every one is copied until it turns out to be too large. */
  const origin = createServer((_request, response) => {
    const chunk = Buffer.alloc(64 * 1024, 'x');
    let left = (BODY_MIB * 1024 * 1024) / chunk.length;
    const write = () => {
      while (left > 0) {
        left--;
        if (!response.write(chunk)) {
          response.once('drain', write);
          return;
        }
      }
      response.end();
    };
    write();
  });
  let lookaside: Served;

  before(async () => {
    origin.listen(0, '127.0.0.1');
    await once(origin, 'listening');
    const upstream = `http://127.0.0.1:${(origin.address() as AddressInfo).port}`;
    lookaside = await startLookaside({ args: ['--upstream', upstream] });
  });
  after(async () => {
    await lookaside?.stop();
    origin.close();
    origin.closeAllConnections();
  });

  const residentMib = (field: 'VmRSS' | 'VmHWM') =>
    Number(
      new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${lookaside.pid}/status`, 'utf8'))?.[1],
    ) / 1024;

  /** Bytes that come back for `path`, read from the moment `startReading` resolves. */
  function client(path: string, startReading: Promise<void>): Promise<number> {
    const { hostname, port } = new URL(lookaside.url);
    return new Promise((resolve, reject) => {
      const socket = connect(Number(port), hostname);
      let bytes = 0;
      socket.on('error', reject);
      socket.on('close', () => resolve(bytes));
      socket.write(`GET ${path} HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n`);
      startReading.then(() => {
        socket.on('data', (chunk) => {
          bytes += chunk.length;
        });
      }, reject);
    });
  }

  test('take bounded memory, though some clients do not read', async () => {
    const idle = residentMib('VmRSS');
    let fastAreDone = () => {};
    const afterTheFast = new Promise<void>((resolve) => {
      fastAreDone = resolve;
    });
    const clients = Array.from({ length: CLIENTS }, (_, n) =>
      client(`/${n}`, n % SLOW_EVERY === 0 ? afterTheFast : Promise.resolve()),
    );
    await Promise.all(clients.filter((_, n) => n % SLOW_EVERY !== 0));
    fastAreDone();
    const received = await Promise.all(clients);
    assert.ok(
      received.every((bytes) => bytes > BODY_MIB * 1024 * 1024),
      'every client got all of its body',
    );
    const growth = residentMib('VmHWM') - idle;
    assert.ok(growth < MOST_GROWTH_MIB, `grew by ${Math.round(growth)} MiB`);
  });
});
