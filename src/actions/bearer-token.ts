import { hash, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import { fileText } from './file-text.js';

/**
 * Whether the value of an Authorization field shows the token that has this digest. Digests are compared, so that the
 * time it takes tells nothing of the token.
 */
export function showsToken(authorization: string | undefined, digest: Buffer): boolean {
  const [, token] = /^Bearer +([^ ]+)$/i.exec(authorization ?? '') ?? [];
  return token !== undefined && timingSafeEqual(tokenDigest(token), digest);
}

/** SHA-256 of a token. */
function tokenDigest(token: string): Buffer {
  return hash('sha256', Buffer.from(token, 'latin1'), 'buffer');
}

/** Shorter ones can be guessed. */
const MIN_TOKEN_CHARACTERS = 16;

/** What can stand behind Bearer (RFC 6750, section 2.1). */
const token = z
  .string()
  .regex(/^[A-Za-z0-9\-._~+/]+=*$/, { error: 'a token has letters, digits and -._~+/ only' })
  .min(MIN_TOKEN_CHARACTERS, { error: `a token of fewer than ${MIN_TOKEN_CHARACTERS} characters can be guessed` });

/** The options by which a config gives a token, to be checked and read with {@link givenToken}. */
export const tokenOptions = {
  token: token.optional().describe('what a client has to send as "Authorization: Bearer …"'),
  tokenFile: fileText
    .transform((text) => text.trimEnd())
    .pipe(token)
    .optional()
    .describe('file that holds the token; a line break at its end does not count'),
};

export interface TokenOptions {
  readonly token?: string | undefined;
  readonly tokenFile?: string | undefined;
}

/** What is wrong with the options together, or `undefined`. */
export function tokenFault({ token, tokenFile }: TokenOptions): string | undefined {
  return token !== undefined && tokenFile !== undefined ? 'give either token or tokenFile' : undefined;
}

/** The digest of the token that the options give; `undefined` when they give none. */
export function givenToken({ token, tokenFile = token }: TokenOptions): Buffer | undefined {
  return tokenFile === undefined ? undefined : tokenDigest(tokenFile);
}
