import { z } from 'zod';
import { BrokenBodyError } from '../cache/body.js';
import { readSegments } from '../cache/segments.js';
import type { Item, Store } from '../store/store.js';
import { defineCommand } from './command.js';
import { EXIT, type ExitCode, UsageError } from './exit.js';
import { type ItemView, segmentKeys, viewItem } from './item-view.js';
import { keyOnWire, MEMCACHED_OPTIONS, memcachedOptions, withMemcached } from './memcached.js';
import { complain, printBytes, printJson } from './output.js';

export const getCommand = defineCommand({
  name: 'get',
  summary: 'print the value that memcached holds under a key',
  details: `A response that memcached.cache has stored can consist of several items: under the key lies the response, or,
when it varies, the index of its variants, which --json lists with the keys they lie under (for get --raw). A large
body lies in segments: --body puts it together.`,
  args: [{ name: '<key>', help: 'the key, before the key rule' }],
  options: [
    ...MEMCACHED_OPTIONS,
    {
      flags: '--json',
      help: 'print {key, storeKey, kind, flags, ttl, cas, size, head, variants, segments, value}; the value in base64',
    },
    { flags: '--head', help: 'print the head of a stored response only, without its body' },
    { flags: '--body', help: 'print the body of a stored response only, without its head' },
  ],
  schema: z.strictObject({
    ...memcachedOptions,
    json: z.literal(true).optional(),
    head: z.literal(true).optional(),
    body: z.literal(true).optional(),
  }),
  async run([key = ''], options) {
    if (options.body && (options.head || options.json)) throw new UsageError('--body excludes --head and --json');
    const wireKey = keyOnWire(key, options);
    return withMemcached(options, async (store) => {
      const item = await store.get(wireKey);
      if (item === null) return no(`no such key: ${key}`);
      const view = viewItem(wireKey, item.value);
      if ((options.head || options.body) && view.head === undefined) {
        return no(`what lies under ${key} is not an HTTP message`);
      }
      if (options.body) return printBody(view, store);
      if (options.json) {
        const value = options.head ? undefined : item.value.toString('base64');
        await printJson({ key, storeKey: wireKey, ...(await inJson(item, view, store)), value });
      } else {
        await printBytes(options.head ? headOf(item.value) : item.value);
      }
      return EXIT.ok;
    });
  },
});

function no(reason: string): ExitCode {
  complain(reason);
  return EXIT.no;
}

/** The head of an HTTP message, with the empty line that ends it. */
function headOf(message: Buffer): Buffer {
  return message.subarray(0, message.indexOf('\r\n\r\n') + 4);
}

async function printBody({ body }: ItemView, store: Store): Promise<ExitCode> {
  if (body === undefined || body instanceof Uint8Array) {
    await printBytes(body ?? Buffer.alloc(0));
    return EXIT.ok;
  }
  try {
    for await (const chunk of readSegments(store, body, 0, body.bytes)) await printBytes(chunk);
    return EXIT.ok;
  } catch (error) {
    if (error instanceof BrokenBodyError) return no(error.message);
    throw error;
  }
}

async function inJson({ value, flags, ttlSeconds, cas }: Item, { kind, head, body, variants }: ItemView, store: Store) {
  return {
    kind,
    flags,
    ttl: ttlSeconds ?? null,
    cas,
    size: value.length,
    head,
    variants,
    segments:
      body === undefined || body instanceof Uint8Array ? undefined : await segmentsInJson(segmentKeys(body), store),
  };
}

/** Asked for one by one: together they can be larger than what one wants in memory. */
async function segmentsInJson(keys: readonly string[], store: Store) {
  const segments: { readonly storeKey: string; readonly isThere: boolean }[] = [];
  for (const storeKey of keys) segments.push({ storeKey, isThere: (await store.get(storeKey)) !== null });
  return segments;
}
