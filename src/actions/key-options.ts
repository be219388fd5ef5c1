import { z } from 'zod';
import { addressSchema } from './address.js';
import { patternSchema } from './pattern.js';

/** The options that `memcached.lookup` and `memcached.store` have in common. */
export const keyOptions = {
  server: addressSchema
    .optional()
    .describe(
      'a memcached of its own for this action: host, host:port, [v6]:port or unix:/path; default: the configured store',
    ),
  key: patternSchema.prefault('%{req.path}').describe("pattern of the key (default: lighttpd2's, %{req.path})"),
  headers: z
    .boolean()
    .default(false)
    .describe('whether the value is a whole HTTP message (status, fields and body) or the body alone (default: false)'),
};
