import { type FastifyInstance, fastify } from 'fastify';
import type { Logger } from 'pino';
import type { z } from 'zod';
import type { RunningCache } from '../actions/chain.js';
import { explainIssue, problemsOf } from '../actions/issues.js';
import { MAX_PURGE_TARGETS, PURGES_PER_SECOND, purgeEach, reportStatus } from '../actions/purge-report.js';
import { TokenBucket } from '../actions/token-bucket.js';
import type { ListenAddress } from '../config/listen.js';
import type { ManagementSettings } from '../config/management.js';
import { managementRefusal } from './management-guard.js';
import { entriesQuery, purgeBody } from './purge-body.js';

/** What the endpoint works on: asked for with every request, as a reload changes it. */
export interface Managed {
  /** `undefined`: the configuration does not want the endpoint any more. */
  readonly settings: ManagementSettings | undefined;
  readonly caches: ReadonlySet<RunningCache>;
}

/** The longest body, in bytes: a thousand URLs. */
const MAX_BODY_BYTES = 1024 * 1024;

/** How long a client may take for a request. */
const REQUEST_TIMEOUT_MS = 10_000;

/**
 * The management endpoint:
 *
 *     POST /purge            {"urls": […], "tags": […], "prefixes": […], "all": true, "soft": true, "dryRun": true}
 *     DELETE /entries?url=…  the same for one URL; &soft=true, &dryRun=true
 *
 * Both answer with a `PurgeReport`: 202 when a server of the store could not be reached and is tried again.
 */
export class Management {
  /** `http://host:port` with the port it really is, or `unix:/path`. */
  readonly url: string;
  readonly #app: FastifyInstance;

  private constructor(app: FastifyInstance, url: string) {
    this.#app = app;
    this.url = url;
  }

  /** Rejects with the error of the system when it can not listen there. */
  static async start(address: ListenAddress, managed: () => Managed, log: Logger): Promise<Management> {
    const app = managementApp(managed, log);
    if (address.kind === 'tcp')
      return new Management(app, await app.listen({ host: address.host, port: address.port }));
    await app.listen({ path: address.path });
    return new Management(app, `unix:${address.path}`);
  }

  async close(): Promise<void> {
    await this.#app.close();
  }
}

function managementApp(managed: () => Managed, log: Logger): FastifyInstance {
  const app = fastify({
    bodyLimit: MAX_BODY_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    forceCloseConnections: true,
    exposeHeadRoutes: false,
  });
  const rate = new TokenBucket(MAX_PURGE_TARGETS, PURGES_PER_SECOND);
  // a form of a web page can send text/plain without being asked whether it may
  app.removeContentTypeParser('text/plain');

  app.addHook('onRequest', async (request, reply) => {
    const { settings } = managed();
    if (settings === undefined) return reply.code(404).send({ error: 'not configured any more' });
    const refusal = managementRefusal(request.headers, settings);
    if (refusal === undefined) return;
    if (refusal.status === 401) reply.header('WWW-Authenticate', 'Bearer');
    return reply.code(refusal.status).send({ error: refusal.error });
  });
  app.addHook('onSend', async (_request, reply) => void reply.header('Cache-Control', 'no-store'));

  const purge = async (schema: typeof purgeBody | typeof entriesQuery, input: unknown) => {
    const { targets, options } = checked(schema, input);
    if (!rate.take(targets.length)) throw new ManagementError(429, 'too many purges at a time');
    const report = await purgeEach([...managed().caches], targets, options);
    log.info(
      { targets: targets.length, soft: report.soft, result: report.result },
      'purged by the management endpoint',
    );
    return report;
  };
  app.post('/purge', async (request, reply) => {
    if (request.body === undefined) throw new ManagementError(415, 'send a body of type application/json');
    const report = await purge(purgeBody, request.body);
    return reply.code(reportStatus(report)).send(report);
  });
  app.delete('/entries', async (request, reply) => {
    const report = await purge(entriesQuery, request.query);
    return reply.code(reportStatus(report)).send(report);
  });

  app.setNotFoundHandler((_request, reply) => reply.code(404).send({ error: 'POST /purge or DELETE /entries?url=…' }));
  app.setErrorHandler((error, _request, reply) => {
    const status = statusOf(error);
    if (status === 500) log.error({ err: error }, 'request to the management endpoint failed');
    const message = status === 500 || !(error instanceof Error) ? 'internal error' : error.message;
    if (status === 429) reply.header('Retry-After', '1');
    return reply.code(status).send({ error: message });
  });
  return app;
}

/** A request that is refused, and why. */
class ManagementError extends Error {
  override readonly name = 'ManagementError';
  readonly statusCode: number;

  constructor(statusCode: number, message: string) {
    super(message);
    this.statusCode = statusCode;
  }
}

function checked<Schema extends z.ZodType>(schema: Schema, input: unknown): z.output<Schema> {
  const result = schema.safeParse(input, { error: explainIssue });
  if (result.success) return result.data;
  const faults = problemsOf(result.error).map(({ path, message }) => [...path.map(String), message].join(': '));
  throw new ManagementError(400, faults.join('; '));
}

/** Of our own refusals, and of what Fastify refuses; 500 for a bug. */
function statusOf(error: unknown): number {
  const status = error instanceof Error && 'statusCode' in error ? error.statusCode : undefined;
  return typeof status === 'number' && status >= 400 && status < 500 ? status : 500;
}
