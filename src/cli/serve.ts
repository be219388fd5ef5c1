import cluster from 'node:cluster';
import closeWithGrace from 'close-with-grace';
import type { Logger } from 'pino';
import { z } from 'zod';
import { chainSchema } from '../actions/actions.js';
import { explainIssue, problemsOf } from '../actions/issues.js';
import { patternSchema } from '../actions/pattern.js';
import { proxyAction } from '../actions/proxy.js';
import { durationSeconds } from '../actions/units.js';
import { CACHING_PROXY_TTL, cachingProxy } from '../config/caching-proxy.js';
import { LISTEN_FORMS, parseListen } from '../config/listen.js';
import { loadConfig, settingsOf } from '../config/load.js';
import { memcachedSchema } from '../config/memcached.js';
import type { Config, Settings } from '../config/schema.js';
import { ListenError, removeStaleSocket } from '../proxy/listener.js';
import { standardLog } from '../proxy/serve.js';
import { createProxy, type ProxyServer } from '../proxy/server.js';
import { onOrder, reportToPrimary, Workers } from '../proxy/workers.js';
import { defineCommand, kebabCase } from './command.js';
import { EXIT, type ExitCode, UsageError } from './exit.js';
import { printLine } from './output.js';

/** Text that `schema` would take; it stays text, for the configuration that is made of it. */
function textFor(schema: z.ZodType, toInput: (text: string) => unknown = (text) => text) {
  return z.string().superRefine((text, check) => {
    const checked = schema.safeParse(toInput(text), { error: explainIssue });
    if (checked.success) return;
    for (const { message } of problemsOf(checked.error)) check.addIssue({ code: 'custom', message });
  });
}

const serveOptions = z.strictObject({
  config: z.string().optional(),
  upstream: textFor(proxyAction.schema(chainSchema)).optional(),
  listen: z
    .string()
    .refine((text) => parseListen(text) !== undefined, { error: `expected ${LISTEN_FORMS}` })
    .optional(),
  memcached: textFor(memcachedSchema, (text) => ({ servers: text.split(',') })).optional(),
  key: textFor(patternSchema).optional(),
  ttl: textFor(durationSeconds()).optional(),
  profile: z.enum(['safe', 'rfc']).optional(),
  tlsCert: z.string().optional(),
  tlsKey: z.string().optional(),
  tlsClientCa: z.string().optional(),
  tlsSecretFile: z.string().optional(),
  workers: z.coerce.number<string>().pipe(z.int().min(1)).optional(),
});

type ServeOptions = z.output<typeof serveOptions>;

export const serveCommand = defineCommand({
  name: 'serve',
  summary: 'answer requests as a configuration says, or as a caching proxy in front of one upstream',
  details: `Logs go to stderr as JSON, one line each; at level debug there is one for every request.
SIGTERM and SIGINT finish what is in flight and end; SIGHUP reads the configuration again.

  lookaside serve --upstream http://127.0.0.1:3000
  lookaside serve --upstream http://127.0.0.1:3000 --memcached 10.0.0.1,10.0.0.2 --ttl 5m
  lookaside serve --config lookaside.yaml --workers 4`,
  args: [],
  options: [
    { flags: '-c, --config <file>', help: 'the configuration: YAML, JSON, or a module with it as default export' },
    { flags: '--upstream <url>', help: 'without a configuration: cache what this upstream answers' },
    { flags: '--listen <address>', help: `${LISTEN_FORMS} (default: 127.0.0.1:8080)` },
    {
      flags: '--memcached <addresses>',
      help: 'servers to keep responses in, separated by commas (default: this process)',
    },
    { flags: '--key <pattern>', help: 'pattern of the keys (default: scheme, host, path as sent, and query)' },
    {
      flags: '--ttl <duration>',
      help: `how long 200, 301 and 302 responses are used that do not say it themselves (default: ${CACHING_PROXY_TTL}, with --profile rfc by the RFC's heuristics)`,
    },
    {
      flags: '--profile <name>',
      help: 'rfc: store all that RFC 9111 allows; safe: not what sets cookies, answers to cookies, nor errors, unless they say that it is for all (default: safe)',
    },
    { flags: '--tls-cert <file>', help: 'speak HTTPS, with this certificate and its chain (PEM)' },
    { flags: '--tls-key <file>', help: 'its key (PEM)' },
    { flags: '--tls-client-ca <file>', help: 'let in only clients with a certificate of these authorities (PEM)' },
    { flags: '--tls-secret-file <file>', help: 'the secret by which a fleet shares TLS sessions, in memcached' },
    { flags: '--workers <number>', help: 'how many processes answer requests (default: 1)' },
  ],
  schema: serveOptions,
  async run(_args, options) {
    const load = loader(options);
    const settings = await load();
    if (cluster.isWorker) return serveAsWorker(settings, load);
    return settings.workers > 1 ? serveWithWorkers(settings, load) : serveAlone(settings, load);
  },
});

type Load = () => Promise<Settings>;

