import assert from 'node:assert/strict';
import { after, beforeEach, test } from 'node:test';
import { EmbeddedStore } from '../../src/store/embedded.js';
import { TRY_LATER } from '../../src/tls/ocsp.js';
import { fleetKey } from '../../src/tls/options.js';
import { stapleInfo } from '../../src/tls/staple-info.js';
import { fingerprintOf } from '../../src/tls/stapled-certificate.js';
import { Stapler, type StaplerOptions } from '../../src/tls/stapler.js';
import { Staples } from '../../src/tls/staples.js';
import { until } from '../support/until.js';
import {
  answering,
  type Behaviour,
  failing,
  hanging,
  makeResponse,
  type ResponseOptions,
  startResponder,
} from './ocsp-responder.js';
import { type Issued, OCSP_SIGNING, Pki } from './pki.js';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** Longer than any fetch in these tests takes. */
const PATIENT_MS = 5_000;

/** More than the back-off of 300 s and its jitter. */
const BACK_OFF_MS = 331_000;

const pki = new Pki();
const issuer = pki.authority('CA');
const responder = await startResponder();
const leaf = pki.server('example.test', issuer, responder.url);
const another = pki.server('other.test', issuer, responder.url);
const rogue = pki.issue('CA', { extensions: [OCSP_SIGNING] });
const fingerprint = fingerprintOf(leaf.certificate.encoded);
after(() => responder.close());

/** One clock for the staplers and the store, which goes as it is told to. */
const clock = {
  aheadMs: 0,
  now: () => Date.now() + clock.aheadMs,
  monotonic: () => performance.now() + clock.aheadMs,
};

const staplers: Stapler[] = [];
let store = new EmbeddedStore();
let warnings: object[] = [];

beforeEach(() => {
  for (const stapler of staplers.splice(0)) stapler.close();
  clock.aheadMs = 0;
  store = new EmbeddedStore({ now: clock.monotonic });
  warnings = [];
  responder.methods.length = 0;
  responder.behaviour = hanging;
});

function fleet() {
  const log = { debug() {}, info() {}, warn: (details: object) => void warnings.push(details) };
  return { name: 'f', store, log };
}

function newStapler(options: StaplerOptions = {}): Stapler {
  const stapler = new Stapler(fleet(), { clock, waitMs: PATIENT_MS, ...options });
  staplers.push(stapler);
  return stapler;
}

/** What a handshake is given. */
function handshake(stapler: Stapler, of: Issued = leaf, by: Issued | null = issuer): Promise<Buffer | null> {
  return new Promise((resolve) => {
    stapler.staple(of.certificate.encoded, by?.certificate.encoded ?? null, (_error, staple) => resolve(staple));
  });
}

function response(options: Partial<ResponseOptions> = {}): Buffer {
  return makeResponse({ issuer, of: leaf, thisUpdateMs: clock.now() - HOUR_MS, ...options });
}

/** The one response, each time it is asked for. */
function always(bytes: Buffer): Behaviour {
  return answering(() => bytes);
}

function requests(): number {
  return responder.methods.length;
}

test('the first handshake waits for the staple, the others are given what lies in memory', async () => {
  const good = response();
  responder.behaviour = always(good);
  const stapler = newStapler();
  assert.deepEqual(await handshake(stapler), good);
  let given: Buffer | null = null;
  stapler.staple(leaf.certificate.encoded, issuer.certificate.encoded, (_error, staple) => {
    given = staple;
  });
  assert.deepEqual(given, good, 'at once');
  assert.deepEqual(responder.methods, ['GET']);
  assert.equal(stapler.counts.staples_served_total, 2);
});

test('a certificate that is prepared has its staple before anybody asks', async () => {
  responder.behaviour = always(response());
  const stapler = newStapler({ waitMs: 0 });
  assert.equal(await handshake(stapler), null, 'this one comes too early, and does not wait');
  await until(async () => (await handshake(stapler)) !== null, 'there is no staple');
  assert.equal(requests(), 1);
});

