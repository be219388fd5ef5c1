import { type TestContext, test } from 'node:test';
import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify';
import lookaside from '../../src/index.js';
import type { PluginOptions } from '../../src/plugin/options.js';
import { startMemcached } from '../support/memcached.js';

/** An app with the plugin, closed when the test ends. */
export async function appWith(
  t: TestContext,
  options: PluginOptions = {},
  server: FastifyServerOptions = {},
): Promise<FastifyInstance> {
  const app = Fastify(server);
  t.after(() => app.close());
  await app.register(lookaside, options);
  return app;
}

/** A test that is run with the embedded store and with a real memcached. */
export function testWithEachStore(name: string, run: (t: TestContext, options: PluginOptions) => Promise<void>): void {
  test(`${name} (embedded store)`, (t) => run(t, {}));
  test(`${name} (memcached)`, async (t) => {
    const memcached = await startMemcached();
    t.after(() => memcached.stop());
    // these tests are about what is stored, not about how fast a busy machine is
    await run(t, { servers: [memcached.server], timeout: '2s' });
  });
}

/** `Cache-Status` without what changes from run to run. */
export function statusOf(response: { readonly headers: { readonly [name: string]: unknown } }): string {
  return String(response.headers['cache-status']).replace(/ttl=\d+/, 'ttl=N');
}

export const HIT = 'lookaside; hit; ttl=N';
export const STORED = 'lookaside; fwd=uri-miss; fwd-status=200; stored';
