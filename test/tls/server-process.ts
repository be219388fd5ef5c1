import { readFileSync } from 'node:fs';
import { createSecureServer } from 'node:http2';
import { createServer as createHttpsServer } from 'node:https';
import { createSecureContext, createServer, type Server, TLSSocket, type TlsOptions } from 'node:tls';
import { parseAddress } from '../../src/store/memcached/address.js';
import { openStore } from '../../src/store/open.js';
import { attach } from '../../src/tls/attach.js';
import { fleetCounts } from '../../src/tls/fleet-counters.js';
import { Generation } from '../../src/tls/generation.js';
import type { SharedTlsOptions } from '../../src/tls/options.js';
import { SharedTls } from '../../src/tls/shared-tls.js';

/** One server of a fleet, in a process of its own. It is told what to be by its argument, and asked things by messages. */
export interface ServerRecipe {
  readonly kind: 'tls' | 'https' | 'http2';
  /** Address of memcached. */
  readonly memcached: string;
  readonly options: Omit<SharedTlsOptions, 'store' | 'log'>;
  /** Paths. */
  readonly key: string;
  readonly cert: string;
  readonly ca?: string;
  readonly tls?: Pick<TlsOptions, 'requestCert' | 'rejectUnauthorized' | 'minVersion' | 'maxVersion' | 'secureOptions'>;
  /** `forgetful`: not made with `tlsOptions`. `one-key`: on a Node without ticket key callbacks. Default: as it should be. */
  readonly mode?: 'forgetful' | 'one-key';
}

export type Question = 'counts' | 'fleet-counts' | 'flush' | 'clear' | 'reload' | 'key-name';

export interface Hello {
  readonly port: number;
  readonly warnings: readonly string[];
}

const recipe: ServerRecipe = JSON.parse(process.argv[2] ?? '');
// as for servers that were started in different ways: Node's own session id context is a hash of the arguments
process.argv.push(String(process.pid));

const store = openStore({ memcached: { servers: [{ address: parseAddress(recipe.memcached) }] } });
const warnings: string[] = [];
const log = {
  debug() {},
  info() {},
  warn(_details: object, message: string) {
    warnings.push(message);
  },
};

const https: TlsOptions = {
  key: readFileSync(recipe.key),
  cert: readFileSync(recipe.cert),
  ...(recipe.ca === undefined ? {} : { ca: readFileSync(recipe.ca) }),
  ...recipe.tls,
};
if (recipe.mode === 'one-key') {
  const native: object = createSecureContext().context;
  Reflect.deleteProperty(Reflect.getPrototypeOf(native) ?? {}, 'enableTicketKeyCallback');
}
const shared = new SharedTls({ ...recipe.options, store, log });
const required = recipe.mode === 'forgetful' ? {} : shared.tlsOptions(https);
const server = serverOf(recipe.kind, { ...https, ...required });
attach(server, shared);
await shared.ready;
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  process.send?.({ port, warnings } satisfies Hello);
});
process.on('message', (question: Question) => {
  void answer(question).then((reply) => process.send?.({ reply }));
});
process.on('disconnect', () => process.exit());

function serverOf(kind: ServerRecipe['kind'], options: TlsOptions): Server {
  if (kind === 'tls') return createServer(options, tell);
  if (kind === 'https')
    return createHttpsServer(options, (request, response) => response.end(described(request.socket)));
  return createSecureServer(options, (request, response) => response.end(described(request.stream.session?.socket)));
}

function tell(socket: TLSSocket): void {
  socket.on('error', () => {});
  socket.write(described(socket));
}

function described(socket: object | undefined): string {
  if (!(socket instanceof TLSSocket)) return 'no TLS\n';
  const client = socket.getPeerCertificate().subject?.CN ?? 'nobody';
  return `served by ${process.pid} resumed=${socket.isSessionReused()} authorized=${socket.authorized} client=${client}\n`;
}

async function answer(question: Question): Promise<unknown> {
  switch (question) {
    case 'counts':
      return shared.counts();
    case 'fleet-counts':
      return fleetCounts(store, recipe.options.fleet ?? 'default');
    case 'flush':
      return shared.flush();
    case 'clear':
      return new Generation(store, recipe.options.fleet ?? 'default').clear();
    case 'reload':
      return server.setSecureContext(https);
    case 'key-name':
      return shared.ticketKeys?.ring.sealing.name.toString('hex');
  }
}
