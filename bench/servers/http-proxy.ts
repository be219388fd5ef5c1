import httpProxy from '@fastify/http-proxy';
import fastify from 'fastify';

/** `@fastify/http-proxy` and nothing else: `http-proxy.js UPSTREAM`. */
const app = fastify();
app.register(httpProxy, { upstream: process.argv[2] ?? '' });
console.log(await app.listen({ port: 0, host: '127.0.0.1' }));
