import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import closeWithGrace from 'close-with-grace';
import { z } from 'zod';
import { cachingProxy } from '../config/caching-proxy.js';
import { ListenError } from '../proxy/listener.js';
import { serve } from '../proxy/serve.js';
import { defineCommand } from './command.js';
import { UsageError } from './exit.js';
import { printLine } from './output.js';

/** How long the backend takes for a page: enough to feel the difference that a hit makes. */
const THINKING_MS = 500;
const TTL = '10s';

export const demoCommand = defineCommand({
  name: 'demo',
  summary: 'start a small, slow backend and a caching proxy in front of it, to try',
  args: [],
  options: [
    { flags: '--listen <address>', help: 'where the proxy listens (default: 127.0.0.1:8080)' },
    { flags: '--memcached <addresses>', help: 'servers to keep responses in (default: this process)' },
  ],
  schema: z.strictObject({ listen: z.string().default('127.0.0.1:8080'), memcached: z.string().optional() }),
  async run(_args, { listen, memcached }) {
    const backend = await startBackend();
    const upstream = `http://127.0.0.1:${(backend.address() as AddressInfo).port}`;
    const config = cachingProxy(upstream, { servers: memcached?.split(','), ttl: TTL });
    const proxy = await serve({ ...config, listen, log: { level: 'warn' } }).catch((error: unknown) => {
      throw error instanceof ListenError ? new UsageError(`${error.message}; try --listen 127.0.0.1:0`) : error;
    });
    await printLine(instructions(proxy.urls[0] ?? '', upstream, memcached));
    return new Promise(() => {
      closeWithGrace(async () => {
        backend.close();
        backend.closeAllConnections();
        await proxy.close();
      });
    });
  },
});

/** A backend that thinks for a while and says what time it is, so that an old answer is known for one. */
async function startBackend(): Promise<Server> {
  const server = createServer(async (request, response) => {
    await delay(THINKING_MS);
    response.writeHead(200, { 'Content-Type': 'text/plain; charset=utf-8' });
    response.end(`${request.url} as the backend made it at ${new Date().toISOString()}\n`);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

function instructions(url: string, upstream: string, memcached: string | undefined): string {
  const store = memcached === undefined ? 'in this process' : `in memcached at ${memcached}`;
  const purge = `lookaside purge ${url}/hello --memcached ${memcached}`;
  return `lookaside listening on ${url}
in front of a backend at ${upstream} that takes ${THINKING_MS} ms for a page; pages are kept ${store} for ${TTL}.

Try, in another terminal:

  curl -i ${url}/hello      # a miss: half a second, "Cache-Status: lookaside; fwd=uri-miss; fwd-status=200; stored"
  curl -i ${url}/hello      # a hit: at once, "Cache-Status: lookaside; hit; ttl=${TTL.slice(0, -1)}", the same time in the page
${memcached === undefined ? '' : `  npx ${purge}\n`}
Ctrl-C ends it.`;
}
