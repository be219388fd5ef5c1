// The other of two apps that share their login sessions: see shop.js.
import Fastify from 'fastify';
import sessions, { loggedIn } from './sessions.js';

const app = Fastify();
await app.register(sessions, { address: process.env.SESSIONS ?? 'UNIX:/tmp/sessions' });

app.get('/', { preHandler: loggedIn }, ({ session }) => ({ user: session.user, items: session.cart.length }));

app.post('/logout', { preHandler: loggedIn }, async (_request, reply) => {
  await reply.endSession();
  return { user: null };
});

process.once('SIGTERM', () => app.close());
console.log(await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT ?? 3002) }));
