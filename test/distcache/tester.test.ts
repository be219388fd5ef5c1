import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { DistcacheError } from '../../src/distcache/client-error.js';
import { expected, judge, type TestFailure } from '../../src/distcache/expectation.js';
import { percentile, type TestedClient, Tester, type TestPlan } from '../../src/distcache/tester.js';
import { OPERATIONS, type Operation } from '../../src/distcache/wire.js';

const plan: TestPlan = {
  sessions: 10,
  operations: 1000,
  dataMin: 50,
  dataMax: 2100,
  timeout: 60,
  timeoutSpread: 5,
  concurrency: 1,
  seed: 1,
  strictExpiry: false,
  lossy: false,
};

/** A cache that is right, and remembers what it was asked. */
class RightClient implements TestedClient {
  readonly asked: { operation: Operation; id: string }[] = [];
  readonly added: { id: Buffer; data: Buffer; timeoutMs: number }[] = [];
  readonly sessions = new Map<string, { data: Buffer; until: number }>();

  async add(id: Buffer, data: Buffer, timeoutMs: number): Promise<boolean> {
    this.added.push({ id, data, timeoutMs });
    if (this.#find('add', id) !== undefined) return false;
    this.sessions.set(id.toString('hex'), { data, until: performance.now() + timeoutMs });
    return true;
  }

  async get(id: Buffer): Promise<Buffer | undefined> {
    const found = this.#find('get', id);
    return found && Buffer.from(found);
  }

  async remove(id: Buffer): Promise<boolean> {
    return this.#find('remove', id) !== undefined && this.sessions.delete(id.toString('hex'));
  }

  async has(id: Buffer): Promise<boolean> {
    return this.#find('have', id) !== undefined;
  }

  #find(operation: Operation, id: Buffer): Buffer | undefined {
    const key = id.toString('hex');
    this.asked.push({ operation, id: key });
    const session = this.sessions.get(key);
    if (session !== undefined && session.until < performance.now()) this.sessions.delete(key);
    return this.sessions.get(key)?.data;
  }
}

/** A cache from which sessions are removed, and never expire. Takes its time. */
class ForgettingNothing extends RightClient {
  /** When sessions were added. */
  readonly since = new Map<Buffer, number>();

  override async add(id: Buffer, data: Buffer): Promise<boolean> {
    const isAdded = await super.add(id, data, 1e9);
    if (isAdded) this.since.set(id, performance.now());
    return isAdded;
  }

  override async has(id: Buffer): Promise<boolean> {
    await delay(10);
    return super.has(id);
  }
}

function run(plan: TestPlan, ...clients: TestedClient[]) {
  return new Tester(plan).run(clients, () => {});
}

describe('what must be there', () => {
  const mark = { sentAt: 1000, answeredAt: 1100, timeoutMs: 5000 };
  const cases = [
    { what: 'what was not added is absent', mark: 'absent', at: [2000, 2001], tolerant: 'absent', strict: 'absent' },
    {
      what: 'of what may have been lost nothing is sure',
      mark: 'unknown',
      at: [1, 2],
      tolerant: 'either',
      strict: 'either',
    },
    { what: 'what was added is present', mark, at: [1100, 1101], tolerant: 'present', strict: 'present' },
    { what: 'until just before its time', mark, at: [5000, 5949], tolerant: 'present', strict: 'present' },
    { what: 'about its time it may be gone', mark, at: [5900, 5950], tolerant: 'either', strict: 'either' },
    { what: 'or still be there', mark, at: [6150, 6151], tolerant: 'either', strict: 'either' },
    { what: 'and then it is gone, if one wants to know', mark, at: [6151, 6160], tolerant: 'either', strict: 'absent' },
    { what: 'an operation that took long', mark, at: [1100, 9000], tolerant: 'either', strict: 'either' },
  ] as const;
  for (const { what, mark, at, tolerant, strict } of cases) {
    test(what, () => {
      const [sentAt, answeredAt] = at;
      assert.equal(expected(mark, { sentAt, answeredAt }, false), tolerant);
      assert.equal(expected(mark, { sentAt, answeredAt }, true), strict);
    });
  }
});

