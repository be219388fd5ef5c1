import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Config } from '../../src/config/schema.js';
import { type Origin, startOrigin } from '../support/origin.js';
import { startProxy, type TestProxy, testSettings } from '../support/proxy.js';
import { fetchRaw } from '../support/transcript.js';
import { until } from '../support/until.js';

describe('another configuration', () => {
  let origin: Origin;
  let proxy: TestProxy;
  let pending: ServerResponse[] = [];

  const version = (name: string): Config => ({
    actions: [
      { 'header.add': { 'X-Version': name } },
      {
        'memcached.lookup': {
          key: '%{req.raw_path}',
          miss: [{ proxy: origin.url }, { 'memcached.store': { key: '%{req.raw_path}' } }],
        },
      },
    ],
  });
  const reload = (config: Config) => proxy.reload(testSettings(config));

  before(async () => {
    origin = await startOrigin((request, response) => {
      if (request.url === '/waits') pending.push(response);
      else response.end('answer');
    });
    proxy = await startProxy(version('1'));
  });
  after(async () => {
    await proxy?.close();
    await origin?.close();
  });

  const versionOf = async (path: string) => (await fetchRaw(proxy.url, 'GET', path)).message.headers['x-version'];

  test('counts for the requests that come after it', async () => {
    assert.equal(await versionOf('/a'), '1');
    reload(version('2'));
    assert.equal(await versionOf('/b'), '2');
  });

  test('leaves requests in flight to the old one', async () => {
    pending = [];
    const answer = versionOf('/waits');
    await until(() => pending.length > 0, 'the origin was not asked');
    reload(version('3'));
    assert.equal(await versionOf('/c'), '3');
    pending[0]?.end('late');
    assert.equal(await answer, '2');
  });

  test('keeps what the embedded store holds, unless that itself is another', async () => {
    const cacheStatus = async () => (await fetchRaw(proxy.url, 'GET', '/kept')).message.headers['cache-status'];
    await cacheStatus();
    reload(version('4'));
    assert.match(String(await cacheStatus()), /; hit/);
    reload({ ...version('5'), embedded: { maxSize: '2MiB' } });
    assert.match(String(await cacheStatus()), /uri-miss/);
  });

  test('says what can not change without a start', () => {
    reload({ ...version('6'), workers: 2, server: { drainTimeout: '1s' } });
    const warnings = proxy.lines.map(({ msg }) => msg).filter((msg) => /has changed/.test(msg));
    assert.deepEqual(warnings, [
      '"server" has changed: that takes effect at the next start',
      '"workers" has changed: that takes effect at the next start',
    ]);
  });

  test('under load fails no request', async () => {
    let answers = 0;
    let isOver = false;
    const client = async (number: number) => {
      while (!isOver) {
        const { message } = await fetchRaw(proxy.url, 'GET', `/load/${number}/${answers}`);
        assert.equal(message.statusCode, 200);
        answers++;
      }
    };
    const clients = [0, 1, 2, 3].map(client);
    for (let round = 0; round < 20; round++) {
      reload({ ...version(`load ${round}`), embedded: { maxSize: round % 2 === 0 ? '2MiB' : '3MiB' } });
      await delay(20);
    }
    isOver = true;
    await Promise.all(clients);
    assert.ok(answers > 20, `only ${answers} answers`);
  });
});
