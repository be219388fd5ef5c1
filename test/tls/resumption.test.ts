import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { request } from 'node:https';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { after, before, describe, test } from 'node:test';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import {
  type FleetServer,
  makeCertificate,
  NO_TICKETS,
  nodeClient,
  opensslClient,
  opensslReconnect,
  SECRET,
  startFleet,
  type TestFleet,
  TLS_1_2,
  temporaryDirectory,
} from './fleet.js';

const directory = temporaryDirectory();
let fleet: TestFleet;

before(async () => {
  fleet = await startFleet();
});

after(() => fleet.stop());

describe('two servers of a fleet', () => {
  let a: FleetServer;
  let b: FleetServer;

  before(async () => {
    [a, b] = await fleet.pair();
  });

  test('warn of nothing', () => {
    assert.deepEqual([a.warnings, b.warnings], [[], []]);
  });

  for (const [what, args, protocol] of [
    ['TLS 1.2 without tickets', ['-tls1_2', '-no_ticket'], 'TLSv1.2'],
    ['TLS 1.2 with tickets', ['-tls1_2'], 'TLSv1.2'],
    ['TLS 1.3', ['-tls1_3'], 'TLSv1.3'],
  ] as const) {
    test(`resume each other's sessions of ${what} with openssl`, async () => {
      const session = join(directory, `${protocol}-${args.length}.pem`);
      const first = await opensslClient(a.port, args, session);
      assert.equal(first.isReused, false);
      assert.match(first.text, new RegExp(`served by ${a.pid}`));
      const second = await opensslClient(b.port, [...args, '-sess_in', session]);
      assert.deepEqual([second.isReused, second.protocol], [true, protocol]);
      assert.match(second.text, new RegExp(`served by ${b.pid} resumed=true`));
    });
  }

  test('resume five times for openssl -reconnect, with and without tickets', async () => {
    const resumed = [false, true, true, true, true, true];
    assert.deepEqual(await opensslReconnect(a.port, ['-tls1_2', '-no_ticket']), resumed);
    assert.deepEqual(await opensslReconnect(a.port, ['-tls1_2']), resumed);
  });

  test("resume each other's sessions with Node's client", async () => {
    for (const options of [NO_TICKETS, TLS_1_2, {}]) {
      const first = await nodeClient(a.port, options);
      const second = await nodeClient(b.port, { ...options, session: first.session });
      assert.deepEqual([first.isReused, second.isReused], [false, true]);
      assert.equal(first.protocol, second.protocol);
    }
  });

  test('spare clients of TLS 1.3 the store', async () => {
    // what is left to tell the fleet of earlier tests would be traffic as well
    await Promise.all([a.ask('flush'), b.ask('flush')]);
    const before = await fleet.stats('cmd_get', 'cmd_set', 'cmd_touch');
    for (let i = 0; i < 5; i++) {
      const first = await opensslClient(a.port, ['-tls1_3'], join(directory, 'spared.pem'));
      const second = await nodeClient(b.port, { session: (await nodeClient(a.port)).session });
      assert.deepEqual([first.isReused, second.isReused], [false, true]);
    }
    assert.deepEqual(await fleet.stats('cmd_get', 'cmd_set', 'cmd_touch'), before);
  });

  test('resume a session of TLS 1.2 for a client that offers no more, after one of TLS 1.3', async () => {
    // both clients keep sending 32 bytes of session id: noise in the one case, a name in the other
    assert.equal((await nodeClient(a.port)).protocol, 'TLSv1.3');
    const first = await nodeClient(a.port, NO_TICKETS);
    assert.equal((await nodeClient(b.port, { ...NO_TICKETS, session: first.session })).isReused, true);
  });

  test('keep resuming after a reload of the certificate', async () => {
    const stored = await nodeClient(a.port, NO_TICKETS);
    const ticket = await nodeClient(a.port);
    await a.ask('reload');
    await b.ask('reload');
    assert.equal((await nodeClient(b.port, { ...NO_TICKETS, session: stored.session })).isReused, true);
    assert.equal((await nodeClient(b.port, { session: ticket.session })).isReused, true);
    assert.equal((await nodeClient(a.port, { session: (await nodeClient(b.port)).session })).isReused, true);
  });

  test('split hellos are understood', async () => {
    const ticket = await nodeClient(a.port);
    const names = Array.from({ length: 150 }, (_, i) => `protocol-${i}`);
    const large = await nodeClient(b.port, { session: ticket.session, ALPNProtocols: names }).catch((error) => error);
    // no protocol in common is the server's to refuse, when it has read all of it
    assert.match(String(large?.text ?? large), /resumed=true|alert|reset/i);
  });
});

