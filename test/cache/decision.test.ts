import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Decision, decide, decideWithoutBody } from '../../src/cache/decision.js';
import type { Found } from '../../src/cache/finder.js';
import type { Slot } from '../../src/cache/slot.js';
import { inlineBody, type StoredEntry } from '../../src/cache/stored-entry.js';
import { Fields } from '../../src/http/fields.js';
import type { ReuseRules, StoredFreshness } from '../../src/http/reuse.js';

const NOW_MS = 1_763_640_000_000;

const RULES: ReuseRules = { honorRequestCacheControl: true, graceSeconds: 0, errorGraceSeconds: 0 };

const SLOT: Slot = {
  key: 'http://h/',
  url: 'http://h/',
  request: new Fields(),
  base: 'http://h/',
  place: 'http://h/',
  moment: { epochKey: 'lookaside:epoch:0', epoch: '1' },
  begunMs: 0,
  labels: { url: '', prefix: 'http://h/', tags: [] },
  under: { kind: 'nothing' },
  lease: undefined,
};

const NOTHING: Found = { kind: 'none', reason: 'absent', slot: SLOT };

/** An entry that was stored with a lifetime of 60 s this long ago. */
function found(secondsAgo: number, freshness: Partial<StoredFreshness> = {}, head: Partial<StoredEntry> = {}): Found {
  const entry: StoredEntry = {
    status: 200,
    fields: new Fields(['ETag', '"1"']),
    body: inlineBody(Buffer.from('0123456789')),
    freshness: {
      storedAtMs: NOW_MS - secondsAgo * 1000,
      ageSeconds: 0,
      lifetimeSeconds: 60,
      staleWhileRevalidateSeconds: 0,
      staleIfErrorSeconds: undefined,
      revalidation: 'may',
      isSoftPurged: false,
      immutable: false,
      ...freshness,
    },
    ...head,
  };
  return { kind: 'entry', entry, slot: SLOT };
}

function decided(found: Found, request: readonly string[] = [], method = 'GET'): Decision {
  return decide({ method, fields: new Fields(request) }, found, RULES, NOW_MS);
}

/** A decision in a word or two: what is done, for what reason. */
function words(decision: Decision): string {
  const { kind, outcome } = decision;
  const detail =
    kind === 'forward'
      ? decision.keeps
      : kind === 'refuse'
        ? decision.because
        : kind === 'fetch'
          ? fetchWord(decision)
          : '';
  return `${kind}${detail === '' ? '' : ` ${detail}`}: ${outcome.verdict} ${outcome.reason}`;
}

function fetchWord({ stale, incomplete, isOnlyJoined }: Extract<Decision, { kind: 'fetch' }>): string {
  if (isOnlyJoined) return 'joined';
  return stale === undefined ? (incomplete?.missing ?? 'whole') : 'again';
}

describe('with nothing in the store', () => {
  for (const [request, method, expected] of [
    [[], 'GET', 'fetch whole: miss absent'],
    [['Range', 'bytes=0-'], 'GET', 'fetch whole: miss absent'],
    [['Range', 'bytes=5-'], 'GET', 'fetch joined: miss absent'],
    [['If-None-Match', '"1"'], 'GET', 'fetch joined: miss absent'],
    [['Authorization', 'x'], 'GET', 'forward leased: miss absent'],
    [['Cache-Control', 'no-store'], 'GET', 'forward leased: miss absent'],
    [[], 'HEAD', 'forward nothing: miss absent'],
    [['Cache-Control', 'only-if-cached'], 'GET', 'refuse absent: miss only-if-cached'],
    [['Cache-Control', 'only-if-cached'], 'HEAD', 'refuse absent: miss only-if-cached'],
  ] as const) {
    it(`a ${method} with ${request.join(': ') || 'no fields'} is ${expected}`, () => {
      assert.equal(words(decided(NOTHING, request, method)), expected);
    });
  }

  it('a request waits for another process, but for nobody where responses are not stored', () => {
    assert.equal(words(decided({ kind: 'leased', slot: SLOT })), 'fetch whole: miss absent');
    assert.equal(words(decided({ kind: 'pass', slot: SLOT })), 'forward unleased: miss hit-for-miss');
    assert.equal(words(decided({ kind: 'pass', slot: SLOT }, [], 'HEAD')), 'forward nothing: miss hit-for-miss');
  });

  it('a store that fails is a miss', () => {
    assert.equal(words(decided({ kind: 'none', reason: 'timeout', slot: undefined })), 'fetch whole: miss timeout');
  });
});