test('a handshake waits for a silent responder for its bound only, and not again', async () => {
  const stapler = newStapler({ waitMs: 30, timeoutMs: 200 });
  const started = performance.now();
  assert.equal(await handshake(stapler), null);
  assert.ok(performance.now() - started < 2_000, 'it waited for the responder');
  await until(() => stapler.counts.staples_fetch_failures_total === 1, 'the responder is not given up');
  let given: Buffer | null | undefined;
  await until(() => warnings.length > 0, 'nobody was told');
  stapler.staple(leaf.certificate.encoded, issuer.certificate.encoded, (_error, staple) => {
    given = staple;
  });
  assert.equal(given, null, 'at once');
  assert.deepEqual(warnings, [{ certificate: fingerprint, reason: 'timeout' }]);
});

const elsewhere = await startResponder();
after(() => elsewhere.close());

const refused: Record<string, { readonly behaviour: () => Behaviour; readonly reason: string }> = {
  unknown: { behaviour: () => always(response({ status: 'unknown' })), reason: 'unknown' },
  'signed by nobody who may': {
    behaviour: () => always(response({ signer: rogue, responderId: 'name' })),
    reason: 'signature',
  },
  expired: {
    behaviour: () => always(response({ thisUpdateMs: clock.now() - 8 * DAY_MS, nextUpdateMs: clock.now() - DAY_MS })),
    reason: 'expired',
  },
  'for another certificate': { behaviour: () => always(response({ of: another })), reason: 'other-certificate' },
  'too large': { behaviour: () => always(Buffer.alloc(10_000_000, 0x30)), reason: 'too-large' },
  'no response at all': { behaviour: () => always(Buffer.from('<html>')), reason: 'malformed' },
  'try later': { behaviour: () => always(TRY_LATER), reason: 'unsuccessful' },
  'an error': { behaviour: () => failing(500), reason: 'status' },
  'a redirection': { behaviour: () => failing(302, { location: elsewhere.url }), reason: 'status' },
  'a broken connection': { behaviour: () => (_request, answer) => void answer.destroy(), reason: 'connection' },
  'an answer that does not end': { behaviour: () => (_request, answer) => void answer.write('0'), reason: 'timeout' },
};

for (const [what, { behaviour, reason }] of Object.entries(refused)) {
  test(`what is no good answer is not stapled, and not asked for again for a while: ${what}`, async () => {
    responder.behaviour = behaviour();
    const stapler = newStapler({ timeoutMs: 300 });
    assert.equal(await handshake(stapler), null);
    assert.deepEqual(warnings, [{ certificate: fingerprint, reason }]);
    assert.equal(stapler.counts.staples_fetch_failures_total, 1);
    assert.equal(elsewhere.methods.length, 0);
    const asked = requests();
    await stapler.check();
    const neighbour = newStapler();
    assert.equal(await handshake(neighbour), null);
    assert.equal(requests(), asked, 'neither by this process nor by another one of the fleet');

    const good = response();
    responder.behaviour = always(good);
    clock.aheadMs += BACK_OFF_MS;
    await stapler.check();
    assert.deepEqual(await handshake(stapler), good);
  });
}

test('a revoked certificate is not stapled, and its fleet hears of it without asking', async () => {
  responder.behaviour = always(response({ status: 'revoked' }));
  for (const stapler of [newStapler(), newStapler()]) {
    assert.equal(await handshake(stapler), null);
    assert.equal(stapler.counts.staples_revoked_total, 1);
  }
  assert.equal(requests(), 1);
  assert.deepEqual(warnings[0], { certificate: fingerprint, reason: 'responder' });
});

