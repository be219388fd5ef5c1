import { z } from 'zod';
import { durationSeconds } from '../actions/units.js';
import type { SetResult } from '../store/store.js';
import { defineCommand } from './command.js';
import { EXIT } from './exit.js';
import { keyOnWire, MEMCACHED_OPTIONS, memcachedOptions, withMemcached } from './memcached.js';
import { complain, printJson } from './output.js';

const MAX_FLAGS = 2 ** 32 - 1;

export const setCommand = defineCommand({
  name: 'set',
  summary: 'keep what comes on stdin in memcached under a key',
  args: [{ name: '<key>', help: 'the key, before the key rule' }],
  options: [
    ...MEMCACHED_OPTIONS,
    { flags: '--ttl <duration>', help: 'how long to keep it: 90s, 5m, 1h30m; 0 is without end (default: 0)' },
    { flags: '--flags <number>', help: "the item's client flags, 32 bits (default: 0)" },
    {
      flags: '--mode <mode>',
      help: 'set, add (only when there is none) or replace (only when there is one) (default: set)',
    },
    { flags: '--json', help: 'print {key, storeKey, size, result}' },
  ],
  schema: z.strictObject({
    ...memcachedOptions,
    ttl: durationSeconds().prefault('0'),
    flags: z.coerce.number().pipe(z.int().min(0).max(MAX_FLAGS)).default(0),
    mode: z.enum(['set', 'add', 'replace']).default('set'),
    json: z.literal(true).optional(),
  }),
  async run([key = ''], options) {
    const { ttl: ttlSeconds, flags, mode } = options;
    const wireKey = keyOnWire(key, options);
    const { result, size } = await withMemcached(options, async (store) => {
      const pieces = await readStdin(store.maxItemBytes);
      if (pieces === undefined) return { result: 'too-large' as const, size: undefined };
      const size = pieces.reduce((bytes, piece) => bytes + piece.length, 0);
      return { result: await store.set(wireKey, pieces, { mode, ttlSeconds, flags }), size };
    });
    if (options.json) await printJson({ key, storeKey: wireKey, size, result });
    else if (result !== 'stored') complain(REFUSALS[result]);
    return result === 'stored' ? EXIT.ok : EXIT.no;
  },
});

const REFUSALS: { readonly [result in Exclude<SetResult, 'stored'> | 'too-large']: string } = {
  'too-large': 'not stored: the value is larger than an item may be (maxItemSize of the configuration)',
  'not-stored': 'not stored: with add there must be no item under the key, with replace there must be one',
  exists: 'not stored: the item has changed',
  'not-found': 'not stored: there is no such item',
};

/** All of stdin; `undefined`, and the rest unread, when it is more than `maxBytes`. */
async function readStdin(maxBytes: number): Promise<Buffer[] | undefined> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of process.stdin) {
    bytes += piece.length;
    if (bytes > maxBytes) return undefined;
    pieces.push(piece);
  }
  return pieces;
}
