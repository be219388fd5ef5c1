import { hash, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import { ComparisonError, compare, type Test } from './comparison.js';
import type { ExchangeView } from './exchange.js';
import { fileText } from './file-text.js';
import { findVariable } from './variables.js';

/** Who may purge over HTTP. Where there are both, both must hold. */
export interface PurgeAccess {
  /** SHA-256 of the token to be shown, as `Authorization: Bearer …`; `undefined`: none is needed. */
  readonly tokenDigest: Buffer | undefined;
  /** Whether the client's address is listed; `undefined`: it does not matter. */
  readonly isAllowed: Test | undefined;
}

/**
 * Whether this request may purge. The address is that of the connection, whatever fields say of it; digests are
 * compared, so that the time it takes tells nothing of the token.
 */
export function mayPurge({ tokenDigest, isAllowed }: PurgeAccess, view: ExchangeView): boolean {
  if (isAllowed !== undefined && !isAllowed(view)) return false;
  if (tokenDigest === undefined) return isAllowed !== undefined;
  const [, token] = /^Bearer +([^ ]+)$/i.exec(view.request.fields.get('authorization') ?? '') ?? [];
  return token !== undefined && timingSafeEqual(digest(token), tokenDigest);
}

function digest(token: string): Buffer {
  return hash('sha256', Buffer.from(token, 'latin1'), 'buffer');
}

/** Shorter ones can be guessed. */
const MIN_TOKEN_CHARACTERS = 16;

/** What can stand behind Bearer (RFC 6750, section 2.1). */
const token = z
  .string()
  .regex(/^[A-Za-z0-9\-._~+/]+=*$/, { error: 'a token has letters, digits and -._~+/ only' })
  .min(MIN_TOKEN_CHARACTERS, { error: `a token of fewer than ${MIN_TOKEN_CHARACTERS} characters can be guessed` });

const network = z.string().transform((text, check): Test => {
  try {
    return compare(findVariable('request.remoteip'), '=/', text);
  } catch (error) {
    if (!(error instanceof ComparisonError)) throw error;
    check.issues.push({ code: 'custom', message: error.message, input: text });
    return z.NEVER;
  }
});

/** The `purge` option as a config writes it. */
export const purgeAccessSchema = z
  .strictObject({
    token: token.optional().describe('what a client has to send as "Authorization: Bearer …"'),
    tokenFile: fileText
      .transform((text) => text.trimEnd())
      .pipe(token)
      .optional()
      .describe('file that holds the token; a line break at its end does not count'),
    allow: z
      .array(network)
      .min(1)
      .optional()
      .describe('addresses and networks of clients that may purge, such as [127.0.0.1, 10.0.0.0/8]'),
  })
  .superRefine(({ token, tokenFile, allow }, check) => {
    const fault = (message: string) => check.addIssue({ code: 'custom', message });
    if (token !== undefined && tokenFile !== undefined) fault('give either token or tokenFile');
    if ((token ?? tokenFile ?? allow) === undefined) fault('say who may purge: give token, tokenFile or allow');
  })
  .transform(
    ({ token, tokenFile = token, allow }): PurgeAccess => ({
      tokenDigest: tokenFile === undefined ? undefined : digest(tokenFile),
      isAllowed: allow && ((view) => allow.some((isWithin) => isWithin(view))),
    }),
  );