test('a GET that is refused becomes a POST, and so does one with a long URL', async () => {
  responder.behaviour = (request, answer) =>
    responder.methods.at(-1) === 'GET' ? failing(405)(request, answer) : always(response())(request, answer);
  assert.notEqual(await handshake(newStapler()), null);
  assert.deepEqual(responder.methods, ['GET', 'POST']);

  responder.methods.length = 0;
  store = new EmbeddedStore();
  const responderUrl = `${responder.url}/${'long'.repeat(50)}`;
  assert.notEqual(await handshake(newStapler({ responder: responderUrl })), null);
  assert.deepEqual(responder.methods, ['POST']);
});

test('the next responder of the certificate is asked when the first one fails', async () => {
  const urls = [`http://127.0.0.1:1/`, responder.url].map((url) => `OCSP;URI:${url}`);
  const two = pki.issue('Two', { by: issuer, extensions: [`authorityInfoAccess=${urls.join(',')}`] });
  responder.behaviour = always(response({ of: two }));
  assert.notEqual(await handshake(newStapler(), two), null);
});

test('a staple is refreshed at half-life in the background, and served meanwhile', async () => {
  const first = response();
  responder.behaviour = always(first);
  const stapler = newStapler();
  await handshake(stapler);
  clock.aheadMs += 3 * DAY_MS;
  await stapler.check();
  assert.equal(requests(), 1, 'not before');
  clock.aheadMs += DAY_MS;
  const second = response();
  responder.behaviour = always(second);
  const refreshed = stapler.check();
  assert.deepEqual(await handshake(stapler), first);
  await refreshed;
  assert.deepEqual(await handshake(stapler), second);
  assert.equal(requests(), 2);
});

test('one process refreshes for the fleet', async () => {
  responder.behaviour = answering(() => response());
  const fleetOf = Array.from({ length: 4 }, () => newStapler());
  await Promise.all(fleetOf.map((stapler) => handshake(stapler)));
  assert.equal(requests(), 1, 'cold');
  clock.aheadMs += 4 * DAY_MS;
  await Promise.all(fleetOf.map((stapler) => stapler.check()));
  assert.equal(requests(), 2, 'at half-life');
  assert.equal(new Set(await Promise.all(fleetOf.map((stapler) => handshake(stapler).then(String)))).size, 1);
});

test('responses that are past half-life when they come are not fetched by one after the other', async () => {
  responder.behaviour = always(response({ thisUpdateMs: clock.now() - 5 * DAY_MS }));
  for (let process = 0; process < 3; process++) assert.notEqual(await handshake(newStapler()), null);
  assert.equal(requests(), 1);
});

test('a staple is served until its nextUpdate while the responder is away, and not after', async () => {
  const good = response();
  responder.behaviour = always(good);
  const stapler = newStapler();
  await handshake(stapler);
  responder.behaviour = failing(500);
  clock.aheadMs += 4 * DAY_MS;
  await stapler.check();
  assert.deepEqual(await handshake(stapler), good);
  assert.equal(stapler.counts.staples_fetch_failures_total, 1);
  clock.aheadMs += 3 * DAY_MS;
  assert.equal(await handshake(stapler), null);
  responder.behaviour = answering(() => response());
  await stapler.check();
  assert.notEqual(await handshake(stapler), null, 'it comes back with the responder');
});

test('a revocation ends the staple before its time', async () => {
  responder.behaviour = always(response());
  const stapler = newStapler();
  assert.notEqual(await handshake(stapler), null);
  clock.aheadMs += 4 * DAY_MS;
  responder.behaviour = always(response({ status: 'revoked' }));
  await stapler.check();
  assert.equal(await handshake(stapler), null);
});

test('an older response does not take the place of a newer one', async () => {
  const newer = response();
  responder.behaviour = always(newer);
  const stapler = newStapler();
  await handshake(stapler);
  responder.behaviour = always(response({ thisUpdateMs: clock.now() - DAY_MS }));
  await new Staples(fleet()).refresh();
  await stapler.check();
  assert.equal(requests(), 2);
  assert.deepEqual(await handshake(stapler), newer);
});

