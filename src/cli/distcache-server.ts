import type { TlsOptions } from 'node:tls';
import { z } from 'zod';
import { explainIssue, problemsOf } from '../actions/issues.js';
import { memcachedSchema } from '../config/memcached.js';
import type { MemcachedSettings } from '../config/schema.js';
import type { SessionCache } from '../distcache/cache.js';
import type { Log } from '../distcache/limited-log.js';
import {
  DEFAULT_MAX_BYTES,
  DEFAULT_SESSIONS,
  MAX_SESSIONS,
  MemoryCache,
  MIN_SESSIONS,
} from '../distcache/memory-cache.js';
import { metricsText, SERVER_METRICS } from '../distcache/metrics.js';
import { MAX_TIMEOUT_MS } from '../distcache/payload.js';
import { ProgressReport } from '../distcache/progress.js';
import { Seal, secretsOf } from '../distcache/seal.js';
import { DistcacheServer } from '../distcache/server.js';
import { StoreCache } from '../distcache/store-cache.js';
import { openStore } from '../store/open.js';
import { type CTool, runCTool } from './c-flags.js';
import {
  fileText,
  integer,
  readBy,
  runService,
  SERVICE_FLAGS,
  type Service,
  serviceSchema,
} from './distcache-service.js';
import { EXIT, type ExitCode } from './exit.js';
import { complain } from './output.js';

const MAX_PROGRESS = 1_000_000;

const MIB = 1024 * 1024;

/** The most sessions of the largest size take a little less. */
const MAX_MEMORY_MIB = 2048;

const schema = z.strictObject({
  ...serviceSchema,
  listen: z.string().optional(),
  sessions: integer(1, MAX_SESSIONS).default(DEFAULT_SESSIONS),
  memory: integer(1, MAX_MEMORY_MIB).default(DEFAULT_MAX_BYTES / MIB),
  progress: integer(0, MAX_PROGRESS).default(0),
  memcached: readBy(memcachedNamed).optional(),
  'min-timeout': integer(0, MAX_TIMEOUT_MS).default(0),
  'seal-secret-file': fileText().optional(),
});

type Options = z.output<typeof schema>;

const TOOL: CTool<typeof schema> = {
  name: 'dc_server',
  dashes: '--',
  schema,
  flags: [
    { name: 'listen', value: 'addr', help: 'serve there: UNIX:path, IP:port, IP:host:port or IP:[IPv6]:port' },
    { name: 'sessions', value: 'num', help: `keep so many sessions in this process (default: ${DEFAULT_SESSIONS})` },
    { name: 'memory', value: 'MiB', help: `let them take no more than this (default: ${DEFAULT_MAX_BYTES / MIB})` },
    { name: 'progress', value: 'num', help: 'report each time so many operations were done (default: 0 = never)' },
    { name: 'memcached', value: 'addrs', help: 'keep the sessions there instead: servers, separated by commas' },
    { name: 'min-timeout', value: 'ms', help: "raise smaller timeouts to this, for Apache's mod_socache_dc" },
    {
      name: 'seal-secret-file',
      value: 'file',
      help: 'encrypt what goes to memcached: a secret a line, the current one first',
    },
    ...SERVICE_FLAGS,
  ],
};

/** `dc_server`, and `lookaside distcache server`. */
export function runDistcacheServer(argv: readonly string[]): Promise<ExitCode> {
  return runCTool(TOOL, argv, async (options) => {
    const { listen } = options;
    if (listen !== undefined) return runService(options, listen, (say) => openServer(options, say));
    complain('Error, must provide -listen');
    return EXIT.no;
  });
}

function memcachedNamed(text: string): MemcachedSettings {
  const checked = memcachedSchema.safeParse({ servers: text.split(',') }, { error: explainIssue });
  if (checked.success) return checked.data;
  throw new Error(
    problemsOf(checked.error)
      .map(({ message }) => message)
      .join('; '),
  );
}

function openServer(options: Options, say: Log): Service {
  const server = new DistcacheServer({
    cache: openCache(options),
    minTimeoutMs: options['min-timeout'],
    log: say,
    onOperation: () => progress.operationDone(),
  });
  const source = { operations: () => server.counters.operations_total, sessions: () => server.sessions() };
  const progress = new ProgressReport(source, options.progress, say);
  return {
    tls: tlsOf(options),
    serve: (socket) => server.serve(socket),
    metrics: async () => metricsText('lookaside_distcache_server_', SERVER_METRICS, await server.metrics()),
    async close() {
      progress.stop();
      await server.close();
    },
  };
}

function openCache({ sessions, memory, memcached, 'seal-secret-file': secrets }: Options): SessionCache {
  if (memcached !== undefined) {
    const seal = secrets === undefined ? undefined : new Seal(secretsOf(secrets));
    return new StoreCache(openStore({ memcached }), { ...(seal && { seal }) });
  }
  if (secrets !== undefined) throw new Error('--seal-secret-file is for --memcached');
  if (sessions < MIN_SESSIONS) throw new Error('malloc/initialisation failure');
  return new MemoryCache(sessions, memory * MIB);
}

function tlsOf({ tls, 'tls-cert': cert, 'tls-key': key, 'tls-ca': ca }: Options): TlsOptions | undefined {
  if (!tls) return undefined;
  if (cert === undefined || key === undefined) throw new Error('--tls requires --tls-cert and --tls-key');
  return { cert, key, ...(ca && { ca, requestCert: true, rejectUnauthorized: true }) };
}
