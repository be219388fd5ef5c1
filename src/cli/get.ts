import { z } from 'zod';
import { decodeEntry, type Entry } from '../cache/entry.js';
import type { Item } from '../store/store.js';
import { defineCommand } from './command.js';
import { EXIT } from './exit.js';
import { keyOnWire, MEMCACHED_OPTIONS, memcachedOptions, withMemcached } from './memcached.js';
import { complain, printBytes, printJson } from './output.js';

export const getCommand = defineCommand({
  name: 'get',
  summary: 'print the value that memcached holds under a key',
  args: [{ name: '<key>', help: 'the key, before the key rule' }],
  options: [
    ...MEMCACHED_OPTIONS,
    { flags: '--json', help: 'print {key, storeKey, flags, ttl, cas, size, head, value}; the value in base64' },
    { flags: '--head', help: 'print the head of a stored response only, without its body' },
  ],
  schema: z.strictObject({
    ...memcachedOptions,
    json: z.literal(true).optional(),
    head: z.literal(true).optional(),
  }),
  async run([key = ''], options) {
    const wireKey = keyOnWire(key, options);
    const item = await withMemcached(options, (store) => store.get(wireKey));
    if (item === null) {
      complain(`no such key: ${key}`);
      return EXIT.no;
    }
    const entry = decodeEntry(item.value);
    if (options.head && entry === undefined) {
      complain(`what lies under ${key} is not an HTTP message`);
      return EXIT.no;
    }
    if (options.json) await printJson({ key, storeKey: wireKey, ...inJson(item, entry, options.head === true) });
    else await printBytes(options.head ? headOf(item.value) : item.value);
    return EXIT.ok;
  },
});

/** The head of an HTTP message, with the empty line that ends it. */
function headOf(message: Buffer): Buffer {
  return message.subarray(0, message.indexOf('\r\n\r\n') + 4);
}

function inJson({ value, flags, ttlSeconds, cas }: Item, entry: Entry | undefined, headOnly: boolean) {
  return {
    flags,
    ttl: ttlSeconds ?? null,
    cas,
    size: value.length,
    head: entry && { status: entry.status, fields: [...entry.fields], metadata: entry.metadata },
    value: headOnly ? undefined : value.toString('base64'),
  };
}