test('without a store each process fetches for itself', async () => {
  await store.close();
  responder.behaviour = always(response());
  for (const stapler of [newStapler(), newStapler()]) {
    assert.notEqual(await handshake(stapler), null);
    assert.ok(stapler.counts.staples_store_errors_total > 0);
    await stapler.check();
  }
  assert.equal(requests(), 2);
});

/** Puts something where the fleet keeps its staple. */
async function plant(planted: Buffer): Promise<void> {
  const staples = new Staples(fleet());
  await staples.write(fingerprint, await staples.generation(), planted, 3600);
}

test('what was planted in the store is not believed', async () => {
  const good = response();
  responder.behaviour = always(good);
  const forgeries = {
    'signed by a rogue': response({ signer: rogue, responderId: 'name' }),
    'of another certificate': response({ of: another }),
    expired: response({ thisUpdateMs: clock.now() - 9 * DAY_MS }),
    'with a byte changed': Buffer.from(good.map((byte, index) => (index === good.length - 9 ? byte ^ 1 : byte))),
    'try later': TRY_LATER,
    empty: Buffer.alloc(0),
    'too large': Buffer.alloc(100_000, 0x30),
  };
  for (const [what, forgery] of Object.entries(forgeries)) {
    store = new EmbeddedStore();
    responder.methods.length = 0;
    await plant(forgery);
    assert.deepEqual(await handshake(newStapler()), good, what);
    assert.equal(requests(), 1, what);
  }
});

test('a true response in the store is all that is needed', async () => {
  await plant(response());
  assert.notEqual(await handshake(newStapler()), null);
  assert.equal(requests(), 0);
});

test('a planted lock holds nobody up for longer than a true one', async () => {
  responder.behaviour = always(response());
  const key = async () => fleetKey('f', `staples:${await new Staples(fleet()).generation()}:${fingerprint}:lock`);
  for (const lock of ['fetched 9999999999', 'fetching 9999999999', 'failed 1', '\0\0', `fetched ${inSeconds(200)}`]) {
    store = new EmbeddedStore();
    await store.set(await key(), Buffer.from(lock));
    assert.notEqual(await handshake(newStapler()), null, lock);
  }
});

function inSeconds(seconds: number): number {
  return Math.floor(Date.now() / 1000) + seconds;
}

test('a process that dies in the middle of a fetch leaves it to others soon', async () => {
  const staples = new Staples(fleet());
  assert.ok(await staples.lock(fingerprint, await staples.generation(), 1));
  responder.behaviour = always(response());
  const stapler = newStapler({ timeoutMs: 300 });
  const given = handshake(stapler);
  clock.aheadMs += 2_000;
  assert.notEqual(await given, null);
});

test('an order to clear makes the fleet fetch once more; until then it serves what it has', async () => {
  const first = response();
  responder.behaviour = always(first);
  const fleetOf = [newStapler(), newStapler()];
  for (const stapler of fleetOf) await handshake(stapler);
  await new Staples(fleet()).clear();
  assert.equal((await stapleInfo(fleet(), leaf.pem + issuer.pem))?.shared, undefined);
  responder.behaviour = failing(500);
  for (const stapler of fleetOf) {
    await stapler.check();
    assert.deepEqual(await handshake(stapler), first);
  }
  assert.equal(requests(), 3, 'one fetch that failed, by GET and by POST');
  assert.equal(await handshake(newStapler()), null, 'the store has none');
});

test('an order to refresh makes the fleet fetch once more, and leaves the shared staple to newcomers', async () => {
  responder.behaviour = always(response({ thisUpdateMs: clock.now() - DAY_MS }));
  const fleetOf = [newStapler(), newStapler()];
  for (const stapler of fleetOf) await handshake(stapler);
  await new Staples(fleet()).refresh();
  const newer = response();
  responder.behaviour = always(newer);
  for (const stapler of fleetOf) {
    await stapler.check();
    assert.deepEqual(await handshake(stapler), newer);
  }
  assert.equal(requests(), 2);

  await new Staples(fleet()).refresh();
  responder.behaviour = failing(500);
  assert.deepEqual(await handshake(newStapler()), newer);
});

