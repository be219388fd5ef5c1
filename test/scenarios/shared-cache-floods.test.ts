import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { ask, askAndStore, isHit } from '../support/ask.js';
import { type Fleet, startFleet } from '../support/fleet.js';
import { rawCommand } from '../support/memcached.js';
import { type Origin, startRawOrigin } from '../support/origin.js';
import { RawClient } from '../support/raw-client.js';
import { until } from '../support/until.js';

const KEYS = 20_000;
const WARM_UP = 5_000;
const VARIANTS = 3_000;
/** Few at a time, so that none waits for long even where a machine has other things to do. */
const CONNECTIONS = 10;
const BATCH = 25;

const MAX_VARIANTS = 16;

/** What garbage takes that is not collected yet. */
const MOST_GROWTH_MIB = 100;

describe('a flood', () => {
  let origin: Origin;
  let fleet: Fleet;

  before(async () => {
    const fields = 'HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 4\r\n';
    origin = await startRawOrigin((socket, head) => {
      const vary = head.startsWith('GET /variants') ? 'Vary: User-Agent\r\n' : '';
      socket.write(`${fields}${vary}\r\ngood`);
    });
    fleet = await startFleet({ upstream: origin.url, cache: { maxVariants: MAX_VARIANTS, noVarySearch: true } });
  });
  after(async () => {
    await fleet?.stop();
    await origin?.close();
  });

  const url = () => fleet.urls[0] ?? '';

  function residentMib(): number {
    const status = readFileSync(`/proc/${fleet.processes[0]?.pid}/status`, 'utf8');
    return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) / 1024;
  }

  /** Sends the requests from `start` to `end` over a few connections, in batches, and checks that all are answered. */
  async function flood(start: number, end: number, request: (n: number) => string): Promise<void> {
    let sent = start;
    const connections = Array.from({ length: CONNECTIONS }, async () => {
      const client = await RawClient.connect(url());
      while (sent < end) {
        const batch = Array.from({ length: BATCH }, () => request(sent++)).join('');
        client.received = '';
        client.send(batch);
        await until(() => client.received.split('HTTP/1.1 ').length > BATCH || client.isClosed, 'not all are answered');
        assert.equal(client.received.split('HTTP/1.1 200 OK\r\n').length - 1, BATCH);
      }
      client.close();
    });
    await Promise.all(connections);
  }

  test('of queries takes no memory that stays', async () => {
    await askAndStore(url(), '/page?victim');
    const query = (n: number) => `GET /page?flood=${n} HTTP/1.1\r\nHost: site.test\r\n\r\n`;
    // what the first ones take is what any requests take
    await flood(0, WARM_UP, query);
    const before = residentMib();
    await flood(WARM_UP, KEYS, query);
    const growth = residentMib() - before;
    assert.ok(growth < MOST_GROWTH_MIB, `grew by ${Math.round(growth)} MiB`);
    assert.equal((await ask(url(), '/page?victim')).text, 'good');
  });

  async function variantsOf(target: string): Promise<number> {
    const index = await rawCommand(fleet.memcached.address, `get http://site.test${target}\r\n`);
    return [...index.matchAll(/^[0-9a-f]{32} \d+ user-agent\r$/gm)].length;
  }

  test('of variants leaves those that are there where they are, and stores no more than are kept', async () => {
    const target = '/variants';
    const mine = { fields: ['User-Agent', 'mine'] };
    await askAndStore(url(), target, mine);
    await flood(0, VARIANTS, (n) => `GET ${target} HTTP/1.1\r\nHost: site.test\r\nUser-Agent: ${n}\r\n\r\n`);
    // many at once are in each other's way, and not all that there is room for are stored
    let late = 0;
    await until(async () => {
      await ask(url(), target, { fields: ['User-Agent', `late ${late++}`] });
      return (await variantsOf(target)) >= MAX_VARIANTS;
    }, 'there is room left');
    await flood(0, 100, (n) => `GET ${target} HTTP/1.1\r\nHost: site.test\r\nUser-Agent: later ${n}\r\n\r\n`);
    assert.equal(await variantsOf(target), MAX_VARIANTS);
    assert.ok(isHit((await ask(url(), target, mine)).cacheStatus));
    const other = await ask(url(), target, { fields: ['User-Agent', 'never seen'] });
    assert.equal(other.text, 'good');
    assert.match(other.cacheStatus, /hit-for-miss/, 'and nobody waits for one that is not stored');
  });
});
