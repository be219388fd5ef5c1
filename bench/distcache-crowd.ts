/**
 * A crowd for `distcache.ts`, in a process of its own: `node distcache-crowd.js ADDRESS CONNECTIONS SESSIONS`. Makes
 * connections that ask nothing any more and adds sessions that nobody asks for, says so with a line, and stays.
 */
import { randomBytes } from 'node:crypto';
import { DistcacheClient } from '../src/distcache/client.js';

/** What a TLS session takes without certificates. */
const DATA_BYTES = 150;

/** Longer than any measurement. */
const TIMEOUT_MS = 3_600_000;

/** Under way at a time: no more than a listener's backlog. */
const AT_ONCE = 100;

const [address = '', connections = '0', sessions = '0'] = process.argv.slice(2);

async function inTurns(count: number, act: () => Promise<unknown>): Promise<void> {
  for (let done = 0; done < count; done += AT_ONCE) {
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, count - done) }, act));
  }
}

const idle: DistcacheClient[] = [];
await inTurns(Number(connections), async () => {
  const client = await DistcacheClient.connect({ address, timeoutMs: 10_000 });
  // the server has taken the connection when it answers
  await client.has(randomBytes(32));
  idle.push(client);
});
const client = new DistcacheClient({ address, timeoutMs: 10_000 });
await inTurns(Number(sessions), async () => {
  const isAdded = await client.add(randomBytes(32), randomBytes(DATA_BYTES), TIMEOUT_MS);
  if (!isAdded) throw new Error('a session was refused');
});
console.log(`${idle.length} connections and ${sessions} sessions`);