describe('an outcome', () => {
  const data = Buffer.from('the data');
  const failures: Record<Operation, [whenPresent: TestFailure, whenAbsent: TestFailure]> = {
    add: ['add-succeeded', 'add-failed'],
    get: ['get-failed', 'get-succeeded'],
    remove: ['remove-failed', 'remove-succeeded'],
    have: ['have-failed', 'have-succeeded'],
  };
  for (const operation of OPERATIONS) {
    test(`of ${operation} is right where it must be, and wrong elsewhere`, () => {
      const [whenPresent, whenAbsent] = failures[operation];
      const isAdd = operation === 'add';
      assert.equal(judge({ operation, isSuccess: !isAdd }, 'present', data), undefined);
      assert.equal(judge({ operation, isSuccess: isAdd }, 'absent', data), undefined);
      assert.equal(judge({ operation, isSuccess: isAdd }, 'present', data), whenPresent);
      assert.equal(judge({ operation, isSuccess: !isAdd }, 'absent', data), whenAbsent);
      assert.equal(judge({ operation, isSuccess: true }, 'either', data), undefined);
      assert.equal(judge({ operation, isSuccess: false }, 'either', data), undefined);
    });
  }

  test('of get has the right data', () => {
    const got = (found: string) => ({ operation: 'get' as const, isSuccess: true, data: Buffer.from(found) });
    assert.equal(judge(got('the data'), 'present', data), undefined);
    assert.equal(judge(got('the dat'), 'present', data), 'mismatch');
    assert.equal(judge(got('the dato'), 'either', data), 'mismatch');
    assert.equal(judge(got('the dato'), 'absent', data), 'get-succeeded');
  });
});

