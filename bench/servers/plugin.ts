import fastify from 'fastify';
import lookaside from '../../src/index.js';

/** An ordinary app with the plugin and one cached route: `plugin.js BYTES MEMCACHED`. */
const body = Buffer.alloc(Number(process.argv[2]), 'x');
const app = fastify();
await app.register(lookaside, { servers: [process.argv[3] ?? ''] });
app.get('/', { config: { memcached: { ttl: '1h' } } }, (_request, reply) => reply.type('text/plain').send(body));
console.log(await app.listen({ port: 0, host: '127.0.0.1' }));