test('info tells what the fleet has, and of the last attempt', async () => {
  const chain = leaf.pem + issuer.pem;
  assert.equal(await stapleInfo(fleet(), 'no certificate'), undefined);
  const before = await stapleInfo(fleet(), chain);
  assert.deepEqual([before?.shared, before?.lock], [undefined, undefined]);
  responder.behaviour = always(response());
  await handshake(newStapler());
  const info = await stapleInfo(fleet(), chain);
  assert.equal(info?.certificate.fingerprint, fingerprint);
  assert.ok(info.shared !== undefined && 'status' in info.shared);
  assert.equal(info.shared.status, 'good');
  assert.equal(info.lock?.state, 'fetched');
});

test('a certificate without a responder is left alone, quietly', async () => {
  const bare = pki.server('bare.test', issuer);
  const stapler = newStapler();
  assert.equal(await handshake(stapler, bare), null);
  assert.equal(await handshake(stapler, issuer, issuer), null, 'a self-signed one');
  await stapler.check();
  assert.deepEqual([warnings, requests()], [[], 0]);
});

test('a must-staple certificate without a staple is counted each time, and told of once', async () => {
  const options = { extensions: ['tlsfeature=status_request'] };
  const bare = pki.server('bare.test', issuer, undefined, options);
  const must = pki.server('must.test', issuer, responder.url, options);
  responder.behaviour = failing(500);
  const stapler = newStapler();
  for (const certificate of [bare, must, bare, must]) assert.equal(await handshake(stapler, certificate), null);
  assert.equal(stapler.counts.staples_must_staple_missing_total, 4);
  const reasons = warnings.map((details) => Reflect.get(details, 'reason'));
  assert.deepEqual(reasons, ['no-responder', 'status', 'absent']);
});

test('"try later" is stapled when that is wanted', async () => {
  responder.behaviour = failing(500);
  assert.deepEqual(await handshake(newStapler({ tryLater: true })), TRY_LATER);
});

test('the issuer comes from the context, or else from the options', async () => {
  responder.behaviour = always(response());
  const stapler = newStapler();
  assert.equal(await handshake(stapler, leaf, null), null);
  assert.notEqual(await handshake(stapler, leaf, issuer), null, 'another context has it');
  const issuers = rogue.pem + issuer.pem;
  assert.notEqual(await handshake(newStapler({ issuers }), leaf, null), null);
  assert.equal(await handshake(newStapler(), leaf, rogue), null, 'one of that name did not sign it');
});

test('certificates that nobody has asked for in a week are forgotten', async () => {
  responder.behaviour = answering(() => response());
  const stapler = newStapler();
  await handshake(stapler);
  clock.aheadMs += 8 * DAY_MS;
  await stapler.check();
  assert.equal(requests(), 1);
});

test('closing ends a fetch, and what is in memory is still given', async () => {
  const good = response();
  responder.behaviour = always(good);
  const stapler = newStapler();
  await handshake(stapler);
  responder.behaviour = hanging;
  const waiting = handshake(stapler, another);
  await until(() => requests() === 2, 'the responder was not asked');
  stapler.close();
  assert.equal(await waiting, null);
  assert.deepEqual(await handshake(stapler), good);
});

test('options that can not be used are refused', () => {
  const unusable: StaplerOptions[] = [
    { responder: 'https://127.0.0.1/' },
    { responder: 'ocsp' },
    { timeoutMs: 0 },
    { timeoutMs: 60_000 },
    { waitMs: -1 },
    { waitMs: 1.5 },
  ];
  for (const options of unusable) assert.throws(() => newStapler(options), RangeError, JSON.stringify(options));
});
