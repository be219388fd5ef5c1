import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, describe, it } from 'node:test';
import { parse } from 'yaml';
import type { Config } from '../../src/config/schema.js';
import { ask, askAndStore, isHit, SITE } from '../support/ask.js';
import { type Origin, startOrigin } from '../support/origin.js';
import { startProxy, type TestProxy, testSettings } from '../support/proxy.js';

const TOKEN = 'a-token-of-16-characters';

interface Order {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: { readonly [name: string]: string };
  readonly body?: unknown;
}

/** What the endpoint says: its status, and its JSON. */
async function manage(url: string | undefined, { method = 'POST', path = '/purge', headers, body }: Order) {
  const where = url?.startsWith('unix:')
    ? { socketPath: url.slice('unix:'.length) }
    : { host: '127.0.0.1', port: new URL(url ?? '').port };
  const json = typeof body === 'string' || body === undefined ? body : JSON.stringify(body);
  const type = json === undefined ? {} : { 'content-type': 'application/json' };
  return new Promise<{ status: number | undefined; json: { readonly [name: string]: unknown } }>((resolve, reject) => {
    const sent = request({ ...where, method, path, agent: false, headers: { ...type, ...headers } }, (response) => {
      text(response).then((said) => resolve({ status: response.statusCode, json: JSON.parse(said) }), reject);
    });
    sent.on('error', reject);
    sent.end(json);
  });
}

