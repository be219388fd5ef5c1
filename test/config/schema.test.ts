import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { DEFAULT_BODY_MEMORY_BYTES } from '../../src/cache/buffer-budget.js';
import { ConfigError } from '../../src/config/config-error.js';
import { settingsOf } from '../../src/config/load.js';
import type { Settings } from '../../src/config/schema.js';
import { DEFAULT_MAX_BYTES } from '../../src/store/embedded.js';
import {
  DEFAULT_MAX_BYTES as DEFAULT_MAX_IN_FLIGHT_BYTES,
  DEFAULT_MAX_OPERATIONS,
} from '../../src/store/memcached/server.js';
import { DEFAULT_MAX_ITEM_BYTES } from '../../src/store/store.js';

describe('settings', () => {
  it('are complete when a configuration has nothing but actions', () => {
    const { actions, ...settings } = settingsOf({ actions: [] }, 'test');
    assert.equal(typeof actions, 'function');
    assert.deepEqual(settings, {
      listen: [{ kind: 'tcp', host: '127.0.0.1', port: 8080 }],
      name: 'lookaside',
      embedded: { maxBytes: DEFAULT_MAX_BYTES },
      bodyMemoryBytes: DEFAULT_BODY_MEMORY_BYTES,
      log: { level: 'info' },
      server: {
        headersTimeoutMs: 10_000,
        requestTimeoutMs: 60_000,
        idleTimeoutMs: 120_000,
        keepAliveTimeoutMs: 60_000,
        maxHeaderBytes: 16_384,
        maxConnections: 10_000,
        maxConcurrentStreams: 128,
        drainTimeoutMs: 10_000,
      },
      workers: 1,
    });
  });

  it('take memcached servers by address, or with a weight', () => {
    const { memcached } = withMemcached({ servers: ['10.0.0.1', { address: '10.0.0.2:11212', weight: 2 }] });
    assert.deepEqual(memcached, {
      servers: [
        { address: { kind: 'tcp', host: '10.0.0.1', port: 11211 }, weight: 1 },
        { address: { kind: 'tcp', host: '10.0.0.2', port: 11212 }, weight: 2 },
      ],
      ring: 'ketama',
      failover: 'miss',
      timeoutMs: 100,
      connectTimeoutMs: 500,
      connections: 1,
      maxItemBytes: DEFAULT_MAX_ITEM_BYTES,
      secrets: [],
      maxInFlightOperations: DEFAULT_MAX_OPERATIONS,
      maxInFlightBytes: DEFAULT_MAX_IN_FLIGHT_BYTES,
    });
  });

  it('listen in several places', () => {
    const { listen } = settingsOf({ actions: [], listen: [8080, '[::1]:8080', 'unix:/run/l.sock'] }, 'test');
    assert.deepEqual(
      listen.map((address) => (address.kind === 'tcp' ? address.host : address.path)),
      ['127.0.0.1', '::1', '/run/l.sock'],
    );
  });

  it('take TLS to memcached as true, false or files', () => {
    assert.deepEqual(withMemcached({ servers: ['m'], tls: true }).memcached?.tls, {});
    assert.equal(withMemcached({ servers: ['m'], tls: false }).memcached?.tls, undefined);
    const ca = file('ca.pem', 'a certificate');
    const { tls } = { ...withMemcached({ servers: ['m'], tls: { ca, servername: 'm.example' } }).memcached };
    assert.deepEqual(tls, { ca: 'a certificate', servername: 'm.example' });
  });

  it('take a password, or the file it is in', () => {
    const plain = withMemcached({ servers: ['m'], auth: { user: 'me', password: 'secret' } });
    assert.deepEqual(plain.memcached?.auth, { user: 'me', password: 'secret' });
    const fromFile = withMemcached({
      servers: ['m'],
      auth: { user: 'me', passwordFile: file('password', 's3cret\n') },
    });
    assert.deepEqual(fromFile.memcached?.auth, { user: 'me', password: 's3cret' });
  });

  const wrong: { readonly [message: string]: object } = {
    'memcached.servers[1]: 10.0.0.1:11211 is in the list already': { servers: ['10.0.0.1', '10.0.0.1:11211'] },
    'memcached.servers[0].weight: the ring "modula" knows no weights': {
      servers: [{ address: 'm', weight: 2 }],
      ring: 'modula',
    },
    'memcached.servers: an empty list is too small: expected 1 items or more': { servers: [] },
    'memcached.servers: "servers" is missing': {},
    'memcached.auth: give either password or passwordFile': { servers: ['m'], auth: { user: 'me' } },
    'memcached.timeout: 100 is more than 10s (a number without unit counts seconds)': { servers: ['m'], timeout: 100 },
  };
  for (const [message, memcached] of Object.entries(wrong)) {
    it(`refuse: ${message}`, () => assert.deepEqual(faults({ actions: [], memcached }), [message]));
  }

  it('refuse a file that is not there', () => {
    const memcached = { servers: ['m'], tls: { ca: '/nonexistent/ca.pem' } };
    assert.match(faults({ actions: [], memcached }).join(), /^memcached\.tls\.ca: the file can not be read: ENOENT/);
  });

  it('refuse a configuration without actions', () => {
    assert.deepEqual(faults({}), ['actions: "actions" is missing']);
  });

  it('name the place in a chain as code would', () => {
    const actions = [{ 'memcached.lookup': { miss: [{ 'memcached.store': { ttl: '60x' } }] } }];
    const [fault] = faults({ actions });
    assert.match(
      fault ?? '',
      /^actions\[0\]\["memcached\.lookup"\]\.miss\[0\]\["memcached\.store"\]\.ttl: "60x" is not/,
    );
  });
});

const folder = mkdtempSync(join(tmpdir(), 'lookaside-config-'));
after(() => rmSync(folder, { recursive: true }));

function file(name: string, text: string): string {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
}

function withMemcached(memcached: object): Settings {
  return settingsOf({ actions: [], memcached }, 'test');
}

/** Every problem as `path: message`. */
function faults(value: unknown): string[] {
  try {
    settingsOf(value, 'test');
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    return error.problems.map(({ path, message }) => `${path}: ${message}`);
  }
  return assert.fail('nothing was wrong');
}
