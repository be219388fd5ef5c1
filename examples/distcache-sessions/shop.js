// One of two apps that share their login sessions. People log in here; account.js knows them too.
//
//   npm run build                          (once, in this repository; an app has `npm install lookaside fastify-plugin`)
//   node dist/cli/main.js distcache server -listen UNIX:/tmp/sessions &     (with --memcached: on several machines)
//   SESSIONS=UNIX:/tmp/sessions PORT=3001 node examples/distcache-sessions/shop.js &
//   SESSIONS=UNIX:/tmp/sessions PORT=3002 node examples/distcache-sessions/account.js &
//
//   curl -c /tmp/jar --json '{"user":"ada","password":"lovelace"}' http://127.0.0.1:3001/login
//   curl -b /tmp/jar --json '{"item":"tea"}' http://127.0.0.1:3001/cart
//   curl -b /tmp/jar http://127.0.0.1:3002/          the other app knows who it is, and what is in the cart
//   curl -b /tmp/jar -X POST http://127.0.0.1:3002/logout
//   curl -b /tmp/jar http://127.0.0.1:3001/cart      nobody any more
import Fastify from 'fastify';
import sessions, { loggedIn } from './sessions.js';

const app = Fastify();
await app.register(sessions, { address: process.env.SESSIONS ?? 'UNIX:/tmp/sessions' });

// For a real app: hashes, in a database.
const passwords = new Map([['ada', 'lovelace']]);

app.post('/login', async (request, reply) => {
  const { user, password } = request.body ?? {};
  if (!passwords.has(user) || passwords.get(user) !== password)
    return reply.code(403).send({ error: 'wrong password' });
  await reply.startSession({ user, cart: [] });
  return { user };
});

app.get('/cart', { preHandler: loggedIn }, (request) => request.session.cart);

app.post('/cart', { preHandler: loggedIn }, async (request, reply) => {
  const { session } = request;
  const cart = [...session.cart, request.body.item];
  await reply.changeSession({ ...session, cart });
  return cart;
});

process.once('SIGTERM', () => app.close());
console.log(await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT ?? 3001) }));
