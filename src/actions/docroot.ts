import { stat } from 'node:fs/promises';
import { z } from 'zod';
import { defineAction } from './action.js';
import { hostLabels } from './captures.js';
import type { Exchange } from './exchange.js';
import { type Pattern, patternSchema } from './pattern.js';

const directory = patternSchema.refine((pattern) => pattern.source.startsWith('/'), {
  error: 'a docroot is an absolute path: it begins with "/"',
});

const directories = z
  .union([directory.transform((pattern) => [pattern]), z.array(directory).min(1)])
  .describe('pattern of the directory, or a list; $1 is the top-level domain of the host, $2 the label before, $0 all');

export const docrootAction = defineAction({
  name: 'docroot',
  help: 'sets the directory that files are served from: of several the first that exists, else the last',
  schema: () => directories,
  compile: (patterns) => {
    const [only] = patterns;
    if (only !== undefined && patterns.length === 1) return (exchange) => setDocroot(exchange, expand(only, exchange));
    return async (exchange) => setDocroot(exchange, await firstExisting(patterns, exchange));
  },
});

function setDocroot(exchange: Exchange, docroot: string | undefined): void {
  exchange.physical = docroot === undefined ? undefined : { docroot, path: exchange.request.path };
}

/**
 * The directory for this exchange; `undefined` when what the pattern inserted would lead out of where it belongs. A host
 * may be anything that stands in a Host field, `..` and the empty name included.
 */
function expand(pattern: Pattern, exchange: Exchange): string | undefined {
  const docroot = pattern.expand(exchange, hostLabels(exchange.request.host)).replace(/\/+$/, '');
  const [, ...segments] = docroot.split('/');
  return segments.some(isNoName) ? undefined : docroot;
}

function isNoName(segment: string): boolean {
  return segment === '' || segment === '.' || segment === '..' || segment.includes('\0');
}

async function firstExisting(patterns: readonly Pattern[], exchange: Exchange): Promise<string | undefined> {
  let docroot: string | undefined;
  for (const pattern of patterns) {
    docroot = expand(pattern, exchange);
    if (docroot !== undefined && (await isDirectory(docroot))) return docroot;
  }
  return docroot;
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await stat(Buffer.from(path, 'latin1'))).isDirectory();
  } catch {
    return false;
  }
}
