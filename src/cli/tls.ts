import { z } from 'zod';
import { defineCommand } from './command.js';
import { type ExitCode, UsageError } from './exit.js';
import { FLEET_OPTIONS, type FleetInView, fleetOptions, withFleet } from './tls-fleet.js';
import { keysInfo, keysRotate } from './tls-keys.js';
import { sessionsClear, sessionsInfo } from './tls-sessions.js';
import { staplesClear, staplesInfo, staplesRefresh } from './tls-staples.js';

type Action = (fleet: FleetInView, json: boolean) => Promise<ExitCode>;

/** What can be done with what. */
const ACTIONS: ReadonlyMap<string, Action> = new Map([
  ['sessions info', sessionsInfo],
  ['sessions clear', sessionsClear],
  ['staples info', staplesInfo],
  ['staples clear', staplesClear],
  ['staples refresh', staplesRefresh],
  ['keys info', keysInfo],
  ['keys rotate', keysRotate],
]);

const NAMES = [...ACTIONS.keys()].join(', ');

export const tlsCommand = defineCommand({
  name: 'tls',
  summary: `look after what a fleet shares of TLS: ${NAMES}`,
  details: `  lookaside tls sessions info --config site.yaml
  lookaside tls sessions clear --memcached 10.0.0.1,10.0.0.2 --fleet shop
  lookaside tls staples info --tls-cert site.pem
  lookaside tls keys rotate --config site.yaml

"sessions clear" reaches the sessions in the store. Those in tickets end when their key does: "keys rotate" gives the
fleet a new one, and to refuse tickets of the old one as well, change the secret.`,
  args: [
    { name: '<what>', help: 'sessions, staples or keys' },
    { name: '<action>', help: 'info, clear, refresh or rotate' },
  ],
  options: [...FLEET_OPTIONS, { flags: '--json', help: 'print the result as JSON' }],
  schema: z.strictObject({ ...fleetOptions, json: z.literal(true).optional() }),
  async run([what = '', action = ''], { json = false, ...options }) {
    const run = ACTIONS.get(`${what} ${action}`);
    if (run === undefined) throw new UsageError(`there is no "${what} ${action}": expected ${NAMES}`);
    return withFleet(options, (fleet) => run(fleet, json));
  },
});
