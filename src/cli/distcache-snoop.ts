import { z } from 'zod';
import { canConnect, formatAddress, parseAddress } from '../distcache/address.js';
import { stopSignal } from '../distcache/daemon.js';
import { listen, socketServer } from '../distcache/listener.js';
import { Snoop, type Watcher } from '../distcache/snoop.js';
import { ClassicWatcher } from '../distcache/snoop-classic.js';
import { DecodingWatcher, EXCHANGE_RESULTS, type Sighting } from '../distcache/snoop-decoder.js';
import { jsonLine, passes, type SnoopFilter, textLine } from '../distcache/snoop-lines.js';
import { OPERATIONS } from '../distcache/wire.js';
import { type CTool, runCTool } from './c-flags.js';
import { readBy, reasonOf } from './distcache-service.js';
import { EXIT, type ExitCode } from './exit.js';
import { complain } from './output.js';

const commaSeparated = z.string().transform((text) => text.split(','));

const schema = z.strictObject({
  listen: readBy(parseAddress).optional(),
  server: readBy(parseAddress).optional(),
  classic: z.literal(true).optional(),
  json: z.literal(true).optional(),
  op: commaSeparated.pipe(z.array(z.enum(OPERATIONS))).optional(),
  result: commaSeparated.pipe(z.array(z.enum(EXCHANGE_RESULTS))).optional(),
  id: z
    .string()
    .regex(/^[0-9a-fA-F]+$/)
    .transform((text) => text.toLowerCase())
    .optional(),
  slower: z
    .string()
    .regex(/^[0-9]+(\.[0-9]+)?$/)
    .transform(Number)
    .optional(),
});

type Options = z.output<typeof schema>;

const TOOL: CTool<typeof schema> = {
  name: 'dc_snoop',
  dashes: '-',
  schema,
  flags: [
    {
      name: 'listen',
      value: 'addr',
      help: 'take connections there: UNIX:path, IP:port, IP:host:port or IP:[IPv6]:port',
    },
    { name: 'server', alias: 'connect', value: 'addr', help: 'pass them on to there' },
    { name: 'classic', help: 'a line for each frame, on stderr, as the C program wrote it' },
    { name: 'json', help: 'a JSON object for each line' },
    { name: 'op', value: 'names', help: `show these operations only, separated by commas: ${OPERATIONS.join(', ')}` },
    { name: 'result', value: 'names', help: `show these results only: ${EXCHANGE_RESULTS.join(', ')}` },
    { name: 'id', value: 'hex', help: 'show ids that begin like this only' },
    { name: 'slower', value: 'ms', help: 'show what took at least so long only' },
  ],
};

/** `dc_snoop`, and `lookaside distcache snoop`. */
export function runDistcacheSnoop(argv: readonly string[]): Promise<ExitCode> {
  return runCTool(TOOL, argv, async (options) => {
    const { listen: where, server } = options;
    if (where === undefined) return refuse('Error, must provide -listen');
    if (server === undefined) return refuse('Error, no server specified!');
    if (!canConnect(server)) return refuse(`Error, ${formatAddress(server)} says where to listen only`);
    const snoop = new Snoop({ server, watch: (connection) => watcherFor(connection, options) });
    const stopped = stopSignal({ killable: true });
    try {
      const listener = await listen(
        socketServer((socket) => snoop.serve(socket)),
        where,
      );
      await stopped;
      snoop.close();
      await listener.close();
      return EXIT.ok;
    } catch (error) {
      return refuse(`Error, can't listen: ${reasonOf(error)}`);
    }
  });
}

function refuse(text: string): ExitCode {
  complain(text);
  return EXIT.no;
}

function watcherFor(connection: number, options: Options): Watcher {
  if (options.classic) return new ClassicWatcher(connection, complain);
  const filter: SnoopFilter = {
    ...(options.op && { operations: options.op }),
    ...(options.result && { results: options.result }),
    ...(options.id !== undefined && { idPrefix: options.id }),
    ...(options.slower !== undefined && { minMs: options.slower }),
  };
  const inColour = process.stdout.isTTY && !process.env.NO_COLOR;
  const lineOf = options.json ? jsonLine : (sighting: Sighting) => textLine(sighting, inColour);
  return new DecodingWatcher(connection, (sighting) => {
    if (passes(sighting, filter)) process.stdout.write(`${lineOf(sighting)}\n`);
  });
}
