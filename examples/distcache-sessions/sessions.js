// Login sessions in a distcache server: what one app of the machine park starts, all the others know.
import { randomBytes } from 'node:crypto';
import fp from 'fastify-plugin';
import { DistcacheClient } from 'lookaside';

const LIFETIME_MS = 30 * 60 * 1000;

// 32 random bytes, which nobody guesses. An id of distcache has 64 at most.
const ID_BYTES = 32;
const COOKIE = /(?:^|;\s*)session=([\w-]{43})(?:;|$)/;

async function sessions(app, { address }) {
  const client = new DistcacheClient({ address, retry: true, timeoutMs: 500 });
  app.addHook('onClose', () => client.close());

  // A server that is away is no reason to fail: nobody is logged in then.
  app.decorateRequest('session', null);
  app.decorateRequest('sessionId', null);
  app.addHook('onRequest', async (request) => {
    const [, cookie] = COOKIE.exec(request.headers.cookie ?? '') ?? [];
    if (cookie === undefined) return;
    const id = Buffer.from(cookie, 'base64url');
    const data = await client.get(id).catch((error) => request.log.warn(error));
    if (!data) return;
    request.sessionId = id;
    request.session = JSON.parse(data);
  });

  async function keep(id, session) {
    const isKept = await client.add(id, Buffer.from(JSON.stringify(session)), LIFETIME_MS);
    if (!isKept) throw new Error('the session was not kept');
  }

  app.decorateReply('startSession', async function (session) {
    const id = randomBytes(ID_BYTES);
    await keep(id, session);
    // with HTTPS, add: Secure
    this.header('set-cookie', `session=${id.toString('base64url')}; Path=/; HttpOnly; SameSite=Lax`);
  });

  // distcache keeps what it has: to replace is to remove and add.
  app.decorateReply('changeSession', async function (session) {
    const { sessionId } = this.request;
    await client.remove(sessionId);
    await keep(sessionId, session);
  });

  app.decorateReply('endSession', async function () {
    await client.remove(this.request.sessionId);
    this.header('set-cookie', 'session=; Path=/; Max-Age=0');
  });
}

export default fp(sessions, { name: 'sessions' });

/** A preHandler for what only those may see who are logged in. */
export async function loggedIn(request, reply) {
  if (request.session === null) return reply.code(401).send({ error: 'log in first' });
}
