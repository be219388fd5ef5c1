// The example of lighttpd2's mod_memcached manual: a static site whose files are kept in memcached, with X-Memcached.
//
//   npm run build                          (once, in this repository; an app has `npm install lookaside`)
//   MEMCACHED=127.0.0.1:11211 PORT=3000 node examples/static/server.js
//
//   curl -i http://127.0.0.1:3000/         X-Memcached: Miss, and then Hit
import { fileURLToPath } from 'node:url';
import fastifyStatic from '@fastify/static';
import Fastify from 'fastify';
import lookaside from 'lookaside';

const app = Fastify();
await app.register(lookaside, { servers: [process.env.MEMCACHED ?? '127.0.0.1:11211'] });

const options = { key: '%{req.scheme}://%{req.host}%{req.path}', headers: true };
const hit = (_request, reply) => {
  reply.header('X-Memcached', 'Hit');
};
const miss = (_request, reply) => {
  reply.header('X-Memcached', 'Miss');
};

// Hooks of a scope work on all of its routes: those of @fastify/static take no options of their own.
await app.register(async (site) => {
  site.addHook('preHandler', site.memcached.lookup(options, hit, miss));
  site.addHook('onSend', site.memcached.store({ ...options, ttl: '60s', maxsize: '1000KiB' }));
  await site.register(fastifyStatic, {
    root: fileURLToPath(new URL('public', import.meta.url)),
    // Its default, max-age=0, would tell us not to keep anything.
    cacheControl: false,
  });
});

process.once('SIGTERM', () => app.close());
console.log(await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT ?? 3000) }));