describe('a test', () => {
  test('of a cache that is right runs to its end', async () => {
    const client = new RightClient();
    const report = await run(plan, client);
    assert.equal(report.failure, undefined);
    assert.equal(report.succeeded, 1000);
    assert.equal(client.asked.length, 1000);
    assert.equal(report.latencies.length, 1000);
    assert.deepEqual(
      [...report.latencies],
      [...report.latencies].sort((a, b) => a - b),
    );
    assert.ok(report.elapsedMs >= (report.latencies.at(-1) ?? Number.POSITIVE_INFINITY));
  });

  test('picks sessions and operations evenly', async () => {
    const client = new RightClient();
    await run({ ...plan, operations: 10_000 }, client);
    const counts = new Map<string, number>();
    for (const { operation, id } of client.asked) {
      counts.set(operation, (counts.get(operation) ?? 0) + 1);
      counts.set(id, (counts.get(id) ?? 0) + 1);
    }
    assert.equal(counts.size, 4 + 10);
    for (const operation of OPERATIONS) assert.ok(Math.abs((counts.get(operation) ?? 0) - 2500) < 300);
    for (const { id } of client.asked) assert.ok(Math.abs((counts.get(id) ?? 0) - 1000) < 200);
  });

  test('makes ids of 10 to 63 bytes, data up to the maximum, and timeouts within their spread', async () => {
    const client = new RightClient();
    await run({ ...plan, sessions: 512, operations: 20_000, dataMin: 5, dataMax: 9 }, client);
    const range = (values: readonly number[]) => [Math.min(...values), Math.max(...values)];
    assert.deepEqual(range(client.added.map(({ id }) => id.length)), [10, 63]);
    assert.deepEqual(range(client.added.map(({ data }) => data.length)), [5, 8]);
    const [least = 0, most = 0] = range(client.added.map(({ timeoutMs }) => timeoutMs));
    assert.ok(least >= 55_000 && least < 55_100, `${least}`);
    assert.ok(most < 65_000 && most > 64_900, `${most}`);
  });

  test('with the same seed does the same, to sessions of other ids', async () => {
    const logs = [];
    for (const seed of [5, 5, 6]) {
      const client = new RightClient();
      await run({ ...plan, seed, operations: 100 }, client);
      const names = [...new Set(client.asked.map(({ id }) => id))];
      const log = client.asked.map(({ operation, id }) => `${operation} ${names.indexOf(id)} ${id.length}`);
      const added = client.added.map(({ data, timeoutMs }) => `${data.toString('hex')} ${timeoutMs}`);
      logs.push({ log, added, names });
    }
    const [first, again, other] = logs;
    assert.deepEqual(first?.log, again?.log);
    assert.deepEqual(first?.added, again?.added);
    assert.notDeepEqual(first?.names, again?.names);
    assert.notDeepEqual(first?.log, other?.log);
  });

  test('has so many operations under way as there are clients, each on a session of its own', async () => {
    const shared = new RightClient();
    const busy = new Set<Buffer>();
    let most = 0;
    const during = async <Result>(id: Buffer, doing: Promise<Result>): Promise<Result> => {
      assert.ok(!busy.has(id), 'the session is in use');
      most = Math.max(most, busy.add(id).size);
      await delay(1);
      busy.delete(id);
      return doing;
    };
    const client: TestedClient = {
      add: (id, data, timeoutMs) => during(id, shared.add(id, data, timeoutMs)),
      get: (id) => during(id, shared.get(id)),
      remove: (id) => during(id, shared.remove(id)),
      has: (id) => during(id, shared.has(id)),
    };
    const report = await run({ ...plan, concurrency: 8 }, ...new Array(8).fill(client));
    assert.equal(report.failure, undefined);
    assert.equal(report.succeeded, 1000);
    assert.equal(most, 8);
  });

  test('does not mistake an expired session for a lost one', async () => {
    class Patient extends RightClient {
      override async has(id: Buffer): Promise<boolean> {
        await delay(10);
        return super.has(id);
      }
    }
    const short = { ...plan, timeout: 1, timeoutSpread: 0, sessions: 512 };
    const reports = await Promise.all([
      run(short, new Patient()),
      run({ ...short, strictExpiry: true }, new Patient()),
    ]);
    assert.deepEqual(
      reports.map(({ failure }) => failure),
      [undefined, undefined],
    );
  });

  test('with strict expiry finds a cache that keeps sessions too long', async () => {
    // each session is looked at every second or so
    const short = { ...plan, timeout: 1, timeoutSpread: 0, sessions: 512 };
    const [tolerant, strict] = await Promise.all([
      run({ ...short, operations: 1000 }, new ForgettingNothing()),
      run({ ...short, operations: 5000, strictExpiry: true }, new ForgettingNothing()),
    ]);
    assert.equal(tolerant.failure, undefined);
    assert.match(strict.failure ?? 'none', /^(add-failed|(get|have|remove)-succeeded)$/);
  });

  test('finds a session that comes back after its end', async () => {
    class Haunted extends ForgettingNothing {
      override async get(id: Buffer): Promise<Buffer | undefined> {
        const since = this.since.get(id);
        return since !== undefined && performance.now() > since + 1000 ? undefined : super.get(id);
      }
    }
    const short = { ...plan, timeout: 1, timeoutSpread: 0, sessions: 512, operations: 5000 };
    assert.match((await run(short, new Haunted())).failure ?? 'none', /^(add-failed|(have|remove)-succeeded)$/);
  });

  test('stops at the first failure, whatever else is under way', async () => {
    const shared = new RightClient();
    const right: TestedClient = {
      add: (...args) => shared.add(...args),
      get: (id) => shared.get(id),
      remove: (id) => shared.remove(id),
      has: (id) => shared.has(id),
    };
    const wrong = { ...right, get: async () => undefined };
    const report = await run({ ...plan, operations: 10_000, concurrency: 3 }, right, right, wrong);
    assert.equal(report.failure, 'get-failed');
    assert.ok(report.succeeded < 1000, `${report.succeeded} more succeeded`);
  });

  test('ends before its time when it is stopped', async () => {
    const tester = new Tester(plan);
    const report = await tester.run([new RightClient()], (succeeded) => {
      if (succeeded === 100) tester.stop();
    });
    assert.equal(report.failure, undefined);
    assert.equal(report.succeeded, 100);
    assert.equal(report.latencies.length, 100);
  });

  test('ends with an error that is no failure of the server', async () => {
    const client = new RightClient();
    client.has = async () => {
      throw new TypeError('a bug');
    };
    await assert.rejects(run(plan, client), TypeError);
  });

  test('without an answer says why there is none', async () => {
    const client = new RightClient();
    const cause = new DistcacheError('timeout', 'no answer within 2000 ms');
    client.has = () => Promise.reject(cause);
    const report = await run(plan, client);
    assert.equal(report.failure, 'no-answer');
    assert.equal(report.cause, cause);
    assert.ok(report.succeeded < 1000);
  });
});

