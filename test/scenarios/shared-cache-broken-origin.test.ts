import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { ask, askAndStore, isHit } from '../support/ask.js';
import { patterned } from '../support/counting-origin.js';
import { type Fleet, startFleet } from '../support/fleet.js';
import { type Origin, startRawOrigin } from '../support/origin.js';
import { rawRequest } from '../support/raw-client.js';
import { until } from '../support/until.js';

const OK = 'HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n';
const GOOD = `${OK}Content-Length: 4\r\n\r\ngood`;
const BIG = patterned(3 * 1024 * 1024).toString('latin1');

/** How an origin breaks the rules, or does what makes no sense. */
interface Fault {
  /** What the origin says, as a byte string. */
  readonly says: string;
  /** What it does then. Default: it waits for the next request. */
  readonly does?: 'end' | 'reset';
  /** By the client who caused the fetch. */
  readonly seen: { readonly status: number; readonly isWhole: boolean };
}

const BROKEN = { status: 200, isWhole: false };
const BAD_GATEWAY = { status: 502, isWhole: true };

const FAULTS: { readonly [name: string]: Fault } = {
  'closes before the length': { says: `${OK}Content-Length: 100\r\n\r\nhalf`, does: 'end', seen: BROKEN },
  'resets before the length': { says: `${OK}Content-Length: 100\r\n\r\nhalf`, does: 'reset', seen: BROKEN },
  'closes between chunks': { says: `${OK}Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n`, does: 'end', seen: BROKEN },
  'closes within a chunk': { says: `${OK}Transfer-Encoding: chunked\r\n\r\n9\r\nhalf`, does: 'end', seen: BROKEN },
  'closes in the last chunk': {
    says: `${OK}Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n`,
    does: 'end',
    seen: BROKEN,
  },
  'resets within a chunk': { says: `${OK}Transfer-Encoding: chunked\r\n\r\n9\r\nhalf`, does: 'reset', seen: BROKEN },
  'says a chunk size that is none': {
    says: `${OK}Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\nmore\r\n0\r\n\r\n`,
    seen: BROKEN,
  },
  'breaks off a body of many segments': {
    says: `${OK}Content-Length: ${BIG.length}\r\n\r\n${BIG.slice(0, BIG.length - 1)}`,
    does: 'end',
    seen: BROKEN,
  },
  'resets within the head': { says: `${OK}Content-Le`, does: 'reset', seen: BAD_GATEWAY },
  'closes within the head': { says: `${OK}Content-Le`, does: 'end', seen: BAD_GATEWAY },
  'sends no HTTP': { says: 'hello\r\n\r\n', does: 'end', seen: BAD_GATEWAY },
  'sends HTTP/0.9': { says: '<html>good</html>', does: 'end', seen: BAD_GATEWAY },
  'sends a field without a colon': { says: `${OK}Bad Field\r\nContent-Length: 3\r\n\r\nbad`, seen: BAD_GATEWAY },
  'sends a field with a space before the colon': {
    says: `${OK}Content-Length : 3\r\n\r\nbad`,
    seen: BAD_GATEWAY,
  },
  'sends a folded field': { says: `${OK}X-A: b\r\n c\r\nContent-Length: 3\r\n\r\nbad`, seen: BAD_GATEWAY },
  'sends NUL in a field': { says: `${OK}X-A: b\0c\r\nContent-Length: 3\r\n\r\nbad`, seen: BAD_GATEWAY },
  'sends a bare CR in a field': { says: `${OK}X-A: b\rX: c\r\nContent-Length: 3\r\n\r\nbad`, seen: BAD_GATEWAY },
  'sends two lengths': { says: `${OK}Content-Length: 3\r\nContent-Length: 4\r\n\r\nbad!`, seen: BAD_GATEWAY },
  'sends a list of lengths': { says: `${OK}Content-Length: 3, 4\r\n\r\nbad!`, seen: BAD_GATEWAY },
  'sends a length with a sign': { says: `${OK}Content-Length: +3\r\n\r\nbad`, seen: BAD_GATEWAY },
  'sends a negative length': { says: `${OK}Content-Length: -3\r\n\r\nbad`, seen: BAD_GATEWAY },
  'sends a length beyond 64 bits': { says: `${OK}Content-Length: 18446744073709551619\r\n\r\nbad`, seen: BAD_GATEWAY },
  'sends a length and chunks': {
    says: `${OK}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nbad\r\n0\r\n\r\n`,
    seen: BAD_GATEWAY,
  },
  'sends chunks twice': {
    says: `${OK}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nbad\r\n0\r\n\r\n`,
    seen: { status: 200, isWhole: true },
  },
  'sends gzip within chunks': {
    says: `${OK}Transfer-Encoding: gzip, chunked\r\n\r\n3\r\nbad\r\n0\r\n\r\n`,
    seen: { status: 200, isWhole: true },
  },
  'says nothing of the end of the body': { says: `${OK}\r\nbad`, does: 'end', seen: { status: 200, isWhole: true } },
  'sends 304 unasked': { says: 'HTTP/1.1 304 Not Modified\r\nETag: "e"\r\n\r\n', seen: { status: 304, isWhole: true } },
  'sends 206 unasked': {
    says: 'HTTP/1.1 206 Partial Content\r\nCache-Control: max-age=60\r\nContent-Range: bytes 0-2/4\r\nContent-Length: 3\r\n\r\nbad',
    seen: { status: 206, isWhole: true },
  },
  'sends 416 unasked': {
    says: 'HTTP/1.1 416 Range Not Satisfiable\r\nCache-Control: max-age=60\r\nContent-Length: 0\r\n\r\n',
    seen: { status: 416, isWhole: true },
  },
  'sends status 99': { says: 'HTTP/1.1 99 What\r\nContent-Length: 3\r\n\r\nbad', seen: BAD_GATEWAY },
  'sends a status of four digits': { says: 'HTTP/1.1 2000 What\r\nContent-Length: 3\r\n\r\nbad', seen: BAD_GATEWAY },
  'switches protocols unasked': {
    says: 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
    seen: BAD_GATEWAY,
  },
  'sends interim responses without end': { says: 'HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(200), seen: BAD_GATEWAY },
  'sends a head of a hundred kilobytes': {
    says: `${OK}X-A: ${'a'.repeat(100_000)}\r\nContent-Length: 3\r\n\r\nbad`,
    seen: BAD_GATEWAY,
  },
};

const EVIL = `${OK}Content-Length: 4\r\n\r\nevil`;

/** What the origin says to these for ever. */
const SPECIAL: { readonly [target: string]: string } = {
  '/over-long': `${GOOD} and more`,
  '/two-responses': GOOD + EVIL,
  '/no-body-but-one': `HTTP/1.1 304 Not Modified\r\nETag: "e"\r\n\r\n${EVIL}`,
  '/no-content-but-one': `HTTP/1.1 204 No Content\r\nCache-Control: max-age=60\r\n\r\n${EVIL}`,
  '/empty': `${OK}Content-Length: 0\r\n\r\n`,
  '/early': `HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n${GOOD}`,
};

describe('the origin breaks the rules', () => {
  let origin: Origin;
  let fleet: Fleet;
  const counts = new Map<string, number>();
  /** Connections on which the first half of /shared was sent. */
  const shared: Socket[] = [];

  before(async () => {
    origin = await startRawOrigin((socket, head) => {
      const target = /^GET (\S+) /.exec(head)?.[1] ?? '';
      const nth = (counts.get(target) ?? 0) + 1;
      counts.set(target, nth);
      const fault = FAULTS[decodeURIComponent(target.slice(1))];
      if (fault !== undefined && nth === 1) misbehave(socket, fault);
      else if (target === '/shared' && nth === 1)
        socket.write(`${OK}Content-Length: 9\r\n\r\nhalf`, () => shared.push(socket));
      else answer(socket, target);
    });
    fleet = await startFleet({ upstream: origin.url, processes: 2 });
  });
  after(async () => {
    await fleet?.stop();
    await origin?.close();
  });

  function misbehave(socket: Socket, { says, does }: Fault): void {
    socket.write(Buffer.from(says, 'latin1'), () => {
      if (does === 'end') socket.end();
      // what was written is on its way
      if (does === 'reset') setTimeout(() => socket.resetAndDestroy(), 5);
    });
  }

  const answer = (socket: Socket, target: string) => socket.write(Buffer.from(SPECIAL[target] ?? GOOD, 'latin1'));

  const [one, two] = [() => fleet.urls[0] ?? '', () => fleet.urls[1] ?? ''];

  for (const [name, { seen }] of Object.entries(FAULTS)) {
    test(`it ${name}: that is seen, and neither stored nor served to the next`, async () => {
      const target = `/${encodeURIComponent(name)}`;
      const { status, isWhole } = await ask(one(), target);
      assert.deepEqual({ status, isWhole }, seen);
      const next = await askAndStore(two(), target);
      assert.deepEqual(
        { status: next.status, text: next.text, isWhole: next.isWhole },
        { status: 200, text: 'good', isWhole: true },
      );
      assert.ok(!isHit(next.cacheStatus), next.cacheStatus);
      assert.equal((await ask(one(), target)).text, 'good');
      assert.equal(counts.get(target), 2);
    });
  }

  for (const target of ['/over-long', '/two-responses', '/no-body-but-one', '/no-content-but-one']) {
    test(`what it says behind the end of ${target} is no answer to anything`, async () => {
      for (let round = 1; round <= 3; round++) {
        const surplus = await ask(one(), target);
        assert.ok(['', 'good'].includes(surplus.text) || !surplus.isWhole, surplus.text);
        const others = await Promise.all(fleet.urls.map((url) => ask(url, `/after?${target}${round}`)));
        for (const { text, isWhole } of others) assert.deepEqual({ text, isWhole }, { text: 'good', isWhole: true });
      }
    });
  }

  test('an empty body with a length is a body like others', async () => {
    assert.equal((await askAndStore(one(), '/empty')).text, '');
    const stored = await ask(two(), '/empty');
    assert.ok(isHit(stored.cacheStatus), stored.cacheStatus);
    assert.equal(stored.headers['content-length'], '0');
  });

  test('interim responses go to the client on a miss, with their fields, and are not there on a hit', async () => {
    const request = 'GET /early HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n\r\n';
    const missed = await rawRequest(one(), request);
    assert.match(
      missed,
      /^HTTP\/1.1 103 Early Hints\r\nLink: <\/a.css>\r\n\r\nHTTP\/1.1 102 Processing\r\n\r\nHTTP\/1.1 200 OK\r\n/,
    );
    assert.ok(missed.endsWith('\r\n\r\ngood'), missed);
    await askAndStore(one(), '/early');
    for (const url of fleet.urls) {
      const hit = await rawRequest(url, request);
      assert.match(hit, /^HTTP\/1.1 200 OK\r\n.*Cache-Status: lookaside; hit.*\r\n\r\ngood$/s);
      assert.doesNotMatch(hit, /link/i);
    }
  });

  test('a break is seen by all who share the fetch, and those who wait in another process fetch anew', async () => {
    const target = '/shared';
    const asking = Array.from({ length: 10 }, (_, client) => ask(fleet.urls[client % 2] ?? '', target));
    await until(() => shared.length > 0, 'the origin was not asked');
    for (const socket of shared.splice(0)) socket.resetAndDestroy();
    const answers = await Promise.all(asking);
    // those who had joined it see it break; whoever had not is served by the next fetch
    for (const { status, text, isWhole } of answers) {
      if (isWhole) assert.deepEqual({ status, text }, { status: 200, text: 'good' });
      else assert.equal(text.slice(0, 4), 'half'.slice(0, text.length));
    }
    assert.ok(answers.some(({ isWhole }) => !isWhole));
    assert.equal((await askAndStore(one(), target)).text, 'good');
    assert.equal((await ask(two(), target)).text, 'good');
    assert.equal(counts.get(target), 2);
  });
});