describe('with an entry', () => {
  it('a fresh one is the answer, with its age and what it has left', () => {
    const decision = decided(found(20));
    assert.equal(words(decision), 'replay: hit fresh');
    assert.ok(decision.kind === 'replay');
    const { ageSeconds, isRefreshed, outcome } = decision;
    assert.deepEqual([ageSeconds, isRefreshed, outcome.ttlSeconds], [20, false, 40]);
    assert.equal(words(decided(found(20), [], 'HEAD')), 'replay: hit fresh');
  });

  it('one that is stale for a while is the answer, and is refreshed', () => {
    const decision = decided(found(70, { staleWhileRevalidateSeconds: 30 }));
    assert.equal(words(decision), 'replay: stale stale-while-revalidate');
    assert.ok(decision.kind === 'replay' && decision.isRefreshed && decision.outcome.ttlSeconds === -10);
  });

  it('a stale one is asked about, whatever part or condition the request has', () => {
    for (const request of [[], ['Range', 'bytes=5-'], ['If-None-Match', '"1"']]) {
      assert.equal(words(decided(found(70), request)), 'fetch again: miss expired');
    }
  });

  it('a stale one goes along with a request that is for one client only', () => {
    assert.equal(words(decided(found(70), ['Authorization', 'x'])), 'forward leased: miss expired');
    assert.equal(words(decided(found(70), [], 'HEAD')), 'forward nothing: miss expired');
  });

  it('one that can not be used does not answer who wants nothing else', () => {
    const wanting = ['Cache-Control', 'only-if-cached'];
    assert.equal(words(decided(found(70), wanting)), 'refuse expired: miss only-if-cached');
    assert.equal(words(decided(found(20), wanting)), 'replay: hit fresh');
  });

  it('one that may stand in for the origin does so with the same words for all methods', () => {
    const lenient = found(70, { staleIfErrorSeconds: 60 });
    for (const [method, request] of [
      ['GET', []],
      ['GET', ['Authorization', 'x']],
      ['HEAD', []],
    ] as const) {
      const decision = decided(lenient, request, method);
      assert.ok(decision.kind === 'fetch' || decision.kind === 'forward');
      assert.ok(decision.standIn !== undefined);
      assert.equal(words(decision.standIn), 'replay: stale origin-failing');
      assert.equal(decision.standIn.isRefreshed, false);
    }
    const strict = decided(found(70, { staleIfErrorSeconds: 60, revalidation: 'must' }));
    assert.ok(strict.kind === 'fetch' && strict.standIn === undefined);
    assert.deepEqual([strict.stale?.ifUnreachable, strict.stale?.ifError], [false, false]);
  });

  it('whose body is lost is none, and nobody waits for another', () => {
    const decision = decided(found(20));
    assert.ok(decision.kind === 'replay');
    const request = { method: 'GET', fields: new Fields() };
    assert.equal(words(decideWithoutBody(request, decision)), 'forward unleased: miss lost-segment');
  });
});

describe('with a part of a response', () => {
  const fields = new Fields(['Content-Range', 'bytes 0-9/20', 'ETag', '"1"']);
  const part = (secondsAgo: number) => found(secondsAgo, {}, { status: 206, fields });

  it('what lies in it is answered with it', () => {
    const decision = decided(part(20), ['Range', 'bytes=2-5']);
    assert.equal(words(decision), 'replay-part: hit fresh');
    assert.ok(decision.kind === 'replay-part');
    assert.deepEqual([decision.selected.start, decision.selected.end, decision.part.sizeBytes], [2, 5, 20]);
    const request = { method: 'GET', fields: new Fields(['Range', 'bytes=2-5']) };
    assert.equal(words(decideWithoutBody(request, decision)), 'fetch joined: miss partial');
  });

  it('the rest is fetched for all else', () => {
    assert.equal(words(decided(part(20))), 'fetch bytes=10-: miss partial');
    const beyond = decided(part(20), ['Range', 'bytes=2-15']);
    assert.equal(words(beyond), 'fetch joined: miss partial');
    assert.ok(beyond.kind === 'fetch' && beyond.incomplete?.missing === 'bytes=10-');
  });

  it('a stale one is of no use', () => {
    assert.equal(words(decided(part(70))), 'fetch whole: miss partial');
    assert.equal(words(decided(part(20), [], 'HEAD')), 'forward nothing: miss partial');
  });
});
