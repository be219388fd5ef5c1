// An API behind the HTTP cache: handlers run once for all who ask at the same time, here and in every other process on the
// same memcached, and what they made is purged by tags when what it shows has changed. What it asks of another service
// (UPSTREAM) goes through undici's cache, over the same memcached.
//
//   npm run build                          (once, in this repository; an app has `npm install lookaside`)
//   MEMCACHED=127.0.0.1:11211 UPSTREAM=http://127.0.0.1:8000 PORT=3000 node examples/cached-api/server.js
//
//   curl -i http://127.0.0.1:3000/products/1                                   a miss, and then hits
//   curl -i -X PUT --json '{"name":"Tea"}' http://127.0.0.1:3000/products/1    and a miss again, as for the list
import Fastify from 'fastify';
import lookaside, { undiciCacheStore } from 'lookaside';
import { Agent, interceptors, request } from 'undici';

const servers = [process.env.MEMCACHED ?? '127.0.0.1:11211'];
const upstream = process.env.UPSTREAM ?? 'http://127.0.0.1:8000';

const app = Fastify();
await app.register(lookaside, { servers });

// A database, in an app of several processes.
const products = new Map([['1', { name: 'Coffee' }]]);

app.get('/products', { config: { cache: { ttl: '5m', tags: ['products'] } } }, () => [...products.values()]);

app.get('/products/:id', { config: { cache: { ttl: '5m', staleWhileRevalidate: '1m' } } }, ({ params }, reply) => {
  reply.cacheTags('products', `product:${params.id}`);
  return products.get(params.id) ?? reply.code(404).send({ error: 'no such product' });
});

app.put('/products/:id', async ({ params, body }) => {
  products.set(params.id, body);
  return app.cache.purge({ tags: ['products', `product:${params.id}`] });
});

const store = undiciCacheStore({ servers });
const dispatcher = new Agent().compose(interceptors.cache({ store }));
app.addHook('onClose', () => Promise.all([dispatcher.close(), store.close()]));

app.get('/news', async (_request, reply) => {
  const news = await request(`${upstream}/news`, { dispatcher });
  reply.type(String(news.headers['content-type'] ?? 'text/plain'));
  return news.body;
});

process.once('SIGTERM', () => app.close());
console.log(await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT ?? 3000) }));
