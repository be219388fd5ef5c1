/**
 * Load for `distcache.ts`, in a process of its own: `node distcache-load.js ADDRESS MODE AT_A_TIME SECONDS`. Prints as
 * JSON how many operations were answered, and how many in a second once it was warm. An answer that is not the right one
 * ends it with an error.
 *
 * Modes: `persistent`, a connection for each operation that is under way; `temporary`, a new one for each operation;
 * `library`, a `DistcacheClient`, which has one connection for all.
 */
import { randomBytes } from 'node:crypto';
import { connectTo, parseAddress } from '../src/distcache/address.js';
import { DistcacheClient } from '../src/distcache/client.js';
import { addPayload } from '../src/distcache/payload.js';
import { encodeMessage, type Operation, wireBytesOf } from '../src/distcache/wire.js';

/** As dc_test makes them by default. */
const SESSIONS = 10;
const DATA_MIN = 50;
const DATA_MAX = 2100;
const TIMEOUT_MS = 60_000;

/** What is measured is not how fast the load is compiled. */
const WARM_UP_MS = 300;

interface Step {
  readonly operation: Operation;
  readonly id: Buffer;
  readonly data: Buffer;
  readonly succeeds: boolean;
  readonly request: Buffer;
  readonly responseBytes: number;
  /** The payload of a response that is no data. */
  readonly code: number | undefined;
}

/** dc_test's mix: each operation as often as the others, and each with as many successes as failures. */
const MIX: readonly [Operation, succeeds: boolean][] = [
  ['get', false],
  ['have', false],
  ['remove', false],
  ['add', true],
  ['add', false],
  ['get', true],
  ['have', true],
  ['remove', true],
];

const CODES = { true: 0, false: { add: 0x65, get: 1, remove: 1, have: 1 } } as const;

function makeSteps(): Step[] {
  return Array.from({ length: SESSIONS }, () => {
    const id = randomBytes(10 + Math.floor(Math.random() * 54));
    const data = randomBytes(DATA_MIN + Math.floor(Math.random() * (DATA_MAX - DATA_MIN)));
    return MIX.map(([operation, succeeds]) => {
      const payload = operation === 'add' ? addPayload(id, data, TIMEOUT_MS) : id;
      const hasData = operation === 'get' && succeeds;
      return {
        operation,
        id,
        data,
        succeeds,
        request: encodeMessage('request', { uid: 1, operation, payload }),
        responseBytes: wireBytesOf(hasData ? data.length : 1),
        code: hasData ? undefined : succeeds ? CODES.true : CODES.false[operation],
      };
    });
  }).flat();
}

const [addressText = '', mode = '', atATime = '1', seconds = '1'] = process.argv.slice(2);
const address = parseAddress(addressText);
const end = performance.now() + WARM_UP_MS + Number(seconds) * 1000;
let operations = 0;

function fail(why: string): never {
  process.stderr.write(`${addressText}: ${why}\n`);
  process.exit(1);
}

/**
 * Sends the steps over a connection, one after the other, from `at` on; `next` says after each whether to go on. What is
 * left of the connection is closed.
 */
function work(steps: readonly Step[], at: number, next: () => boolean): void {
  let index = at;
  let step = steps[index % steps.length] ?? fail('no steps');
  let missing = step.responseBytes;
  const onBytes = (bytes: Buffer) => {
    missing -= bytes.length;
    if (missing > 0) return;
    if (missing < 0 || (step.code !== undefined && bytes.at(-1) !== step.code))
      fail(`a wrong answer to ${step.operation}`);
    operations++;
    if (!next()) {
      socket.destroy();
      return;
    }
    step = steps[++index % steps.length] ?? step;
    missing = step.responseBytes;
    socket.write(step.request);
  };
  const socket = connectTo(address, { onBytes });
  socket.on('error', (error) => fail(error.message));
  socket.write(step.request);
}

function persistent(): Promise<void> {
  return new Promise((resolve) => {
    work(makeSteps(), 0, () => {
      if (performance.now() < end) return true;
      resolve();
      return false;
    });
  });
}

async function temporary(): Promise<void> {
  const steps = makeSteps();
  for (let at = 0; performance.now() < end; at++) {
    await new Promise<void>((resolve) => {
      work(steps, at, () => {
        resolve();
        return false;
      });
    });
  }
}

async function library(client: DistcacheClient): Promise<void> {
  const steps = makeSteps();
  for (let at = 0; performance.now() < end; at++) {
    const { operation, id, data, succeeds } = steps[at % steps.length] ?? fail('no steps');
    const found = await ask(client, operation, id, data);
    const isRight =
      operation === 'get' && succeeds ? Buffer.isBuffer(found) && found.equals(data) : !!found === succeeds;
    if (!isRight) fail(`a wrong answer to ${operation}`);
    operations++;
  }
}

function ask(
  client: DistcacheClient,
  operation: Operation,
  id: Buffer,
  data: Buffer,
): Promise<Buffer | boolean | undefined> {
  switch (operation) {
    case 'add':
      return client.add(id, data, TIMEOUT_MS);
    case 'get':
      return client.get(id);
    case 'remove':
      return client.remove(id);
    case 'have':
      return client.has(id);
  }
}

const client = new DistcacheClient({ address, maxOutstandingBytes: Number.POSITIVE_INFINITY });
let warm = { operations: 0, atMs: performance.now() };
setTimeout(() => {
  warm = { operations, atMs: performance.now() };
}, WARM_UP_MS).unref();
await Promise.all(
  Array.from({ length: Number(atATime) }, () => {
    if (mode === 'persistent') return persistent();
    return mode === 'temporary' ? temporary() : library(client);
  }),
);
const perSecond = ((operations - warm.operations) / (performance.now() - warm.atMs)) * 1000;
await client.close();
console.log(JSON.stringify({ operations, perSecond }));
