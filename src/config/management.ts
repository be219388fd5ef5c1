import { z } from 'zod';
import { givenToken, tokenFault, tokenOptions } from '../actions/bearer-token.js';
import { isLocal, LISTEN_FORMS, type ListenAddress, listenAddress } from './listen.js';

/** The `management` section: where operators and backends reach the cache, and who may. */
export interface ManagementSettings {
  readonly listen: ListenAddress;
  /** SHA-256 of the token to be shown; `undefined`: whoever can connect may. */
  readonly tokenDigest: Buffer | undefined;
  /** Names it may be called by, in lower case, besides localhost and addresses. */
  readonly hosts: readonly string[];
}

export const managementSchema = z
  .strictObject({
    listen: listenAddress
      .prefault('127.0.0.1:9180')
      .describe(`Where to listen: ${LISTEN_FORMS}. Beyond this machine only with a token.`),
    ...tokenOptions,
    hosts: z
      .array(
        z
          .string()
          .regex(/^[\w.-]+$/, { error: 'a host is a name without scheme and port' })
          .toLowerCase(),
      )
      .default([])
      .describe('Names in Host that clients may call it by, besides localhost and addresses.'),
  })
  .superRefine(({ listen, ...given }, check) => {
    const fault = (path: string, message: string) => check.addIssue({ code: 'custom', path: [path], message });
    const message = tokenFault(given);
    if (message !== undefined) fault('tokenFile', message);
    if ((given.token ?? given.tokenFile) === undefined && !isLocal(listen)) {
      fault('listen', 'others than this machine can connect there: give a token or tokenFile as well');
    }
  })
  .transform(({ listen, hosts, ...given }): ManagementSettings => ({ listen, hosts, tokenDigest: givenToken(given) }));