describe('a lossy test', () => {
  const lossy = { ...plan, lossy: true, operations: 20_000 };

  /** Does an operation of three at once, one long after it said `no` or nothing, and one never. */
  function late(cache: RightClient, saysNo: boolean): TestedClient {
    const due: (() => unknown)[] = [];
    let asked = 0;
    const sometime = async <Result>(act: () => Promise<Result>, no: Result): Promise<Result> => {
      if (due.length > 30) await due.shift()?.();
      const turn = asked++ % 3;
      if (turn === 0) return act();
      if (turn === 1) due.push(act);
      if (saysNo) return no;
      throw new DistcacheError('timeout', 'no answer within 2000 ms');
    };
    return {
      add: (id, data, timeoutMs) => sometime(() => cache.add(id, data, timeoutMs), false),
      get: (id) => sometime(() => cache.get(id), undefined),
      remove: (id) => sometime(() => cache.remove(id), false),
      has: (id) => sometime(() => cache.has(id), false),
    };
  }

  test('is like others when nothing is lost', async () => {
    const { failure, succeeded, unanswered, lost } = await run(lossy, new RightClient());
    assert.deepEqual(
      { failure, succeeded, unanswered, lost },
      { failure: undefined, succeeded: 20_000, unanswered: 0, lost: 0 },
    );
  });

  test('goes on when there is no answer, whatever becomes of the operation', async () => {
    const { failure, succeeded, unanswered, lost, latencies } = await run(lossy, late(new RightClient(), false));
    assert.deepEqual(
      { failure, succeeded, answered: latencies.length },
      { failure: undefined, succeeded: 20_000, answered: 20_000 },
    );
    assert.ok(Math.abs(unanswered - 13_333) <= 1, `${unanswered}`);
    assert.ok(lost > 10, `${lost}`);
  });

  test('goes on when the answer is no, whatever becomes of the operation', async () => {
    const { failure, succeeded, unanswered, lost } = await run(lossy, late(new RightClient(), true));
    assert.deepEqual({ failure, succeeded, unanswered }, { failure: undefined, succeeded: 20_000, unanswered: 0 });
    assert.ok(lost > 1000, `${lost}`);
  });

  test('counts no loss when a session is gone that may have been removed', async () => {
    class Silent extends RightClient {
      override async remove(id: Buffer): Promise<boolean> {
        await super.remove(id);
        throw new DistcacheError('timeout', 'no answer within 2000 ms');
      }
    }
    const { failure, unanswered, lost } = await run(lossy, new Silent());
    assert.deepEqual({ failure, lost }, { failure: undefined, lost: 0 });
    assert.ok(unanswered > 4000, `${unanswered}`);
  });

  test('goes on when everything is lost now and then', async () => {
    class Forgetful extends RightClient {
      override async has(id: Buffer): Promise<boolean> {
        if (this.asked.length % 50 === 0) this.sessions.clear();
        return super.has(id);
      }
    }
    const { failure, lost } = await run(lossy, new Forgetful());
    assert.equal(failure, undefined);
    assert.ok(lost > 100, `${lost}`);
  });

  test('finds other data', async () => {
    class Swapping extends RightClient {
      override async get(id: Buffer): Promise<Buffer | undefined> {
        const [first] = this.sessions.values();
        return (await super.get(id)) && first?.data;
      }
    }
    assert.equal((await run(lossy, new Swapping())).failure, 'mismatch');
  });

  test('finds a session that was removed', async () => {
    class Undead extends RightClient {
      override async remove(id: Buffer): Promise<boolean> {
        return this.has(id);
      }
    }
    assert.match((await run(lossy, new Undead())).failure ?? 'none', /^(get|have|remove)-succeeded$/);
  });

  test('with strict expiry finds a session that is kept too long', async () => {
    const short = { ...lossy, timeout: 1, timeoutSpread: 0, sessions: 512, operations: 5000, strictExpiry: true };
    assert.match((await run(short, new ForgettingNothing())).failure ?? 'none', /^(get|have|remove)-succeeded$/);
  });
});

test('a percentile is the value below which that part lies', () => {
  const values = Float64Array.from({ length: 100 }, (_, index) => index);
  assert.deepEqual(
    [0, 0.5, 0.9, 0.99, 1].map((part) => percentile(values, part)),
    [0, 50, 90, 99, 99],
  );
  assert.ok(Number.isNaN(percentile(new Float64Array(0), 0.5)));
});
