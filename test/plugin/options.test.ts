import assert from 'node:assert/strict';
import { test } from 'node:test';
import Fastify from 'fastify';
import lookaside, { type PluginOptions } from '../../src/index.js';
import { appWith, HIT, STORED, statusOf } from './app.js';

/** The plugin's answer to options that no type lets through. */
async function refusal(options: object): Promise<unknown> {
  const app = Fastify();
  try {
    await app.register(lookaside, options as PluginOptions);
    return undefined;
  } catch (error) {
    return error;
  } finally {
    await app.close();
  }
}

const INVALID_OPTIONS: readonly (readonly [options: object, message: RegExp])[] = [
  [{ sevrers: ['127.0.0.1'] }, /options of the plugin: unknown option "sevrers", did you mean "servers"\?/],
  [{ servers: [] }, /servers: an empty list/],
  [{ servers: ['host:99999'] }, /"host:99999" is not the address of a memcached server: expected host, host:port/],
  [{ servers: ['a', 'a:11211'] }, /servers\.1: a:11211 is in the list already/],
  [{ servers: ['a'], ring: 'ketema' }, /ring: "ketema" is not one of .*did you mean "ketama"\?/],
  [{ servers: ['a'], timeout: 'soon' }, /timeout: "soon" is not a duration/],
  [{ timeout: '50ms' }, /"timeout" has no meaning without servers/],
  [{ servers: undefined, ring: 'modula' }, /"ring" has no meaning without servers/],
  [{ servers: ['a'], embedded: { maxSize: '1MiB' } }, /"embedded" has no meaning with servers/],
  [{ embedded: { maxSize: 1 } }, /embedded\.maxSize: 1 is less than 1MiB/],
  [{ store: {} }, /store: expected a Store/],
  [{ store: {}, name: 1 }, /expected a Store.*; name: expected text, found 1/],
  [{ bodyMemory: '1k' }, /bodyMemory: "1k" is less than 64KiB/],
];

for (const [options, message] of INVALID_OPTIONS) {
  test(`${JSON.stringify(options)} is refused`, async () => {
    const error = await refusal(options);
    assert.ok(error instanceof Error);
    assert.equal(Reflect.get(error, 'code'), 'FST_LOOKASIDE_INVALID_OPTIONS');
    assert.match(error.message, message);
  });
}

test('a store of the app’s own excludes servers', async (t) => {
  const { memcached: _unused, ...app } = await appWith(t);
  assert.ok(app);
  const methods = ['get', 'getMany', 'set', 'delete', 'touch', 'increment', 'stats', 'close'];
  const store = Object.fromEntries(methods.map((name) => [name, async () => null]));
  const error = await refusal({ store, servers: ['a'] });
  assert.match(String(error), /"servers" has no meaning with a store of your own/);
});

test('options of a route, a lookup and a store are checked when they are given', async (t) => {
  const app = await appWith(t);
  const route = (memcached: object) => () => app.get('/', { config: { memcached } }, async () => '');
  const code = 'FST_LOOKASIDE_INVALID_OPTIONS';
  assert.throws(route({ tll: 1 }), {
    code,
    message: 'lookaside: config.memcached of GET /: unknown option "tll", did you mean "ttl"?',
  });
  assert.throws(route({ key: '%{req.pth}' }), { code, message: /key: .*req\.pth.*did you mean/ });
  assert.throws(route({ ttl: -1, flags: 1.5 }), { code, message: /ttl: -1 .*; flags: / });
  assert.throws(() => app.get('/', { config: { memcached: true as unknown as object } }, async () => ''), {
    code,
    message: /expected options \(name: value\), found true/,
  });
  assert.throws(() => app.memcached.lookup({ ttl: 1 } as object), {
    code,
    message: /app\.memcached\.lookup: unknown option "ttl"/,
  });
  assert.throws(() => app.memcached.store({ server: 'host:x' }), { code, message: /app\.memcached\.store: server: / });
});

test('a second registration where the first one reaches is refused', async (t) => {
  const app = await appWith(t);
  const again = async () => void (await app.register(lookaside));
  await assert.rejects(again, { code: 'FST_LOOKASIDE_ALREADY_REGISTERED' });
});

test('separate contexts may each have their own', async (t) => {
  const app = Fastify();
  t.after(() => app.close());
  for (const name of ['one', 'two']) {
    await app.register(
      async (scope) => {
        await scope.register(lookaside, { name });
        scope.get('/', { config: { memcached: {} } }, async () => name);
      },
      { prefix: `/${name}` },
    );
  }
  app.get('/', { config: { memcached: {} } }, async () => 'outside');
  for (const name of ['one', 'two']) {
    assert.equal(statusOf(await app.inject(`/${name}`)), STORED.replace('lookaside', name));
    assert.equal(statusOf(await app.inject(`/${name}`)), HIT.replace('lookaside', name));
  }
  assert.equal((await app.inject('/')).headers['cache-status'], undefined);
  assert.equal(app.hasDecorator('memcached'), false);
});

test('the plugin names itself to Fastify', async (t) => {
  const app = await appWith(t);
  assert.equal(app.hasPlugin('lookaside'), true);
});

test('an option that comes too early is warned of, once', async (t) => {
  const lines: string[] = [];
  const stream = { write: (line: string) => void lines.push(line) };
  const app = Fastify({ logger: { level: 'warn', stream } });
  t.after(() => app.close());
  app.register(lookaside);
  app.get('/early', { config: { memcached: {} } }, async () => 'text');
  await app.after();
  app.get(
    '/in-time',
    { config: { memcached: {} }, preHandler: async (_, reply) => reply.code(403).send() },
    async () => '',
  );
  app.get('/without', async () => 'text');
  for (const url of ['/early', '/early', '/in-time', '/without', '/missing']) await app.inject(url);
  assert.equal(lines.length, 1);
  assert.match(
    String(lines[0]),
    /"url":"\/early".*has no effect on a route added before \\"await app\.register\(lookaside\)\\""/,
  );
});