test('the counters add up over the fleet', async () => {
  const options = { secrets: [SECRET], fleet: 'counted' };
  const [a, b] = await fleet.pair({ options });
  const { session } = await nodeClient(a.port, NO_TICKETS);
  await nodeClient(b.port, { ...NO_TICKETS, session });
  await nodeClient(a.port, { ...NO_TICKETS, session });
  const foreign = await nodeClient((await fleet.one()).port, NO_TICKETS);
  await nodeClient(b.port, { ...NO_TICKETS, session: foreign.session });
  const local = await Promise.all([a.counts(), b.counts()]);
  assert.deepEqual(
    local.map((counts) => [counts.sessions_hits_total, counts.sessions_misses_total, counts.sessions_stores_total]),
    [
      [1, 0, 1],
      [1, 1, 1],
    ],
  );
  await Promise.all([a.ask('flush'), b.ask('flush')]);
  for (const server of [a, b]) {
    const counts = (await server.ask('fleet-counts')) as Record<string, number>;
    assert.deepEqual(
      [counts.sessions_hits_total, counts.sessions_misses_total, counts.sessions_stores_total],
      [2, 1, 2],
    );
    assert.ok((counts.sessions_max_bytes ?? 0) > 100);
    assert.equal(counts.sessions_errors_total, 0);
  }
});

test('a clear ends the sessions of the fleet at once, and new ones can be resumed', async () => {
  const options = { secrets: [SECRET], fleet: 'cleared' };
  const [a, b] = await fleet.pair({ options });
  const { session } = await nodeClient(a.port, NO_TICKETS);
  await a.ask('clear');
  assert.equal((await nodeClient(b.port, { ...NO_TICKETS, session })).isReused, false);
  const next = await nodeClient(b.port, NO_TICKETS);
  assert.equal((await nodeClient(a.port, { ...NO_TICKETS, session: next.session })).isReused, true);
});

test('json entries are resumed, and either encoding is read', async () => {
  const options = { secrets: [SECRET], fleet: 'json', sessions: { encoding: 'json' } } as const;
  const binary = { secrets: [SECRET], fleet: 'json' };
  const [a, b] = await fleet.pair({ options }, { options: binary });
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    const { session } = await nodeClient(from.port, NO_TICKETS);
    assert.equal((await nodeClient(to.port, { ...NO_TICKETS, session })).isReused, true);
  }
});

test('derived keys resume without a word to the store', async () => {
  const quiet = await startFleet();
  try {
    const before = await quiet.stats('cmd_get', 'cmd_set', 'cmd_meta');
    const [a, b] = await quiet.pair({ options: { secrets: [SECRET], ticketKeys: 'derived', sessions: false } });
    for (const client of [TLS_1_2, {}]) {
      const { session } = await nodeClient(a.port, client);
      assert.equal((await nodeClient(b.port, { ...client, session })).isReused, true);
    }
    assert.deepEqual(await quiet.stats('cmd_get', 'cmd_set', 'cmd_meta'), before);
  } finally {
    await quiet.stop();
  }
});

test('secrets are changed in three steps without losing a session', async () => {
  const next = 'the next secret of the fleet, long enough as well';
  const name = 'changing';
  const old = await fleet.one({ options: { fleet: name, secrets: [SECRET] } });
  const [both, changed] = await fleet.pair(
    { options: { fleet: name, secrets: [SECRET, next] } },
    { options: { fleet: name, secrets: [next, SECRET] } },
  );
  for (const client of [NO_TICKETS, {}]) {
    for (const [from, to] of [
      [old, both],
      [both, changed],
      [changed, both],
    ] as const) {
      const { session } = await nodeClient(from.port, client);
      assert.equal((await nodeClient(to.port, { ...client, session })).isReused, true);
    }
  }
});

test('a server that was not made with tlsOptions warns, and its clients make full handshakes', async () => {
  const [right, forgetful] = await fleet.pair({}, { mode: 'forgetful' });
  assert.match(forgetful.warnings.join(), /session id context/);
  for (const client of [NO_TICKETS, TLS_1_2, {}]) {
    const { session } = await nodeClient(right.port, client);
    assert.equal((await nodeClient(forgetful.port, { ...client, session })).isReused, false);
  }
});

