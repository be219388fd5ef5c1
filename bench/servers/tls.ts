/**
 * An HTTPS server whose handshakes are measured: `node tls.js SHARING KEY CERT [MEMCACHED]`. SHARING is `node` (what Node
 * does by itself), `map` (its sessions in a map of the process) or `fleet` (all that `lookaside/tls` shares).
 */
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import { parseAddress } from '../../src/store/memcached/address.js';
import { openStore } from '../../src/store/open.js';
import { attach } from '../../src/tls/attach.js';
import { SharedTls } from '../../src/tls/shared-tls.js';

const [, , sharing = '', key = '', cert = '', memcached = ''] = process.argv;
const https = { key: readFileSync(key), cert: readFileSync(cert) };
const server = sharing === 'fleet' ? await fleetServer() : createServer(https);
if (sharing === 'map') keepInMap(server);
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  console.log(typeof address === 'object' && address !== null ? address.port : '');
});
process.once('SIGTERM', () => process.exit());

async function fleetServer(): Promise<Server> {
  const store = openStore({ memcached: { servers: [{ address: parseAddress(memcached) }] } });
  const log = { debug() {}, info() {}, warn() {} };
  const shared = new SharedTls({ store, secrets: ['a secret of the fleet, 32 bytes long or more'], log });
  await shared.ready;
  const fleet = createServer({ ...https, ...shared.tlsOptions(https) });
  attach(fleet, shared);
  return fleet;
}

/** As the documentation of Node has it. */
function keepInMap(tlsServer: Server): void {
  const sessions = new Map<string, Buffer>();
  tlsServer.on('newSession', (id, session, done) => {
    sessions.set(id.toString('hex'), session);
    done();
  });
  tlsServer.on('resumeSession', (id, done) => done(null, sessions.get(id.toString('hex')) ?? null));
}
