import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { isHttp } from './tunnel.js';
import { durationMs } from './units.js';

const upstreamUrl = z
  .string()
  .transform((text, check) => {
    const url = parseUpstream(text);
    if (url !== undefined) return url;
    const message = `${JSON.stringify(text)} is not an upstream: expected http://host:port or https://host, with a path or none`;
    check.issues.push({ code: 'custom', message, input: text });
    return z.NEVER;
  })
  .describe('Where requests go: scheme, host and port, and optionally a path that is put before theirs.');

/** Other HTTP on a connection that was let through is out of everybody's sight: what is asked there, no guard judges. */
const protocol = z
  .string()
  .regex(/^[\w!#$%&'*+.^`|~-]+(?:\/[\w!#$%&'*+.^`|~-]+)?$/, { error: 'is not a protocol' })
  .transform((name) => name.toLowerCase())
  .refine((name) => !isHttp(name), { error: 'is HTTP again, which is not let through unseen' });

/** Options of the `proxy` action. */
export const proxyOptions = z.strictObject({
  upstream: upstreamUrl,
  host: z
    .string()
    .regex(/^[\w.~:[\]-]+$/, { error: 'is not a host' })
    .default('client')
    .describe(
      'The Host field upstream: "client" is the one the client sent, "upstream" that of the URL, else a fixed one.',
    ),
  forwarded: z
    .enum(['overwrite', 'keep'])
    .default('overwrite')
    .describe(
      'X-Forwarded-… and the like: made anew, or passed on as they came from a proxy in front that is trusted.',
    ),
  connectTimeout: durationMs({ min: '1ms', max: '10m' })
    .prefault('3s')
    .describe('How long connecting may take. The default allows for one lost packet.'),
  headersTimeout: durationMs({ min: '1ms', max: '1d' })
    .prefault('30s')
    .describe('How long the upstream may take to answer, from the end of the request to the end of the response head.'),
  bodyTimeout: durationMs({ min: '1ms', max: '1d' })
    .prefault('60s')
    .describe('How long the upstream may stay silent within a body.'),
  upgrade: z
    .union([z.boolean(), z.array(protocol)])
    .default(true)
    .transform((passed) => (typeof passed === 'boolean' ? (passed ? ['websocket'] : []) : passed))
    .describe(
      'The protocols (Upgrade) that a client and the upstream may go on with on their connection; true: websocket.',
    ),
  tunnelTimeout: durationMs({ min: '100ms', max: '7d' })
    .prefault('1h')
    .describe('How long such a connection may stay silent in both directions.'),
  maxWaiting: z
    .int()
    .min(1)
    .default(4096)
    .describe('The most requests that wait for the upstream to answer; further ones get 503.'),
  maxWaitingPerPath: z
    .int()
    .min(1)
    .default(1024)
    .describe('The same for one path, so that one which hangs leaves room for the others.'),
  tlsCa: z
    .string()
    .transform(readCertificates)
    .optional()
    .describe('File with the certificates (PEM) to trust for this upstream, in place of the well-known ones.'),
  insecure: z.boolean().default(false).describe('Do not verify the certificate of an https upstream.'),
});

function parseUpstream(text: string): URL | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:\/\//i.test(text)) return undefined;
  const more = url.username + url.password + url.search + url.hash;
  return more === '' ? url : undefined;
}

function readCertificates(file: string, check: z.core.ParsePayload): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    check.issues.push({ code: 'custom', message: error instanceof Error ? error.message : String(error), input: file });
    return z.NEVER;
  }
}