/** How to get at the settings, at the start and again with every reload. */
function loader({ config, upstream, listen, workers, ...cache }: ServeOptions): Load {
  if (config === undefined) {
    if (upstream === undefined) throw new UsageError('say what to serve: --upstream URL or --config FILE');
    const { memcached, tlsCert, tlsKey, tlsClientCa, tlsSecretFile, ...options } = cache;
    const value = cachingProxy(upstream, { ...options, servers: memcached?.split(',') });
    const tls = tlsSection({ cert: tlsCert, key: tlsKey, clientCa: tlsClientCa, secretFile: tlsSecretFile });
    return async () => settingsOf({ ...value, listen, workers, tls }, 'command line');
  }
  const surplus = Object.entries({ upstream, ...cache }).find(([, value]) => value !== undefined);
  if (surplus !== undefined) throw new UsageError(`--${kebabCase(surplus[0])} and --config exclude each other`);
  const address = listen === undefined ? undefined : parseListen(listen);
  return async () => {
    const settings = await loadConfig(config);
    return {
      ...settings,
      listen: address === undefined ? settings.listen : [address],
      workers: workers ?? settings.workers,
    };
  };
}

/** The `tls` section that the options of the command line stand for; `undefined` for none. */
function tlsSection(given: Partial<Record<'cert' | 'key' | 'clientCa' | 'secretFile', string>>): Config['tls'] {
  const { cert, key, ...more } = given;
  if (cert !== undefined && key !== undefined) return { cert, key, ...more };
  if (Object.values(given).every((value) => value === undefined)) return undefined;
  throw new UsageError('TLS needs both: --tls-cert FILE and --tls-key FILE');
}

async function serveAlone(settings: Settings, load: Load): Promise<never> {
  const log = standardLog(settings.log.level);
  const proxy = await explained(createProxy(settings, { log }));
  reloadOnHangup(load, log, (next) => proxy.reload(next));
  await announce(proxy.urls);
  return untilEnd(settings, log, () => proxy.close());
}

async function serveWithWorkers(settings: Settings, load: Load): Promise<never> {
  const log = standardLog(settings.log.level);
  if (settings.memcached === undefined) {
    log.warn('without memcached each worker keeps entries of its own: they fill one by one');
  }
  const { listen, management } = settings;
  for (const address of [...listen, ...(management === undefined ? [] : [management.listen])]) {
    if (address.kind === 'unix') await removeStaleSocket(address.path);
  }
  const { workers, urls } = await explained(Workers.start(settings.workers, log));
  reloadOnHangup(load, log, () => workers.reload());
  await announce(urls);
  return untilEnd(settings, log, () => workers.close());
}

/** A worker hears from its primary what it is to do; signals that reach the whole process group change nothing. */
async function serveAsWorker(settings: Settings, load: Load): Promise<ExitCode> {
  const log = standardLog(settings.log.level);
  let proxy: ProxyServer;
  try {
    proxy = await createProxy(settings, { log });
  } catch (error) {
    if (!(error instanceof ListenError)) throw error;
    reportToPrimary({ kind: 'failed', reason: error.message });
    cluster.worker?.disconnect();
    return EXIT.usage;
  }
  const reload = reloader(load, log, (next) => proxy.reload(next));
  process.on('SIGHUP', () => {});
  onOrder((order) => {
    if (order === 'reload') reload();
    else void proxy.close().then(() => process.exit(EXIT.ok));
  });
  reportToPrimary({ kind: 'listening', urls: [...proxy.urls] });
  return untilEnd(settings, log, () => proxy.close());
}

/** THE line on stdout: whoever started this process waits for it. */
function announce(urls: readonly string[]): Promise<void> {
  return printLine(`lookaside listening on ${urls.join(', ')}`);
}

async function explained<Result>(starting: Promise<Result>): Promise<Result> {
  try {
    return await starting;
  } catch (error) {
    throw error instanceof ListenError ? new UsageError(error.message) : error;
  }
}

function reloadOnHangup(load: Load, log: Logger, apply: (settings: Settings) => void): void {
  process.on('SIGHUP', reloader(load, log, apply));
}

/** Reads the configuration again and puts it to work, one reload after the other. A bad one changes nothing. */
function reloader(load: Load, log: Logger, apply: (settings: Settings) => void): () => void {
  let last = Promise.resolve();
  const reload = async () => {
    try {
      const settings = await load();
      apply(settings);
      log.level = settings.log.level;
      log.info('configuration reloaded');
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      log.error({ reason }, 'the new configuration can not be used, the old one stays');
    }
  };
  return () => {
    last = last.then(reload);
  };
}

/** What closing may take besides the requests in flight before the process is ended all the same. */
const CLOSING_MARGIN_MS = 3000;

/** Serves until a signal, or a bug, ends the process by way of `close`. */
function untilEnd({ server }: Settings, log: Logger, close: () => Promise<void>): Promise<never> {
  return new Promise(() => {
    closeWithGrace(
      { delay: server.drainTimeoutMs + CLOSING_MARGIN_MS, logger: log, skip: ['SIGHUP'] },
      async ({ signal, err }) => {
        if (err === undefined) log.info({ signal }, 'closing');
        else log.fatal({ err }, 'closing: this is a bug');
        await close();
      },
    );
  });
}
