import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { parseAddress } from '../../src/store/memcached/address.js';
import { openStore } from '../../src/store/open.js';
import { attachStapler } from '../../src/tls/attach-stapler.js';
import { Stapler } from '../../src/tls/stapler.js';

/** What a server of the fleet is made of; given to it as JSON. */
export interface StapleServerRecipe {
  readonly memcached: string;
  readonly keyFile: string;
  readonly chainFile: string;
  readonly waitMs: number;
}

const recipe: StapleServerRecipe = JSON.parse(process.argv[2] ?? '');
// a store that misses its deadline is not what these servers are for: they would then fetch for themselves
const store = openStore({ memcached: { servers: [{ address: parseAddress(recipe.memcached) }], timeoutMs: 10_000 } });
const log = { debug() {}, info() {}, warn() {} };
const stapler = new Stapler({ name: 'f', store, log }, { waitMs: recipe.waitMs });
const server = createServer(
  { key: readFileSync(recipe.keyFile), cert: readFileSync(recipe.chainFile) },
  (_request, response) => response.end('hello'),
);
attachStapler(server, stapler);
server.listen(0, '127.0.0.1', () => process.send?.(server.address()));