test('another fleet with the same secret, and the same with another secret, make full handshakes', async () => {
  const own = await fleet.one();
  const strangers = await fleet.pair(
    { options: { secrets: [SECRET], fleet: 'another' } },
    { options: { secrets: [`not ${SECRET}`] } },
  );
  for (const stranger of strangers) {
    for (const client of [NO_TICKETS, TLS_1_2, {}]) {
      const { session } = await nodeClient(own.port, client);
      assert.equal((await nodeClient(stranger.port, { ...client, session })).isReused, false);
    }
  }
});

describe('client certificates', () => {
  const asking = { requestCert: true, rejectUnauthorized: false };

  test('are remembered by the session, whichever server resumes it', async () => {
    const client = await makeCertificate(directory, 'client');
    const [a, b] = await fleet.pair({ ca: client.cert, tls: asking });
    const args = ['-cert', client.cert, '-key', client.key];
    for (const version of [['-tls1_2', '-no_ticket'], ['-tls1_2'], ['-tls1_3']]) {
      const session = join(directory, `client${version.join('')}.pem`);
      const first = await opensslClient(a.port, [...version, ...args], session);
      assert.match(first.text, /resumed=false authorized=true client=client/);
      const second = await opensslClient(b.port, [...version, '-sess_in', session]);
      assert.match(second.text, /resumed=true authorized=true client=client/);
    }
  });

  test('another set of authorities, another demand, or none make full handshakes', async () => {
    const [one, other] = await Promise.all([makeCertificate(directory, 'ca-1'), makeCertificate(directory, 'ca-2')]);
    const asks = await fleet.one({ ca: one.cert, tls: asking });
    const others = await Promise.all([
      fleet.one({ ca: other.cert, tls: asking }),
      fleet.one({ ca: one.cert, tls: { requestCert: true, rejectUnauthorized: true } }),
      fleet.one({ ca: one.cert }),
    ]);
    for (const client of [NO_TICKETS, TLS_1_2, {}]) {
      const { session } = await nodeClient(asks.port, client);
      for (const server of others) {
        const second = await nodeClient(server.port, { ...client, session }).catch(String);
        // the one that insists on a certificate refuses the connection: what it must not do is to resume it
        if (typeof second === 'string') assert.match(second, /alert|reset|closed|ECONN|ended|disconnected/i);
        else assert.equal(second.isReused, false);
      }
    }
  });
});

test('http2 and https servers resume too, and speak http afterwards', async () => {
  const [a, b] = await fleet.pair({ kind: 'http2' });
  const [web, other] = await fleet.pair({ kind: 'https' });
  for (const version of [['-tls1_2', '-no_ticket'], ['-tls1_3']]) {
    const session = join(directory, `h2${version.join('')}.pem`);
    const first = await opensslClient(a.port, [...version, '-alpn', 'h2'], session);
    const second = await opensslClient(b.port, [...version, '-alpn', 'h2', '-sess_in', session]);
    assert.match(second.text, /ALPN protocol: h2/);
    assert.deepEqual([first.isReused, second.isReused], [false, true]);
  }
  for (const [from, to, get] of [
    [a, b, http2Get],
    [web, other, httpsGet],
  ] as const) {
    const { text, session } = await get(from.port);
    assert.match(text, new RegExp(`served by ${from.pid} resumed=false`));
    assert.match((await get(to.port, session)).text, new RegExp(`served by ${to.pid} resumed=true`));
  }
});

interface Exchange {
  readonly text: string;
  readonly session: Buffer;
}

async function http2Get(port: number, session?: Buffer): Promise<Exchange> {
  const socket: TLSSocket = connect({ ...clientOptions(port, session), ALPNProtocols: ['h2'] });
  const given = once(socket, 'session');
  const client = connectHttp2('https://localhost', { createConnection: () => socket });
  const text = await textOf(client.request({ ':path': '/' }));
  const [latest] = await given;
  client.close();
  return { text, session: latest };
}

async function httpsGet(port: number, session?: Buffer): Promise<Exchange> {
  const socket: TLSSocket = connect(clientOptions(port, session));
  const given = once(socket, 'session');
  const sent = request({ host: 'localhost', createConnection: () => socket }).end();
  const [response] = await once(sent, 'response');
  const text = await textOf(response);
  const [latest] = await given;
  return { text, session: latest };
}

function clientOptions(port: number, session: Buffer | undefined): ConnectionOptions {
  return { port, host: '127.0.0.1', rejectUnauthorized: false, ...(session && { session }) };
}

async function textOf(stream: Readable): Promise<string> {
  let text = '';
  for await (const chunk of stream.setEncoding('latin1')) text += chunk;
  return text;
}
