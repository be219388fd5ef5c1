import { z } from 'zod';
import { utf8ToBytes } from '../http/byte-string.js';
import { defineAction } from './action.js';
import { redirectToDirectory } from './directory-redirect.js';
import { findInDocroot } from './docroot-file.js';
import type { Exchange } from './exchange.js';

const fileName = z
  .string()
  .regex(/^\/?[^/\0]+$/, { error: 'an index file is a name, or a name with one slash in front for the docroot itself' })
  .transform(utf8ToBytes);

const fileNames = z
  .union([fileName.transform((name) => [name]), z.array(fileName).min(1)])
  .describe('names to look for in the directory, in this order; those that begin with a slash, in the docroot');

export const indexAction = defineAction({
  name: 'index',
  help: 'when the request is for a directory, looks for a file to serve in its place',
  schema: () => fileNames,
  compile: (names) => (exchange) => findIndex(exchange, names),
});

/** lighttpd2's `index`. Does nothing without a `docroot` before, and when there is a file for the request itself. */
async function findIndex(exchange: Exchange, names: readonly string[]): Promise<void> {
  const { physical } = exchange;
  if (exchange.response !== undefined || physical === undefined) return;
  const own = await findInDocroot(physical, physical.path);
  if (own.kind === 'file') return;
  for (const name of names) {
    if (!name.startsWith('/')) {
      if (own.kind !== 'directory') continue;
      if (!physical.path.endsWith('/')) return redirectToDirectory(exchange);
    }
    const path = name.startsWith('/') ? name : physical.path + name;
    if ((await findInDocroot(physical, path)).kind !== 'file') continue;
    physical.path = path;
    return;
  }
}
