import type { CommandDefinition } from './command.js';
import { runDistcacheClient } from './distcache-client.js';
import { runDistcacheServer } from './distcache-server.js';
import { runDistcacheSnoop } from './distcache-snoop.js';
import { runDistcacheTest } from './distcache-test.js';
import { type ExitCode, UsageError } from './exit.js';

/** The tools of distcache. They take their options as the C programs did, see `c-flags.ts`. */
const TOOLS: ReadonlyMap<string, (argv: readonly string[]) => Promise<ExitCode>> = new Map([
  ['server', runDistcacheServer],
  ['client', runDistcacheClient],
  ['test', runDistcacheTest],
  ['snoop', runDistcacheSnoop],
]);

const NAMES = [...TOOLS.keys()];

export const distcacheCommand: CommandDefinition = {
  name: 'distcache',
  summary: `share TLS sessions by the distcache protocol: ${NAMES.join(', ')}`,
  details: `Each tool says what options it takes with -help.

  lookaside distcache server -listen IP:9001 --memcached 10.0.0.1,10.0.0.2
  lookaside distcache client -listen UNIX:/run/scache -server IP:10.0.0.3:9001`,
  args: [
    { name: '[tool]', help: NAMES.join(' or ') },
    { name: '[options...]', help: 'options of the tool' },
  ],
  options: [],
  passesOptionsOn: true,
  async run([name = '', ...argv]) {
    const run = TOOLS.get(name);
    if (run === undefined) throw new UsageError(`say which tool: ${NAMES.join(' or ')}`);
    return run(argv);
  },
};
