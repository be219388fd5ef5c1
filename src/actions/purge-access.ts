import { z } from 'zod';
import { givenToken, showsToken, tokenFault, tokenOptions } from './bearer-token.js';
import { ComparisonError, compare, type Test } from './comparison.js';
import type { ExchangeView } from './exchange.js';
import { findVariable } from './variables.js';

/** Who may purge over HTTP. Where there are both, both must hold. */
export interface PurgeAccess {
  /** SHA-256 of the token to be shown, as `Authorization: Bearer …`; `undefined`: none is needed. */
  readonly tokenDigest: Buffer | undefined;
  /** Whether the client's address is listed; `undefined`: it does not matter. */
  readonly isAllowed: Test | undefined;
}

/** Whether this request may purge. The address is that of the connection, whatever fields say of it. */
export function mayPurge({ tokenDigest, isAllowed }: PurgeAccess, view: ExchangeView): boolean {
  if (isAllowed !== undefined && !isAllowed(view)) return false;
  if (tokenDigest === undefined) return isAllowed !== undefined;
  return showsToken(view.request.fields.get('authorization'), tokenDigest);
}

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
    ...tokenOptions,
    allow: z
      .array(network)
      .min(1)
      .optional()
      .describe('addresses and networks of clients that may purge, such as [127.0.0.1, 10.0.0.0/8]'),
  })
  .superRefine(({ allow, ...given }, check) => {
    const isGiven = (given.token ?? given.tokenFile ?? allow) !== undefined;
    const message = isGiven ? tokenFault(given) : 'say who may purge: give token, tokenFile or allow';
    if (message !== undefined) check.addIssue({ code: 'custom', message });
  })
  .transform(
    ({ allow, ...given }): PurgeAccess => ({
      tokenDigest: givenToken(given),
      isAllowed: allow && ((view) => allow.some((isWithin) => isWithin(view))),
    }),
  );
