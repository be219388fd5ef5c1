import type { ConnectionOptions } from 'node:tls';
import { z } from 'zod';
import { type Address, canConnect, canListen, parseAddress } from '../distcache/address.js';
import type { Log } from '../distcache/limited-log.js';
import { metricsText, PROXY_METRICS } from '../distcache/metrics.js';
import {
  DEFAULT_MAX_OUTSTANDING_BYTES,
  DEFAULT_RESPONSE_TIMEOUT_MS,
  DEFAULT_RETRY_MS,
  DistcacheProxy,
  MAX_CLIENTS,
} from '../distcache/proxy.js';
import { type CTool, runCTool } from './c-flags.js';
import { integer, runService, SERVICE_FLAGS, type Service, serviceSchema } from './distcache-service.js';
import { EXIT, type ExitCode } from './exit.js';
import { complain } from './output.js';

const DEFAULT_LISTEN = 'UNIX:/tmp/scache';

/** Of the times that can be given, in ms: an hour. */
const MAX_TIME_MS = 3_600_000;

const MAX_OUTSTANDING_BYTES = 2 ** 24;

const schema = z.strictObject({
  ...serviceSchema,
  listen: z.string().default(DEFAULT_LISTEN),
  server: z.string().optional(),
  retry: integer(1, MAX_TIME_MS).default(DEFAULT_RETRY_MS),
  idle: integer(0, MAX_TIME_MS).default(0),
  timeout: integer(1, MAX_TIME_MS).default(DEFAULT_RESPONSE_TIMEOUT_MS),
  outstanding: integer(1, MAX_OUTSTANDING_BYTES).default(DEFAULT_MAX_OUTSTANDING_BYTES),
});

type Options = z.output<typeof schema>;

const TOOL: CTool<typeof schema> = {
  name: 'dc_client',
  dashes: '-',
  schema,
  flags: [
    { name: 'listen', value: 'addr', help: `serve local programs there (default: ${DEFAULT_LISTEN})` },
    {
      name: 'server',
      alias: 'connect',
      value: 'addrs',
      help: 'the server; or several, separated by commas: the next when one is lost',
      onSecond: 'Error, too many servers',
    },
    { name: 'retry', value: 'ms', help: `let a lost server rest so long (default: ${DEFAULT_RETRY_MS})` },
    { name: 'idle', value: 'ms', help: 'disconnect local programs that ask nothing for so long (default: 0 = never)' },
    {
      name: 'timeout',
      value: 'ms',
      help: `give the server so long to answer (default: ${DEFAULT_RESPONSE_TIMEOUT_MS})`,
    },
    {
      name: 'outstanding',
      value: 'bytes',
      help: `requests the server may have at a time; a C server takes no more (default: ${DEFAULT_MAX_OUTSTANDING_BYTES})`,
    },
    ...SERVICE_FLAGS,
  ],
};

/** `dc_client`, and `lookaside distcache client`. */
export function runDistcacheClient(argv: readonly string[]): Promise<ExitCode> {
  return runCTool(TOOL, argv, async (options) => {
    const { listen, server } = options;
    if (!isUsable(addressIn(listen), canListen)) return refuse('Error, bad listen address');
    if (server === undefined) return refuse('Error, no server specified!');
    const named = server.split(',').map(addressIn);
    const servers = named.filter((address) => isUsable(address, canConnect));
    if (servers.length < named.length) return refuse('Error, internal initialisation problems');
    return runService(options, listen, (say) => openProxy(options, servers, say));
  });
}

function refuse(text: string): ExitCode {
  complain(text);
  return EXIT.no;
}

function openProxy(options: Options, servers: readonly Address[], say: Log): Service {
  const tls = tlsOf(options);
  const proxy = new DistcacheProxy({
    servers,
    retryMs: options.retry,
    idleMs: options.idle,
    responseTimeoutMs: options.timeout,
    maxOutstandingBytes: options.outstanding,
    log: say,
    ...(tls && { tls }),
  });
  return {
    serve(socket) {
      if (proxy.serve(socket)) return;
      say(`Error, rejected new client connection already at maximum (${MAX_CLIENTS})`);
      say("Error, couldn't add in new client connection - dropping it.");
    },
    metrics: () => metricsText('lookaside_distcache_client_', PROXY_METRICS, proxy.metrics()),
    close: () => proxy.close(),
  };
}

function tlsOf({ tls, 'tls-cert': cert, 'tls-key': key, 'tls-ca': ca }: Options): ConnectionOptions | undefined {
  return tls && { ...(cert && { cert }), ...(key && { key }), ...(ca && { ca }) };
}

function addressIn(text: string): Address | undefined {
  try {
    return parseAddress(text);
  } catch {
    return undefined;
  }
}

function isUsable(address: Address | undefined, can: (address: Address) => boolean): address is Address {
  return address !== undefined && can(address);
}
