// Routes whose responses are kept in memcached, and purged when what they show has changed.
//
//   npm run build                          (once, in this repository; an app has `npm install lookaside`)
//   MEMCACHED=127.0.0.1:11211 PORT=3000 node examples/route/server.js
//
//   curl -i http://127.0.0.1:3000/products/1                                   a miss, and then hits
//   curl -i -X PUT --json '{"name":"Tea"}' http://127.0.0.1:3000/products/1    and a miss again
import Fastify from 'fastify';
import lookaside from 'lookaside';

const app = Fastify();
await app.register(lookaside, { servers: [process.env.MEMCACHED ?? '127.0.0.1:11211'] });

const products = new Map([['1', { name: 'Coffee' }]]);

// The key is the path, so that whoever changes a product knows what to purge.
app.get(
  '/products/:id',
  { config: { memcached: { key: '%{req.path}', ttl: '5m' } } },
  (request, reply) => products.get(request.params.id) ?? reply.callNotFound(),
);

app.put('/products/:id', async (request) => {
  products.set(request.params.id, request.body);
  const purged = await app.memcached.purge(`/products/${request.params.id}`);
  return { purged };
});

process.once('SIGTERM', () => app.close());
console.log(await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT ?? 3000) }));
