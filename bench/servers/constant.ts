import fastify from 'fastify';

/** A Fastify app that answers `bytes` bytes out of a constant: `constant.js BYTES`. */
const body = Buffer.alloc(Number(process.argv[2]), 'x');
const app = fastify();
app.get('/', (_request, reply) => reply.type('text/plain').send(body));
console.log(await app.listen({ port: 0, host: '127.0.0.1' }));
