// A proxy with @fastify/http-proxy that keeps the upstream's responses in memcached.
//
//   npm run build                          (once, in this repository; an app has `npm install lookaside`)
//   UPSTREAM=http://127.0.0.1:8000 MEMCACHED=127.0.0.1:11211 PORT=3000 node examples/proxy/server.js
//
//   curl -i http://127.0.0.1:3000/         a miss, and then hits
import httpProxy from '@fastify/http-proxy';
import Fastify from 'fastify';
import lookaside from 'lookaside';

const app = Fastify();
await app.register(lookaside, { servers: [process.env.MEMCACHED ?? '127.0.0.1:11211'] });

// The key is the whole URL. A response is kept for the ttl, or less when its own Cache-Control or Expires says so.
await app.register(httpProxy, {
  upstream: process.env.UPSTREAM ?? 'http://127.0.0.1:8000',
  config: { memcached: { ttl: '1m', maxsize: '1000KiB' } },
});

process.once('SIGTERM', () => app.close());
console.log(await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT ?? 3000) }));