describe('the management endpoint', () => {
  const folder = mkdtempSync(join(tmpdir(), 'lookaside-management-'));
  let origin: Origin;
  let proxy: TestProxy;
  let config: Config;

  before(async () => {
    origin = await startOrigin((_request, response) => {
      response.writeHead(200, { 'Cache-Control': 'max-age=60, stale-while-revalidate=60', xkey: 'news' }).end('answer');
    });
    const cache = { 'memcached.cache': { chain: { proxy: origin.url } } };
    const ofNews = { 'memcached.cache': { key: 'news %{req.raw_path}', chain: { proxy: origin.url } } };
    config = {
      management: { listen: '127.0.0.1:0', hosts: ['cache.example'] },
      actions: [{ when: parse(`{ if: 'req.path =^ "/other/"', then: ${JSON.stringify(ofNews)} }`) }, cache],
    };
    proxy = await startProxy(config);
  });
  after(async () => {
    await proxy?.close();
    await origin?.close();
    rmSync(folder, { recursive: true });
  });

  const stored = (target: string) => askAndStore(proxy.url, target);
  const isKept = async (target: string) => isHit((await ask(proxy.url, target)).cacheStatus);
  const url = (target: string) => `http://${SITE}${target}`;
  const post = (body: unknown, headers?: { [name: string]: string }) => manage(proxy.managementUrl, { body, headers });

  it('purges from every cache of the configuration what it is told to', async () => {
    const targets = ['/a', '/other/a', '/dir/a', '/b'];
    await Promise.all(targets.map(stored));
    const { status, json } = await post({ urls: [url('/a')], prefixes: [url('/dir/'), url('/other/')], dryRun: false });
    assert.equal(status, 200);
    assert.deepEqual(json, {
      result: 'purged',
      soft: false,
      dryRun: false,
      purged: [
        { url: url('/a'), result: 'purged' },
        { prefix: url('/dir/'), result: 'purged' },
        { prefix: url('/other/'), result: 'purged' },
      ],
    });
    assert.deepEqual(await Promise.all(targets.map(isKept)), [false, false, false, true]);
    assert.equal((await post({ tags: ['news'], soft: true })).status, 200);
    assert.match((await ask(proxy.url, '/b')).cacheStatus, /hit; ttl=0; detail=stale-while-revalidate/);
    await stored('/c');
    assert.equal((await post({ all: true, dryRun: true })).status, 200);
    assert.equal(await isKept('/c'), true);
    assert.equal((await post({ all: true })).status, 200);
    assert.equal(await isKept('/c'), false);
  });

  it('deletes the entries of a URL', async () => {
    await stored('/d?%C3%A9');
    const path = `/entries?url=${encodeURIComponent(url('/d?é'))}`;
    const { status, json } = await manage(proxy.managementUrl, { method: 'DELETE', path });
    assert.deepEqual([status, json.result], [200, 'purged']);
    assert.equal(await isKept('/d?%C3%A9'), false);
  });

  const refused: { readonly [what: string]: readonly [status: number, order: Order] } = {
    'a form of a web page': [415, { body: '{"all": true}', headers: { 'content-type': 'text/plain' } }],
    'no body': [415, {}],
    'another origin': [403, { body: { all: true }, headers: { origin: 'http://evil.example' } }],
    'an opaque origin': [403, { body: { all: true }, headers: { origin: 'null' } }],
    'a name that was made to lead here': [421, { body: { all: true }, headers: { host: 'evil.example' } }],
    'nothing to purge': [400, { body: {} }],
    'an unknown word': [400, { body: { al: true } }],
    'no object': [400, { body: '"all"' }],
    'no JSON': [400, { body: '{' }],
    'a prototype': [400, { body: '{"__proto__": {"all": true}}' }],
    'a URL that is none': [400, { body: { urls: ['http://h/a', '/a'] } }],
    'a prefix that is none': [400, { body: { prefixes: ['http://h/a'] } }],
    'more than is purged at a time': [400, { body: { tags: Array.from({ length: 1001 }, (_, n) => `${n}`) } }],
    'a URL that is missing': [400, { method: 'DELETE', path: '/entries' }],
    'another path': [404, { method: 'GET', path: '/' }],
    'too much': [413, { body: { tags: ['x'.repeat(1024 * 1024)] } }],
  };
  for (const [what, [status, order]] of Object.entries(refused)) {
    it(`refuses ${what} with ${status}`, async () => {
      const refusal = await manage(proxy.managementUrl, order);
      assert.equal(refusal.status, status, JSON.stringify(refusal.json));
      assert.deepEqual(Object.keys(refusal.json), ['error']);
    });
  }

  it('goes by the names that it is given, and takes pages of its own', async () => {
    for (const host of ['localhost:9180', '127.0.0.1', '[::1]:9180', 'cache.example']) {
      const headers = { host, origin: `http://${host}` };
      assert.equal((await post({ tags: ['x'], dryRun: true }, headers)).status, 200, host);
    }
  });

  it('asks for the token when there is one, also when a reload has brought it; and is off without its section', async () => {
    const { management, ...rest } = config;
    const reload = (next: Config['management']) =>
      proxy.reload(testSettings(next === undefined ? rest : { ...rest, management: next }));
    reload({ ...management, token: TOKEN });
    const order = { tags: ['x'], dryRun: true };
    assert.equal((await post(order)).status, 401);
    assert.equal((await post(order, { authorization: 'Bearer another-token-of-16' })).status, 401);
    assert.equal((await post(order, { authorization: `Bearer ${TOKEN}` })).status, 200);
    reload(undefined);
    assert.equal((await post(order)).status, 404);
    assert.ok(proxy.lines.some(({ msg }) => msg.startsWith('"management.listen" has changed')));
    reload(management);
    assert.equal((await post(order)).status, 200);
  });

  it('listens on a unix socket, and ends with the proxy', async () => {
    const listen = `unix:${join(folder, 'm.sock')}`;
    const other = await startProxy({ ...config, management: { listen } });
    assert.equal(other.managementUrl, listen);
    assert.equal((await manage(listen, { body: { all: true } })).json.result, 'absent');
    await other.close();
    await assert.rejects(manage(listen, { body: { all: true } }), /ENOENT|ECONNREFUSED/);
  });

  it('that can not listen ends the start', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => taken.once('listening', resolve));
    const address = taken.address();
    assert.ok(address !== null && typeof address === 'object');
    const listen = `127.0.0.1:${address.port}`;
    await assert.rejects(startProxy({ ...config, management: { listen } }), {
      name: 'ListenError',
      message: `can not listen on ${listen}: it is in use`,
    });
    taken.close();
  });
});
